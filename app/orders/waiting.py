"""Proposals that wait for a decision, and the law's clock on each: by how urgent its category is.

The clock of a decided proposal stands still at its decision. Nothing of it is stored: it follows from the moments of
the order, which never change, and from the regime.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.orders.models import Order, OrderKind, OrderState
from app.places import Place, Placed, behind
from app.regime import ClockCode, Regime

WAITS = text("orders.state = 'proposed'")
"""Written out, since the index of those that wait is not used for a value that is only bound."""

UNCLOCKED = (OrderState.IMPORTING, OrderState.WITHDRAWN)


def clock(order: Order, regime: Regime, now: dt.datetime) -> dict[str, Any] | None:
    """The clock on the decision of an order; None where none runs: a past case, an emergency order, one withdrawn."""
    if order.sample or order.kind == OrderKind.EMERGENCY or order.state in UNCLOCKED:
        return None
    code = regime.of_category(order.category)
    return run(regime, code, order.proposed_at, order.decided_at, now)


def run(
    regime: Regime, code: ClockCode, began_at: dt.datetime, ended_at: dt.datetime | None, now: dt.datetime
) -> dict[str, Any]:
    """A clock as the interface shows it, from its beginning to its end, or to `now` while it runs."""
    law = regime.clock(code)
    due_at = began_at + law.length
    return {
        "clock": str(code),
        "hours": law.hours,
        "source": law.source,
        "began_at": began_at,
        "ended_at": ended_at,
        "due_at": due_at,
        "due_at_local": regime.shown(due_at),
        "overdue": (now if ended_at is None else ended_at) > due_at,
    }


def page(
    session: Session, regime: Regime, code: ClockCode, now: dt.datetime, *, source: int, after: Place, limit: int
) -> Sequence[Placed]:
    """Proposals on which this clock runs, behind a place, the one due first at the front.

    All have the same time, so the order in which they are due is that in which they were proposed: an index over those
    that wait, however many orders and names there are.
    """
    length = regime.clock(code).length
    urgent = Order.category.in_(regime.urgent_categories)
    query = (
        select(Order)
        .where(WAITS, ~Order.sample)
        .where(urgent if code is ClockCode.ORDER_DECIDED_URGENT else ~urgent)
        .where(behind(after._replace(moment=after.moment - length), source, Order.proposed_at, Order.id))
        .order_by(Order.proposed_at, Order.id)
        .limit(limit)
    )
    return [
        Placed(
            Place(order.proposed_at + length, source, order.id),
            {
                **run(regime, code, order.proposed_at, None, now),
                "order": {"id": order.uid, "number": order.number, "category": order.category},
            },
        )
        for order in session.scalars(query)
    ]
