"""A follower whose zones lie in files: it begins with them, lays changes over them, and has them written anew."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from app.publication import builder as building_process
from app.publication import files, zones
from app.publication import follower as following
from app.publication import snapshot as snapshot_file
from app.publication.builder import Builder
from app.publication.follower import Follower
from app.publication.marks import Marks
from app.publication.snapshot import Snapshot, Stored
from app.settings import Settings
from resolver_policy import xfr
from resolver_policy.version import ZoneVersion
from tests.policy.scale import Record, scaled, seeded, tell
from tests.policy.test_xfr import ask
from tests.policy.zones import lines, parsed, records_of
from tests.publication.files import Here
from tests.publication.pasts import records, secondary_at, take
from tests.publication.test_follower import block, refreshed
from tests.publication.test_restored import release_stop, restore, snapshot
from tests.publication.test_snapshot import spoil
from tests.publication.test_zones import restarted
from tests.publication.worlds import Rules, World, random_act
from tests.servers import wait_until
from tests.service import NOW, ZONE


@pytest.fixture(autouse=True)
def _every_zone_has_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the zones of these tests were large."""
    monkeypatch.setattr(following, "SMALL", -1)
    monkeypatch.setattr(following, "FEWEST_DIRTY", 0)


@pytest.fixture
def here(world: World) -> Here:
    return Here(world.database.read)


@pytest.fixture
def follower(settings: Settings, world: World, here: Here) -> Follower:
    return started(settings, world, here)


def started(settings: Settings, world: World, builder: Builder) -> Follower:
    """A transfer process that begins anew."""
    marks = Marks(settings.data_dir / "marks", "transfer")
    return Follower(settings, marks, world.database.read, builder)


def settled(world: World, follower: Follower) -> ZoneVersion:
    """What it has once no file is to be written any more."""
    refreshed(world, follower)
    while follower.tend():
        refreshed(world, follower)
    return follower.zones[ZONE]


def is_stored(version: ZoneVersion) -> bool:
    return all(isinstance(part, Stored) for part in version.ranges)


def path_of(settings: Settings) -> Path:
    return settings.data_dir / "snapshots" / f"{ZONE}.snapshot"


def test_zone_without_a_file_waits_for_it(world: World, follower: Follower, here: Here) -> None:
    serial = block(world, "a.example")
    assert refreshed(world, follower) == ()
    assert follower.zones == {}

    assert follower.tend()
    assert refreshed(world, follower) == (ZONE,)
    assert (follower.zones[ZONE].serial, is_stored(follower.zones[ZONE])) == (serial, True)
    assert len(here.plans) == 1


def test_process_that_starts_again_reads_no_rule_but_those_that_changed(
    world: World, settings: Settings, here: Here, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    serials = [block(world, f"n{number}.example") for number in range(3)]
    settled(world, follower)
    serials += [block(world, f"n{number}.example") for number in range(3, 5)]
    monkeypatch.setattr(following, "rules_of_release", None)
    again = started(settings, world, here)

    assert refreshed(world, again) == (ZONE,)
    version = again.zones[ZONE]
    assert (version.serial, version.names) == (serials[-1], 5)
    for serial in serials[:-1]:
        assert version.past is not None
        assert version.past.rows_between(serial, version.serial) == len(serials) - 1 - serials.index(serial)


def test_random_histories_with_files_written_all_along(
    world: World, settings: Settings, here: Here, follower: Follower, record_property: Record
) -> None:
    """Every version is what a full build is, and an increment from any serial gives it; transfers keep theirs."""
    random, history, begun = (
        seeded("followed files"),
        dict[int, Rules](),
        list[tuple[int, Iterator[bytes], list[str]]](),
    )
    compared = 0
    for _ in range(scaled(30)):
        here.waits = random.random() < 0.5
        random_act(world, random)
        world.publish()
        if random.random() < 0.3:
            here.finish()
        if random.random() < 0.15:
            here.finish()
            follower = started(settings, world, here)
        refreshed(world, follower)
        version = follower.zones.get(ZONE)
        if version is None:
            continue
        history[version.serial] = world.rules()
        assert dict(version.rules()) == world.rules()
        assert version.names == len(world.rules())
        assert version.records == len(records_of(world.rules(), version.zone))
        compared += _compare_increment(history, version, random)
        begun.append((version.serial, xfr.answer(ask("AXFR"), version).messages, []))
        _go_on(begun, random)
    assert len(here.plans) > 5
    for serial, messages, found in begun:
        found += [line for message in messages for line in lines(parsed(message).answer)]
        wanted = records_of(history[serial], follower.zones[ZONE].zone)
        assert {line for line in found if "CNAME" in line} == wanted
        assert [line.split()[6] for line in found if " SOA " in line] == [str(serial)] * 2
    tell(record_property, transfers=len(begun), increments=compared, files=len(here.plans))


def _compare_increment(history: dict[int, Rules], version: ZoneVersion, random: Random) -> int:
    older = random.choice(sorted(history))
    if older == version.serial:
        return 0
    secondary = secondary_at(history[older], version.zone, older)
    taken = take(secondary, xfr.answer(ask("IXFR", older), version), older)
    assert records(taken) == records_of(history[version.serial], version.zone)
    return 1


def _go_on(begun: list[tuple[int, Iterator[bytes], list[str]]], random: Random) -> None:
    """Some transfers take another message."""
    for _, messages, found in random.sample(begun, min(3, len(begun))):
        message = next(messages, None)
        if message is not None:
            found.extend(lines(parsed(message).answer))


def test_file_is_written_anew_when_much_lies_over_it(
    world: World, follower: Follower, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    block(world, *(f"n{number}.example" for number in range(50)))
    settled(world, follower)
    monkeypatch.setattr(following, "FEWEST_DIRTY", 1)
    block(world, "one.example")
    version = settled(world, follower)
    assert (len(here.plans), is_stored(version)) == (1, False)

    monkeypatch.setattr(following, "FEWEST_DIRTY", 0)
    serial = block(world, "two.example")
    assert refreshed(world, follower) == (ZONE,)
    memory = follower.zones[ZONE].history
    assert refreshed(world, follower) == (), "another file is no other serial"
    version = follower.zones[ZONE]
    assert (len(here.plans), is_stored(version), version.serial) == (2, True, serial)
    assert version.history == memory


def test_very_large_release_comes_in_by_a_file_and_small_ones_before_it_at_once(
    world: World, follower: Follower, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    block(world, "a.example")
    settled(world, follower)
    monkeypatch.setattr(files, "MOST_CHANGES", 10)
    here.waits = True
    small = block(world, "b.example")
    large = block(world, *(f"n{number}.example" for number in range(20)))
    block(world, "c.example")
    assert refreshed(world, follower) == (ZONE,)
    assert follower.zones[ZONE].serial == small

    here.finish()
    newest = block(world, "d.example")
    assert refreshed(world, follower) == (ZONE,)
    assert (follower.zones[ZONE].serial, follower.zones[ZONE].names) == (newest, 24)
    assert small < large < newest


@pytest.mark.parametrize("most_mended", [0, 64])
def test_damaged_chunk_is_mended_if_it_can_be_and_the_file_written_from_nothing(
    world: World,
    settings: Settings,
    follower: Follower,
    here: Here,
    monkeypatch: pytest.MonkeyPatch,
    most_mended: int,
) -> None:
    monkeypatch.setattr(snapshot_file, "MOST_MENDED", most_mended)
    block(world, *(f"n{number}.example" for number in range(50)))
    settled(world, follower)
    path = path_of(settings)
    spoil(path, path.stat().st_size // 3, path.stat().st_size // 3 + 4)
    again = started(settings, world, here)
    refreshed(world, again)
    assert again.tend()
    refreshed(world, again)
    refreshed(world, again)

    assert [plan.anew for plan in here.plans] == [False, True]
    assert dict(again.zones[ZONE].rules()) == world.rules()
    assert not again.tend()


@pytest.mark.parametrize("setting", ["mname", "zones"])
def test_file_of_other_zone_settings_is_not_used(
    world: World, settings: Settings, follower: Follower, here: Here, setting: str
) -> None:
    block(world, "a.example")
    settled(world, follower)
    changed = Settings(data_dir=settings.data_dir, mname="ns.example" if setting == "mname" else settings.mname)
    if setting == "zones":
        restarted(world, zones=f"{ZONE}=nodata")
    again = started(changed, world, here)

    assert refreshed(world, again) == ()
    assert again.zones == {}
    refreshed(world, again)
    assert again.zones[ZONE].zone.soa.mname == changed.mname


def test_restored_database_gets_a_file_of_its_own(world: World, follower: Follower, settings: Settings) -> None:
    """As many releases as before, so that their numbers alone would not tell."""
    block(world, "a.example")
    backup = snapshot(world)
    for number in range(3):
        block(world, f"old{number}.example")
    shown = settled(world, follower)
    restored = restore(world, backup)
    restored.held = world.held[:1]
    restored.publisher.start(NOW)
    release_stop(restored)
    for number in range(2):
        block(restored, f"new{number}.example")
    with restored.database.read() as session:
        assert follower.refresh(session) == ()
        assert follower.zones[ZONE] is shown, "served on until the new file is there"
        assert started(settings, restored, Here(restored.database.read)).refresh(session) == (ZONE,)
        assert follower.refresh(session) == (ZONE,)
    assert dict(follower.zones[ZONE].rules()) == restored.rules()
    assert follower.zones[ZONE].serial > shown.serial
    restored.database.close()


def test_file_of_a_zone_that_is_no_more_goes(world: World, settings: Settings, follower: Follower) -> None:
    left = settings.data_dir / "snapshots" / "gone.rpz.snapshot"
    left.parent.mkdir()
    left.write_text("")
    block(world, "a.example")
    settled(world, follower)
    assert not left.exists()
    assert path_of(settings).exists()


@pytest.mark.parametrize("begins_anew", [False, True])
def test_damage_beyond_mending_stops_neither_the_other_zones_nor_the_file_that_takes_its_place(
    world: World,
    settings: Settings,
    follower: Follower,
    here: Here,
    monkeypatch: pytest.MonkeyPatch,
    *,
    begins_anew: bool,
) -> None:
    world.publisher = restarted(world, zones=f"{ZONE}=nxdomain,z.rpz=nodata")
    block(world, "a.example")
    settled(world, follower)
    path = path_of(settings)
    file = Snapshot(path, lambda _release, _first, _past: ())
    spoil(path, file.offsets[0], file.offsets[-1])
    monkeypatch.setattr(snapshot_file, "MOST_MENDED", 0)
    serial = block(world, "b.example")
    if begins_anew:
        follower = started(settings, world, here)
    here.waits = True

    assert refreshed(world, follower) == ("z.rpz",)
    assert (here.plans[-1].identity.zone.origin, here.plans[-1].anew) == (ZONE, True)
    here.finish()
    assert refreshed(world, follower) == (ZONE,)
    assert follower.zones[ZONE].serial == serial
    assert dict(follower.zones[ZONE].rules()) == world.rules()


def test_file_that_was_written_is_not_forgotten_where_the_database_goes_away_meanwhile(
    world: World, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    block(world, "a.example")
    settled(world, follower)
    block(world, "b.example")
    assert refreshed(world, follower) == (ZONE,)
    with monkeypatch.context() as away:
        away.setattr(zones, "active", broken)
        with pytest.raises(ConnectionError):
            refreshed(world, follower)
    assert not is_stored(follower.zones[ZONE])
    refreshed(world, follower)
    assert is_stored(follower.zones[ZONE])


def broken(_session: object) -> None:
    raise ConnectionError


def test_process_that_cannot_be_started_is_tried_again_later(
    world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As where no process may be added, say: the zone is served from memory until then."""
    block(world, "a.example")
    with monkeypatch.context() as full:
        full.setattr(building_process, "COMMAND", (str(settings.data_dir / "nowhere"),))
        follower = started(settings, world, Builder())
        refreshed(world, follower)
    assert "no process could be started" in caplog.text
    assert refreshed(world, follower) == (ZONE,)
    follower.close()


def test_real_process_writes_the_file(world: World, settings: Settings) -> None:
    block(world, "a.example")
    builder = Builder()
    follower = started(settings, world, builder)
    refreshed(world, follower)
    wait_until(follower.tend, 30, lambda: "the builder still works")
    refreshed(world, follower)
    assert (follower.zones[ZONE].names, is_stored(follower.zones[ZONE])) == (1, True)
    follower.close()


def test_zone_is_rendered_in_memory_where_no_file_can_be_written(
    world: World, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk, say: what was decided is served all the same."""
    block(world, "a.example")
    (settings.data_dir / "snapshots").write_text("in the way")
    follower = started(settings, world, Builder())
    refreshed(world, follower)
    wait_until(follower.tend, 30, lambda: "the builder still works")
    assert refreshed(world, follower) == (ZONE,)
    assert follower.zones[ZONE].names == 1
    assert "could not be written" in caplog.text
    follower.close()
