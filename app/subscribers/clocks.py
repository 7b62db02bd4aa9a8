"""The law's clock on ISPs: from the publication of a change until each has applied it, as the ledger knows."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

from sqlalchemy.orm import Session

from app.places import Place, Placed
from app.regime import ClockCode, Regime
from app.subscribers import queries
from app.subscribers.lag import Lag, Standing
from app.subscribers.models import SubscriberRow

PAGE = 500
ZONES = 10_000
"""More zones than anybody publishes: a zone of a subscriber has a place of its own."""

HOUR = dt.timedelta(hours=1)
AT_ONCE = dt.timedelta(microseconds=-1)
"""Whoever lacks something at all is told by the ledger as late by this measure."""


def page(
    session: Session, regime: Regime, after: dt.timedelta, now: dt.datetime, *, source: int, behind: Place, limit: int
) -> list[Placed]:
    """ISPs that lack a published change, zone by zone, behind a place; `after` is how long they may lack it."""
    found = (
        Placed(Place(since + after, source, row.id * ZONES + number), _document(regime, row, each, since, after, now))
        for number, row, each in _lacking(session, now)
        if (since := each.overdue_since) is not None
    )
    return sorted((each for each in found if each.place > behind), key=lambda each: each.place)[:limit]


def _lacking(session: Session, now: dt.datetime) -> Iterator[tuple[int, SubscriberRow, Standing]]:
    lag, last = Lag(session, now, AT_ONCE, with_names=False), 0
    while rows := queries.page(session, after=last, limit=PAGE):
        standings = lag.standings(rows)
        for row in rows:
            yield from ((number, row, each) for number, each in enumerate(standings[row.id]))
        last = rows[-1].id


def _document(
    regime: Regime,
    row: SubscriberRow,
    standing: Standing,
    since: dt.datetime,
    after: dt.timedelta,
    now: dt.datetime,
) -> dict[str, Any]:
    due_at = since + after
    return {
        "clock": str(ClockCode.ISP_APPLIED),
        "hours": after // HOUR if after % HOUR == dt.timedelta() else after / HOUR,
        "source": regime.clock(ClockCode.ISP_APPLIED).source,
        "began_at": since,
        "ended_at": None,
        "due_at": due_at,
        "due_at_local": regime.shown(due_at),
        "overdue": now > due_at,
        "subscriber": {"name": row.name, "zone": standing.zone, "serial": standing.serial},
    }
