"""What answers are made of, for the description of the interface: the fields that each always has, and their kinds.

Fields may be added; those named here stay.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from app.orders.models import OrderKind, OrderState
from app.publication.zones import Layer
from resolver_policy.conditions import State as ConditionState

Json = dict[str, Any]
Shape = str | Json

KINDS: Mapping[str, Json] = {
    "text": {"type": "string"},
    "number": {"type": "integer"},
    "flag": {"type": "boolean"},
    "moment": {"type": "string", "format": "date-time"},
    "day": {"type": "string", "format": "date"},
    "object": {"type": "object"},
    "objects": {"type": "array", "items": {"type": "object"}},
    "anything": {},
    "digest": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
}


def record(**fields: Shape) -> Json:
    """An object of these fields: each a schema, or the name of a kind, with `?` behind it where it may be null."""
    properties = {name.rstrip("_"): _schema(shape) for name, shape in fields.items()}
    return {"type": "object", "required": [*properties], "properties": properties}


def several(of: Json) -> Json:
    """A list of such."""
    return {"type": "array", "items": of}


def one_of(values: type[StrEnum]) -> Json:
    """One of the values of an enumeration."""
    return {"enum": [str(value) for value in values]}


def page_of(of: Json) -> Json:
    """A part of a list, and the cursor of the next, where there is one."""
    return record(items={**several(of), "maxItems": 500}, next="text?")


def _schema(shape: Shape) -> Json:
    if not isinstance(shape, str):
        return shape
    kind = KINDS[shape.removesuffix("?")]
    return {"anyOf": [kind, {"type": "null"}]} if shape.endswith("?") else kind


REASON = record(id="text", en="text")
LEAF = record(
    id="text",
    parent_id="text?",
    path="anything",
    code="text",
    text=REASON,
    responsible_party="text",
    gating="flag",
    kind="text",
    due_at="moment?",
    state=one_of(ConditionState),
    delegate="object?",
    commitment_due_at="moment?",
    version="number",
)
BLOCK = record(id="text", name="text", match={"enum": ["exact", "subtree"]}, state="text", released_at="moment?")
ORDER_SUMMARY = record(
    id="text",
    number="text?",
    number_note="text?",
    sample="flag",
    kind=one_of(OrderKind),
    state=one_of(OrderState),
    version="number",
    dated="day",
    authority="text",
    legal_basis="objects",
    category="text",
    reason=REASON,
    platform="text?",
    sop="object?",
    override="object?",
    proposed_at="moment",
    decided_at="moment?",
    effective_at="moment?",
    expires_at="moment?",
    review_due_at="moment?",
    review_at="moment?",
    stale_since="moment?",
    emergency="object?",
    targets_count="number",
    lift_planned="object?",
    suspended_until="moment?",
    ended_at="moment?",
    ground="text?",
    document="text?",
)
ORDER: Json = {
    "allOf": [
        ORDER_SUMMARY,
        record(
            blocks=several(BLOCK),
            blocks_left_out="number",
            conditions=several(LEAF),
            condition_tree="object?",
            slips="objects",
            end_proposed="object?",
            undoes_id="text?",
        ),
    ]
}
CONDITION: Json = {
    "allOf": [LEAF, record(overdue="flag", waiver="object?", sealed="flag", evidence="objects", order="object")]
}
NAME = record(
    name="text",
    name_unicode="text",
    blocked="flag",
    at="moment",
    holders="objects",
    exceptions="objects",
    suspended="objects",
    lifted="objects",
)
EVENT = record(
    seq="number",
    type="text",
    recorded_at="moment",
    occurred_at="moment",
    facts="object",
    personal="object",
    actor=record(name="text", role="text", token=_schema("number?")),
    leaf="text",
)
ZONE = record(zone="text", layer={"enum": [*map(str, Layer), None]}, serial="number?")
CHANGES = record(zone="text", from_="number", to="number", removed="objects", added="objects")

ANSWERS: Mapping[str, Json] = {
    "GET /api/v1/orders": page_of(ORDER_SUMMARY),
    "GET /api/v1/blocks": page_of(BLOCK),
    "GET /api/v1/conditions": page_of(CONDITION),
    "GET /api/v1/audit/events": page_of(EVENT),
    "GET /api/v1/names/{name}/history": page_of(EVENT),
    "GET /api/v1/zones": page_of(ZONE),
    "GET /api/v1/names/{name}": NAME,
    "GET /api/v1/zones/{zone}": ZONE,
    "GET /api/v1/zones/{zone}/changes": CHANGES,
    "POST /api/v1/orders": ORDER,
    "GET /api/v1/orders/{uid}": ORDER,
    **{
        f"POST /api/v1/orders/{{uid}}/{act}": ORDER
        for act in ("approve", "confirm", "reject", "withdraw", "lift", "plan-lift", "suspend", "resume")
    },
    "GET /api/v1/conditions/{uid}": CONDITION,
    **{
        f"POST /api/v1/conditions/{{uid}}/{act}": CONDITION
        for act in ("claim", "evidence", "verify", "reject", "waive", "breach", "commit")
    },
}
"""Of what is asked for most, by method and path; other answers are objects of which nothing is said."""
