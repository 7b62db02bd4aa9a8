"""The moment of an act: never before anything that is already recorded."""

import datetime as dt

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db import Clock
from app.journal.models import Event


def moment(session: Session, clock: Clock) -> dt.datetime:
    """What the clock says once this transaction has the writer's lock, and at least the last recorded moment.

    A time taken before the lock may be long past when the act is recorded: a question about the moments between
    would then get two answers. A clock that was set back does not put acts out of order either.
    """
    return settled(session, clock())


def settled(session: Session, now: dt.datetime) -> dt.datetime:
    """A moment, and at least the last recorded one."""
    last = session.scalar(select(Event.recorded_at).order_by(Event.recorded_at.desc()).limit(1))
    return now if last is None else max(now, last)
