"""Commitments: conditions that were not met when a block was lifted early, each with the date by which it is to be.

One that is not kept opens a review on its date. It never blocks again.
"""

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import Conflict, Fault, Unprocessable
from app.journal.actor import CLOCK, Actor
from app.journal.append import Entry, append, timestamp
from app.journal.events import EventType
from app.orders import reviews, trees
from app.orders.models import ConditionRow, Ground, Order, OrderState, Review, ReviewCause
from app.orders.schemas import Commit, Commitment
from resolver_policy import conditions
from resolver_policy.conditions import SATISFIED, State


def make(
    session: Session, actor: Actor, order: Order, wanted: Sequence[Commitment], reason: str, now: dt.datetime
) -> None:
    """Give unmet gating conditions of an order their dates, also instead of others; the journal keeps the slip.

    Raises Unprocessable, naming the condition, where one is not the order's to give.
    """
    rows = {row.code: row for row in trees.rows_of(session, order.id) if row.code is not None}
    seen: set[str] = set()
    for index, each in enumerate(wanted):
        row = rows.get(each.condition)
        if row is None or not conditions.gates(trees.leaf(row)):
            raise _refused("not_a_gating_condition", each.condition, f"/commitments/{index}/condition")
        if row.state in SATISFIED or row.code in seen:
            raise _refused("nothing_to_commit_to", each.condition, f"/commitments/{index}/condition")
        seen.add(each.condition)
        _check_date(each.due_at, f"/commitments/{index}/due_at", now)
        _date(session, actor, order, row, each.due_at, reason, now)


def require(session: Session, order: Order) -> None:
    """Raise Unprocessable unless what is met and what is committed to would together satisfy the conditions."""
    rows = trees.rows_of(session, order.id)
    if not rows:
        return
    kept = {row.code: State.MET for row in rows if row.code is not None and row.commitment_due_at is not None}
    verdict = conditions.judge(trees.tree_of(rows), {**trees.leaf_states(rows), **kept})
    if not verdict.satisfied:
        faults = [Fault("commitment_missing", code, "/commitments") for code in verdict.left]
        detail = f"{', '.join(verdict.left)}: not met, so a lift on an indicated solution needs a date for it"
        raise Unprocessable(detail, faults=faults)


def move(session: Session, actor: Actor, condition: ConditionRow, command: Commit, now: dt.datetime) -> ConditionRow:
    """Give a commitment another date, sooner or later. Raises Conflict for a condition that is none, or is met."""
    order = session.get_one(Order, condition.order_id, with_for_update=True)
    over = order.state == OrderState.ENDED and not left_some(order)
    if condition.commitment_due_at is None or condition.state in SATISFIED or over:
        raise Conflict(f"condition {condition.code} is {condition.state}, and no commitment that is still to be kept")
    _check_date(command.due_at, "/due_at", now)
    _date(session, actor, order, condition, command.due_at, command.reason, now)
    look(session, order)
    session.flush()
    return condition


def look(session: Session, order: Order) -> None:
    """Of an ended order: note when the clock must look at its commitments next."""
    if order.state == OrderState.ENDED:
        dates = [row.commitment_due_at for row in open_ones(session, order)] if left_some(order) else []
        order.due_at = min((date for date in dates if date is not None), default=None)


def act(session: Session, order: Order, now: dt.datetime) -> bool:
    """What the clock does on an ended order: open a review of each commitment that was not kept by its date."""
    if not left_some(order):
        return False
    overdue = [
        (row, due_at)
        for row in open_ones(session, order)
        if (due_at := row.commitment_due_at) is not None and due_at <= now
    ]
    for row, due_at in overdue:
        opening = reviews.Opening(ReviewCause.COMMITMENT_OVERDUE, missed_at=due_at)
        reviews.open_review(session, CLOCK, order, row, opening, now)
    look(session, order)
    return bool(overdue)


def left_some(order: Order) -> bool:
    """Whether an order ended in a way that leaves commitments."""
    return order.state == OrderState.ENDED and order.ground == Ground.SOLUTION_INDICATED


def open_ones(session: Session, order: Order) -> Sequence[ConditionRow]:
    """Commitments of an order that are to be kept yet, and of whose date no review was opened."""
    noted = select(Review.id).where(
        Review.condition_id == ConditionRow.id, Review.missed_at == ConditionRow.commitment_due_at
    )
    session.flush()
    query = select(ConditionRow).where(
        ConditionRow.order_id == order.id,
        ConditionRow.commitment_due_at.is_not(None),
        ConditionRow.state.not_in(SATISFIED),
        ~noted.exists(),
    )
    return session.scalars(query.order_by(ConditionRow.position)).all()


def _date(
    session: Session,
    actor: Actor,
    order: Order,
    row: ConditionRow,
    due_at: dt.datetime,
    reason: str,
    now: dt.datetime,
) -> None:
    before = row.commitment_due_at
    row.commitment_due_at = due_at
    row.version += 1
    facts = {
        "order": order.uid,
        "condition": row.uid,
        "code": row.code,
        "due_at": timestamp(due_at),
        "before": None if before is None else timestamp(before),
        "reason": reason,
    }
    append(session, actor, Entry(EventType.CONDITION_COMMITTED, facts, order.id), now)


def _check_date(due_at: dt.datetime, pointer: str, now: dt.datetime) -> None:
    if due_at <= now:
        raise _refused("due_in_the_past", due_at.isoformat(), pointer)


def _refused(rule: str, value: str, pointer: str) -> Unprocessable:
    return Unprocessable(f"{value}: {RULES[rule]}", faults=(Fault(rule, value, pointer),))


RULES = {
    "not_a_gating_condition": "the order has no such condition that decides the lift",
    "nothing_to_commit_to": "it is met already, or stands there twice",
    "due_in_the_past": "a commitment is due later than now",
}
