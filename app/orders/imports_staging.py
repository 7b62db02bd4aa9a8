"""An order while its names are being stored: in state `importing`, seen by no reader, in many short transactions.

Each of them dates the row (`proposed_at`) again. A row that nobody has dated for a quarter of an hour was left by a
crash; `sweep` takes it away. A sweep first raises the row's version: an importer that was only slow finds that out
at its next step and gives up, so an order is complete or it is not there. (Hosts that share a database agree on the
time to within minutes.)
"""

import datetime as dt
import logging
from collections.abc import Sequence

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import Session

from app.db import Database
from app.errors import Conflict
from app.journal.actor import Actor
from app.orders import propose, targets
from app.orders.models import ConditionRow, Order, OrderState, TargetRow
from app.orders.schemas import OrderIn

log = logging.getLogger(__name__)

GIVEN_UP_AFTER = dt.timedelta(minutes=15)
ROWS_IN_ONE_TRANSACTION = 5_000
FIRST_VERSION = 1


def open_order(database: Database, actor: Actor, command: OrderIn, now: dt.datetime) -> int:
    """Store an order's data and conditions; the order's database id."""
    with database.write() as session:
        return propose.draft(session, actor, command, now).id


def add(
    database: Database, order_id: int, rows: Sequence[tuple[str, int]], first_ordinal: int, now: dt.datetime
) -> None:
    """Store the next (key, match code) pairs; raises Conflict where the order was swept away."""
    with database.write() as session:
        _date(session, order_id, now)
        targets.add(session, order_id, rows, first_ordinal)


def seal(database: Database, order_id: int, count: int, root: bytes, now: dt.datetime) -> None:
    """Store how many targets there are, and their Merkle root; raises Conflict where the order was swept away."""
    with database.write() as session:
        _date(session, order_id, now)
        session.execute(
            update(Order).where(Order.id == order_id).values(targets_count=count, targets_root=root),
            execution_options={"synchronize_session": False},
        )


def submit(session: Session, actor: Actor, order_id: int, command: OrderIn, now: dt.datetime) -> Order:
    """Make the complete order a proposal, in the caller's transaction; one row changes, however many names there are.

    Raises Conflict where the order was swept away, or its number was taken meanwhile.
    """
    propose.check_order(session, command, now)
    _date(session, order_id, now)
    order = session.get_one(Order, order_id)
    propose.submit(session, actor, order, command, now)
    return order


def discard(database: Database, order_id: int) -> None:
    """Take an importer's own unfinished order away, with everything that belongs to it."""
    if _claim(database, Order.id == order_id):
        _delete(database, order_id)


def sweep(database: Database, now: dt.datetime) -> int:
    """Take away what crashed imports left; how many orders that were.

    To be called at the start of the service and now and then after it. It leaves alone what was dated a moment ago.
    """
    left = Order.proposed_at <= now - GIVEN_UP_AFTER
    with database.read() as session:
        abandoned = session.scalars(select(Order.id).where(Order.state == OrderState.IMPORTING, left)).all()
    swept = [order_id for order_id in abandoned if _claim(database, (Order.id == order_id) & left)]
    for order_id in swept:
        _delete(database, order_id)
    if swept:
        log.warning("%d imports were never finished; what they left was taken away", len(swept))
    return len(swept)


def _date(session: Session, order_id: int, now: dt.datetime) -> None:
    mine = (Order.id == order_id, Order.state == OrderState.IMPORTING, Order.version == FIRST_VERSION)
    statement = update(Order).where(*mine).values(proposed_at=now).returning(Order.id)
    if session.scalar(statement, execution_options={"synchronize_session": False}) is None:
        raise Conflict("the import stood still too long and was taken away; nothing of it is kept: import again")


def _claim(database: Database, condition: ColumnElement[bool]) -> bool:
    with database.write() as session:
        statement = update(Order).where(condition, Order.state == OrderState.IMPORTING)
        claimed = statement.values(version=Order.version + 1).returning(Order.id)
        return session.scalar(claimed, execution_options={"synchronize_session": False}) is not None


def _delete(database: Database, order_id: int) -> None:
    while _delete_some_targets(database, order_id):
        pass
    with database.write() as session:
        session.execute(delete(ConditionRow).where(ConditionRow.order_id == order_id))
        session.execute(delete(Order).where(Order.id == order_id))


def _delete_some_targets(database: Database, order_id: int) -> bool:
    with database.write() as session:
        ids = select(TargetRow.id).where(targets.of_order(order_id)).order_by(TargetRow.id)
        some = session.scalars(ids.limit(ROWS_IN_ONE_TRANSACTION)).all()
        if some:
            session.execute(delete(TargetRow).where(targets.of_order(order_id), TargetRow.id <= some[-1]))
        return bool(some)
