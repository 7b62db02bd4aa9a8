"""How an order moves from state to state, and the moment at which the clock must next look at it."""

import datetime as dt
import json
from collections.abc import Iterator, Sequence

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.errors import Conflict
from app.journal.actor import Actor
from app.journal.append import Entry, append, timestamp
from app.journal.events import EventType
from app.orders import commitments, incidents, touched
from app.orders.models import Ground, InForce, Order, OrderState

STANDING = (OrderState.SCHEDULED, OrderState.ACTIVE, OrderState.SUSPENDED)
"""States of an order that was approved and has not ended."""


def require_state(order: Order, *states: OrderState) -> None:
    """Raise Conflict (`state_conflict`) unless the order is in one of these states."""
    if order.state not in states:
        wanted = " or ".join(states)
        raise Conflict(f"order {order.number or order.uid} is {order.state}; this needs one that is {wanted}")


def revise(order: Order) -> None:
    """Count an act on an order: whoever was shown the version before must look again."""
    order.version += 1


def begin(session: Session, order: Order, now: dt.datetime) -> None:
    """Put an order in force, or back in force: its targets count from this transaction on."""
    order.state = OrderState.ACTIVE
    order.suspended_until = order.notice_due_at = None
    order.due_at = next_due(order)
    session.add(InForce(order_id=order.id, began_at=now, ended_at=None))
    touched.order(session, order, now)


def end(
    session: Session,
    actor: Actor,
    order: Order,
    ground: Ground,
    now: dt.datetime,
    *,
    facts: dict[str, object],
    decided_by_id: int | None = None,
) -> None:
    """Lift: end an order on a ground, with everything it holds, in the transaction of whatever brought it about.

    There is no other way for an order to end. `decided_by_id` is who decided what the clock now does. An order that
    brought back a part of this one ends with it.
    """
    revise(order)
    if ground is not Ground.EMERGENCY_LAPSED:  # whoever takes their own word back lifts nothing
        order.ended_by_id = decided_by_id if actor.principal_id is None else actor.principal_id
    if order.state == OrderState.ACTIVE:
        leave_force(session, order, now)
    order.state = OrderState.ENDED
    order.suspended_until = order.notice_due_at = None
    order.ground = ground
    order.ended_at = now
    commitments.look(session, order)
    if ground == Ground.WRONG_BLOCK:
        incidents.record(session, actor, order, order.targets_count, facts.get("reason"), now)
    entry = Entry(EventType.ORDER_ENDED, {"order": order.uid, "ground": str(ground), **facts}, order.id)
    append(session, actor, entry, now)
    for part in parts(session, order):
        part.end_proposed_by_id, part.lift_document = order.end_proposed_by_id, order.lift_document
        end(session, actor, part, ground, now, facts={**facts, "with": order.uid}, decided_by_id=decided_by_id)


def parts(session: Session, order: Order) -> Sequence[Order]:
    """The orders in force that brought back a part of an order."""
    of_this = select(Order).where(Order.undoes_id == order.id, Order.state.in_(STANDING))
    return session.scalars(of_this).all()


def with_parts(session: Session, order: Order) -> Iterator[Order]:
    """An order, and the orders in force that brought back a part of it, of such a part, and so on."""
    yield order
    for part in parts(session, order):
        yield from with_parts(session, part)


def with_wholes(session: Session, order: Order) -> Iterator[Order]:
    """An order, the one that it brings back a part of, the one that that is a part of, and so on."""
    yield order
    if order.undoes_id is not None:
        yield from with_wholes(session, session.get_one(Order, order.undoes_id))


def leave_force(session: Session, order: Order, now: dt.datetime) -> None:
    """Take an active order out of force, for good or for a while: its targets no longer count."""
    open_interval = (InForce.order_id == order.id, InForce.ended_at.is_(None))
    session.execute(update(InForce).where(*open_interval).values(ended_at=now))
    touched.order(session, order, now)


def next_due(order: Order) -> dt.datetime | None:
    """When the clock must act on an order next: begin it, lift it as planned, or let it expire."""
    if order.state == OrderState.SCHEDULED:
        return _earliest(order.effective_at, order.lift_planned_at, expiry(order))
    if order.state == OrderState.ACTIVE:
        return _earliest(order.lift_planned_at, expiry(order), lapse(order))
    if order.state == OrderState.SUSPENDED:
        return _earliest(order.notice_due_at, order.suspended_until, order.lift_planned_at, expiry(order), lapse(order))
    return None


def expiry(order: Order) -> dt.datetime | None:
    """When an order ends by itself: its own date, or that of its override, whichever comes first."""
    override_end = (
        None if order.override is None else dt.datetime.fromisoformat(json.loads(order.override)["expires_at"])
    )
    return _earliest(order.expires_at, override_end)


def lapse(order: Order) -> dt.datetime | None:
    """When an emergency order ends unless somebody confirms it before; None for any other, and once confirmed."""
    return order.lapses_at if order.approved_by_id is None else None


def due_orders(session: Session, now: dt.datetime) -> list[int]:
    """Ids of orders on which the clock must act, longest overdue first."""
    query = select(Order.id).where(Order.due_at <= now).order_by(Order.due_at, Order.id)
    return list(session.scalars(query))


def planned_facts(due_at: dt.datetime) -> dict[str, object]:
    """What an act of the clock adds to its event: the moment it had been due."""
    return {"due_at": timestamp(due_at)}


def _earliest(*moments: dt.datetime | None) -> dt.datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)
