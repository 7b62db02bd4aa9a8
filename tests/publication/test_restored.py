"""Databases that know less than was shown: an older copy put back, and a cut between two writes."""

import shutil

import pytest

from app.db import Database
from app.journal import queries
from app.main import make_publisher
from app.publication import stops, zones
from app.publication.follower import Follower
from app.publication.marks import Marks
from app.publication.store import rules_of_release
from app.settings import Settings
from resolver_policy.delta import Rule
from resolver_policy.targets import Decision, Match, Target
from tests import databases
from tests.publication.test_zones import change, restarted, serials
from tests.publication.worlds import World
from tests.service import NOW, ZONE

UNIX_NOW = int(NOW.timestamp())
NAMES = [Target(f"n{number}.example", Match.EXACT, Decision.BLOCK) for number in range(50)]


def snapshot(world: World) -> str:
    """The address of a backup of the database as it is now."""
    backup = databases.url_in(world.settings.data_dir / "backup")
    world.database.close()
    databases.make(backup, world.settings.database)
    return backup


def restore(world: World, backup: str) -> World:
    """Put a backup in the database's place; the marks stay, as they lie outside of it."""
    world.database.close()
    databases.make(world.settings.database, backup)
    database = Database(world.settings.database)
    publisher = make_publisher(world.settings, database)
    return World(database, publisher, world.clock, world.template, world.settings)


def release_stop(world: World) -> None:
    """Two approvers look at what the publisher found, and let blocks go out again."""
    with world.database.write() as session:
        (stop,) = stops.standing(session)
        for name in ("approver-1", "approver-2"):
            stops.release(session, world.actor(session, name), stop.id, "It was restored by hand", world.clock())


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


def test_no_block_goes_out_on_a_database_put_back_by_hand_until_two_have_looked_and_lifts_do(world: World) -> None:
    change(world, 0)
    backup = snapshot(world)
    change(world, 1)
    restored = restore(world, backup)
    restored.held = world.held[:1]
    restored.publisher.start(NOW)
    with restored.database.read() as session:
        (stop,) = stops.standing(session)
        why = stops.findings(stop)[0].why
    assert "older database was put back: the journal had" in why
    assert f"zone {ZONE} was shown with serial" in why

    restored.add({NAMES[2]})
    assert restored.publish() == {}
    restored.lift(restored.held[0])
    assert [*restored.publish()] == [ZONE]
    assert rules(restored) == {}

    release_stop(restored)
    restored.publish()
    assert rules(restored) == restored.rules() != {}
    restored.database.close()


def test_a_gap_that_two_have_looked_at_stops_nothing_at_the_next_start(world: World) -> None:
    backup = snapshot(world)
    change(world, 0)
    restored = restore(world, backup)
    restored.publisher.start(NOW)
    release_stop(restored)
    for _ in range(2):
        restored.publisher.start(NOW)

    with restored.database.read() as session:
        assert stops.standing(session) == []
    restored.database.close()


def test_a_journal_of_another_past_is_noticed_though_it_is_as_long(world: World) -> None:
    """No serial tells: whoever wrote it published as often."""
    backup, marks = snapshot(world), Marks(world.settings.data_dir / "marks", "publisher")
    change(world, 0)
    serial, journal = serials(world.database)[-1], marks.journal()
    shutil.rmtree(world.settings.data_dir / "marks")
    restored = restore(world, backup)
    change(restored, 1)
    assert journal is not None
    marks.set_journal(journal)
    assert serials(restored.database)[-1] == serial == marks.own(ZONE)

    restored.publisher.start(NOW)

    with restored.database.read() as session:
        assert len(stops.standing(session)) == 1
    restored.database.close()


def rules(world: World) -> dict[str, Rule]:
    with world.database.read() as session:
        newest = zones.head(session)
        assert newest is not None
        return dict(rules_of_release(session, newest.id))


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
    release_stop(restored)
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
