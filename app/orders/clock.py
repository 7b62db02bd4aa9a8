"""Acts that fall due: orders that begin, planned lifts, expiries; also those that fell due while nothing ran."""

import datetime as dt

from sqlalchemy.orm import Session

from app.journal.actor import CLOCK
from app.journal.append import Entry, append
from app.journal.events import EventType
from app.orders import states
from app.orders.models import Ground, Order, OrderState


def act(session: Session, order: Order, now: dt.datetime) -> bool:
    """Do what is due on an order at `now`; False where nothing is (any more).

    An order that should have begun and ended while the service was down never begins: a lift always wins.
    """
    ending = _due_ending(order, now)
    if ending is not None:
        ground, due_at = ending
        states.end(session, CLOCK, order, ground, now, facts=states.planned_facts(due_at))
        return True
    if order.state == OrderState.SCHEDULED and order.effective_at is not None and order.effective_at <= now:
        facts = {"order": order.uid, **states.planned_facts(order.effective_at)}
        states.revise(order)
        states.begin(session, order, now)
        append(session, CLOCK, Entry(EventType.ORDER_ACTIVATED, facts, order.id), now)
        return True
    return False


def run_due(session: Session, now: dt.datetime) -> int:
    """Do everything that is due at `now`, and say how many acts that was."""
    acts = 0
    for order_id in states.due_orders(session, now):
        order = session.get(Order, order_id, with_for_update=True)
        acts += order is not None and act(session, order, now)
    return acts


def _due_ending(order: Order, now: dt.datetime) -> tuple[Ground, dt.datetime] | None:
    if order.state not in {OrderState.SCHEDULED, OrderState.ACTIVE}:
        return None
    if order.lift_planned_at is not None and order.lift_planned_at <= now:
        return Ground(order.lift_ground or Ground.SOLUTION_INDICATED), order.lift_planned_at
    expires_at = states.expiry(order)
    if expires_at is not None and expires_at <= now:
        return Ground.ORDER_EXPIRED, expires_at
    return None
