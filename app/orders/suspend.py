"""Suspension (buka sementara): an order lets go of its names until a moment, and takes them back if it still stands.

Notice is given before it does. Conditions that are met meanwhile end the order for good, as does whatever else ends
one.
"""

import datetime as dt

from sqlalchemy.orm import Session

from app.errors import Conflict, Fault, Unprocessable
from app.journal.actor import CLOCK, Actor
from app.journal.append import Entry, append, timestamp
from app.journal.events import EventType
from app.orders import exceptions, states
from app.orders.models import Order, OrderState
from app.orders.schemas import Resume, Suspend


def suspend(
    session: Session, actor: Actor, order: Order, command: Suspend, now: dt.datetime, *, notice: dt.timedelta
) -> Order:
    """Open an order's names until a moment; of an order that is suspended, move that moment: the slip is kept.

    Notice of the return is due `notice` before it, or at once where less is left. Raises Conflict where the order is
    neither active nor suspended, or lets go until that very moment already; Unprocessable for a moment that has passed.
    """
    states.require_state(order, OrderState.ACTIVE, OrderState.SUSPENDED)
    exceptions.refuse_alone(order, "suspend")
    if command.until <= now:
        fault = Fault("ends_in_the_past", command.until.isoformat(), "/until")
        raise Unprocessable("that moment has passed: an opening ends later than now", faults=(fault,))
    before = order.suspended_until
    if command.until == before:
        fault = Fault("end_unchanged", command.until.isoformat(), "/until")
        raise Conflict("its opening ends at that moment already: there is nothing to move", faults=(fault,))
    states.revise(order)
    if order.state == OrderState.ACTIVE:
        states.leave_force(session, order, now)
        order.state = OrderState.SUSPENDED
    order.suspended_until = command.until
    order.notice_due_at = max(now, command.until - notice)
    order.due_at = states.next_due(order)
    facts = {
        "order": order.uid,
        "reason": command.reason,
        "until": timestamp(command.until),
        "notice_at": timestamp(order.notice_due_at),
    }
    if before is None:
        append(session, actor, Entry(EventType.ORDER_SUSPENDED, facts, order.id), now)
    else:
        facts["before"] = timestamp(before)
        append(session, actor, Entry(EventType.ORDER_SUSPENSION_MOVED, facts, order.id), now)
    session.flush()
    return order


def resume(session: Session, actor: Actor, order: Order, command: Resume, now: dt.datetime) -> Order:
    """End an opening before its time: the order holds its names again at once."""
    states.require_state(order, OrderState.SUSPENDED)
    assert order.suspended_until is not None
    facts: dict[str, object] = {
        "order": order.uid,
        "reason": command.reason,
        "before": timestamp(order.suspended_until),
    }
    _return(session, actor, order, facts, now)
    session.flush()
    return order


def act(session: Session, order: Order, now: dt.datetime) -> bool:
    """What the clock does on a suspended order: give notice, then let the block return; False where nothing is due.

    Where both fell due while nothing ran, notice is still given first.
    """
    if order.state != OrderState.SUSPENDED:
        return False
    until, notice_due_at = order.suspended_until, order.notice_due_at
    assert until is not None
    if notice_due_at is not None and notice_due_at <= now:
        order.notice_due_at = None
        order.due_at = states.next_due(order)
        facts = {"order": order.uid, "until": timestamp(until), **states.planned_facts(notice_due_at)}
        append(session, CLOCK, Entry(EventType.ORDER_RETURN_NOTICED, facts, order.id), now)
    elif until > now:
        return False
    if until <= now:
        _return(session, CLOCK, order, {"order": order.uid, **states.planned_facts(until)}, now)
    return True


def _return(session: Session, actor: Actor, order: Order, facts: dict[str, object], now: dt.datetime) -> None:
    states.revise(order)
    states.begin(session, order, now)
    append(session, actor, Entry(EventType.ORDER_RESUMED, facts, order.id), now)
