"""The ledger's rows: what is written down of an exchange for ever, and what is folded into the next row.

A row is worth writing where a zone was sent (or broken off, or refused), or where what a server is known to have
changed. Polls that show nothing new are counted in the next row; a server that only polls gets one row a day, so that
it is seen to live. The rows of one address are bounded by time, not by what it asks: `DAY_ROWS` a day as they come,
then one in `SPACING`, so at most 788 a day, whoever asks how often. What is held back follows by `settle`.
"""

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm import Session

from app.db import insert_rows
from app.subscribers.models import Delivery, Exchange
from app.subscribers.sighting import DONE, Sighting

DAY_ROWS = 500
"""Rows of one address that a day (UTC) takes without a pause between them."""

SPACING = dt.timedelta(minutes=5)
STILL_THERE = dt.timedelta(days=1)
FORGOTTEN = "forgotten"
"""The kind of a row that says that a server is no more: what stands before it counts no longer."""

SAME_REFUSAL = dt.timedelta(hours=1)
"""A refusal for the reason of the last one is written down again after this time."""


@dataclass(frozen=True, slots=True)
class Happened:
    """What a row says was done. Beside exchanges there are acknowledgements, whose `kind` is their phase."""

    kind: str
    at: dt.datetime
    source: str
    asked_serial: int | None = None
    sent_serial: int | None = None
    octets: int = 0
    milliseconds: int = 0
    outcome: str = DONE


def of_sighting(sighting: Sighting) -> Happened:
    """The same, as the ledger says it."""
    return Happened(
        sighting.kind,
        sighting.at,
        sighting.address,
        sighting.asked_serial,
        sighting.sent_serial,
        sighting.octets,
        round(sighting.seconds * 1000),
        sighting.outcome,
    )


class Page:
    """Rows of one transaction, put into the database together (`close`), before anybody reads them."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._rows: list[dict[str, object]] = []

    def close(self) -> None:
        """Insert them; without an object of each, since batches are long and hold the writer's lock."""
        if self._rows:
            insert_rows(self._session, Exchange, self._rows)
            self._rows = []

    def keep(self, row: Delivery, happened: Happened, now: dt.datetime) -> None:
        """Write a row, with what the server has by now; where it has had its share, a later row will say it."""
        if _has_room(row, now):
            self.write(row, happened, now)
        else:
            row.unkept = True
            fold(row)

    def write(self, row: Delivery, happened: Happened, now: dt.datetime) -> None:
        """Write a row whatever there was before; never dated before the last one, also where the clock was set back."""
        recorded_at = now if row.kept_at is None else max(now, row.kept_at)
        self._rows.append(
            {
                "subscriber_id": row.subscriber_id,
                "zone": row.zone,
                "address": row.address,
                "source": happened.source,
                "at": happened.at,
                "recorded_at": recorded_at,
                "kind": happened.kind,
                "asked_serial": happened.asked_serial,
                "sent_serial": happened.sent_serial,
                "octets": happened.octets,
                "milliseconds": happened.milliseconds,
                "outcome": happened.outcome,
                "has_serial": row.seen_serial,
                "has_release": row.seen_release,
                "has_since": row.seen_at,
                "folded": row.folded,
            }
        )
        same_day = row.kept_at is not None and row.kept_at.date() == recorded_at.date()
        row.kept_rows = row.kept_rows + 1 if same_day else 1
        row.kept_at, row.folded, row.unkept = recorded_at, 0, False
        if row.seen_release is not None:
            row.had_at = recorded_at


def fold(row: Delivery) -> None:
    """Count an exchange that gets no row of its own."""
    row.folded += 1


def is_silent(row: Delivery, now: dt.datetime) -> bool:
    """Whether a server that is known to have something must be written down again, to be seen to live."""
    return row.seen_release is not None and (row.kept_at is None or now - row.kept_at >= STILL_THERE)


def is_held_back(session: Session, now: dt.datetime) -> bool:
    """Whether `settle` has something to write."""
    return session.scalar(select(Delivery.subscriber_id).where(_may_follow(now)).limit(1)) is not None


def settle(session: Session, now: dt.datetime) -> int:
    """Write down what was held back, where it may be by now; how many rows that was."""
    rows = session.scalars(select(Delivery).where(_may_follow(now))).all()
    page = Page(session)
    for row in rows:
        happened = Happened(
            row.asked_kind or "soa", row.asked_at or now, row.address, row.asked_serial, row.sent_serial
        )
        page.write(row, happened, now)
    page.close()
    return len(rows)


def _may_follow(now: dt.datetime) -> ColumnElement[bool]:
    return and_(Delivery.unkept, Delivery.kept_at <= now - SPACING)


def _has_room(row: Delivery, now: dt.datetime) -> bool:
    if row.kept_at is None or row.kept_at.date() != now.date():
        return True
    return row.kept_rows < DAY_ROWS or now - row.kept_at >= SPACING
