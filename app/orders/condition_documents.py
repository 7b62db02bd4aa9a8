"""Conditions, their evidence and their trees as the interface shows them."""

import datetime as dt
import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from app.journal import queries as journal
from app.journal.actor import Actor
from app.journal.events import EventType
from app.orders import delegations, evidence, media, trees
from app.orders.models import ConditionRow, Evidence, Ground, Order, OrderState
from resolver_policy.conditions import SATISFIED, Group, Leaf, State, Tree


def condition_document(row: ConditionRow, rows: Sequence[ConditionRow]) -> dict[str, Any]:
    """One condition. `parent_id` is the combinator it stands under, `path` all of them, from the top."""
    path = _path(row, rows)
    return {
        "id": row.uid,
        "parent_id": path[-1]["id"] if path else None,
        "path": path,
        "code": row.code,
        "text": {"id": row.text_id, "en": row.text_en},
        "responsible_party": row.responsible_party,
        "gating": row.gating,
        "kind": row.kind,
        "due_at": row.due_at,
        "state": row.state,
        "delegate": delegations.document(row),
        "commitment_due_at": row.commitment_due_at,
        "version": row.version,
    }


def marked_document(session: Session, actor: Actor, row: ConditionRow, now: dt.datetime) -> dict[str, Any]:
    """A condition with what has become of it and of its order, and the evidence that somebody may see."""
    order = session.get_one(Order, row.order_id)
    return {
        **condition_document(row, trees.rows_of(session, row.order_id)),
        "overdue": is_overdue(order, row, now),
        "waiver": _waiver(session, row),
        "sealed": row.state in SATISFIED,
        "evidence": [evidence_document(item) for item in evidence.visible(session, actor, row)],
        "order": {"id": order.uid, "number": order.number, "state": order.state, "ground": order.ground},
    }


def is_overdue(order: Order, row: ConditionRow, at: dt.datetime) -> bool:
    """Whether a condition is not satisfied and its date has passed: its own, or that of a commitment after a lift."""
    if order.state != OrderState.ENDED:
        due_at = row.due_at
    else:
        due_at = row.commitment_due_at if order.ground == Ground.SOLUTION_INDICATED else None
    return due_at is not None and due_at <= at and row.state not in SATISFIED


def evidence_document(item: Evidence) -> dict[str, Any]:
    """Evidence without the octets of its file, which is handed out by its id."""
    return {
        "id": item.uid,
        "submitted_at": item.submitted_at,
        "sha256": item.sha256.hex(),
        "text": item.text,
        "file": item.file_name,
        "media_type": item.file_type,
        "size": item.file_size,
        "download_name": None if item.file_name is None else media.safe_name(item.file_name, str(item.file_type)),
    }


def tree_document(tree: Tree) -> dict[str, Any]:
    """A condition tree, in the shape in which it was sent."""
    if isinstance(tree, Group):
        return {tree.op: [tree_document(member) for member in tree.members]}
    assert isinstance(tree, Leaf)
    due = {} if tree.due_at is None else {"due_at": tree.due_at.isoformat().replace("+00:00", "Z")}
    return {
        "code": tree.code,
        "text": {"id": tree.text.id, "en": tree.text.en},
        "responsible_party": tree.responsible_party,
        "gating": tree.gating,
        "kind": tree.kind,
        **due,
    }


def codes_document(tree: Tree | None) -> object:
    """A condition tree by codes alone: a code, `{"all_of": [...]}` or `{"any_of": [...]}`; None for no tree."""
    if isinstance(tree, Group):
        return {tree.op: [codes_document(member) for member in tree.members]}
    return None if tree is None else tree.code


def codes_text(tree: Tree | None) -> str:
    """The same as a line to read: `a and (b or c)`."""
    if isinstance(tree, Group):
        word = " and " if tree.op == "all_of" else " or "
        parts = (codes_text(member) for member in tree.members)
        return word.join(f"({part})" if " " in part else part for part in parts)
    return "" if tree is None else tree.code


def _path(row: ConditionRow, rows: Sequence[ConditionRow]) -> list[dict[str, Any]]:
    by_position = {each.position: each for each in rows}
    path: list[dict[str, Any]] = []
    above = row.parent_position
    while above is not None:
        parent = by_position[above]
        path.insert(0, {"id": parent.uid, "op": parent.op})
        above = parent.parent_position
    return path


def _waiver(session: Session, row: ConditionRow) -> dict[str, Any] | None:
    """By whose authority a condition was waived, why and when; None for one that was not."""
    if row.state != State.WAIVED:
        return None
    for event in reversed(journal.of_orders(session, [row.order_id], types=[str(EventType.CONDITION_WAIVED)])):
        facts = json.loads(event.body)["facts"]
        if facts["condition"] == row.uid:
            return {"authority": facts["authority"], "reason": facts["reason"], "at": event.recorded_at}
    return None
