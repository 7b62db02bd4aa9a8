"""Increments from serials that are long past: from what the database keeps of every release."""

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import dns.rdatatype
import dns.versioned
import dns.xfr
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
from app.publication.store import bucket_of
from app.settings import Settings
from resolver_policy import wire, xfr
from resolver_policy.delta import Rule
from resolver_policy.wire import ZoneVersion
from resolver_policy.xfr import Reply
from tests.policy.scale import Record, scaled, tell
from tests.policy.test_xfr import answered, ask
from tests.policy.zones import EVERY_RULE, Rules, many_rules, parsed, records_of
from tests.publication.worlds import World
from tests.service import NOW, ZONE

RELEASES = scaled(1_000)
ASKED = scaled(100)
NAMES = 300


def refreshed(database: Database, follower: Follower) -> ZoneVersion:
    with database.read() as session:
        follower.refresh(session)
    return follower.zones[ZONE]


def write_history(database: Database, releases: int, seed: int) -> dict[int, Rules]:
    """Fill the tables with a random history, as a publisher would; the rules that stood under each serial."""
    random = Random(seed)
    rules = many_rules(NAMES, seed)
    since = dict.fromkeys(rules, 2)
    spans: list[tuple[str, int, int | None, Rule]] = []
    held = {2: dict(rules)}
    for release in range(3, releases + 2):
        gone = random.sample(sorted(rules), random.choice((0, 1, 1, 2)))
        spans += [(key, since.pop(key), release, rules.pop(key)) for key in gone]
        for key, rule in many_rules(random.choice((0, 1, 1, 2)), random.getrandbits(40)).items():
            if key not in rules:
                rules[key], since[key] = rule, release
        if random.random() < 0.3:
            key = random.choice(sorted(rules))
            if since[key] != release:
                spans.append((key, since[key], release, rules[key]))
                rules[key], since[key] = random.choice(EVERY_RULE), release
        held[release] = dict(rules)
    spans += [(key, since[key], None, rule) for key, rule in rules.items()]
    with database.write() as session:
        zone = zones.by_name(session, ZONE)
        first = zones.last_serial(session, zone)
        serials = {release: first + 3 * release for release in held}
        _insert(session, spans, releases)
        rows = [{"zone_id": zone.id, "release_id": release, "serial": serials[release]} for release in held]
        session.execute(insert(ZoneSerial), rows)
    return {serials[release]: rules for release, rules in held.items()}


def _insert(session: Session, spans: list[tuple[str, int, int | None, Rule]], releases: int) -> None:
    session.execute(
        insert(RuleSpan),
        [
            {"key": key, "from_release": begins, "to_release": ends, "own": rule.own, "wild": rule.wild}
            | {"bucket": bucket_of(key)}
            for key, begins, ends, rule in spans
        ],
    )
    common = {"published_at": NOW, "names": 0, "rules": 0, "digest": bytes(32), "events_until": 0}
    session.execute(insert(Release), [{"id": release, **common} for release in range(2, releases + 2)])


@pytest.fixture
def history(world: World) -> dict[int, Rules]:
    return write_history(world.database, RELEASES, seed=1)


def secondary_at(rules: Rules, of: ZoneVersion, serial: int) -> dns.versioned.Zone:
    """What a secondary has that took the zone at an old serial."""
    made = ZoneVersion.from_rules(sorted(rules.items()), of.zone, serial)
    return take(dns.versioned.Zone(f"{ZONE}.", relativize=False), xfr.answer(ask("AXFR"), made), None)


def take(zone: dns.versioned.Zone, reply: Reply, serial: int | None) -> dns.versioned.Zone:
    qtype = dns.rdatatype.AXFR if serial is None else dns.rdatatype.IXFR
    with dns.xfr.Inbound(zone, qtype, serial) as inbound:
        done = [inbound.process_message(parsed(message)) for message in reply.messages]
    assert done[-1]
    return zone


def records(zone: dns.versioned.Zone) -> set[str]:
    return {f"{name} {ttl} IN CNAME {rdata}" for name, ttl, rdata in zone.iterate_rdatas("CNAME")}


@pytest.mark.parametrize("largest", [xfr.LARGEST_DIFFERENCE, 1_000])
def test_an_increment_from_any_serial_ever_published_gives_what_axfr_gives(
    world: World,
    follower: Follower,
    history: dict[int, Rules],
    largest: float,
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
    for serial in Random(2).sample(sorted(history)[:-1], min(ASKED, len(history) - 1)):
        reply = xfr.answer(ask("IXFR", serial), version)
        outcomes[reply.outcome] += 1
        assert records(take(secondary_at(history[serial], version, serial), reply, serial)) == wanted
    assert outcomes["difference"] > 0
    assert (outcomes["full"] == 0) == (largest > 1)
    tell(record_property, serials=len(history), **outcomes)


def test_a_short_history_never_needs_the_whole_zone(world: World, follower: Follower, record_property: Record) -> None:
    """Small enough a difference from every serial, many histories."""
    applied = 0
    history = write_history(world.database, 30, seed=7)
    version = refreshed(world.database, follower)
    for serial in sorted(history)[:-1]:
        reply = xfr.answer(ask("IXFR", serial), version)
        assert reply.outcome == "difference"
        zone = take(secondary_at(history[serial], version, serial), reply, serial)
        assert records(zone) == records_of(history[version.serial], version.zone)
        applied += 1
    tell(record_property, increments=applied)


def test_what_came_after_the_start_is_known_too(world: World, follower: Follower) -> None:
    history = write_history(world.database, 20, seed=3)
    first = refreshed(world.database, follower).serial
    with world.database.write() as session:
        zone = zones.by_name(session, ZONE)
        row = {"key": "example.new.", "from_release": 99, "to_release": None, "own": 1, "wild": 0, "bucket": 1}
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
    with world.database.engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER refuse_zone_serials_update")
        connection.exec_driver_sql("UPDATE zone_serials SET serial = serial + 1 WHERE release_id = 12")

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
    assert isinstance(version.zone, wire.Zone)
