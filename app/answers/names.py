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
from app.orders import targets, trees
from app.orders.models import ConditionRow, Ground, InForce, Order, OrderKind, OrderState, TargetRow
from app.orders.past import MARKS, marked
from app.orders.targets import Held
from resolver_policy import conditions, names
from resolver_policy.conditions import State, Tree
from resolver_policy.targets import Decision

ENDS = (EventType.ORDER_LIFTED_IN_PART, EventType.ORDER_ENDED)
OPENINGS = (EventType.ORDER_SUSPENDED, EventType.ORDER_SUSPENSION_MOVED, EventType.ORDER_RETURN_NOTICED)
OF_AN_ORDER_THAT_LET_GO = (*ENDS, *OPENINGS, *MARKS, EventType.CONDITION_COMMITTED, EventType.ORDER_PROPOSED)


@dataclass(frozen=True, slots=True)
class Holder:
    """An order that held a target over the name, and what was known of it at that moment."""

    order: Order
    target: TargetRow
    since: dt.datetime
    left: tuple[ConditionRow, ...]
    unmet: Tree | None
    lift_planned: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Lifted:
    """An order that had let go of the name, when, on what ground, and what it had left to be done."""

    order: Order
    at: dt.datetime
    ground: str
    commitments: tuple[dict[str, Any], ...]
    waived: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Suspended:
    """An order that had let go of the name for a while: since when, until when, and when notice was given of that."""

    order: Order
    since: dt.datetime
    until: str
    noticed_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Answer:
    """Everything about one name at one moment: who held it, nearest first, who had let go of it for a while, and who
    had held it before."""

    name: str
    at: dt.datetime
    blocked: bool
    holders: tuple[Holder, ...]
    exceptions: tuple[Holder, ...]
    suspended: tuple[Suspended, ...]
    lifted: tuple[Lifted, ...]


def explain(session: Session, text: str, at: dt.datetime) -> Answer:
    """What Pulih had recorded and decided for a name at `at`; raises PolicyError for text that is no name."""
    name = names.canonical(text)
    key = names.sort_key(name)
    held = targets.cover_at(session, key, at)
    holders = [_holder(session, each, at) for each in held]
    suspended, lifted = _gone(session, key, at, {each.order.id for each in held})
    return Answer(
        name,
        at,
        targets.decision_of(name, held) is Decision.BLOCK,
        tuple(holder for holder in holders if holder.order.kind != OrderKind.EXCEPTION),
        tuple(holder for holder in holders if holder.order.kind == OrderKind.EXCEPTION),
        suspended,
        lifted,
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
    left, unmet = _left(session, order, events)
    return Holder(order, held.target, began_at, left, unmet, _lift_planned(events))


def _left(session: Session, order: Order, events: Sequence[Event]) -> tuple[tuple[ConditionRow, ...], Tree | None]:
    """The conditions that were still to be met, by the marks recorded up to then; and the tree in which they stand."""
    rows = trees.rows_of(session, order.id)
    if not rows:
        return (), None
    states = {row.code: str(State.PENDING) for row in rows if row.code is not None} | marked(events)
    tree = trees.tree_of(rows)
    left = conditions.judge(tree, states).left
    return tuple(row for row in rows if row.code in left), conditions.unmet(tree, states)


def _lift_planned(events: Sequence[Event]) -> dict[str, Any] | None:
    plans = [json.loads(event.body)["facts"] for event in events if event.type == EventType.ORDER_LIFT_PLANNED]
    return {"ground": plans[-1]["ground"], "at": plans[-1]["at"]} if plans else None


def _gone(
    session: Session, key: str, at: dt.datetime, holding: Collection[int]
) -> tuple[tuple[Suspended, ...], tuple[Lifted, ...]]:
    """Orders that had covered the name and had let go of it, for a while or wholly, latest first.

    An order that had begun, does not hold the name, has not ended and has not released it is suspended.
    """
    query = (
        select(Order, TargetRow, InForce)
        .join(TargetRow, TargetRow.order_id == Order.id)
        .join(InForce, InForce.order_id == Order.id)
        .where(targets.covers(key), Order.kind != OrderKind.EXCEPTION, InForce.began_at <= at, Order.id.not_in(holding))
    )
    open_: dict[int, tuple[Order, dt.datetime]] = {}
    gone: dict[int, tuple[Order, TargetRow, dt.datetime]] = {}
    for order, target, interval in session.execute(query):
        ends = [moment for moment in (target.released_at, order.ended_at) if moment is not None and moment <= at]
        if not ends:
            assert interval.ended_at is not None
            open_[order.id] = order, max(interval.ended_at, open_.get(order.id, (order, interval.ended_at))[1])
        elif min(ends) >= interval.began_at and (order.id not in gone or gone[order.id][2] < min(ends)):
            gone[order.id] = order, target, min(ends)
    events = _events(session, {*open_, *gone}, at)
    suspended = (_suspended(order, since, events[order.id]) for order, since in open_.values())
    lifted = (_lifted(order, target, end, events[order.id]) for order, target, end in gone.values())
    return (
        tuple(sorted(suspended, key=lambda row: row.since, reverse=True)),
        tuple(sorted(lifted, key=lambda row: row.at, reverse=True)),
    )


def _events(session: Session, order_ids: Collection[int], at: dt.datetime) -> Mapping[int | None, list[Event]]:
    """What answers tell of orders that let go of something, of all of them in one query, oldest first."""
    found: dict[int | None, list[Event]] = {}
    for event in journal.of_orders(session, order_ids, until=at, types=OF_AN_ORDER_THAT_LET_GO) if order_ids else ():
        found.setdefault(event.order_id, []).append(event)
    return found


def _suspended(order: Order, since: dt.datetime, events: Sequence[Event]) -> Suspended:
    """How long an order lets go, as it had been recorded by then; notice of an end that was moved since is none."""
    openings = [event for event in events if event.type in OPENINGS]
    noticed = openings[-1].type == EventType.ORDER_RETURN_NOTICED
    until = json.loads(openings[-1].body)["facts"]["until"]
    return Suspended(order, since, until, openings[-1].recorded_at if noticed else None)


def _lifted(order: Order, target: TargetRow, at: dt.datetime, events: Sequence[Event]) -> Lifted:
    ground = _ground(events, order, target)
    waived = tuple(_waived(events)) if ground == Ground.CONDITIONS_MET else ()
    dates = [json.loads(event.body)["facts"] for event in events if event.type == EventType.CONDITION_COMMITTED]
    if ground != Ground.SOLUTION_INDICATED or order.ended_at != at:
        return Lifted(order, at, ground, (), waived)
    states = marked(events)
    latest = {facts["code"]: facts["due_at"] for facts in dates}
    commitments = (
        {"code": code, "due_at": due_at, "state": states.get(code, State.PENDING)} for code, due_at in latest.items()
    )
    return Lifted(order, at, ground, tuple(commitments))


def _waived(events: Sequence[Event]) -> Sequence[str]:
    """Conditions that were set aside among those that satisfied the tree of an order: they were not met."""
    ended = [json.loads(event.body)["facts"] for event in events if event.type == EventType.ORDER_ENDED]
    return ended[-1].get("waived", ()) if ended else ()


def _ground(events: Sequence[Event], order: Order, target: TargetRow) -> str:
    """On what ground a target was let go of, as it had been recorded by then."""
    released = {"name": names.from_key(target.key), "match": str(targets.MATCHES[target.match])}
    for event in events:
        if event.type in ENDS:
            facts = json.loads(event.body)["facts"]
            if event.type == EventType.ORDER_ENDED or released in facts["targets"]:
                return str(facts["ground"])
    raise LookupError(f"order {order.uid} let go of {target.key}, and no event says why")
