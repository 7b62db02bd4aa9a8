"""Answers about names as the interface shows them: whole, or (without a token) what the public may know."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from app.answers.names import Answer, Holder, Suspended
from app.answers.reach import AtIsp, Reach
from app.answers.said import Said
from app.orders import targets
from app.orders.condition_documents import codes_document
from app.orders.documents import emergency_document
from app.orders.models import ConditionRow, OrderKind
from resolver_policy import names


def whole(answer: Answer) -> dict[str, Any]:
    """For principals: every order that holds the name, by id and number."""
    return {
        **_state(answer),
        "holders": [_holder(holder, answer.at) for holder in answer.holders],
        "exceptions": [_holder(holder, answer.at) for holder in answer.exceptions],
        "suspended": [{"order_id": row.order.uid, **_suspended(row)} for row in answer.suspended],
        "lifted": [
            {
                "order_id": lifted.order.uid,
                "order_number": lifted.order.number,
                "sample": lifted.order.sample,
                "emergency": lifted.order.kind == OrderKind.EMERGENCY,
                "at": lifted.at,
                "ground": lifted.ground,
                "commitments": lifted.commitments,
                "waived": lifted.waived,
            }
            for lifted in answer.lifted
        ],
    }


def redacted(answer: Answer, apply: dict[str, Any]) -> dict[str, Any]:
    """For the public: the state, the orders' numbers and public reasons, what is left, and how to apply.

    Whether somebody has applied is nobody else's business: it would tell of the applicant.
    """
    return {
        **_state(answer),
        "holders": [_public_holder(holder, answer.at) for holder in answer.holders],
        "exceptions": [{"order_number": holder.order.number} for holder in answer.exceptions],
        "suspended": [_suspended(row) for row in answer.suspended],
        "lifted": [
            {
                "order_number": lifted.order.number,
                "sample": lifted.order.sample,
                "emergency": lifted.order.kind == OrderKind.EMERGENCY,
                "at": lifted.at,
                "ground": lifted.ground,
                "commitments": lifted.commitments,
                "waived": lifted.waived,
            }
            for lifted in answer.lifted
        ],
        "how_to_apply": apply,
    }


def at_isp(
    name: str, found: Sequence[AtIsp], answer: Answer, due_at: dt.datetime | None, said: Said | None
) -> dict[str, Any]:
    """Whether one ISP has what holds, zone by zone, and what it said itself of a replayed act; `due_at` is when the law
    wants it to, `overdue` that it has not.

    What was decided and is not published yet nobody owes.
    """
    late = due_at is not None and answer.at > due_at
    zones = [
        {**_zone(each), "overdue": late and each.published == answer.blocked and each.in_effect is not True}
        for each in found
    ]
    return {"name": name, "due_at": due_at, "zones": zones, "said": None if said is None else asdict(said)}


def reached(reach: Reach | None) -> dict[str, Any] | None:
    """How many ISPs have it; null where nothing was ever published about the name."""
    if reach is None:
        return None
    return {
        "published": reach.published,
        "published_at": reach.published_at,
        "reached": reach.reached,
        "of": reach.of,
    }


def _zone(one: AtIsp) -> dict[str, Any]:
    has = one.has
    return {
        "zone": one.zone,
        "published": {"serial": one.serial, "blocks": one.published},
        "has": None if has is None or has.serial is None else {"serial": has.serial, "at": has.since},
        "blocks": one.blocks,
        "in_effect": one.in_effect,
        "servers": {"counted": one.servers, "in_effect": one.reached},
    }


def _state(answer: Answer) -> dict[str, Any]:
    return {
        "name": answer.name,
        "name_unicode": names.display(answer.name),
        "blocked": answer.blocked,
        "at": answer.at,
    }


def _suspended(row: Suspended) -> dict[str, Any]:
    return {
        "order_number": row.order.number,
        "sample": row.order.sample,
        "since": row.since,
        "until": row.until,
        "noticed_at": row.noticed_at,
    }


def _holder(holder: Holder, at: dt.datetime) -> dict[str, Any]:
    order = holder.order
    return {
        "kind": order.kind,
        "emergency": emergency_document(order, at),
        "order_id": order.uid,
        "order_number": order.number,
        "sample": order.sample,
        "target": names.from_key(holder.target.key),
        "match": str(targets.MATCHES[holder.target.match]),
        "since": holder.since,
        "reason": {"id": order.reason_id, "en": order.reason_en},
        "category": order.category,
        "authority": order.authority,
        "conditions_left": [row.code for row in holder.left],
        "conditions_left_tree": codes_document(holder.unmet),
        "conditions_overdue": [row.code for row in holder.left if _is_past(row, at)],
        "lift_planned": holder.lift_planned,
    }


def _public_holder(holder: Holder, at: dt.datetime) -> dict[str, Any]:
    order = holder.order
    return {
        "emergency": emergency_document(order, at),
        "order_number": order.number,
        "number_note": order.number_note,
        "sample": order.sample,
        "target": names.from_key(holder.target.key),
        "since": holder.since,
        "reason": {"id": order.reason_id, "en": order.reason_en},
        "conditions_left": [_public_condition(row, at) for row in holder.left],
        "conditions_left_tree": codes_document(holder.unmet),
        "lift_planned": holder.lift_planned,
    }


def _public_condition(row: ConditionRow, at: dt.datetime) -> dict[str, Any]:
    text = {"id": row.text_id, "en": row.text_en}
    return {"code": row.code, "text": text, "due_at": row.due_at, "overdue": _is_past(row, at)}


def _is_past(row: ConditionRow, at: dt.datetime) -> bool:
    return row.due_at is not None and row.due_at <= at
