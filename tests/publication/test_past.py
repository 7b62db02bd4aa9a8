"""Increments from serials that are long past: from what the database keeps of every release."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.db import Database
from app.publication import zones
from app.publication.follower import Follower
from app.publication.marks import Marks
from app.publication.models import Release, RuleSpan, Zone, ZoneSerial
from app.publication.past import ZonePast
from app.settings import Settings
from resolver_policy import xfr
from resolver_policy.version import ZoneVersion
from tests import databases
from tests.policy.scale import Record, scaled, seeded, tell
from tests.policy.test_xfr import answered, ask
from tests.policy.zones import Rules, records_of
from tests.publication.pasts import records, secondary_at, take, write_past
from tests.publication.worlds import World
from tests.service import NOW, ZONE, Template, copy_of, settings_in

RELEASES = scaled(1_000)
ASKED = scaled(50)
ALL = scaled(ASKED)
"""Of a thousand serials a hundred; at full scale (10), of ten thousand all."""

LARGEST = xfr.LARGEST_DIFFERENCE
SHORT_PASTS = scaled(100)


def refreshed(database: Database, follower: Follower) -> ZoneVersion:
    with database.read() as session:
        follower.refresh(session)
    return follower.zones[ZONE]


def write_history(database: Database, releases: int, seed: int, names: int = 300) -> dict[int, Rules]:
    """A random past of the one zone; the rules that stood under each serial."""
    return write_past(database, releases, names, seeded(f"past {seed}")).under_serials(ZONE)


@pytest.fixture
def history(world: World) -> dict[int, Rules]:
    return write_history(world.database, RELEASES, seed=1, names=50)


@pytest.mark.parametrize(("largest", "asked"), [(LARGEST, ASKED), (inf, ALL)])
def test_an_increment_from_any_serial_ever_published_gives_what_axfr_gives(
    world: World,
    follower: Follower,
    history: dict[int, Rules],
    largest: float,
    asked: int,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Record,
) -> None:
    """dnspython's client applies it to the zone as it stood then; in the second run no difference is too large."""
    monkeypatch.setattr(xfr, "LARGEST_DIFFERENCE", largest)
    version = refreshed(world.database, follower)
    assert version.history == ()
    head = version.serial
    wanted = records_of(history[head], version.zone)
    outcomes = dict.fromkeys(("difference", "full"), 0)
    older = sorted(history)[:-1]
    for serial in {*seeded("serials").sample(older, min(asked, len(older))), *older[-3:]}:
        reply = xfr.answer(ask("IXFR", serial), version)
        outcomes[reply.outcome] += 1
        assert records(take(secondary_at(history[serial], version.zone, serial), reply, serial)) == wanted
    assert outcomes["difference"] > 0
    assert (outcomes["full"] == 0) == (largest == inf)
    tell(record_property, serials=len(history), **outcomes)


@pytest.mark.long
def test_many_short_pasts_give_what_axfr_gives(
    world: World, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    """Each in a database of its own, of its own length and size, from two serials; in half none is too far away."""
    world.database.close()
    empty = Template(settings.database, {})
    random = seeded("short pasts")
    outcomes = dict.fromkeys(("difference", "full"), 0)
    for number in range(SHORT_PASTS):
        database = copy_of(empty, settings_in(tmp_path / "past"))
        past = write_past(database, random.randint(2, 12), random.choice((0, 1, 8, 30)), random)
        marks = Marks(tmp_path / f"marks-{number}", "transfer")
        version = refreshed(database, Follower(settings, marks, database.read))
        history = past.under_serials(ZONE)
        monkeypatch.setattr(xfr, "LARGEST_DIFFERENCE", (LARGEST, inf)[number % 2])
        for serial in random.sample(sorted(history)[:-1], min(2, len(history) - 1)):
            reply = xfr.answer(ask("IXFR", serial), version)
            outcomes[reply.outcome] += 1
            taken = take(secondary_at(history[serial], version.zone, serial), reply, serial)
            assert records(taken) == records_of(history[version.serial], version.zone), (number, serial)
        database.close()
    assert outcomes["difference"] > SHORT_PASTS
    tell(record_property, pasts=SHORT_PASTS, **outcomes)


def test_what_came_after_the_start_is_known_too(world: World, follower: Follower) -> None:
    history = write_history(world.database, 20, seed=3)
    first = refreshed(world.database, follower).serial
    with world.database.write() as session:
        zone = zones.by_name(session, ZONE)
        row = {"key": "example.new.", "from_release": 99, "to_release": None, "own": 1, "wild": 0}
        session.execute(insert(RuleSpan), [row])
        session.execute(
            insert(Release),
            [{"id": 99, "published_at": NOW, "names": 0, "rules": 0, "digest": bytes(32), "events_until": 0}],
        )
        session.add(ZoneSerial(zone_id=zone.id, release_id=99, serial=first + 50))

    version = refreshed(world.database, follower)

    assert version.past is not None
    assert version.past.rows_between(first, version.serial) == 1
    oldest = min(history)
    assert xfr.answer(ask("IXFR", oldest), version).outcome == "difference"


def test_a_serial_that_the_zone_never_had_gets_the_whole_zone(
    world: World, follower: Follower, history: dict[int, Rules]
) -> None:
    version = refreshed(world.database, follower)

    for unknown in (1, version.serial - 1):
        assert unknown not in history
        assert xfr.answer(ask("IXFR", unknown), version).outcome == "full"


def test_a_serial_before_the_epoch_gets_the_whole_zone(world: World, follower: Follower) -> None:
    history = write_history(world.database, 40, seed=4)
    with world.database.write() as session:
        session.get_one(Zone, zones.by_name(session, ZONE).id).epoch_release_id = 30
    version = refreshed(world.database, follower)
    serials = sorted(history)

    assert xfr.answer(ask("IXFR", serials[27]), version).outcome == "full"
    assert xfr.answer(ask("IXFR", serials[28]), version).outcome == "difference"


def test_where_the_database_cannot_be_read_the_zone_in_full_is_sent(
    world: World, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    @contextmanager
    def broken() -> Iterator[Session]:
        raise OperationalError("SELECT", {}, OSError("planted"))
        yield

    history = write_history(world.database, 20, seed=5)
    follower = Follower(settings, Marks(settings.data_dir / "marks", "transfer"), broken)
    version = refreshed(world.database, follower)
    reply = xfr.answer(ask("IXFR", sorted(history)[3]), version)
    whole = xfr.answer(ask("AXFR"), version)

    assert reply.outcome == "difference"
    assert sorted(line for message in answered(reply) for line in message) == sorted(
        line for message in answered(whole) for line in message
    )
    assert "cannot be read" in caplog.text


def test_a_release_that_is_added_again_changes_nothing(world: World, follower: Follower) -> None:
    history = write_history(world.database, 20, seed=5)
    past = refreshed(world.database, follower).past
    assert isinstance(past, ZonePast)
    oldest, newest = min(history), max(history)
    rows = past.rows_between(oldest, newest)

    past.grow(20, sorted(history)[-2], 7)

    assert past.rows_between(oldest, newest) == rows


def test_a_database_with_another_past_gives_no_difference(world: World, follower: Follower) -> None:
    """One that was restored beneath a running process: the serials that it held are not its own."""
    history = write_history(world.database, 20, seed=5)
    past = refreshed(world.database, follower).past
    assert isinstance(past, ZonePast)
    databases.allow(world.database, "zone_serials", "zone_serials_update")
    databases.run(world.database, "UPDATE zone_serials SET serial = serial + 1 WHERE release_id = 12")

    assert past.changes(sorted(history)[10], max(history)) is None
    assert past.changes(sorted(history)[11], max(history))


def test_a_datagram_is_told_to_come_over_tcp(world: World, follower: Follower) -> None:
    """Whether an old difference would fit is not worth a reading."""
    history = write_history(world.database, 20, seed=6)
    version = refreshed(world.database, follower)

    assert xfr.answer(ask("IXFR", sorted(history)[-2], room=1232), version).outcome == "too_big"


def test_differences_kept_in_memory_are_bounded_in_octets(
    world: World, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = write_history(world.database, 60, seed=8)
    version = refreshed(world.database, follower)
    monkeypatch.setattr(xfr, "MOST_OCTETS_REMEMBERED", 5_000)
    for serial in sorted(history)[30:-1]:
        list(xfr.answer(ask("IXFR", serial), version).messages)

    kept = sum(len(body.octets) for bodies in version.memo.values() for body in bodies)
    assert 0 < kept <= 5_000
