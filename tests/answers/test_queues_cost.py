"""Queues are read from indices that hold nothing else: what waits is found without looking at what does not.

So they cost the same however many names and orders there are.
"""

import datetime as dt
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from app.answers.clocks import Clocks
from app.orders import review_queue
from app.orders.review_queue import QueueFilter
from app.places import FIRST, Place
from app.regime import ClockCode, load
from tests import databases
from tests.service import DAY, NOW, Service

pytestmark = pytest.mark.skipif(databases.KIND != "sqlite", reason="what SQLite plans to do, whatever it holds")

INDICES = {
    "ix_orders_waiting": "FROM orders",
    "ix_applications_due_at": "FROM applications",
    "ix_orders_review_at": "FROM orders",
    "ix_reviews_open": "FROM reviews",
}


def read(session: Session, index: str, after: Place) -> None:
    """A page of the list that an index is for."""
    clocks = Clocks(session, load(None), DAY, NOW)
    match index:
        case "ix_orders_waiting":
            clocks.page(only=ClockCode.ORDER_DECIDED, overdue=False, after=after, limit=5)
        case "ix_applications_due_at":
            clocks.page(only=ClockCode.APPLICATION_DECIDED, overdue=False, after=after, limit=5)
        case _:
            review_queue.page(session, QueueFilter(), NOW, after=after, limit=5)


@pytest.mark.parametrize("after", [FIRST, Place(NOW - dt.timedelta(days=1), 1, 7)])
@pytest.mark.parametrize("index", INDICES)
def test_a_page_is_a_stretch_of_an_index(service: Service, index: str, after: Place) -> None:
    service.propose()
    asked: list[tuple[str, Any]] = []
    with service.database.read() as session:
        connection = session.connection()
        event.listen(connection, "before_cursor_execute", lambda *args: asked.append((args[2], args[3])))
        read(session, index, after)
        (statement, parameters) = next(each for each in asked if INDICES[index] in each[0])
        plan = str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all())

    assert f"USING INDEX {index}" in plan
    assert "TEMP B-TREE" not in plan
    assert "SCAN orders" not in plan.replace(f"SCAN orders USING INDEX {index}", "")
