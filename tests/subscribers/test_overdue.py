"""Who lacks a published serial for too long: told, and written into the journal once, and once when it is over."""

import datetime as dt

import pytest

from app.db import Database
from app.errors import SettingInvalid
from app.main import publishing
from app.settings import Settings, parse_duration
from app.subscribers.deliveries import record
from app.subscribers.lag import Lag
from app.subscribers.overdue import watch
from app.subscribers.queries import live_by_name
from app.subscribers.register import remove
from app.subscribers.seal import SecretKey
from app.subscribers.sighting import Sighting, SightingKind
from tests.servers import wait_until
from tests.subscribers.worlds import ROOT, facts_of, published, registered

ZONE = "block.rpz"
DAY, SECOND = dt.timedelta(days=1), dt.timedelta(seconds=1)


@pytest.fixture
def database(database: Database, now: dt.datetime) -> Database:
    """One subscriber; serial 100 a week ago, 101 at `now`."""
    registered(database, "isp-one", "192.0.2.0/24", now=now - 7 * DAY)
    published(database, ZONE, [(100, now - 7 * DAY), (101, now)])
    return database


def has(database: Database, serial: int, at: dt.datetime, zone: str = ZONE, name: str = "isp-one") -> None:
    sighting = Sighting(at, name, "192.0.2.53", zone, SightingKind.IXFR, serial, serial)
    with database.write() as session:
        record(session, [sighting], at)


def overdue(database: Database, at: dt.datetime, name: str = "isp-one") -> dict[str, dt.datetime | None]:
    with database.read() as session:
        row = live_by_name(session, name)
        return {each.zone: each.overdue_since for each in Lag(session, at, DAY).standings([row])[row.id]}


def watched(database: Database, at: dt.datetime) -> int:
    return watch(database, lambda: at, DAY)


def test_it_is_overdue_a_day_after_the_first_serial_that_it_lacks(database: Database, now: dt.datetime) -> None:
    has(database, 100, now)

    assert overdue(database, now + DAY) == {ZONE: None}
    assert overdue(database, now + DAY + SECOND) == {ZONE: now}


def test_who_is_current_is_never_overdue(database: Database, now: dt.datetime) -> None:
    has(database, 101, now)

    assert overdue(database, now + 20 * DAY) == {ZONE: None}


def test_who_never_came_is_overdue_a_day_after_it_was_taken_on(database: Database, now: dt.datetime) -> None:
    registered(database, "newcomer", "198.51.100.0/24", now=now)

    assert overdue(database, now + DAY, "newcomer") == {ZONE: None}
    assert overdue(database, now + DAY + SECOND, "newcomer") == {ZONE: now}


def test_a_zone_that_it_never_took_is_not_owed_where_it_takes_another(database: Database, now: dt.datetime) -> None:
    published(database, "landing.rpz", [(500, now - 7 * DAY), (501, now)])
    assert overdue(database, now) == {ZONE: now - 7 * DAY, "landing.rpz": now - 7 * DAY}

    has(database, 501, now, "landing.rpz")

    assert overdue(database, now + 2 * DAY) == {ZONE: None, "landing.rpz": None}


def test_who_must_sign_and_never_had_a_key_owes_nothing(
    database: Database, now: dt.datetime, secret_key: SecretKey
) -> None:
    registered(database, "signs", "198.51.100.0/24", now=now, secret_key=secret_key)
    assert overdue(database, now + 2 * DAY, "signs") == {ZONE: now}

    with database.write() as session:
        live_by_name(session, "isp-one").keyed = True

    assert overdue(database, now + 2 * DAY) == {ZONE: None}


def test_the_journal_has_it_once_and_once_more_when_it_is_over(database: Database, now: dt.datetime) -> None:
    has(database, 100, now)
    assert [watched(database, now + DAY + number * SECOND) for number in range(4)] == [0, 1, 0, 0]

    has(database, 101, now + 2 * DAY)
    assert [watched(database, now + 2 * DAY) for _ in range(2)] == [1, 0]

    assert facts_of(database, "subscriber.overdue") == [
        {
            "subscriber": "isp-one",
            "zone": ZONE,
            "serial": 101,
            "has": 100,
            "lacks_since": "2026-11-22T03:00:00.000000Z",
        }
    ]
    assert facts_of(database, "subscriber.recovered") == [{"subscriber": "isp-one", "zone": ZONE}]


def test_it_can_become_so_again(database: Database, now: dt.datetime) -> None:
    for number, serial in enumerate((100, 101, 100, 101)):
        has(database, serial, now + 2 * DAY + number * SECOND)
        watched(database, now + 2 * DAY + number * SECOND)

    assert len(facts_of(database, "subscriber.overdue")) == 2
    assert len(facts_of(database, "subscriber.recovered")) == 2


def test_every_zone_has_an_event_of_its_own(database: Database, now: dt.datetime) -> None:
    published(database, "landing.rpz", [(500, now - 7 * DAY), (501, now)])
    has(database, 100, now)
    has(database, 501, now, "landing.rpz")
    watched(database, now + 2 * DAY)
    has(database, 500, now + 2 * DAY, "landing.rpz")

    assert watched(database, now + 2 * DAY) == 1
    assert [facts["zone"] for facts in facts_of(database, "subscriber.overdue")] == [ZONE, "landing.rpz"]


def test_who_is_removed_while_overdue_did_not_recover(database: Database, now: dt.datetime) -> None:
    has(database, 100, now)
    watched(database, now + 2 * DAY)
    with database.write() as session:
        remove(session, ROOT, "isp-one", now + 2 * DAY)

    assert [watched(database, now + 2 * DAY) for _ in range(2)] == [1, 0]
    assert facts_of(database, "subscriber.recovered") == []


@pytest.mark.parametrize(
    ("text", "hours"), [("24h", 24), ("24", 24), ("7d", 168), ("90m", 1.5), ("3600s", 1), ("1", 1)]
)
def test_the_setting_is_a_duration_or_hours(text: str, hours: float) -> None:
    assert parse_duration(text) == dt.timedelta(hours=hours)
    assert Settings(overdue_after=text).overdue == dt.timedelta(hours=hours)


@pytest.mark.parametrize("text", ["0", "0h", "a day", "-1h", "1.5h", "1w", "9999999d"])
def test_what_is_no_duration_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(SettingInvalid, match="is not a duration"):
        Settings(overdue_after=text)


def test_the_sweeper_of_the_service_writes_it_down(database: Database, settings: Settings, now: dt.datetime) -> None:
    has(database, 100, now)

    with publishing(settings, database, lambda: now + 2 * DAY):
        wait_until(lambda: bool(facts_of(database, "subscriber.overdue")), 10, lambda: "nothing was written down")
