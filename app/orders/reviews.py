"""Reviews: what a breach after a lift, or a commitment that was not kept, leaves for a person to decide.

A review blocks nothing. Who closes one is not who opened it; where the answer is a new order, that is proposed and
approved as every order is.
"""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.auth import four_eyes
from app.errors import Conflict, Fault, NotFound, Unprocessable
from app.journal.actor import Actor
from app.journal.append import Entry, append, timestamp
from app.journal.events import EventType
from app.orders.models import ConditionRow, Order, OrderState, Review, ReviewCause, ReviewDecision
from app.orders.schemas import CloseReview

NOTHING = (OrderState.IMPORTING, OrderState.WITHDRAWN, OrderState.REJECTED)
"""States of an order that says nothing about a case."""


@dataclass(frozen=True, slots=True)
class Opening:
    """Why a review is opened; `missed_at` is the date of a commitment that was not kept."""

    cause: ReviewCause
    reason: str | None = None
    missed_at: dt.datetime | None = None


def open_review(
    session: Session, actor: Actor, order: Order, condition: ConditionRow, opening: Opening, now: dt.datetime
) -> Review:
    """Open a review of an order that has ended, because of one of its conditions."""
    review = Review(
        uid=str(uuid.uuid4()),
        version=1,
        order_id=order.id,
        condition_id=condition.id,
        cause=opening.cause,
        reason=opening.reason,
        missed_at=opening.missed_at,
        opened_at=now,
        opened_by_id=actor.principal_id,
    )
    session.add(review)
    facts: dict[str, object] = {
        "review": review.uid,
        "order": order.uid,
        "condition": condition.uid,
        "code": condition.code,
        "cause": str(opening.cause),
    }
    if opening.missed_at is not None:
        facts["due_at"] = timestamp(opening.missed_at)
    append(session, actor, Entry(EventType.REVIEW_OPENED, facts, order.id), now)
    return review


def close(session: Session, actor: Actor, review: Review, command: CloseReview, now: dt.datetime) -> Review:
    """Decide a review; raises Forbidden (`four_eyes`) for whoever opened it, Conflict where it is closed."""
    if review.closed_at is not None:
        raise Conflict(f"the review was closed at {timestamp(review.closed_at)}")
    four_eyes.check(actor, review.opened_by_id, act="close", first_act="opened")
    new_order = _new_order(session, review, command)
    review.version += 1
    review.closed_at = now
    review.closed_by_id = actor.principal_id
    review.decision = command.decision
    review.decision_reason = command.reason
    review.new_order_id = None if new_order is None else new_order.id
    facts = {
        "review": review.uid,
        "order": session.get_one(Order, review.order_id).uid,
        "decision": str(command.decision),
        "reason": command.reason,
        "new_order": None if new_order is None else new_order.uid,
    }
    append(session, actor, Entry(EventType.REVIEW_CLOSED, facts, review.order_id), now)
    session.flush()
    return review


def by_uid(session: Session, uid: str, *, lock: bool = False) -> Review:
    """The review with this id; raises NotFound."""
    query = select(Review).where(Review.uid == uid)
    review = session.scalars(query.with_for_update() if lock else query).one_or_none()
    if review is None:
        raise NotFound(f"there is no review {uid[:60]}")
    return review


def page(session: Session, *, open_only: bool, order_uid: str | None, after: int, limit: int) -> Sequence[Review]:
    """Reviews behind the one with database id `after`, oldest first."""
    query = select(Review).where(Review.id > after).order_by(Review.id).limit(limit)
    if open_only:
        query = query.where(Review.closed_at.is_(None))
    if order_uid is not None:
        query = query.where(Review.order_id == select(Order.id).where(Order.uid == order_uid).scalar_subquery())
    return session.scalars(query).all()


def document(session: Session, review: Review) -> dict[str, Any]:
    """A review as the interface shows it."""
    order = session.get_one(Order, review.order_id)
    condition = session.get_one(ConditionRow, review.condition_id)
    new_order = None if review.new_order_id is None else session.get_one(Order, review.new_order_id)
    return {
        "id": review.uid,
        "version": review.version,
        "state": "open" if review.closed_at is None else "closed",
        "cause": review.cause,
        "reason": review.reason,
        "order_id": order.uid,
        "order_number": order.number,
        "condition": {"id": condition.uid, "code": condition.code, "state": condition.state},
        "missed_at": review.missed_at,
        "opened_at": review.opened_at,
        "closed_at": review.closed_at,
        "decision": review.decision,
        "decision_reason": review.decision_reason,
        "new_order_id": None if new_order is None else new_order.uid,
    }


def _new_order(session: Session, review: Review, command: CloseReview) -> Order | None:
    """The order that a decision names; raises Unprocessable unless exactly `new_order` names one of its own."""
    if (command.order is not None) != (command.decision is ReviewDecision.NEW_ORDER):
        fault = Fault("new_order", command.order, "/order")
        raise Unprocessable("`order` names the proposal that decision new_order led to, and none else", faults=(fault,))
    if command.order is None:
        return None
    found = session.scalars(select(Order).where(Order.uid == command.order)).one_or_none()
    if found is None or found.id == review.order_id or found.state in NOTHING:
        fault = Fault("not_a_new_order", command.order, "/order")
        raise Unprocessable(f"{command.order} is no other order that was proposed", faults=(fault,))
    return found
