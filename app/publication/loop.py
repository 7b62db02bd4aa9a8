"""The publisher's day: acts that fall due, then what was touched, at most one release a second."""

import datetime as dt
import logging
import threading
import time

from sqlalchemy import func, select

from app.db import Clock, Database, Watch
from app.orders import clock as orders_clock
from app.orders.models import Order
from app.publication import zones
from app.publication.publisher import Publisher

log = logging.getLogger(__name__)

SPACING = 1.0
"""Seconds between two releases: consumers' incremental transfers break on faster serials."""

WORKED_AT_ONCE = 0.1
"""Seconds for which a large release may be prepared before anything else is looked at."""

LONGEST_NAP = 1.0
RETRY = 1.0


def run(database: Database, publisher: Publisher, clock: Clock, stop: threading.Event) -> None:
    """Publish until `stop` is set, and prepare large releases in the time between.

    A database failure is logged and tried again; nothing that was touched is lost.
    """
    watch = Watch(database)
    last_release: float | None = None
    try:
        while not stop.is_set():
            try:
                last_release = _turn(database, publisher, clock, last_release or _last_release(database, clock()))
                if not _work(publisher):
                    _rest(database, publisher, watch, clock, stop, last_release)
            except Exception:
                log.exception("publishing failed; it will be tried again")
                stop.wait(RETRY)
    finally:
        watch.close()


def _work(publisher: Publisher) -> bool:
    """Prepare large releases for a moment; False where nothing needs it."""
    until = time.monotonic() + WORKED_AT_ONCE
    while publisher.work():
        if time.monotonic() >= until:
            return True
    return False


def _last_release(database: Database, now: dt.datetime) -> float:
    """When the newest release was made, by the monotonic clock: a process that was started again keeps the spacing."""
    with database.read() as session:
        newest = zones.head(session)
    age = SPACING if newest is None else (now - newest.published_at).total_seconds()
    return time.monotonic() - min(max(age, 0.0), SPACING)


def _turn(database: Database, publisher: Publisher, clock: Clock, last_release: float) -> float:
    now = clock()
    with database.read() as session:
        due = _next_due(session.scalar(select(func.min(Order.due_at))), now) <= 0
    if due:
        with database.write() as session:
            orders_clock.run_due(session, clock)
    if time.monotonic() - last_release < SPACING:
        return last_release
    return time.monotonic() if publisher.can_release() and publisher.release(now) else last_release


def _rest(
    database: Database, publisher: Publisher, watch: Watch, clock: Clock, stop: threading.Event, last_release: float
) -> None:
    """Sleep until a commit, until the next act is due, or until the second since the last release is over."""
    with database.read() as session:
        due_in = _next_due(session.scalar(select(func.min(Order.due_at))), clock())
    spaced_in = SPACING - (time.monotonic() - last_release)
    if spaced_in > 0 and publisher.can_release():
        stop.wait(spaced_in)
    else:
        watch.wait(stop, timeout=max(0.0, min(LONGEST_NAP, due_in)))


def _next_due(due_at: dt.datetime | None, now: dt.datetime) -> float:
    """Seconds until the next act is due."""
    return LONGEST_NAP if due_at is None else (due_at - now).total_seconds()
