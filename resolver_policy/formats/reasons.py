"""Tables for people and programs: every target that decides something, with its order's number and public reason.

They hold text that operators wrote, so no resolver reads them. What they tell of an order is what the public
answer about a name tells, its authority and its category; no person, no id, no platform, no evidence.
"""

import json
from collections.abc import Iterator

from resolver_policy.formats import table
from resolver_policy.formats.format import Contents, Holder, Whole, joined
from resolver_policy.formats.walk import deciding
from resolver_policy.names import from_key
from resolver_policy.targets import Decision

COLUMNS = (
    "name",
    "match",
    "decision",
    "order_number",
    "number_note",
    "sample",
    "authority",
    "category",
    "reason_id",
    "reason_en",
    "since",
    "emergency",
)
ENCODER = json.JSONEncoder(separators=(",", ":"))


def render_csv(contents: Contents) -> Iterator[bytes]:
    """Give a table by RFC 4180 with a header line, in UTF-8; raises what `deciding` raises.

    A cell that a spreadsheet would compute begins with an apostrophe, which makes it text.
    """
    return joined(_csv_lines(contents))


def render_json_lines(contents: Contents) -> Iterator[bytes]:
    """Give one JSON object a line, in ASCII, so that no reader finds a line end inside one; raises as above."""
    return joined(ENCODER.encode(_row(holder)) + "\n" for holder in deciding(contents))


def _csv_lines(contents: Contents) -> Iterator[str]:
    yield table.line(COLUMNS)
    for holder in deciding(contents):
        values = _row(holder).values()
        yield table.line(json.dumps(value) if isinstance(value, bool) else value for value in values)


def _row(holder: Holder) -> dict[str, str | bool | None]:
    values = (
        from_key(holder.key),
        str(holder.match),
        "block" if holder.decision is Decision.BLOCK else "exception",
        holder.order_number,
        holder.number_note,
        holder.sample,
        holder.authority,
        holder.category,
        holder.reason_id,
        holder.reason_en,
        holder.since.isoformat().replace("+00:00", "Z"),
        holder.emergency,
    )
    return dict(zip(COLUMNS, values, strict=True))


LIMITS = "what an order holds, not how records come of it; no conditions; for people and programs, not for resolvers"

CSV = Whole(
    name="csv",
    media_type="text/csv; charset=utf-8; header=present",
    limits=f"{LIMITS}; text that a spreadsheet would compute begins with an apostrophe",
    octets=render_csv,
    tells_holders=True,
)
JSON_LINES = Whole(
    name="jsonl",
    media_type="application/x-ndjson",
    limits=LIMITS,
    octets=render_json_lines,
    tells_holders=True,
)
