"""The feed of a transfer process: a thread that follows the database, and notes down what clients did."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from types import MappingProxyType

from sqlalchemy.exc import OperationalError, SQLAlchemyError

from app.db import Clock, Database, Watch
from app.journal.moment import moment
from app.publication.follower import Follower
from app.publication.marks import Marks
from app.settings import Settings
from app.subscribers import deliveries, pulse
from app.subscribers.directory import NOBODY, Reader
from app.subscribers.pulse import Pulse
from app.subscribers.sighting import Sighting
from resolver_policy.version import ZoneVersion

log = logging.getLogger(__name__)

MOST_SIGHTINGS = 100_000
MOST_AT_ONCE = 500
"""Sightings of one transaction: it holds the writer's lock, and acts wait for that."""

NOTED_EVERY = 1.0
"""Seconds between two writes of what clients did."""

RELOADED_EVERY = 60.0
RETRY = 1.0
POLL = 0.02


class DatabaseFeed:
    """What may be served, to whom, as the database says it; new versions replace old ones whole."""

    def __init__(self, settings: Settings, database: Database, clock: Clock) -> None:
        self.zones: Mapping[str, ZoneVersion] = MappingProxyType({})
        self.directory = NOBODY
        self._subscribers = Reader(settings.secret_key_path)
        self._database = database
        self._clock = clock
        self._follower = Follower(settings, Marks(settings.data_dir / "marks", "transfer"), database.read)
        self._sightings: deque[Sighting] = deque(maxlen=MOST_SIGHTINGS)
        self._behind = True
        self._refreshed_at = self._noted_at = 0.0
        self._told_at = -pulse.TOLD_EVERY
        self._name = pulse.name_of_this_process()

    def seen(self, sighting: Sighting) -> None:
        """Take note of an exchange; the oldest notes give way where nobody writes them down."""
        self._sightings.append(sighting)

    def follow(self, announce: Callable[[str], None], pulse_of: Callable[[], Pulse], stop: threading.Event) -> None:
        """Follow the database until `stop` is set; a failure is logged, and what was held is served on.

        `pulse_of` says how the process does that serves what is followed here.
        """
        watch = Watch(self._database)
        try:
            while not stop.is_set():
                try:
                    self._turn(watch, announce)
                    self._tell(pulse_of)
                    self._behind = watch.wait(stop, timeout=POLL) or self._behind
                except Exception:
                    log.exception("the database cannot be followed; what is held is served on")
                    stop.wait(RETRY)
        finally:
            watch.close()
            self._follower.close()

    def _turn(self, watch: Watch, announce: Callable[[str], None]) -> None:
        """Refresh after a commit, and until that has worked; note down what clients did, now and then."""
        stale = time.monotonic() - self._refreshed_at > RELOADED_EVERY
        self._behind = watch.changed() or self._behind or stale or self._follower.tend()
        if self._behind:
            self.refresh(announce)
            self._behind = False
            self._refreshed_at = time.monotonic()
        if self._sightings and time.monotonic() - self._noted_at > NOTED_EVERY:
            self._noted_at = time.monotonic()
            self.note()

    def _tell(self, pulse_of: Callable[[], Pulse]) -> None:
        """Say that this process runs, now and then."""
        if self.zones and time.monotonic() - self._told_at > pulse.TOLD_EVERY:
            self._told_at = time.monotonic()
            with self._database.write() as session:
                pulse.tell(session, self._name, pulse_of(), self._clock())

    def refresh(self, announce: Callable[[str], None]) -> None:
        """Read what is new, put it in place, and tell subscribers of zones that have a new serial."""
        with self._database.read() as session:
            self.directory = self._subscribers.read(session, self._clock())
            changed = self._follower.refresh(session)
        self.zones = self._follower.zones
        for zone in changed:
            announce(zone)

    def note(self) -> None:
        """Write down what clients did since the last time; what cannot be written now is kept for the next time."""
        for _ in range(0, len(self._sightings), MOST_AT_ONCE):
            batch = [self._sightings.popleft() for _ in range(min(MOST_AT_ONCE, len(self._sightings)))]
            try:
                with self._database.write() as session:
                    deliveries.record(session, batch, moment(session, self._clock))
            except OperationalError:
                room = MOST_SIGHTINGS - len(self._sightings)
                self._sightings.extendleft(list(reversed(batch))[:room])
                raise

    def end(self) -> None:
        """Write down the rest, once nobody is served any more, and that this process runs no longer."""
        try:
            self.note()
            with self._database.write() as session:
                pulse.leave(session, self._name)
        except SQLAlchemyError:
            log.exception("how it ended, and what %d exchanges came to, is lost", len(self._sightings))
