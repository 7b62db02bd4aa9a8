"""Delegation: a named third party (an operator, say) that fulfils a condition for the platform, from a day to a day.

It is part of a claim. The claim is made and verified while it is valid. What was met by it is met as long as it lasts:
when it ends the condition is breached, by the clock, and may be claimed anew. So before a lift nothing is lifted by a
representative who is none any more; after a lift that rests on conditions a review is opened, and nothing blocks again.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any, TypeVar

from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.orm import Session

from app.errors import Conflict, Fault, Unprocessable
from app.journal.actor import CLOCK
from app.journal.append import Entry, append, timestamp
from app.journal.events import EventType
from app.orders import commitments, reviews, states
from app.orders.grounds import RESTS_ON_CONDITIONS
from app.orders.models import ConditionRow, Order, OrderState, ReviewCause
from app.orders.schemas import Delegate
from resolver_policy.conditions import State

POINTER = "/delegate"
Column = TypeVar("Column", ConditionRow, int, dt.datetime | None)


def set_by_claim(condition: ConditionRow, wanted: Delegate | None, now: dt.datetime) -> dict[str, object]:
    """Write down who fulfils a condition for the platform, nobody where None; what the journal is to say of it.

    Raises Unprocessable for one that ends before it begins, or is not valid now.
    """
    if wanted is None:
        condition.delegate = condition.delegated_from = condition.delegated_until = None
        return {}
    if wanted.valid_until <= wanted.valid_from:
        raise _refused("ends_before_it_begins", wanted.valid_until, "/valid_until")
    if wanted.valid_from > now:
        raise _refused("delegation_not_begun", wanted.valid_from, "/valid_from")
    if wanted.valid_until <= now:
        raise _refused("delegation_ended", wanted.valid_until, "/valid_until")
    condition.delegate = wanted.name
    condition.delegated_from, condition.delegated_until = wanted.valid_from, wanted.valid_until
    dates = {"valid_from": timestamp(wanted.valid_from), "valid_until": timestamp(wanted.valid_until)}
    return {"delegate": {"name": wanted.name, **dates}}


def require_valid(condition: ConditionRow, now: dt.datetime) -> None:
    """Raise Conflict where a claim rests on a delegation that has ended: it is rejected, and made anew."""
    until = condition.delegated_until
    if until is not None and until <= now:
        detail = f"{condition.delegate} fulfilled {condition.code} until {timestamp(until)}"
        raise Conflict(
            f"{detail}: reject the claim, to be made anew",
            faults=(Fault("delegation_ended", timestamp(until), POINTER),),
        )


def document(condition: ConditionRow) -> dict[str, Any] | None:
    """Who fulfils a condition for the platform, and from when to when, as the interface shows it."""
    if condition.delegate is None:
        return None
    return {
        "name": condition.delegate,
        "valid_from": condition.delegated_from,
        "valid_until": condition.delegated_until,
    }


def run_out(session: Session, order: Order, now: dt.datetime) -> int:
    """Breach what was met by delegations of an order that have ended since; how many conditions that were.

    After a lift each opens a review.
    """
    ended = _resting(select(ConditionRow)).where(ConditionRow.order_id == order.id, ConditionRow.delegated_until <= now)
    rows = session.scalars(ended.order_by(ConditionRow.position)).all()
    for condition in rows:
        _breach(session, order, condition, now)
    if rows:
        commitments.look(session, order)
        session.flush()
    return len(rows)


def due(session: Session, now: dt.datetime) -> Sequence[int]:
    """Ids of orders with conditions that were met by a delegation that has ended."""
    query = _resting(select(ConditionRow.order_id)).where(ConditionRow.delegated_until <= now)
    return session.scalars(query.distinct().order_by(ConditionRow.order_id)).all()


def next_at(session: Session) -> dt.datetime | None:
    """When the next delegation ends by which something is met."""
    return session.scalar(_resting(select(func.min(ConditionRow.delegated_until))))


def _breach(session: Session, order: Order, condition: ConditionRow, now: dt.datetime) -> None:
    assert condition.delegated_until is not None
    condition.state = State.BREACHED
    condition.version += 1
    facts = {
        "order": order.uid,
        "condition": condition.uid,
        "code": condition.code,
        "state": condition.state,
        "delegate": condition.delegate,
        "due_at": timestamp(condition.delegated_until),
    }
    append(session, CLOCK, Entry(EventType.CONDITION_BREACHED, facts, order.id), now)
    if order.state == OrderState.ENDED:
        opening = reviews.Opening(ReviewCause.DELEGATION_ENDED, missed_at=condition.delegated_until)
        reviews.open_review(session, CLOCK, order, condition, opening, now)


def _resting(query: Select[Column]) -> Select[Column]:
    """Narrow a query of conditions down to those that are met by a delegation, and whose breach still matters."""
    matters = or_(
        Order.state.in_(states.STANDING), and_(Order.state == OrderState.ENDED, Order.ground.in_(RESTS_ON_CONDITIONS))
    )
    query = query.join(Order, Order.id == ConditionRow.order_id)
    return query.where(ConditionRow.state == State.MET, ConditionRow.delegated_until.is_not(None), matters)


def _refused(rule: str, value: dt.datetime, place: str) -> Unprocessable:
    fault = Fault(rule, timestamp(value), POINTER + place)
    return Unprocessable(f"{timestamp(value)}: {RULES[rule]}", faults=(fault,))


RULES = {
    "ends_before_it_begins": "a delegation ends after it begins",
    "delegation_not_begun": "the delegation has not begun: nothing can be shown by it yet",
    "delegation_ended": "the delegation has ended: nothing is shown by it any more",
}
