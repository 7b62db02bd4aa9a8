"""What holds each name, as exports tell it: targets of the orders that the newest release counts as in force, streamed
in key order."""

from collections.abc import Iterator

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db import streamed
from app.journal.events import EventType
from app.journal.models import Event
from app.orders import targets
from app.orders.models import InForce, Order, OrderKind, TargetRow
from resolver_policy.formats import Holder

ROWS_AT_ONCE = 2_000
ACTS_ON_ORDERS = "order."
WITHOUT_EFFECT = (
    EventType.ORDER_PROPOSED,
    EventType.ORDER_REJECTED,
    EventType.ORDER_WITHDRAWN,
    EventType.ORDER_LIFT_PLANNED,
    EventType.ORDER_SUSPENSION_MOVED,
    EventType.ORDER_RETURN_NOTICED,
    EventType.ORDER_END_PROPOSED,
    EventType.ORDER_REVIEWED,
    EventType.ORDER_NOTED,
)
"""Acts that no outsider may notice, not even by the age of a file."""


def in_force(session: Session) -> Iterator[Holder]:
    """Every target that is published, with its order's public facts; several of one name by match, then by order.

    An order whose release is still in the making holds nothing yet, and one whose lift is holds everything still.
    """
    latest = select(func.max(InForce.id)).where(InForce.order_id == Order.id).correlate(Order).scalar_subquery()
    query = (
        select(
            TargetRow.key,
            TargetRow.match,
            Order.kind,
            Order.approved_by_id,
            Order.number,
            Order.number_note,
            Order.sample,
            Order.authority,
            Order.category,
            Order.reason_id,
            Order.reason_en,
            InForce.began_at,
        )
        .join(Order, Order.id == TargetRow.order_id)
        .join(InForce, InForce.id == latest)
        .where(Order.published, TargetRow.released_at.is_(None))
        .order_by(TargetRow.key, TargetRow.match, TargetRow.order_id)
    )
    for key, match, kind, approved_by_id, *facts in streamed(session, query, at_once=ROWS_AT_ONCE):
        emergency = None if kind != OrderKind.EMERGENCY else "unconfirmed" if approved_by_id is None else "confirmed"
        yield Holder._make((key, targets.MATCHES[match], targets.decision(kind), *facts, emergency))


def version(session: Session) -> int:
    """A number that grows whenever the holders may have changed: that of the last act on an order with an effect."""
    acts = Event.type.startswith(ACTS_ON_ORDERS), Event.type.not_in(WITHOUT_EFFECT)
    return session.scalar(select(Event.seq).where(*acts).order_by(Event.seq.desc()).limit(1)) or 0
