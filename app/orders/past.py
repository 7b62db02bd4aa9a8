"""Orders as they stood at a past moment: state, names, conditions and dates, by what had been recorded until then.

A row says what is so now; the journal says what was so. So a state is that of the last event of its kind, and what an
event said of a date or a mark counts until a later one.
"""

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, and_, case, or_, select
from sqlalchemy.orm import Session

from app.errors import Fault, NotFound, Unprocessable
from app.journal import queries as journal
from app.journal.events import EventType
from app.journal.models import Event
from app.orders import documents, queries, review_queue, reviews, slips, targets, trees
from app.orders.condition_documents import condition_document, tree_document
from app.orders.documents import BLOCKS_SHOWN
from app.orders.models import LEAF, ORDINAL_BITS, ConditionRow, Order, OrderState, Review, TargetRow
from app.orders.queries import OrderFilter
from resolver_policy.conditions import State

MARKS = (
    EventType.CONDITION_CLAIMED,
    EventType.CONDITION_MET,
    EventType.CONDITION_REJECTED,
    EventType.CONDITION_WAIVED,
    EventType.CONDITION_BREACHED,
)
TURNS = {
    EventType.ORDER_PROPOSED: OrderState.PROPOSED,
    EventType.ORDER_REJECTED: OrderState.REJECTED,
    EventType.ORDER_WITHDRAWN: OrderState.WITHDRAWN,
    EventType.ORDER_ACTIVATED: OrderState.ACTIVE,
    EventType.ORDER_RESUMED: OrderState.ACTIVE,
    EventType.ORDER_SUSPENDED: OrderState.SUSPENDED,
    EventType.ORDER_ENDED: OrderState.ENDED,
}
"""The state that an order has from an event on. Approved, it is active, or scheduled where it begins later."""

DECISIONS = (EventType.ORDER_APPROVED, EventType.ORDER_REJECTED, EventType.ORDER_CONFIRMED)


def moment_of(at: dt.datetime | None, now: dt.datetime, pointer: str = "/at") -> dt.datetime:
    """The moment that is asked about; raises Unprocessable for one that is still to come: nobody knows what will be."""
    if at is None:
        return now
    if at > now:
        raise Unprocessable("that moment is still to come", faults=(Fault("future", at.isoformat(), pointer),))
    return at


def marked(events: Sequence[Event]) -> dict[str, str]:
    """The state of each condition that the events speak of; a proposal that undoes a lift begins with its states."""
    states: dict[str, str] = {}
    for event in events:
        facts = json.loads(event.body)["facts"]
        if event.type == EventType.ORDER_PROPOSED:
            states |= facts.get("condition_states", {})
        elif event.type in MARKS:
            states[facts["code"]] = facts["state"]
    return states


def orders(
    session: Session, narrowed: OrderFilter, at: dt.datetime, *, after: int, limit: int
) -> Sequence[tuple[Order, str]]:
    """Orders that had been proposed by a moment, with the state that each had, behind a database id, oldest first."""
    query = select(Order, state_at(at)).where(Order.id > after, *_narrowed(narrowed, at))
    return [(order, state) for order, state in session.execute(query.order_by(Order.id).limit(limit))]


def blocks(
    session: Session, narrowed: OrderFilter, at: dt.datetime | None, *, after: int, limit: int
) -> Sequence[tuple[Order, str, TargetRow]]:
    """Targets with their orders and the state that those have, or had; behind a target's id, oldest order first.

    Orders are looked at first, as many as fill the page: an order that is not asked for costs nothing, however many
    names it has.
    """
    found: list[tuple[Order, str, TargetRow]] = []
    order_id = after >> ORDINAL_BITS
    while len(found) < limit:
        behind = order_id - 1
        some = (
            [(order, order.state) for order in queries.orders(session, narrowed, after=behind, limit=limit)]
            if at is None
            else orders(session, narrowed, at, after=behind, limit=limit)
        )
        for order, state in some:
            rows = select(TargetRow).where(targets.of_order(order.id), TargetRow.id > after).order_by(TargetRow.id)
            found += [(order, state, row) for row in session.scalars(rows.limit(limit - len(found)))]
            if len(found) >= limit:
                return found
        if len(some) < limit:
            return found
        order_id = some[-1][0].id + 1
    return found


def state_at(at: dt.datetime) -> ColumnElement[str]:
    """The state of an order at a moment, in a query of orders; null before it was proposed."""
    last = (
        select(Event.type)
        .where(
            Event.order_id == Order.id,
            Event.recorded_at <= at,
            Event.type.in_([*TURNS, EventType.ORDER_APPROVED]),
        )
        .order_by(Event.seq.desc())
        .limit(1)
        .correlate(Order)
        .scalar_subquery()
    )
    later = and_(Order.effective_at.is_not(None), Order.effective_at > Order.decided_at)
    approved = case((later, str(OrderState.SCHEDULED)), else_=str(OrderState.ACTIVE))
    turns = [(last == type_, str(state)) for type_, state in TURNS.items()]
    return case((last == EventType.ORDER_APPROVED, approved), *turns)


def summary(session: Session, order: Order, state: str, at: dt.datetime) -> dict[str, Any]:
    """An order without its names and conditions, as it stood. Its version is null: no act goes by what is past."""
    return {
        **documents.order_summary(order),
        "emergency": documents.emergency_document(order, at),
        "state": state,
        "version": None,
        "at": at,
        **_dates(session, order, journal.of_orders(session, [order.id], until=at), at),
    }


def document(session: Session, uid: str, at: dt.datetime) -> dict[str, Any]:
    """An order with its blocks (the first 1,000) and its conditions, as it stood; raises NotFound where nobody had
    proposed it yet."""
    order = queries.order_by_uid(session, uid)
    state = session.scalar(select(state_at(at)).where(Order.id == order.id))
    if state is None:
        raise NotFound(f"there was no order {uid[:60]} yet at that moment")
    rows, events = trees.rows_of(session, order.id), journal.of_orders(session, [order.id], until=at)
    some = select(TargetRow).where(targets.of_order(order.id)).order_by(TargetRow.id).limit(BLOCKS_SHOWN)
    shown = session.scalars(some).all()
    moves = [each for each in slips.of(session, order) if each["recorded_at"] <= at]
    return {
        **summary(session, order, state, at),
        "blocks": [block(order, state, row, at) for row in shown],
        "blocks_left_out": order.targets_count - len(shown),
        "conditions": _conditions(session, order, rows, events),
        "condition_tree": tree_document(trees.tree_of(rows)) if rows else None,
        "slips": moves,
        "end_proposed": _end_proposed(events),
        "undoes_id": None if order.undoes_id is None else session.get_one(Order, order.undoes_id).uid,
    }


def block(order: Order, state: str, row: TargetRow, at: dt.datetime | None) -> dict[str, Any]:
    """One order's hold on one target, as it was at a moment, or is."""
    released = row.released_at if at is None or (row.released_at is not None and row.released_at <= at) else None
    return {
        **documents.block_document(order, row),
        "state": state if released is None else "released",
        "released_at": released,
    }


def reviews_at(
    session: Session, at: dt.datetime, *, open_only: bool, order_uid: str | None, after: int, limit: int
) -> Sequence[tuple[int, dict[str, Any]]]:
    """Reviews that had been opened by a moment, as they stood, with their database ids."""
    query = select(Review).where(Review.id > after, Review.opened_at <= at)
    if open_only:
        query = query.where(or_(Review.closed_at.is_(None), Review.closed_at > at))
    if order_uid is not None:
        query = query.where(Review.order_id == select(Order.id).where(Order.uid == order_uid).scalar_subquery())
    rows = session.scalars(query.order_by(Review.id).limit(limit)).all()
    return [(row.id, _review(session, row, at)) for row in rows]


def _review(session: Session, row: Review, at: dt.datetime) -> dict[str, Any]:
    said = reviews.document(session, row)
    states = marked(journal.of_orders(session, [row.order_id], until=at))
    condition = {**said["condition"], "state": states.get(said["condition"]["code"], str(State.PENDING))}
    known = {**said, "version": None, "at": at, "condition": condition}
    if row.closed_at is None or row.closed_at <= at:
        return known
    closing = dict.fromkeys(("closed_at", "decision", "decision_reason", "new_order_id"))
    return {**known, **closing, "state": "open"}


def _narrowed(narrowed: OrderFilter, at: dt.datetime) -> Iterator[ColumnElement[bool]]:
    """The filters of lists, asked of the past: the state is the one that it had."""
    yield Order.proposed_at <= at
    yield from queries.conditions_of(replace(narrowed, state=None))
    if narrowed.state is not None:
        yield state_at(at) == narrowed.state


def _dates(session: Session, order: Order, events: Sequence[Event], at: dt.datetime) -> dict[str, Any]:
    """What acts had added to an order by then."""
    review = review_queue.at(session, order, at)
    found: dict[str, Any] = {
        "decided_at": None,
        "lift_planned": None,
        "suspended_until": None,
        "ended_at": None,
        "ground": None,
        "document": None,
        "review_at": review["due_at"],
        "stale_since": review["stale_since"],
    }
    for event in events:
        facts = json.loads(event.body)["facts"]
        if event.type in DECISIONS:
            found["decided_at"] = event.recorded_at
        elif event.type == EventType.ORDER_LIFT_PLANNED:
            found["lift_planned"] = {"ground": facts["ground"], "at": _moment(facts["at"])}
        elif event.type in {EventType.ORDER_SUSPENDED, EventType.ORDER_SUSPENSION_MOVED}:
            found["suspended_until"] = _moment(facts["until"])
        elif event.type == EventType.ORDER_RESUMED:
            found["suspended_until"] = None
        elif event.type == EventType.ORDER_ENDED:
            found |= {"ended_at": event.recorded_at, "ground": facts["ground"], "suspended_until": None}
            found["document"] = order.lift_document
    return found


def _conditions(
    session: Session, order: Order, rows: list[ConditionRow], events: Sequence[Event]
) -> list[dict[str, Any]]:
    """Conditions as they stood: their states, who fulfilled them, until when they were promised. A proposal that undoes
    a lift begins with those of the order that was lifted."""
    states, kept = marked(events), {"delegate": None, "commitment_due_at": None}
    said = {str(row.code): {**condition_document(row, rows), **kept} for row in rows if row.op == LEAF}
    if order.undoes_id is not None:
        undone = document(session, session.get_one(Order, order.undoes_id).uid, order.proposed_at)
        for each in undone["conditions"]:
            said[each["code"]] |= {field: each[field] for field in kept}
    for event in events:
        facts = json.loads(event.body)["facts"]
        if event.type == EventType.CONDITION_CLAIMED:
            said[facts["code"]]["delegate"] = _delegate(facts.get("delegate"))
        elif event.type == EventType.CONDITION_COMMITTED:
            said[facts["code"]]["commitment_due_at"] = _moment(facts["due_at"])
    return [{**each, "state": states.get(code, str(State.PENDING)), "version": None} for code, each in said.items()]


def _delegate(told: dict[str, str] | None) -> dict[str, Any] | None:
    if told is None:
        return None
    return {**told, **{field: _moment(told[field]) for field in ("valid_from", "valid_until")}}


def _end_proposed(events: Sequence[Event]) -> dict[str, Any] | None:
    """The end of an exception that one approver had proposed, and another had not brought about or replaced yet."""
    found = None
    for event in events:
        if event.type == EventType.ORDER_END_PROPOSED:
            facts = json.loads(event.body)["facts"]
            found = {"by": event.actor, "ground": facts["ground"], "targets": facts["targets"]}
        elif event.type in {EventType.ORDER_LIFTED_IN_PART, EventType.ORDER_ENDED}:
            found = None
    return found


def _moment(text: str | None) -> dt.datetime | None:
    return None if text is None else dt.datetime.fromisoformat(text)
