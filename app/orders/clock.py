"""Acts that fall due, also those that fell due while nothing ran: orders that begin, planned lifts, expiries, lapses,
returns of suspended blocks, commitments that were not kept, delegations that end."""

import datetime as dt
import logging

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.db import Clock
from app.errors import AppError
from app.journal.actor import CLOCK
from app.journal.append import Entry, append
from app.journal.events import EventType
from app.journal.moment import moment
from app.orders import commitments, delegations, states, suspend
from app.orders.models import Ground, Order, OrderState

log = logging.getLogger(__name__)


def act(session: Session, order: Order, now: dt.datetime) -> bool:
    """Do what is due on an order at `now`; False where nothing is (any more).

    An order that should have begun and ended while the service was down never begins: a lift always wins.
    """
    ending = _due_ending(order, now)
    if ending is not None:
        ground, due_at = ending
        decided_by_id = order.lift_planned_by_id if due_at == order.lift_planned_at else None
        facts = states.planned_facts(due_at)
        states.end(session, CLOCK, order, ground, now, facts=facts, decided_by_id=decided_by_id)
        return True
    if order.state == OrderState.SCHEDULED and order.effective_at is not None and order.effective_at <= now:
        facts = {"order": order.uid, **states.planned_facts(order.effective_at)}
        states.revise(order)
        states.begin(session, order, now)
        append(session, CLOCK, Entry(EventType.ORDER_ACTIVATED, facts, order.id), now)
        return True
    return suspend.act(session, order, now) or commitments.act(session, order, now)


def run_due(session: Session, clock: Clock) -> int:
    """Do everything that is due, and say how many acts that was; one that fails keeps no other waiting.

    What is due says the clock, also one that was set back; what is done is recorded after all that is recorded.
    """
    now = moment(session, clock)
    acts = 0
    for order_id in states.due_orders(session, clock()):
        try:
            with session.begin_nested():
                acts += act(session, session.get_one(Order, order_id, with_for_update=True), now)
        except (AppError, SQLAlchemyError):
            log.exception("an act that is due on order %d failed", order_id)
    for order_id in delegations.due(session, now):
        acts += delegations.run_out(session, session.get_one(Order, order_id, with_for_update=True), now)
    return acts


def next_at(session: Session) -> dt.datetime | None:
    """When the clock must act next; None where nothing is to come."""
    moments = (session.scalar(select(func.min(Order.due_at))), delegations.next_at(session))
    return min((moment for moment in moments if moment is not None), default=None)


def _due_ending(order: Order, now: dt.datetime) -> tuple[Ground, dt.datetime] | None:
    if order.state not in states.STANDING:
        return None
    endings = [
        (Ground(order.lift_ground or Ground.SOLUTION_INDICATED), order.lift_planned_at),
        (Ground.ORDER_EXPIRED, states.expiry(order)),
        (Ground.EMERGENCY_LAPSED, states.lapse(order)),
    ]
    due = [(ground, due_at) for ground, due_at in endings if due_at is not None and due_at <= now]
    return min(due, key=lambda ending: ending[1], default=None)
