"""Condition trees as they lie in the database."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.orders.models import LEAF, ConditionRow
from resolver_policy import conditions


def tree_of(rows: list[ConditionRow]) -> conditions.Tree:
    """The condition tree that an order's rows store."""
    return conditions.unflatten(
        conditions.Row(row.position, row.parent_position, leaf(row) if row.op == LEAF else row.op) for row in rows
    )


def rows_of(session: Session, order_id: int) -> list[ConditionRow]:
    """All nodes of an order's tree, in its order; none where the order has no conditions."""
    query = select(ConditionRow).where(ConditionRow.order_id == order_id).order_by(ConditionRow.position)
    return list(session.scalars(query))


def leaf_states(rows: list[ConditionRow]) -> dict[str, str]:
    """The state of each leaf, by its code."""
    return {row.code: row.state for row in rows if row.code is not None and row.state is not None}


def leaf(row: ConditionRow) -> conditions.Leaf:
    """A leaf as the policy reads it."""
    assert row.code is not None
    assert row.text_id is not None
    assert row.text_en is not None
    assert row.responsible_party is not None
    assert row.kind is not None
    text = conditions.Text(row.text_id, row.text_en)
    return conditions.Leaf(row.code, text, row.responsible_party, bool(row.gating), row.kind, row.due_at)
