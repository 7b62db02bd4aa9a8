"""What waits to be looked at: orders whose review is due or whose names are stale, breaches and missed commitments."""

import datetime as dt
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, select, text
from sqlalchemy.orm import Session

from app.journal.events import EventType
from app.journal.models import Event
from app.orders import notes, reviewing, reviews
from app.orders.models import Order, Review, ReviewCause, TargetRow
from app.orders.review_models import TargetNote
from app.places import Place, Placed, behind, merged

STANDS = text("orders.state IN ('scheduled','active','suspended')")
"""Written out, since the index of what stands is not used for values that are only bound."""

REVIEWS, ORDERS = range(2)
SOON = dt.timedelta(days=30)
NOTES_SHOWN = 5


class QueueKind(StrEnum):
    """Why something is in the queue."""

    BREACH = ReviewCause.BREACH
    COMMITMENT_OVERDUE = ReviewCause.COMMITMENT_OVERDUE
    DELEGATION_ENDED = ReviewCause.DELEGATION_ENDED
    STALE = "stale"
    REVIEW = "review"


class QueueFilter(NamedTuple):
    """What the queue is narrowed down to: one kind, one category, what is overdue, what is due until a moment."""

    kind: QueueKind | None = None
    category: str | None = None
    overdue: bool = False
    before: dt.datetime | None = None


def page(session: Session, narrowed: QueueFilter, now: dt.datetime, *, after: Place, limit: int) -> Sequence[Placed]:
    """What waits, the longest overdue first: since it was opened, or since the moment of the review; at most `limit`.

    Two indices hold what is open and what stands, in that order, and each gives one page: neither the number of names
    nor that of orders that ended counts.
    """
    until = now if narrowed.overdue else narrowed.before or now + SOON
    lists: list[Sequence[Placed]] = []
    if narrowed.kind not in {QueueKind.STALE, QueueKind.REVIEW}:
        lists.append(_reviews(session, narrowed, until, after, limit))
    if narrowed.kind in {None, QueueKind.STALE, QueueKind.REVIEW}:
        lists.append(_orders(session, narrowed, until, now, after, limit))
    return merged(lists, limit)


def at(session: Session, order: Order, moment: dt.datetime) -> dict[str, Any]:
    """The review of an order as it stood at a moment: when the next was due, whether names were known to be stale."""
    reviewed = _first(session, order, moment, EventType.ORDER_REVIEWED, newest=True)
    since = None if reviewed is None else reviewed.seq
    noted = _first(session, order, moment, EventType.ORDER_NOTED, behind_seq=since or 0)
    rows = [row for row in reviewing.history(session, order) if row["reviewed_at"] <= moment]
    due_at = rows[-1]["next_review_at"] if rows else order.review_due_at
    stale_since = None if noted is None else noted.recorded_at
    if due_at is not None and stale_since is not None:
        due_at = min(due_at, stale_since)
    return {
        "order_id": order.uid,
        "due_at": due_at,
        "overdue": due_at is not None and moment >= due_at,
        "stale_since": stale_since,
    }


def _reviews(session: Session, narrowed: QueueFilter, until: dt.datetime, after: Place, limit: int) -> Sequence[Placed]:
    query = select(Review, Order).join(Order, Order.id == Review.order_id)
    query = query.where(Review.closed_at.is_(None), Review.opened_at <= until, *_in_category(narrowed))
    if narrowed.kind is not None:
        query = query.where(Review.cause == narrowed.kind)
    query = query.where(behind(after, REVIEWS, Review.opened_at, Review.id))
    return [
        Placed(
            Place(row.opened_at, REVIEWS, row.id),
            {**_item(order, row.cause, row.opened_at, overdue=True), "review": reviews.document(session, row)},
        )
        for row, order in session.execute(query.order_by(Review.opened_at, Review.id).limit(limit))
    ]


def _orders(
    session: Session, narrowed: QueueFilter, until: dt.datetime, now: dt.datetime, after: Place, limit: int
) -> Sequence[Placed]:
    query = select(Order).where(STANDS, Order.review_at <= until, ~Order.sample, *_in_category(narrowed))
    if narrowed.kind is not None:
        stale = Order.stale_since.is_not(None)
        query = query.where(stale if narrowed.kind is QueueKind.STALE else ~stale)
    query = query.where(behind(after, ORDERS, Order.review_at, Order.id))
    return [
        Placed(
            Place(order.review_at, ORDERS, order.id),
            {
                **_item(order, _kind(order), order.review_at, overdue=order.review_at <= now),
                "stale": _stale(session, order),
                "reviewed": reviewing.history(session, order)[-1:],
            },
        )
        for order in session.scalars(query.order_by(Order.review_at, Order.id).limit(limit))
    ]


def _in_category(narrowed: QueueFilter) -> Sequence[ColumnElement[bool]]:
    return () if narrowed.category is None else (Order.category == narrowed.category,)


def _kind(order: Order) -> str:
    return QueueKind.REVIEW if order.stale_since is None else QueueKind.STALE


def _item(order: Order, kind: str, due_at: dt.datetime, *, overdue: bool) -> dict[str, Any]:
    return {
        "kind": kind,
        "due_at": due_at,
        "overdue": overdue,
        "order": {
            "id": order.uid,
            "number": order.number,
            "version": order.version,
            "state": order.state,
            "category": order.category,
            "targets_count": order.targets_count,
            "review_due_at": order.review_due_at,
        },
    }


def _stale(session: Session, order: Order) -> dict[str, Any] | None:
    """What was noted of an order since its last review: the newest few."""
    if order.stale_since is None:
        return None
    query = (
        select(TargetNote, TargetRow.key)
        .join(TargetRow, TargetRow.id == TargetNote.target_id)
        .where(TargetNote.order_id == order.id, TargetNote.recorded_at >= order.stale_since)
        .order_by(TargetNote.id.desc())
        .limit(NOTES_SHOWN + 1)
    )
    found = [notes.document(row, key, order) for row, key in session.execute(query)]
    return {"since": order.stale_since, "notes": found[:NOTES_SHOWN], "more": len(found) > NOTES_SHOWN}


def _first(
    session: Session, order: Order, moment: dt.datetime, kind: EventType, *, newest: bool = False, behind_seq: int = 0
) -> Event | None:
    query = select(Event).where(Event.order_id == order.id, Event.type == kind, Event.recorded_at <= moment)
    by = Event.seq.desc() if newest else Event.seq
    return session.scalar(query.where(Event.seq > behind_seq).order_by(by).limit(1))
