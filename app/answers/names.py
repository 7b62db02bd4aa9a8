"""What holds for a name at a moment, read from intervals and the journal, never from rows that may have changed."""

import datetime as dt
import json
from collections.abc import Sequence
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


@dataclass(frozen=True, slots=True)
class Holder:
    """An order that held a target over the name, and what was known of it at that moment."""

    order: Order
    target: TargetRow
    since: dt.datetime
    left: tuple[ConditionRow, ...]
    lift_planned: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Answer:
    """Everything about one name at one moment: who held it, nearest first, and who had held it before."""

    name: str
    at: dt.datetime
    blocked: bool
    holders: tuple[Holder, ...]
    exceptions: tuple[Holder, ...]
    lifted: tuple[tuple[Order, dt.datetime], ...]


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
        _lifted(session, key, at),
    )


def history(session: Session, text: str) -> Sequence[Event]:
    """All events of every order that has ever named this name or a subtree above it, oldest first."""
    key = names.sort_key(names.canonical(text))
    query = select(TargetRow.order_id).join(Order, Order.id == TargetRow.order_id)
    ids = set(session.scalars(query.where(targets.covers(key), Order.state != OrderState.IMPORTING)))
    return journal.of_orders(session, sorted(ids))


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


def _lifted(session: Session, key: str, at: dt.datetime) -> tuple[tuple[Order, dt.datetime], ...]:
    """Orders that had covered the name and had let go of it, latest first, with the moment."""
    query = (
        select(Order, TargetRow.released_at, InForce.ended_at)
        .join(TargetRow, TargetRow.order_id == Order.id)
        .join(InForce, InForce.order_id == Order.id)
        .where(targets.covers(key), Order.kind == OrderKind.BLOCK, InForce.began_at <= at)
    )
    gone = {}
    for order, released_at, ended_at in session.execute(query):
        ends = [moment for moment in (released_at, ended_at) if moment is not None and moment <= at]
        if ends:
            gone[order.id] = (order, min(ends))
    return tuple(sorted(gone.values(), key=lambda row: row[1], reverse=True))
