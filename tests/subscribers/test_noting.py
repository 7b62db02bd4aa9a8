"""How the transfer process hands on what it saw: a database that is busy or away for a while loses nothing of it."""

import datetime as dt
import threading
from collections.abc import Callable, Iterable

import pytest
from sqlalchemy.exc import OperationalError

from app.db import Database
from app.settings import Settings
from app.subscribers import deliveries, pulse
from app.subscribers.pulse import Pulse
from app.subscribers.sighting import Sighting, SightingKind
from app.transfer import __main__ as transfer
from app.transfer import database_feed
from app.transfer.database_feed import DatabaseFeed
from tests.servers import wait_until
from tests.service import NOW, Service


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The octets of what was written down."""
    found: list[int] = []

    def record(_session: object, batch: Iterable[Sighting], _now: object) -> None:
        found.extend(sighting.octets for sighting in batch)

    monkeypatch.setattr(deliveries, "record", record)
    return found


@pytest.fixture
def feed(
    settings: Settings, database: Database, now: dt.datetime, monkeypatch: pytest.MonkeyPatch, noted: list[int]
) -> DatabaseFeed:
    """Has room for three, and has seen as many."""
    assert noted == []
    monkeypatch.setattr(database_feed, "MOST_SIGHTINGS", 3)
    made = DatabaseFeed(settings, database, lambda: now)
    for octets in (1, 2, 3):
        made.seen(transferred(octets))
    return made


def transferred(octets: int) -> Sighting:
    return Sighting(NOW, "isp-one", "192.0.2.53", "block.rpz", SightingKind.AXFR, None, 100, octets)


def cannot_note(feed: DatabaseFeed, meanwhile: Callable[[], None] = lambda: None) -> None:
    """A try while the database is locked."""

    def record(*_: object) -> None:
        meanwhile()
        raise OperationalError("INSERT", {}, Exception("database is locked"))

    with pytest.MonkeyPatch.context() as locked:
        locked.setattr(deliveries, "record", record)
        with pytest.raises(OperationalError):
            feed.note()


def test_what_a_busy_database_did_not_take_is_written_the_next_time(feed: DatabaseFeed, noted: list[int]) -> None:
    cannot_note(feed)
    feed.note()
    assert noted == [1, 2, 3]


def test_newer_ones_have_the_room(feed: DatabaseFeed, noted: list[int]) -> None:
    def meanwhile() -> None:
        feed.seen(transferred(4))
        feed.seen(transferred(5))

    cannot_note(feed, meanwhile)
    feed.note()
    assert noted == [3, 4, 5]


def test_what_was_broken_off_at_the_end_is_noted_too(
    settings: Settings, database: Database, noted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Served:
        """Breaks an exchange off when it is told to stop, and the follower has gone by then."""

        def __init__(self, feed: DatabaseFeed, _host: str, _port: int, *, stop: threading.Event) -> None:
            self._feed, self._stop = feed, stop

        def announce(self, zone: str) -> None:
            raise NotImplementedError

        def pulse(self) -> Pulse:
            raise NotImplementedError

        def run(self) -> None:
            self._stop.set()
            followers = [thread for thread in threading.enumerate() if thread.name == "follower"]
            for thread in followers:
                thread.join(10)
            self._feed.seen(transferred(5))

    monkeypatch.setattr(transfer, "Transfer", Served)
    monkeypatch.setattr(transfer, "settle", lambda: None)
    transfer.serve(settings, database)
    assert noted == [5]


def test_it_is_known_to_run_until_it_ends(service: Service) -> None:
    service.publish()
    feed, stop = DatabaseFeed(service.settings, service.database, service.clock), threading.Event()

    def known() -> list[int]:
        with service.database.read() as session:
            return [row.connections for row in pulse.processes(session)]

    follower = threading.Thread(target=feed.follow, args=(lambda _zone: None, lambda: Pulse(7, 0.1), stop))
    follower.start()
    try:
        wait_until(lambda: known() == [7], 10, lambda: f"{known()}")
    finally:
        stop.set()
        follower.join(10)
    feed.end()
    assert known() == []
