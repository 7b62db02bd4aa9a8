"""Emergency orders: one person's word blocks at once, within narrow limits, until another confirms it or it lapses."""

import datetime as dt
from collections.abc import Sequence
from typing import NoReturn

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from app.errors import Conflict, Fault, Forbidden, Unprocessable
from app.journal.actor import Actor
from app.journal.append import Entry, append, timestamp
from app.journal.events import EventType
from app.orders import states, targets
from app.orders.models import Ground, Order, OrderKind, OrderState, TargetRow
from app.orders.schemas import OrderBody, ProposeOrder, ProposeSample, Withdraw
from resolver_policy import names

NAMES = 10
"""Names that one emergency order may hold; the database refuses more as well."""

NAMES_A_PERSON = 50
WINDOW = dt.timedelta(hours=24)
"""One person's emergency orders of any such stretch of time hold that many names together, by whatever tokens."""

Rows = Sequence[tuple[str, int]]
"""(key, match code) of targets."""


def check(session: Session, actor: Actor, command: ProposeOrder | ProposeSample, rows: Rows, now: dt.datetime) -> None:
    """Raise Unprocessable (`emergency_limit`) for more than one person may block on their own word."""
    if len(rows) > NAMES:
        _refuse("emergency_names", str(len(rows)), "/targets", f"an emergency order holds at most {NAMES} names")
    if command.override is not None:
        _refuse("emergency_override", None, "/override", "an emergency order overrides nothing")
    if command.effective_at is not None and command.effective_at > now:
        begins = command.effective_at.isoformat()
        _refuse(
            "emergency_at_once", begins, "/effective_at", "an emergency order acts at once; propose a block instead"
        )
    _check_window(session, actor, len(rows), now)
    for key, match in rows:
        _check_exceptions(session, key)
        _check_again(session, actor, key, match)


def refuse_list(command: OrderBody) -> NoReturn:
    """Lists are for orders of many names."""
    _refuse("emergency_names", command.number, "/kind", f"an emergency order names its targets, at most {NAMES}")


def begin(session: Session, actor: Actor, order: Order, now: dt.datetime) -> None:
    """Put an emergency order in force on the word of whoever issued it."""
    assert order.lapses_at is not None
    states.revise(order)
    states.begin(session, order, now)
    facts = {"order": order.uid, "emergency": True, "lapses_at": timestamp(order.lapses_at)}
    append(session, actor, Entry(EventType.ORDER_ACTIVATED, facts, order.id), now)
    session.flush()


def require_unconfirmed(order: Order, now: dt.datetime) -> None:
    """Raise Conflict unless this is an emergency order in force that nobody confirmed yet, and its time is not over."""
    if order.kind != OrderKind.EMERGENCY:
        raise Conflict(f"order {order.number} is no emergency order: it is approved, not confirmed")
    states.require_state(order, OrderState.ACTIVE)
    if order.approved_by_id is not None or order.lapses_at is None:
        raise Conflict(f"order {order.number} has been confirmed already")
    if now >= order.lapses_at:
        raise Conflict(f"order {order.number} lapsed at {timestamp(order.lapses_at)}")


def record_confirmation(
    session: Session, actor: Actor, order: Order, reason: str, plan_hash: str | None, now: dt.datetime
) -> None:
    """Let an emergency order stand: from now on it ends as any other."""
    states.revise(order)
    order.approved_by_id, order.decided_at, order.plan_seen = actor.principal_id, now, plan_hash is not None
    order.due_at = states.next_due(order)
    facts = {"order": order.uid, "emergency": True, "reason": reason, "plan_hash": plan_hash}
    append(session, actor, Entry(EventType.ORDER_CONFIRMED, facts, order.id), now)
    session.flush()


def take_back(session: Session, actor: Actor, order: Order, command: Withdraw, now: dt.datetime) -> Order:
    """Whoever issued it lets it lapse at once; raises Forbidden for anybody else."""
    if actor.principal_id != order.proposed_by_id:
        raise Forbidden("only whoever issued an emergency order withdraws it; an approver lifts it")
    require_unconfirmed(order, now)
    facts: dict[str, object] = {"reason": command.reason, "withdrawn": True}
    states.end(session, actor, order, Ground.EMERGENCY_LAPSED, now, facts=facts)
    session.flush()
    return order


def _check_window(session: Session, actor: Actor, count: int, now: dt.datetime) -> None:
    before = select(func.coalesce(func.sum(Order.targets_count), 0)).where(
        Order.proposed_by_id == actor.principal_id,
        Order.proposed_at > now - WINDOW,
        Order.kind == OrderKind.EMERGENCY,
        Order.state != OrderState.IMPORTING,
    )
    used = int(session.execute(before).scalar_one())  # PostgreSQL sums to a decimal
    if used + count > NAMES_A_PERSON:
        why = f"{actor.name} blocked {used} names by emergency orders in 24 hours; {NAMES_A_PERSON} are allowed"
        _refuse("emergency_window", str(used + count), "/targets", why)


def _check_exceptions(session: Session, key: str) -> None:
    """An exception that two people decided on stands: no emergency order closes what it opens."""
    kept = (
        select(Order.number)
        .join(TargetRow, TargetRow.order_id == Order.id)
        .where(targets.covers(key), targets.is_active(), Order.kind == OrderKind.EXCEPTION)
        .limit(1)
    )
    number = session.scalar(kept)
    if number is not None:
        name = names.from_key(key)
        _refuse("emergency_override", name, "/targets", f"exception {number} keeps {name} open")


def _check_again(session: Session, actor: Actor, key: str, match: int) -> None:
    """What lapsed needs a proposal the next time: else one person would block for ever, order by order."""
    overlap = _overlapping(key, match)
    earlier = (
        select(Order.number)
        .join(TargetRow, TargetRow.order_id == Order.id)
        .where(overlap, Order.kind == OrderKind.EMERGENCY, Order.proposed_by_id == actor.principal_id)
        .where(Order.approved_by_id.is_(None), Order.state != OrderState.IMPORTING)
        .limit(1)
    )
    number = session.scalar(earlier)
    if number is not None:
        name = names.from_key(key)
        why = f"emergency order {number} of {actor.name} held {name} and nobody confirmed it: propose a block"
        _refuse("emergency_again", name, "/targets", why)


def _overlapping(key: str, match: int) -> ColumnElement[bool]:
    if match == targets.EXACT:
        return targets.covers(key)
    return or_(targets.covers(key), and_(TargetRow.key > key, TargetRow.key < names.subtree_end(key)))


def _refuse(rule: str, value: str | None, pointer: str, why: str) -> NoReturn:
    raise Unprocessable(why, code="emergency_limit", faults=(Fault(rule, value, pointer),))
