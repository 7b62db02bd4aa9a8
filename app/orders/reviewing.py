"""The periodic review of an order: by an approver who did not propose it, with the date of the next.

An order never changes once proposed, so the date that it came with stays; the next one stands beside it (`review_at`).
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.auth import four_eyes
from app.auth.models import Principal
from app.errors import Fault, Unprocessable
from app.journal.actor import Actor
from app.journal.append import Entry, append, timestamp
from app.journal.events import EventType
from app.orders import lift, states
from app.orders.models import Order
from app.orders.review_models import OrderReview, ReviewOutcome
from app.orders.review_schemas import ReviewOrder
from app.orders.schemas import Lift, PlanLift

LIFT_FIELDS = {"ground", "reason", "document", "commitments"}


def review(session: Session, actor: Actor, order: Order, command: ReviewOrder, now: dt.datetime) -> Order:
    """Keep an order until its next review, lift it, or plan its lift; what was noted of its names is answered by it.

    Raises Forbidden (`four_eyes`) for the proposer, Conflict for an order that does not stand, Unprocessable for a
    date that has passed, and whatever a lift may raise.
    """
    states.require_state(order, *states.STANDING)
    four_eyes.check(actor, order.proposed_by_id, act="review", first_act="proposed")
    next_at = command.next_review_at
    if next_at is not None and next_at <= now:
        fault = Fault("review_date_past", next_at.isoformat(), "/next_review_at")
        raise Unprocessable("the next review is later than now", code="review_date_past", faults=(fault,))
    assert actor.principal_id is not None
    row = OrderReview(
        order_id=order.id,
        was_due_at=order.review_at,
        reviewed_at=now,
        reviewed_by_id=actor.principal_id,
        outcome=command.outcome,
        reason=command.reason,
        next_review_at=next_at,
    )
    session.add(row)
    session.flush()
    facts = {
        "order": order.uid,
        "outcome": str(command.outcome),
        "reason": command.reason,
        "was_due_at": timestamp(order.review_at),
        "next_review_at": None if next_at is None else timestamp(next_at),
    }
    states.revise(order)
    order.stale_since = None
    if next_at is not None:
        order.review_at = next_at
    append(session, actor, Entry(EventType.ORDER_REVIEWED, facts, order.id), now)
    _act(session, actor, order, command, now)
    session.flush()
    return order


def _act(session: Session, actor: Actor, order: Order, command: ReviewOrder, now: dt.datetime) -> None:
    fields = command.model_dump(include=LIFT_FIELDS)
    if command.outcome is ReviewOutcome.LIFT:
        lift.lift(session, actor, order, Lift.model_validate(fields), now)
    elif command.outcome is ReviewOutcome.PLAN:
        lift.plan_lift(session, actor, order, PlanLift.model_validate({**fields, "at": command.at}), now)


def history(session: Session, order: Order) -> Sequence[dict[str, Any]]:
    """Every review of an order, as the interface shows it, oldest first."""
    query = (
        select(OrderReview, Principal.name)
        .join(Principal, Principal.id == OrderReview.reviewed_by_id)
        .where(OrderReview.order_id == order.id)
    )
    return [
        {
            "was_due_at": row.was_due_at,
            "reviewed_at": row.reviewed_at,
            "by": name,
            "outcome": row.outcome,
            "reason": row.reason,
            "next_review_at": row.next_review_at,
        }
        for row, name in session.execute(query.order_by(OrderReview.id))
    ]
