"""Zones by configuration, and their serials: they only grow, whatever happens to clock, database or settings."""

import hashlib
import shutil
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from app.db import Database
from app.errors import NotFound, SettingInvalid, Unprocessable
from app.journal import queries
from app.main import make_publisher
from app.publication import zones
from app.publication.follower import Follower
from app.publication.marks import Marks
from app.publication.models import Release, Zone, ZoneSerial
from app.publication.publisher import Publisher
from app.publication.store import rules_of_release
from app.settings import Settings
from resolver_policy.errors import PolicyError
from resolver_policy.names import sort_key
from resolver_policy.targets import Decision, Match, Target
from tests.publication.worlds import World
from tests.service import DAY, HOST, HOUR, NOW, ZONE, Json, Service

UNIX_NOW = int(NOW.timestamp())
NAMES = [Target(f"n{number}.example", Match.EXACT, Decision.BLOCK) for number in range(50)]


def serials(database: Database, zone: str = ZONE) -> list[int]:
    """Every serial that a zone ever had, oldest first."""
    with database.read() as session:
        query = select(ZoneSerial.serial).join(Zone, Zone.id == ZoneSerial.zone_id).where(Zone.name == zone)
        return list(session.scalars(query.order_by(ZoneSerial.release_id)))


def change(world: World, number: int) -> dict[str, int]:
    """Block one more name, and publish."""
    world.add([NAMES[number]])
    return world.publish()


def restarted(world: World, *, zones: str = "block.rpz=nxdomain") -> Publisher:
    """Another publisher on the same database, started with these zones."""
    publisher = make_publisher(Settings(data_dir=data_dir(world), zones=zones), world.database)
    publisher.start(world.clock())
    return publisher


def data_dir(world: World) -> Path:
    path = world.database.engine.url.database
    assert path is not None
    return Path(path).parent


def zone_events(service: Service) -> list[tuple[str, Json]]:
    """Kind and facts of the events about zones."""
    items = service.read("audit/events?limit=500")["items"]
    return [(event["type"], event["facts"]) for event in items if event["type"].startswith("zone.")]


def test_the_first_release_is_empty_and_has_the_unix_time_as_its_serial(world: World) -> None:
    assert serials(world.database) == [UNIX_NOW]
    with world.database.read() as session:
        release = zones.head(session)
    assert release is not None
    assert (release.id, release.names, release.rules) == (1, 0, 0)


def test_an_empty_zone_is_whole_and_has_a_digest(service: Service) -> None:
    zone = service.read(f"zones/{ZONE}", by="isp-1")

    assert zone == {
        "zone": ZONE,
        "action": "nxdomain",
        "serial": UNIX_NOW,
        "names": 0,
        "rules": 0,
        "digest": "sha256:" + hashlib.sha256(bytes(65_536 * 32)).hexdigest(),
        "published_at": "2026-11-22T03:00:00Z",
    }
    export = service.get(f"zones/{ZONE}/export.rpz", by="isp-1").text.splitlines()
    assert [line.split()[3] for line in export if not line.startswith(";")] == ["SOA", "NS"]


def test_a_serial_is_the_unix_time_or_one_more_than_the_last(world: World) -> None:
    change(world, 0)
    change(world, 1)
    world.clock.forward(HOUR)
    change(world, 2)

    assert serials(world.database) == [UNIX_NOW, UNIX_NOW + 1, UNIX_NOW + 2, UNIX_NOW + 3600]


def test_a_clock_that_jumps_back_does_not_take_a_serial_back(world: World) -> None:
    change(world, 0)
    world.clock.forward(-100 * DAY)

    assert change(world, 1) == {ZONE: UNIX_NOW + 2}


def test_nothing_to_publish_has_no_serial(world: World) -> None:
    assert world.publish() == {}
    assert serials(world.database) == [UNIX_NOW]


def test_a_restart_publishes_nothing_by_itself(world: World) -> None:
    restarted(world)

    assert serials(world.database) == [UNIX_NOW]


def test_a_floor_lifts_the_next_serial_above_an_earlier_feeds(service: Service) -> None:
    with service.database.write() as session:
        zones.set_floor(session, HOST, ZONE, 2026112299, NOW)
    service.block("a.example")

    assert service.publish() == {ZONE: 2026112300}
    assert zone_events(service)[-1] == ("zone.floor_set", {"zone": ZONE, "floor": 2026112299})


def test_a_floor_never_sinks(world: World) -> None:
    for floor in (2026112299, 5):
        with world.database.write() as session:
            zones.set_floor(session, HOST, ZONE, floor, NOW)

    assert change(world, 0) == {ZONE: 2026112300}


@pytest.mark.parametrize("serial", [-1, 2**32 - 1, 2**40])
def test_a_floor_that_is_no_serial_is_refused(world: World, serial: int) -> None:
    with pytest.raises(Unprocessable), world.database.write() as session:
        zones.set_floor(session, HOST, ZONE, serial, NOW)


def test_a_floor_of_a_zone_that_is_not_there_is_refused(world: World) -> None:
    with pytest.raises(NotFound), world.database.write() as session:
        zones.set_floor(session, HOST, "nonsense.rpz", 1, NOW)


def test_serials_end_instead_of_wrapping(world: World) -> None:
    with world.database.write() as session:
        zones.by_name(session, ZONE).floor = 2**32 - 2
    assert change(world, 0) == {ZONE: 2**32 - 1}

    world.add([NAMES[1]])
    with pytest.raises(PolicyError):
        world.publish()
    assert serials(world.database)[-1] == 2**32 - 1


@pytest.mark.parametrize("serial", [-1, 2**32 - 2, UNIX_NOW + 2**31 + 10])
def test_a_floor_that_secondaries_would_take_for_an_older_serial_is_refused(world: World, serial: int) -> None:
    change(world, 0)
    with world.database.write() as session, pytest.raises(Unprocessable):
        zones.set_floor(session, HOST, ZONE, serial, NOW)


def test_a_zone_in_which_a_held_name_does_not_fit_is_refused_at_the_start(world: World) -> None:
    long_name = ".".join(["a" * 55] * 4) + ".example"
    world.add([Target(long_name, Match.EXACT, Decision.BLOCK)])
    world.publish()

    with pytest.raises(SettingInvalid, match="long"):
        restarted(world, zones="block.rpz=nxdomain,a-zone-with-a-longer-name.rpz=nxdomain")


def test_a_redirect_to_a_blocked_name_is_refused_at_the_start(world: World) -> None:
    world.add([Target("landing.example", Match.SUBTREE, Decision.BLOCK)])

    with pytest.raises(SettingInvalid, match="is blocked"):
        restarted(world, zones="block.rpz=redirect:www.landing.example")


def test_a_name_that_may_never_be_blocked_is_left_out_though_a_row_holds_it(world: World, tmp_path: Path) -> None:
    """As if the guard on entry had failed: the publisher asks again, and publishes everything else."""
    world.add([NAMES[0], NAMES[1]])
    zone_settings = Settings(data_dir=tmp_path).zone_settings
    marks = Marks(data_dir(world) / "marks", "publisher")
    publisher = Publisher(world.database, marks, zone_settings, lambda name, _match: name == NAMES[1].name)

    publisher.publish(NOW)

    with world.database.read() as session:
        published = [key for key, _ in rules_of_release(session, 2)]
    assert published == [sort_key(NAMES[0].name)]


def test_every_zone_has_every_name_and_serials_of_its_own(world: World, follower: Follower) -> None:
    publisher = restarted(world, zones="block.rpz=nxdomain,landing.rpz=redirect:landing.example")
    with world.database.write() as session:
        zones.set_floor(session, HOST, "landing.rpz", 2026112299, NOW)
    world.add([NAMES[0], Target("x.example", Match.SUBTREE, Decision.BLOCK)])

    assert publisher.publish(NOW) == {ZONE: UNIX_NOW + 2, "landing.rpz": 2026112300}
    with world.database.read() as session:
        follower.refresh(session)
    assert dict(follower.zones[ZONE].rules()) == dict(follower.zones["landing.rpz"].rules()) == world.rules()


def test_a_zone_added_later_has_what_was_decided_before(world: World, follower: Follower) -> None:
    change(world, 0)
    change(world, 1)

    restarted(world, zones="block.rpz=nxdomain,second.rpz=nodata")

    with world.database.read() as session:
        follower.refresh(session)
    assert dict(follower.zones["second.rpz"].rules()) == world.rules()
    assert serials(world.database, "second.rpz") == [UNIX_NOW]


def test_a_zone_added_later_knows_no_serial_from_before(service: Service, settings: Settings) -> None:
    old = service.read(f"zones/{ZONE}")["serial"]
    service.block("a.example")
    service.publish()
    both = Settings(data_dir=settings.data_dir, zones="block.rpz=nxdomain,second.rpz=nodata")
    make_publisher(both, service.database).start(NOW)

    response = service.get(f"zones/second.rpz/changes?since={old}", by="isp-1")
    assert response.status_code == (410 if old != service.read("zones/second.rpz")["serial"] else 200)
    assert zone_events(service)[-1] == ("zone.added", {"zone": "second.rpz", "action": "nodata"})


def test_another_action_is_another_epoch(service: Service, settings: Settings) -> None:
    service.block("a.example")
    old = service.publish()[ZONE]
    changed = Settings(data_dir=settings.data_dir, zones="block.rpz=redirect:landing.example")
    make_publisher(changed, service.database).start(NOW)

    assert service.read(f"zones/{ZONE}")["serial"] == old + 1
    assert service.zone() == ["a.example landing.example."]
    assert service.get(f"zones/{ZONE}/changes?since={old}", by="isp-1").status_code == 410
    assert zone_events(service)[-1] == ("zone.changed", {"zone": ZONE, "action": "redirect:landing.example"})


def test_a_zone_that_is_no_longer_named_is_retired(service: Service, settings: Settings) -> None:
    only = Settings(data_dir=settings.data_dir, zones="other.rpz=nxdomain")
    make_publisher(only, service.database).start(NOW)

    assert [zone["zone"] for zone in service.read("zones")["items"]] == ["other.rpz"]
    assert service.get(f"zones/{ZONE}").status_code == 404
    assert ("zone.retired", {"zone": ZONE}) in zone_events(service)


def test_a_zone_that_comes_back_goes_on_above_its_old_serials(world: World, follower: Follower) -> None:
    change(world, 0)
    restarted(world, zones="other.rpz=nxdomain")
    with world.database.read() as session:
        follower.refresh(session)
    assert set(follower.zones) == {"other.rpz"}

    restarted(world)

    assert serials(world.database) == sorted(set(serials(world.database)))
    with world.database.read() as session:
        follower.refresh(session)
    assert dict(follower.zones[ZONE].rules()) == world.rules()


def snapshot(world: World) -> Path:
    """A backup of the database as it is now."""
    backup = data_dir(world) / "backup.db"
    with world.database.engine.connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql(f"VACUUM INTO '{backup}'")
        connection.exec_driver_sql("BEGIN")
    return backup


def restore(world: World, backup: Path) -> World:
    """Put a backup in the database's place; the marks stay, as they lie outside of it."""
    world.database.close()
    for name in ("pulih.db-wal", "pulih.db-shm"):
        (data_dir(world) / name).unlink(missing_ok=True)
    shutil.copy(backup, data_dir(world) / "pulih.db")
    database = Database(f"sqlite:///{data_dir(world) / 'pulih.db'}")
    publisher = make_publisher(Settings(data_dir=data_dir(world)), database)
    return World(database, publisher, world.clock, world.template)


def test_a_restored_older_database_goes_on_above_everything_that_was_shown(world: World, follower: Follower) -> None:
    change(world, 0)
    backup = snapshot(world)
    for number in (1, 2, 3):
        change(world, number)
    with world.database.read() as session:
        follower.refresh(session)
    shown = follower.zones[ZONE].serial

    restored = restore(world, backup)
    restored.publisher.start(NOW)

    assert serials(restored.database)[-1] == shown + 1
    with restored.database.read() as session:
        assert follower.refresh(session) == (ZONE,)
        assert follower.zones[ZONE].serial == shown + 1
        assert [key for key, _ in follower.zones[ZONE].rules()] == ["example.n0."]
    restored.database.close()


def test_a_restored_older_database_is_recorded(world: World) -> None:
    backup = snapshot(world)
    shown = change(world, 0)[ZONE]
    restored = restore(world, backup)
    restored.publisher.start(NOW)

    with restored.database.read() as session:
        event = queries.document(queries.page(session, limit=500)[-1])
    assert (event["type"], event["facts"]) == (
        "zone.serials_moved_forward",
        {"zone": ZONE, "shown": shown, "known": UNIX_NOW},
    )
    restored.database.close()


def test_serials_of_another_past_are_no_start_for_an_increment(world: World) -> None:
    backup = snapshot(world)
    change(world, 0)
    restored = restore(world, backup)
    restored.publisher.start(NOW)

    with restored.database.read() as session:
        zone = zones.by_name(session, ZONE)
        newest = zones.head(session)
        assert newest is not None
        assert zone.epoch_release_id == newest.id
    restored.database.close()


def test_a_follower_serves_nothing_of_a_database_that_is_behind_what_it_has_shown(
    world: World, follower: Follower
) -> None:
    backup = snapshot(world)
    change(world, 0)
    with world.database.read() as session:
        follower.refresh(session)
    shown = follower.zones[ZONE]

    restored = restore(world, backup)
    with restored.database.read() as session:
        assert follower.refresh(session) == ()

    assert follower.zones[ZONE] is shown
    restored.database.close()


def test_a_follower_that_starts_on_a_database_that_is_behind_waits_for_the_publisher(
    world: World, settings: Settings, follower: Follower
) -> None:
    backup = snapshot(world)
    change(world, 0)
    with world.database.read() as session:
        follower.refresh(session)
    restored = restore(world, backup)
    fresh = Follower(settings, Marks(settings.data_dir / "marks", "transfer"), restored.database.read)
    with restored.database.read() as session:
        assert fresh.refresh(session) == ()
    assert fresh.zones == {}

    restored.publisher.start(NOW)

    with restored.database.read() as session:
        assert fresh.refresh(session) == (ZONE,)
    restored.database.close()


def test_a_follower_does_not_go_on_from_a_past_that_the_database_does_not_have(
    world: World, follower: Follower
) -> None:
    """Restored, and then as many releases as before: numbers of releases alone would not tell the difference."""
    change(world, 0)
    backup = snapshot(world)
    for number in (1, 2, 3):
        change(world, number)
    with world.database.read() as session:
        follower.refresh(session)
    restored = restore(world, backup)
    restored.held = [held for held in world.held if NAMES[0] in held.targets]
    restored.publisher.start(NOW)
    for number in range(10, 20):
        change(restored, number)

    with restored.database.read() as session:
        follower.refresh(session)
    assert dict(follower.zones[ZONE].rules()) == restored.rules()
    restored.database.close()


def test_a_crash_between_commit_and_mark_is_made_good_at_the_next_start(
    world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks = Marks(settings.data_dir / "marks", "publisher")
    with monkeypatch.context() as patched:
        patched.setattr(Marks, "raise_to", _power_cut)
        with pytest.raises(OSError, match="power"):
            change(world, 0)
    assert serials(world.database)[-1] == marks.own(ZONE) + 1

    restarted(world)

    assert serials(world.database)[-1] == marks.own(ZONE)


def _power_cut(_marks: Marks, _zone: str, _serial: int) -> None:
    raise OSError("power cut")


def test_the_mark_is_never_behind_what_a_follower_serves(
    world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = Follower(settings, Marks(settings.data_dir / "marks", "transfer"), world.database.read)
    monkeypatch.setattr(Marks, "raise_to", _power_cut)

    with world.database.read() as session, pytest.raises(OSError, match="power"):
        follower.refresh(session)

    assert follower.zones == {}


def test_a_serial_is_given_once(world: World) -> None:
    change(world, 0)
    statement = f"INSERT INTO zone_serials VALUES (1, 1, {UNIX_NOW + 1})"
    for refused in (statement, "UPDATE zone_serials SET serial = 1", "DELETE FROM zone_serials"):
        with pytest.raises(IntegrityError), world.database.engine.begin() as connection:
            connection.exec_driver_sql(refused)


def test_what_was_published_is_kept(world: World) -> None:
    change(world, 0)
    for refused in ("UPDATE releases SET names = 0", "DELETE FROM releases", "DELETE FROM rule_spans"):
        with pytest.raises(IntegrityError), world.database.engine.begin() as connection:
            connection.exec_driver_sql(refused)
    with world.database.read() as session:
        assert len(session.scalars(select(Release)).all()) == 2
