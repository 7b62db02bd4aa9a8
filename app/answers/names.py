"""What holds for a name at a moment, read from intervals and the journal, never from rows that may have changed."""

import datetime as dt
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.journal import queries as journal
from app.journal.events import EventType
from app.journal.models import Event
from app.orders import marks, targets
from app.orders.models import ConditionRow, InForce, Order, OrderKind, OrderState, TargetRow
from app.orders.targets import Held
from resolver_policy import conditions, names
from resolver_policy.conditions import State
from resolver_policy.targets import Decision

MARKS = (
    EventType.CONDITION_CLAIMED,
    EventType.CONDITION_MET,
    EventType.CONDITION_REJECTED,
    EventType.CONDITION_WAIVED,
)

ENDS = (EventType.ORDER_LIFTED_IN_PART, EventType.ORDER_ENDED)


@dataclass(frozen=True, slots=True)
class Holder:
    """An order that held a target over the name, and what was known of it at that moment."""

    order: Order
    target: TargetRow
    since: dt.datetime
    left: tuple[ConditionRow, ...]
    lift_planned: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Lifted:
    """An order that had let go of the name, when, and on what ground."""

    order: Order
    at: dt.datetime
    ground: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Everything about one name at one moment: who held it, nearest first, and who had held it before."""

    name: str
    at: dt.datetime
    blocked: bool
    holders: tuple[Holder, ...]
    exceptions: tuple[Holder, ...]
    lifted: tuple[Lifted, ...]


def explain(session: Session, text: str, at: dt.datetime) -> Answer:
    """What Pulih had recorded and decided for a name at `at`; raises PolicyError for text that is no name."""
    name = names.canonical(text)
    key = names.sort_key(name)
    held = targets.cover_at(session, key, at)
    holders = [_holder(session, each, at) for each in held]
    return Answer(
        name,
        at,
        targets.decision_of(name, held) is Decision.BLOCK,
        tuple(holder for holder in holders if holder.order.kind == OrderKind.BLOCK),
        tuple(holder for holder in holders if holder.order.kind == OrderKind.EXCEPTION),
        _lifted(session, key, at, {each.order.id for each in held}),
    )


def history(session: Session, text: str, *, after: int, limit: int) -> Sequence[Event]:
    """A page of the events of every order that has ever named this name or a subtree above it, oldest first."""
    key = names.sort_key(names.canonical(text))
    orders = select(TargetRow.order_id).join(Order, Order.id == TargetRow.order_id)
    named = orders.where(targets.covers(key), Order.state != OrderState.IMPORTING)
    return journal.page_of_orders(session, named, after=after, limit=limit)


def _holder(session: Session, held: Held, at: dt.datetime) -> Holder:
    order = held.order
    events = journal.of_orders(session, [order.id], until=at)
    since = select(InForce.began_at).where(InForce.order_id == order.id, InForce.began_at <= at)
    began_at = session.scalars(since.order_by(InForce.began_at.desc()).limit(1)).one()
    return Holder(order, held.target, began_at, _left(session, order, events), _lift_planned(events))


def _left(session: Session, order: Order, events: Sequence[Event]) -> tuple[ConditionRow, ...]:
    """The conditions that were still to be met, by the marks recorded up to then."""
    rows = marks.rows_of(session, order.id)
    if not rows:
        return ()
    states: dict[str, str] = {row.code: State.PENDING for row in rows if row.code is not None}
    for event in events:
        if event.type in MARKS:
            facts = json.loads(event.body)["facts"]
            states[facts["code"]] = facts["state"]
    left = conditions.judge(marks.tree_of(rows), states).left
    return tuple(row for row in rows if row.code in left)


def _lift_planned(events: Sequence[Event]) -> dict[str, Any] | None:
    plans = [json.loads(event.body)["facts"] for event in events if event.type == EventType.ORDER_LIFT_PLANNED]
    return {"ground": plans[-1]["ground"], "at": plans[-1]["at"]} if plans else None


def _lifted(session: Session, key: str, at: dt.datetime, holding: Collection[int]) -> tuple[Lifted, ...]:
    """Orders that had covered the name and had let go of it wholly, latest first."""
    query = (
        select(Order, TargetRow, InForce)
        .join(TargetRow, TargetRow.order_id == Order.id)
        .join(InForce, InForce.order_id == Order.id)
        .where(targets.covers(key), Order.kind == OrderKind.BLOCK, InForce.began_at <= at, Order.id.not_in(holding))
    )
    gone: dict[int, tuple[Order, TargetRow, dt.datetime]] = {}
    for order, target, interval in session.execute(query):
        ends = [moment for moment in (target.released_at, interval.ended_at) if moment is not None and moment <= at]
        if not ends or min(ends) < interval.began_at:
            continue
        if order.id not in gone or gone[order.id][2] < min(ends):
            gone[order.id] = order, target, min(ends)
    grounds = _grounds(session, gone, at)
    lifted = [
        Lifted(order, end, _ground(grounds.get(order.id, ()), order, target)) for order, target, end in gone.values()
    ]
    return tuple(sorted(lifted, key=lambda row: row.at, reverse=True))


def _grounds(session: Session, order_ids: Collection[int], at: dt.datetime) -> Mapping[int | None, list[Event]]:
    """The events that let go of something, of all these orders in one query, oldest first."""
    found: dict[int | None, list[Event]] = {}
    for event in journal.of_orders(session, order_ids, until=at, types=ENDS) if order_ids else ():
        found.setdefault(event.order_id, []).append(event)
    return found


def _ground(events: Sequence[Event], order: Order, target: TargetRow) -> str:
    """On what ground a target was let go of, as it had been recorded by then."""
    released = {"name": names.from_key(target.key), "match": str(targets.MATCHES[target.match])}
    for event in events:
        facts = json.loads(event.body)["facts"]
        if event.type == EventType.ORDER_ENDED or released in facts["targets"]:
            return str(facts["ground"])
    raise LookupError(f"order {order.uid} let go of {target.key}, and no event says why")
