"""What one person may bring into force without having seen its plan: summed over a sliding stretch of time, so that
many small orders, imports or tokens are no way round it. Lifts and exceptions are exempt."""

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.errors import Unprocessable
from app.journal.actor import Actor
from app.orders.models import Order, OrderKind
from app.settings import Limits

SEND_HASH = "read the plan and send its plan_hash"


@dataclass(frozen=True, slots=True)
class Sums:
    """Names that came into force within the window without their plan having been seen."""

    proposed: int
    approved: int

    def exceed(self, count: int, limits: Limits) -> bool:
        """Whether so many names more, unseen, would be too many for one of the two."""
        return max(self.proposed, self.approved) + count > limits.unseen

    def document(self, limits: Limits) -> dict[str, object]:
        """Sums as a plan shows them."""
        return {
            "limit": limits.unseen,
            "window_seconds": int(limits.window.total_seconds()),
            "of_the_proposer": self.proposed,
            "of_the_approver": self.approved,
        }


def document(limits: Limits) -> dict[str, object]:
    """Limits as the interface shows them."""
    return {
        "unseen_names": limits.unseen,
        "unseen_window_seconds": int(limits.window.total_seconds()),
        "emergency_window_seconds": int(limits.emergency_window.total_seconds()),
        "rank_protected": limits.ranked,
    }


def sums(session: Session, order: Order, actor: Actor, now: dt.datetime, limits: Limits) -> Sums:
    """What the proposer of an order had approved, and what this approver approved, by whatever token."""
    since = now - limits.window
    return Sums(
        _unseen(session, Order.proposed_by_id, order.proposed_by_id, since),
        _unseen(session, Order.approved_by_id, actor.principal_id, since),
    )


def check(session: Session, order: Order, actor: Actor, now: dt.datetime, limits: Limits) -> None:
    """Raise Unprocessable (`mass_change`) where the plan of this order must have been seen for the sake of others."""
    found = sums(session, order, actor, now, limits)
    if order.kind != OrderKind.EXCEPTION and found.exceed(order.targets_count, limits):
        hours = limits.window.total_seconds() / 3600
        why = (
            f"in {hours:g} hours {found.proposed} names of this proposer and {found.approved} by {actor.name} came into"
            f" force without their plan; with {order.targets_count} more than {limits.unseen}: {SEND_HASH}"
        )
        raise Unprocessable(why, code="mass_change")


def _unseen(
    session: Session,
    column: InstrumentedAttribute[int] | InstrumentedAttribute[int | None],
    who: int | None,
    since: dt.datetime,
) -> int:
    mine: ColumnElement[bool] = column == who
    total = select(func.coalesce(func.sum(Order.targets_count), 0)).where(
        mine,
        Order.decided_at > since,
        Order.approved_by_id.is_not(None),
        ~Order.plan_seen,
        Order.kind != OrderKind.EXCEPTION,
    )
    return int(session.execute(total).scalar_one())  # PostgreSQL sums to a decimal
