"""Zones by configuration, and their serials: they only grow, whatever happens to clock, database or settings."""

import hashlib
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from app.db import Database
from app.errors import NotFound, SettingInvalid, Unprocessable
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
from tests.service import DAY, HOST, HOUR, NOW, ZONE, Json, Service, settings_in

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
    publisher = make_publisher(settings_in(world.settings.data_dir, zones=zones), world.database)
    publisher.start(world.clock())
    return publisher


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
        "layer": "full",
        "action": "nxdomain",
        "serial": UNIX_NOW,
        "names": 0,
        "rules": 0,
        "digest": "sha256:" + hashlib.sha256(bytes(504)).hexdigest(),
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
    marks = Marks(world.settings.data_dir / "marks", "publisher")
    publisher = Publisher(world.database, marks, zone_settings, lambda key, _match: key == sort_key(NAMES[1].name))

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
