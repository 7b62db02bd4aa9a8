"""What a subscriber has: what the one of its servers has that is furthest behind, now and at any moment."""

import datetime as dt
from dataclasses import replace
from random import Random

import pytest

from app.db import Database
from app.errors import NotFound
from app.subscribers import standing
from app.subscribers.acknowledge import Acknowledge, acknowledge
from app.subscribers.deliveries import record
from app.subscribers.forget import forget
from app.subscribers.sighting import Sighting, SightingKind
from app.subscribers.standing import Has, Server
from tests.policy.scale import Record, scaled
from tests.policy.scale import tell as count
from tests.service import acting
from tests.subscribers.worlds import ROOT, facts_of, published, registered

ZONE = "block.rpz"
SERIALS = range(100, 180)
A, B, C = "192.0.2.1", "192.0.2.2", "192.0.2.3"
SECOND, DAY = dt.timedelta(seconds=1), dt.timedelta(days=1)


@pytest.fixture
def database(database: Database, now: dt.datetime) -> Database:
    """With one subscriber and one zone of ten serials."""
    registered(database, "isp-one", "192.0.2.0/24", now=now)
    published(database, ZONE, [(serial, now) for serial in SERIALS])
    return database


def shows(address: str, serial: int, at: dt.datetime) -> Sighting:
    return Sighting(at, "isp-one", address, ZONE, SightingKind.IXFR, serial, serial)


def takes(address: str, serial: int, at: dt.datetime) -> Sighting:
    return Sighting(at, "isp-one", address, ZONE, SightingKind.AXFR, None, serial)


def polls(address: str, serial: int, at: dt.datetime) -> Sighting:
    return Sighting(at, "isp-one", address, ZONE, SightingKind.SOA, None, serial)


def tell(database: Database, *sightings: Sighting) -> None:
    with database.write() as session:
        record(session, sightings, max(each.at for each in sightings))


def says(database: Database, phase: str, serial: int, at: dt.datetime) -> None:
    with database.write() as session:
        command = Acknowledge.model_validate({"zone": ZONE, "serial": serial, "phase": phase})
        acknowledge(session, acting(session, "isp-one"), command, at)


def has(database: Database, now: dt.datetime, past: dt.datetime | None = None) -> Has | None:
    with database.read() as session:
        return standing.by_slot(standing.known(session, [1], past), past or now).get((1, ZONE))


def serial(database: Database, now: dt.datetime) -> int | None:
    found = has(database, now)
    return None if found is None else found.serial


def has_then(database: Database, at: dt.datetime) -> int | None:
    """What the ledger says it had."""
    found = has(database, at, at)
    return None if found is None else found.serial


def test_it_has_what_the_server_furthest_behind_has(database: Database, now: dt.datetime) -> None:
    tell(database, shows(A, 105, now), shows(B, 103, now + SECOND), shows(C, 107, now))

    found = has(database, now)

    assert found is not None
    assert (found.serial, found.since, len(found.servers)) == (103, now + SECOND, 3)


def test_since_when_is_when_the_last_of_them_came_to_have_it(database: Database, now: dt.datetime) -> None:
    tell(database, shows(A, 105, now), shows(B, 105, now + 9 * SECOND))

    found = has(database, now)

    assert found is not None
    assert found.since == now + 9 * SECOND


def test_a_server_that_lost_its_zone_holds_the_subscriber_back(database: Database, now: dt.datetime) -> None:
    tell(database, shows(A, 105, now), shows(B, 105, now), takes(B, 105, now + SECOND))

    assert serial(database, now) is None


def test_an_address_that_took_it_once_and_never_came_back_does_not_count(database: Database, now: dt.datetime) -> None:
    tell(database, shows(A, 105, now), takes(B, 105, now))

    assert serial(database, now) == 105


def test_a_serial_that_the_zone_never_had_does_not_make_a_server(database: Database, now: dt.datetime) -> None:
    tell(database, shows(A, 105, now), Sighting(now, "isp-one", B, ZONE, SightingKind.IXFR, 0, 109))

    assert serial(database, now) == 105


def test_a_silent_server_counts_for_thirty_days(database: Database, now: dt.datetime) -> None:
    tell(database, shows(A, 103, now))
    tell(database, shows(B, 105, now + 29 * DAY))

    assert serial(database, now + 30 * DAY) == 103
    assert serial(database, now + 30 * DAY + SECOND) == 105
    assert has_then(database, now + 30 * DAY) == 103
    assert has_then(database, now + 30 * DAY + SECOND) == 105


def test_what_an_isp_acknowledges_counts_where_no_server_does(database: Database, now: dt.datetime) -> None:
    says(database, "applied", 104, now)

    assert serial(database, now) == 104


def test_what_an_isp_acknowledges_raises_its_servers_and_lowers_none(database: Database, now: dt.datetime) -> None:
    tell(database, shows(A, 103, now), shows(B, 107, now))

    says(database, "applied", 105, now + SECOND)

    with database.read() as session:
        assert {each.address: each.serial for each in standing.present(session, [1])} == {"": 105, A: 105, B: 107}


def test_a_server_that_then_shows_less_is_believed(database: Database, now: dt.datetime) -> None:
    tell(database, shows(A, 103, now))
    says(database, "applied", 105, now + SECOND)
    tell(database, shows(A, 103, now + 2 * SECOND))

    assert serial(database, now) == 103


@pytest.mark.parametrize("phase", ["received", "partial", "failed"])
def test_less_than_applied_changes_nothing(database: Database, now: dt.datetime, phase: str) -> None:
    tell(database, shows(A, 103, now))

    says(database, phase, 105, now + SECOND)

    assert serial(database, now) == 103


def test_every_server_that_may_be_live_and_lacks_a_release_is_found(database: Database, now: dt.datetime) -> None:
    tell(database, shows(A, 103, now), shows(B, 107, now), takes(C, 107, now))

    def lacking(release: int, at: dt.datetime) -> list[str]:
        with database.read() as session:
            return sorted(each.address for each in standing.lacking(session, ZONE, release, at))

    assert lacking(4, now) == [C]
    assert lacking(8, now) == [A, C]
    assert lacking(9, now) == [A, B, C]
    assert lacking(9, now + 31 * DAY) == []


def test_a_server_that_is_forgotten_holds_nobody_back_until_it_asks_again(database: Database, now: dt.datetime) -> None:
    tell(database, shows(A, 103, now), shows(B, 107, now))

    with database.write() as session:
        forget(session, ROOT, "isp-one", A, now + DAY)

    assert [serial(database, now + DAY), has_then(database, now), has_then(database, now + DAY)] == [107, 103, 107]
    with database.read() as session:
        assert [each.address for each in standing.lacking(session, ZONE, 9, now + DAY)] == [B]
    assert facts_of(database, "subscriber.server_forgotten") == [
        {"subscriber": "isp-one", "address": A, "zones": [ZONE]}
    ]

    tell(database, shows(A, 103, now + 2 * DAY))
    assert [serial(database, now + 2 * DAY), has_then(database, now + 2 * DAY)] == [103, 103]


@pytest.mark.parametrize("address", ["", "192.0.2.99", "nonsense"])
def test_only_a_server_that_was_seen_is_forgotten(database: Database, now: dt.datetime, address: str) -> None:
    tell(database, shows(A, 103, now))
    says(database, "applied", 103, now)

    with pytest.raises(NotFound), database.write() as session:
        forget(session, ROOT, "isp-one", address, now)


def test_the_past_is_what_was_known_then(database: Database, now: dt.datetime) -> None:
    tell(database, takes(A, 100, now))
    tell(database, polls(A, 100, now + DAY))
    tell(database, shows(A, 105, now + 2 * DAY))

    assert [has_then(database, now + number * DAY - SECOND) for number in range(1, 4)] == [None, 100, 105]
    assert has_then(database, now + 32 * DAY) == 105
    assert has_then(database, now - SECOND) is None


class Truth:
    """What each server was really sent, or said itself: all that may ever be claimed of it."""

    def __init__(self) -> None:
        self.entitled: dict[str, set[int | None]] = {address: {None} for address in (A, B, C, "")}


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_claimed_that_was_not_sent_whole_or_shown(
    database: Database, now: dt.datetime, seed: int, record_property: Record
) -> None:
    """Random clients, batches and clocks; and what is answered about a moment is answered the same for ever."""
    random, truth = Random(seed), Truth()
    kept: list[tuple[dt.datetime, Has | None, list[Server]]] = []
    claims = 0
    for turn in range(scaled(60)):
        head = SERIALS[min(turn, len(SERIALS) - 1)]
        batch = [_random_sighting(random, now + SECOND * random.random(), head) for _ in range(random.randint(1, 6))]
        now += 2 * SECOND if random.random() < 0.9 else random.randint(1, 20) * DAY
        _entitle(truth, batch)
        with database.write() as session:
            record(session, random.sample(batch, len(batch)), now)
        if random.random() < 0.1:
            acknowledged = random.randint(SERIALS[0], head)
            says(database, "applied", acknowledged, now)
            for entitled in truth.entitled.values():
                entitled.add(acknowledged)
        if random.random() < 0.05:
            _forget_one(database, random, now)
        with database.read() as session:
            servers = standing.present(session, [1])
        for server in servers:
            assert server.serial in truth.entitled[server.address]
            claims += server.serial is not None
        found = has(database, now)
        if found is not None and found.release is not None:
            worst = [each.serial for each in servers if standing.counts(each, now)] or [found.serial]
            assert all(each is not None and each >= (found.serial or 0) for each in worst)
        kept.append((now, found, sorted(servers, key=lambda each: each.address)))

    for moment, found, servers in kept:
        assert _told(has(database, now, moment)) == _told(found)
        with database.read() as session:
            past = {each.address: each for each in standing.past(session, [1], moment)}
        assert all(past[each.address].serial == each.serial for each in servers if each.serial is not None)
    count(record_property, moments=len(kept), claims=claims)


def _told(found: Has | None) -> object:
    """What of it is told; when a server last counted matters for 30 days alone."""
    if found is None:
        return None
    return found.serial, found.release, found.since, [replace(each, had_at=None) for each in found.servers]


def _forget_one(database: Database, random: Random, now: dt.datetime) -> None:
    with database.write() as session:
        seen = sorted({each.address for each in standing.present(session, [1])} - {""})
        if seen:
            forget(session, ROOT, "isp-one", random.choice(seen), now)


def _random_sighting(random: Random, at: dt.datetime, head: int) -> Sighting:
    """Most are answered with the head, a few by a process that lags."""
    asked = random.choice([0, head, *range(SERIALS[0], head)])
    made = Sighting(
        at,
        "isp-one",
        random.choice([A, A, B, C]),
        ZONE,
        random.choice([SightingKind.SOA, SightingKind.SOA, SightingKind.AXFR, SightingKind.IXFR, SightingKind.REFUSED]),
        sent_serial=random.choice([head, head, head, max(SERIALS[0], head - 1)]),
        seconds=random.choice([0, 0, 0.5, 40]),
        proven=random.random() < 0.8,
    )
    if made.kind is SightingKind.IXFR:
        made = replace(made, asked_serial=asked)
    if made.kind is SightingKind.REFUSED or random.random() < 0.15:
        made = replace(made, sent_serial=random.choice([None, head]), outcome="broken off before the end")
    return replace(made, seconds=0) if made.kind is SightingKind.SOA else made


def _entitle(truth: Truth, batch: list[Sighting]) -> None:
    for each in batch:
        sent_whole = each.kind in {SightingKind.AXFR, SightingKind.IXFR} and each.outcome == "done"
        if sent_whole:
            truth.entitled[each.address].add(each.sent_serial)
        if each.kind is SightingKind.IXFR and each.proven:
            truth.entitled[each.address].add(each.asked_serial)
