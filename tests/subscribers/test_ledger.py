"""The ledger's rows: what is written down for ever, what is folded, and that nobody can make it grow at will."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DatabaseError

from app.db import Database
from app.subscribers import deliveries, ledger, standing
from app.subscribers.acknowledge import Acknowledge, acknowledge
from app.subscribers.deliveries import record
from app.subscribers.models import Delivery, Exchange
from app.subscribers.sighting import Sighting, SightingKind
from tests import databases
from tests.service import acting
from tests.subscribers.worlds import delivery, published, registered

ZONE, SERVER = "block.rpz", "192.0.2.53"
SOA, AXFR, IXFR, REFUSED = SightingKind.SOA, SightingKind.AXFR, SightingKind.IXFR, SightingKind.REFUSED
SECOND, MINUTE, DAY = dt.timedelta(seconds=1), dt.timedelta(minutes=1), dt.timedelta(days=1)


@pytest.fixture
def database(database: Database, now: dt.datetime) -> Database:
    """With one subscriber and one zone."""
    registered(database, "isp-one", "192.0.2.0/24", now=now)
    published(database, ZONE, [(serial, now) for serial in range(100, 110)])
    return database


def sighted(at: dt.datetime, kind: SightingKind, asked: int | None = None, sent: int | None = None) -> Sighting:
    return Sighting(at, "isp-one", SERVER, ZONE, kind, asked, sent)


def tell(database: Database, *sightings: Sighting, now: dt.datetime | None = None) -> None:
    with database.write() as session:
        record(session, sightings, now or max(each.ended_at for each in sightings))


def rows(database: Database, address: str | None = None) -> Sequence[Exchange]:
    with database.read() as session:
        query = select(Exchange).order_by(Exchange.id)
        return session.scalars(query if address is None else query.where(Exchange.address == address)).all()


def test_a_row_says_what_was_asked_sent_and_then_known(database: Database, now: dt.datetime) -> None:
    tell(
        database,
        Sighting(now, "isp-one", SERVER, ZONE, AXFR, None, 100, 4000, seconds=1.25),
        sighted(now + 2 * SECOND, SOA, sent=100),
        now=now + 3 * SECOND,
    )

    sent, polled = rows(database)

    assert (sent.kind, sent.address, sent.at, sent.recorded_at) == ("axfr", SERVER, now, now + 3 * SECOND)
    assert (sent.asked_serial, sent.sent_serial, sent.octets, sent.milliseconds) == (None, 100, 4000, 1250)
    assert (sent.outcome, sent.has_serial, sent.folded) == ("done", None, 0)
    assert (polled.kind, polled.sent_serial, polled.has_serial, polled.has_since) == ("soa", 100, 100, polled.at)


def test_polls_that_show_nothing_new_are_counted_in_the_next_row(database: Database, now: dt.datetime) -> None:
    tell(database, sighted(now, IXFR, 100, 101))
    for number in range(1, 20):
        tell(database, sighted(now + number * MINUTE, SOA, sent=102))
    tell(database, sighted(now + 20 * MINUTE, IXFR, 100, 102))

    assert [(row.kind, row.folded) for row in rows(database)] == [("ixfr", 0), ("ixfr", 19)]


def test_a_server_that_only_polls_is_seen_to_live_once_a_day(database: Database, now: dt.datetime) -> None:
    tell(database, sighted(now, IXFR, 102, 102))
    for hour in range(1, 73):
        tell(database, sighted(now + hour * 60 * MINUTE, SOA, sent=102))

    assert [row.at for row in rows(database)] == [now + number * DAY for number in range(4)]


def test_a_broken_off_transfer_has_a_row(database: Database, now: dt.datetime) -> None:
    tell(database, replace(sighted(now, AXFR), octets=12, outcome="broken off before the end"))

    [row] = rows(database)
    assert (row.octets, row.sent_serial, row.outcome) == (12, None, "broken off before the end")


def test_the_same_refusal_is_written_down_once_an_hour(database: Database, now: dt.datetime) -> None:
    for number in range(121):
        tell(database, replace(sighted(now + number * MINUTE, REFUSED), outcome="key: must sign"))
    tell(database, replace(sighted(now + 122 * MINUTE, REFUSED), outcome="address: not registered"))

    assert [(row.outcome, row.folded) for row in rows(database)] == [
        ("key: must sign", 0),
        ("key: must sign", 59),
        ("key: must sign", 59),
        ("address: not registered", 0),
    ]


def test_notifies_are_kept_in_the_state_alone(database: Database, now: dt.datetime) -> None:
    tell(database, sighted(now, SightingKind.NOTIFY, sent=102))

    assert rows(database) == []


def test_a_flood_of_transfers_fills_no_ledger(
    database: Database, now: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "DAY_ROWS", 10)
    began = now.replace(hour=0, minute=0)
    tell(database, *(sighted(began + number * SECOND, AXFR, sent=100 + number % 10) for number in range(300)))

    assert len(rows(database)) == 10

    tell(database, *(sighted(began + 10 * MINUTE, IXFR, 109, 109) for _ in range(50)))

    last = rows(database)[-1]
    assert (len(rows(database)), last.folded, last.has_serial) == (11, 290, 109)


def test_what_was_held_back_follows_and_is_then_as_it_is_known(
    database: Database, now: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "DAY_ROWS", 1)
    tell(database, sighted(now, IXFR, 100, 101))
    tell(database, sighted(now + SECOND, IXFR, 101, 102))
    with database.read() as session:
        assert [each.serial for each in standing.past(session, [1], now + 2 * SECOND)] == [100]
        assert not ledger.is_held_back(session, now + 4 * MINUTE)
        assert ledger.is_held_back(session, now + 5 * MINUTE)

    with database.write() as session:
        assert ledger.settle(session, now + 5 * MINUTE) == 1

    with database.write() as session:
        assert ledger.settle(session, now + 10 * MINUTE) == 0
        assert [each.serial for each in standing.past(session, [1], now + 5 * MINUTE)] == [101]
        assert standing.past(session, [1], now + 5 * MINUTE) == standing.present(session, [1])


def test_a_row_is_never_dated_before_the_last_one(database: Database, now: dt.datetime) -> None:
    tell(database, sighted(now, IXFR, 100, 101), now=now)
    tell(database, sighted(now, IXFR, 101, 102), now=now - DAY)

    assert [row.recorded_at for row in rows(database)] == [now, now]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE exchanges SET has_serial = 109",
        "DELETE FROM exchanges",
        "INSERT OR REPLACE INTO exchanges SELECT * FROM exchanges",
    ],
)
def test_the_database_refuses_to_change_the_ledger(database: Database, now: dt.datetime, statement: str) -> None:
    tell(database, sighted(now, IXFR, 100, 101))

    with pytest.raises(DatabaseError, match="ledger"):
        databases.run(database, statement)
    assert [row.has_serial for row in rows(database)] == [100]


def test_things_count_in_the_order_in_which_they_ended(database: Database, now: dt.datetime) -> None:
    """A poll while the zone is still being sent confirms nothing."""
    tell(
        database,
        replace(sighted(now, AXFR, sent=100), seconds=60),
        sighted(now + 30 * SECOND, SOA, sent=100),
    )

    with database.read() as session:
        assert delivery(session, "isp-one", ZONE).seen_serial is None


def test_a_datagram_in_anybodys_name_takes_nothing_back_and_claims_nothing(
    database: Database, now: dt.datetime
) -> None:
    tell(database, sighted(now, IXFR, 101, 102))
    forged = replace(sighted(now + SECOND, IXFR, 100, 102), proven=False)
    tell(database, forged, replace(forged, kind=AXFR, asked_serial=None, outcome="axfr over UDP"))
    tell(database, replace(forged, address="192.0.2.99"))

    with database.read() as session:
        assert [(each.address, each.serial) for each in standing.present(session, [1])] == [("", None), (SERVER, 101)]


def test_what_proves_nothing_is_no_row_of_the_server_that_it_names(database: Database, now: dt.datetime) -> None:
    """Else its first row would claim what the ISP acknowledged for itself."""
    with database.write() as session:
        said = Acknowledge.model_validate({"zone": ZONE, "serial": 100, "phase": "applied"})
        acknowledge(session, acting(session, "isp-one"), said, now)
    forged = replace(sighted(now, IXFR, 101), outcome="broken off before the end", proven=False)
    tell(database, forged)
    tell(database, sighted(now + MINUTE, AXFR, sent=102))

    with database.read() as session:
        past = {each.address: each.serial for each in standing.past(session, [1], now)}
    assert past == {"": 100}
    assert [(row.address, row.source) for row in rows(database)] == [("", ""), ("", SERVER), (SERVER, SERVER)]


def test_a_datagram_confirms_what_was_sent(database: Database, now: dt.datetime) -> None:
    tell(database, sighted(now, AXFR, sent=102), replace(sighted(now + SECOND, IXFR, 102, 102), proven=False))

    with database.read() as session:
        assert delivery(session, "isp-one", ZONE).seen_serial == 102


def test_addresses_are_told_apart_up_to_a_limit(
    database: Database, now: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "MOST_SERVERS", 3)
    for number in range(9):
        tell(database, replace(sighted(now, IXFR, 102, 102), address=f"192.0.2.{number}"))
    tell(database, replace(sighted(now, IXFR, 101, 102), address="192.0.2.0"))

    with database.read() as session:
        kept = session.scalars(select(Delivery.address).order_by(Delivery.address)).all()
    assert kept == ["", "192.0.2.0", "192.0.2.1", "192.0.2.2"]
