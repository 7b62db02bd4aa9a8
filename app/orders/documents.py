"""Orders and blocks as the interface shows them."""

import datetime as dt
import json
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.orders import exceptions, slips, targets, trees
from app.orders.condition_documents import condition_document, tree_document
from app.orders.models import LEAF, ORDINAL_BITS, Order, OrderKind, OrderState, TargetRow
from resolver_policy import names

BLOCKS_SHOWN = 1_000


def order_document(session: Session, order: Order) -> dict[str, Any]:
    """An order with its blocks (the first 1,000) and its conditions."""
    rows = trees.rows_of(session, order.id)
    blocks = list(
        session.scalars(select(TargetRow).where(targets.of_order(order.id)).order_by(TargetRow.id).limit(BLOCKS_SHOWN))
    )
    return {
        **order_summary(order),
        "blocks": [block_document(order, block) for block in blocks],
        "blocks_left_out": order.targets_count - len(blocks),
        "conditions": [condition_document(row, rows) for row in rows if row.op == LEAF],
        "condition_tree": tree_document(trees.tree_of(rows)) if rows else None,
        "slips": slips.of(session, order),
        "end_proposed": exceptions.document(session, order),
        "undoes_id": None if order.undoes_id is None else session.get_one(Order, order.undoes_id).uid,
    }


def order_summary(order: Order) -> dict[str, Any]:
    """An order without its names and conditions, as lists show it."""
    return {
        "id": order.uid,
        "number": order.number,
        "number_note": order.number_note,
        "sample": order.sample,
        "kind": order.kind,
        "state": order.state,
        "version": order.version,
        "dated": order.dated,
        "authority": order.authority,
        "legal_basis": json.loads(order.legal_basis),
        "category": order.category,
        "reason": {"id": order.reason_id, "en": order.reason_en},
        "platform": order.platform,
        "sop": None if order.sop is None else json.loads(order.sop),
        "override": None if order.override is None else json.loads(order.override),
        "proposed_at": order.proposed_at,
        "decided_at": order.decided_at,
        "effective_at": order.effective_at,
        "expires_at": order.expires_at,
        "review_due_at": order.review_due_at,
        "review_at": order.review_at,
        "stale_since": order.stale_since,
        "emergency": emergency_document(order),
        "targets_count": order.targets_count,
        "lift_planned": None
        if order.lift_ground is None
        else {"ground": order.lift_ground, "at": order.lift_planned_at},
        "suspended_until": order.suspended_until,
        "ended_at": order.ended_at,
        "ground": order.ground,
        "document": order.lift_document if order.state == OrderState.ENDED else None,
    }


def emergency_document(order: Order, at: dt.datetime | None = None) -> dict[str, Any] | None:
    """What everybody is told of an emergency order, as it was known at a moment; None for any other order."""
    if order.kind != OrderKind.EMERGENCY:
        return None
    confirmed = order.approved_by_id is not None and order.decided_at is not None
    known = confirmed and (at is None or order.decided_at is None or order.decided_at <= at)
    return {"confirmed_at": order.decided_at if known else None, "lapses_at": None if known else order.lapses_at}


def block_document(order: Order, row: TargetRow) -> dict[str, Any]:
    """One order's hold on one target; its state follows the order's, unless it was released by itself."""
    return {
        "id": f"{order.uid}.{row.id & ((1 << ORDINAL_BITS) - 1)}",
        "name": names.from_key(row.key),
        "match": str(targets.MATCHES[row.match]),
        "state": order.state if row.released_at is None else "released",
        "released_at": row.released_at,
    }
