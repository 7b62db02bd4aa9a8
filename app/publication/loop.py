"""The publisher's day: its lease, acts that fall due, then what was touched, at most one release a second."""

import datetime as dt
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from app.db import Clock, Database, Failure, Watch, failure
from app.orders import clock as orders_clock
from app.publication import lease as leases
from app.publication import zones
from app.publication.lease import Lease, LeaseLost
from app.publication.publisher import Publisher

log = logging.getLogger(__name__)

MARKED_EVERY = 1.0
"""Seconds between two looks at how far the journal has come, to remember it beside the database."""

SPACING = 1.0
"""Seconds between two releases: consumers' incremental transfers break on faster serials."""

WORKED_AT_ONCE = 0.1
"""Seconds for which a large release may be prepared before anything else is looked at."""

LONGEST_NAP = 1.0
RETRY = 1.0
STAND_BY = 0.5
"""Seconds between two looks at another publisher's lease; a commit is a reason to look as well."""

LONGEST_SILENCE = 120.0
"""Seconds without a turn after which the publisher counts as stuck: twice as long as it may wait for a lock."""

FAILURES: Mapping[Failure, str] = {
    "storage_full": "no space is left",
    "not_writable": "the database cannot be written",
    "busy": "the database is busy",
}

Make = Callable[[Database], Publisher]
"""Makes the publisher that writes into a database."""


class Publishing:
    """The publisher of one process: it publishes while it has the lease, and stands by while another has it."""

    def __init__(self, database: Database, make: Make, clock: Clock, holder: str | None = None) -> None:
        self._database = database
        self._make = make
        self._clock = clock
        self._holder = holder or leases.this_process()
        self._lease: Lease | None = None
        self._renewed_at = self._turned_at = time.monotonic()
        self._publisher: Publisher
        self._writing: Database
        self._last_release = self._marked_at = 0.0
        self._thread: threading.Thread | None = None
        self._stands_by = False
        self._fails: str | None = None

    @contextmanager
    def running(self, stop: threading.Event) -> Iterator[None]:
        """Publish in a thread for as long as the block runs; zones are in line with the settings when it begins,
        unless another publisher has the lease. Raises what keeps this one from starting."""
        self.take_over()
        self._thread = threading.Thread(target=self.run, args=(stop,), name="publisher", daemon=True)
        self._thread.start()
        try:
            yield
        finally:
            stop.set()
            self._thread.join()

    @property
    def has_lease(self) -> bool:
        """Whether this is the one that publishes, as far as it knows."""
        return self._lease is not None

    def ailment(self) -> str | None:
        """What is wrong with the thread, in words; None where it publishes or stands by."""
        if self._thread is None or not self._thread.is_alive():
            return "the publisher does not run"
        if self._fails is not None:
            return f"the publisher fails: {self._fails}; what was published is served on"
        silent = time.monotonic() - self._turned_at
        return f"the publisher has been stuck for {silent:.0f} s" if silent > LONGEST_SILENCE else None

    def run(self, stop: threading.Event) -> None:
        """Publish or stand by until `stop` is set, and prepare large releases in the time between.

        A database failure is logged and tried again; nothing that was touched is lost.
        """
        watch = Watch(self._database)
        try:
            while not stop.is_set():
                self._turned_at = time.monotonic()
                try:
                    if self._lease is None and not self.take_over():
                        watch.wait(stop, timeout=STAND_BY)
                        continue
                    self._turn()
                    self._fails = None
                    if not self._work():
                        self._rest(watch, stop)
                except LeaseLost:
                    self._publisher.close()
                    self._lease = None
                    log.warning("another publisher has taken over; this one stands by")
                except Exception as error:
                    self._fails = _in_words(error)
                    log.exception("publishing failed; it will be tried again")
                    stop.wait(RETRY)
            self._hand_over()
        finally:
            watch.close()

    def take_over(self) -> bool:
        """Take the lease, and bring zones in line with the settings; False where another has it."""
        lease = leases.take(self._database, self._holder)
        if lease is None:
            if not self._stands_by:
                log.info("another publisher is at work; this one is standing by")
            self._stands_by = True
            return False
        self._stands_by = False
        log.info("publishing under epoch %d", lease.epoch)
        self._writing = lease.guarded()
        try:
            self._publisher = self._make(self._writing)
            self._publisher.start(self._clock())
        except BaseException:
            lease.give_up()
            raise
        self._last_release = self._age_of_head()
        self._lease, self._renewed_at = lease, time.monotonic()
        return True

    def _hand_over(self) -> None:
        """Let another take over at once; where that fails it takes over a little later."""
        lease, self._lease = self._lease, None
        if lease is not None:
            self._publisher.close()
            try:
                lease.give_up()
            except SQLAlchemyError:
                log.warning("the lease could not be given up; it ends by itself", exc_info=True)

    def _work(self) -> bool:
        """Prepare large releases for a moment; False where nothing needs it."""
        until = time.monotonic() + WORKED_AT_ONCE
        while self._publisher.work():
            if time.monotonic() >= until:
                return True
        return False

    def _age_of_head(self) -> float:
        """When the newest release was made, by the monotonic clock: whoever publishes next keeps the spacing."""
        with self._database.read() as session:
            newest = zones.head(session)
        age = SPACING if newest is None else (self._clock() - newest.published_at).total_seconds()
        return time.monotonic() - min(max(age, 0.0), SPACING)

    def _turn(self) -> None:
        assert self._lease is not None
        if time.monotonic() - self._renewed_at > leases.RENEWED_EVERY:
            self._lease.renew()
            self._renewed_at = time.monotonic()
        now = self._clock()
        if self._due_in(now) <= 0:
            with self._writing.write() as session:
                orders_clock.run_due(session, self._clock)
        if time.monotonic() - self._marked_at > MARKED_EVERY:
            self._publisher.mark_journal()
            self._marked_at = time.monotonic()
        if time.monotonic() - self._last_release < SPACING:
            return
        if self._publisher.can_release() and self._publisher.release(now):
            self._last_release = time.monotonic()

    def _rest(self, watch: Watch, stop: threading.Event) -> None:
        """Sleep until a commit, until the next act is due, or until the second since the last release is over."""
        due_in = self._due_in(self._clock())
        spaced_in = SPACING - (time.monotonic() - self._last_release)
        if spaced_in > 0 and self._publisher.can_release():
            stop.wait(spaced_in)
        else:
            watch.wait(stop, timeout=max(0.0, min(LONGEST_NAP, due_in)))

    def _due_in(self, now: dt.datetime) -> float:
        """Seconds until the next act is due."""
        with self._database.read() as session:
            due_at = orders_clock.next_at(session)
        return LONGEST_NAP if due_at is None else (due_at - now).total_seconds()


def _in_words(error: Exception) -> str:
    """Why a turn failed, without what was to be written."""
    if isinstance(error, OSError):
        return str(error.strerror)
    known = failure(error) if isinstance(error, DBAPIError) else None
    return "see the log" if known is None else FAILURES[known]
