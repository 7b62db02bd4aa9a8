"""The follower: one immutable version a zone, brought forward release by release."""

import pytest

from app.db import Database
from app.publication.follower import Follower
from app.publication.marks import Marks
from app.settings import Settings
from resolver_policy.targets import Decision, Match, Target
from tests import databases
from tests.publication.worlds import World
from tests.service import ZONE


def block(world: World, *names: str) -> int:
    """Block names, publish, and give the serial."""
    world.add([Target(name, Match.EXACT, Decision.BLOCK) for name in names])
    return world.publish()[ZONE]


def refreshed(world: World, follower: Follower) -> tuple[str, ...]:
    with world.database.read() as session:
        return follower.refresh(session)


def test_a_follower_has_nothing_before_the_first_release(settings: Settings, world: World, follower: Follower) -> None:
    assert follower.zones == {}
    assert refreshed(world, follower) == (ZONE,)
    assert (follower.zones[ZONE].names, follower.zones[ZONE].origin) == (0, ZONE)
    assert Marks(settings.data_dir / "marks", "transfer").own(ZONE) == follower.zones[ZONE].serial


def test_a_follower_says_which_zones_have_a_new_version(world: World, follower: Follower) -> None:
    refreshed(world, follower)
    block(world, "a.example")

    assert refreshed(world, follower) == (ZONE,)
    assert refreshed(world, follower) == ()


def test_a_version_once_held_does_not_change(world: World, follower: Follower) -> None:
    block(world, "a.example")
    refreshed(world, follower)
    held = follower.zones[ZONE]
    block(world, "b.example")
    refreshed(world, follower)

    assert [key for key, _ in held.rules()] == ["example.a."]
    assert [key for key, _ in follower.zones[ZONE].rules()] == ["example.a.", "example.b."]


def test_every_serial_in_between_has_its_increment(world: World, follower: Follower) -> None:
    refreshed(world, follower)
    first = follower.zones[ZONE].serial
    serials = [block(world, f"n{number}.example") for number in range(5)]

    refreshed(world, follower)

    history = follower.zones[ZONE].history
    assert [delta.from_serial for delta in history] == [first, *serials[:-1]]
    assert [delta.to_serial for delta in history] == serials
    assert [[change.key for change in delta.changes] for delta in history] == [
        [f"example.n{number}."] for number in range(5)
    ]


def test_a_follower_that_starts_late_holds_the_whole_zone(world: World, follower: Follower) -> None:
    for number in range(5):
        block(world, f"n{number}.example")

    refreshed(world, follower)

    assert follower.zones[ZONE].names == 5
    assert follower.zones[ZONE].history == ()


def test_before_the_first_release_there_is_nothing_to_follow(database: Database, follower: Follower) -> None:
    with database.read() as session:
        assert follower.refresh(session) == ()


def test_a_zone_that_cannot_be_rendered_keeps_the_version_it_had(
    world: World, follower: Follower, caplog: pytest.LogCaptureFixture
) -> None:
    """A row that no order put there: the follower is the last guard before the wire."""
    block(world, "a.example")
    refreshed(world, follower)
    held = follower.zones[ZONE]
    block(world, "b.example")
    databases.allow(world.database, "rule_spans", "rule_spans_insert")
    row = "INSERT INTO rule_spans (key, from_release, own, wild) VALUES ('com.', 3, 1, 1)"
    databases.run(world.database, row)

    assert refreshed(world, follower) == ()

    assert follower.zones[ZONE] is held
    assert "cannot be brought to release" in caplog.text


def test_the_zone_is_named_in_its_soa_as_the_settings_say(world: World, settings: Settings) -> None:
    named = Settings(data_dir=settings.data_dir, mname="ns.example", rname="contact.example")
    follower = Follower(named, Marks(settings.data_dir / "marks", "transfer"), world.database.read)
    refreshed(world, follower)

    assert (follower.zones[ZONE].zone.soa.mname, follower.zones[ZONE].zone.soa.rname) == (
        "ns.example",
        "contact.example",
    )


def test_a_new_follower_shows_nothing_older_than_any_process_has_shown(
    world: World, follower: Follower, settings: Settings
) -> None:
    """Its own mark may be lost."""
    serial = block(world, "a.example")
    Marks(settings.data_dir / "marks", "publisher").raise_to(ZONE, serial + 5)

    assert refreshed(world, follower) == ()
    assert follower.zones == {}
