"""Notes of what may have changed, left in the same transaction for the publisher to read."""

import datetime as dt

from sqlalchemy.orm import Session

from app.orders.models import Order, TargetRow, Touched


def order(session: Session, touched: Order, now: dt.datetime) -> None:
    """All targets of an order may have changed: one row, however many there are."""
    session.add(Touched(order_id=touched.id, key=None, match=None, touched_at=now))


def target(session: Session, touched: TargetRow, now: dt.datetime) -> None:
    """One target may have changed."""
    session.add(Touched(order_id=touched.order_id, key=touched.key, match=touched.match, touched_at=now))
