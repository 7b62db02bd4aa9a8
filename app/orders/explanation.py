"""What the journal says of orders and names that are about to be published: an act without its event is not one.

Rows may have been altered by hand; the journal is append-only, so the two are compared before anything goes out.
"""

import datetime as dt
import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.journal.events import EventType
from app.journal.merkle import merkle_root
from app.journal.models import Event
from app.orders import targets
from app.orders.models import Ground, Order, OrderKind, OrderState, TargetRow
from app.orders.propose import target_line
from app.orders.schemas import MAX_TARGETS
from app.orders.targets import Held
from resolver_policy import names
from resolver_policy.targets import Decision

ANY_LABEL = "_any"
"""Stands for whatever label is below a name."""

BEGINS = frozenset({EventType.ORDER_APPROVED, EventType.ORDER_ACTIVATED, EventType.ORDER_RESUMED})
ENDS = frozenset({EventType.ORDER_ENDED, EventType.ORDER_SUSPENDED})
RELEASES = frozenset({EventType.ORDER_LIFTED_IN_PART, EventType.ORDER_ENDED})
WITHOUT_EFFECT = frozenset(
    {
        EventType.ORDER_PROPOSED,
        EventType.ORDER_REJECTED,
        EventType.ORDER_WITHDRAWN,
        EventType.ORDER_CONFIRMED,
        EventType.ORDER_LIFT_PLANNED,
        EventType.ORDER_LIFTED_IN_PART,
        EventType.ORDER_SUSPENSION_MOVED,
        EventType.ORDER_RETURN_NOTICED,
        EventType.ORDER_END_PROPOSED,
        EventType.ORDER_REVIEWED,
        EventType.ORDER_NOTED,
    }
)
"""Every event of an order stands in one of these: whether from then on it is in force, is not, or neither."""


def unexplained_orders(session: Session, order_ids: Collection[int]) -> dict[int, str]:
    """Of orders whose being in force is about to be published: those of which the journal says otherwise, and why."""
    found: dict[int, str] = {}
    for some in targets.batches(order_ids):
        said = _events(session, some)
        for order in session.scalars(select(Order).where(Order.id.in_(some))):
            why = _contradiction(session, order, said.get(order.id, []))
            if why is not None:
                found[order.id] = why
    return found


def proposed_root(session: Session, order_id: int) -> bytes | None:
    """The Merkle root of the targets that were proposed; None where nobody proposed them."""
    proposed = _events(session, [order_id]).get(order_id, [])
    roots = [json.loads(event.body)["facts"]["targets_root"] for event in proposed[:1]]
    return bytes.fromhex(roots[0].removeprefix("sha256:")) if roots else None


def unexplained_targets(session: Session, order_id: int, touched: Iterable[tuple[str, int]]) -> str | None:
    """Why targets of an order (key, match code), each released by itself, are not released as the journal has it."""
    rows = [row for row in _rows(session, order_id, touched) if row.released_at is not None]
    moments = {row.released_at for row in rows if row.released_at is not None}
    said = _released(session, order_id, moments)
    for row in rows:
        name, match = names.from_key(row.key), str(targets.MATCHES[row.match])
        if (row.released_at, name, match) not in said:
            return f"{name} ({match}) was released and no event says so"
    return None


def blocks(session: Session, key: str, *, below: bool) -> bool:
    """Whether what was decided and published blocks a name (`below`: the names below it), by the journal.

    It is what the rows say, but for orders that the journal contradicts, which hold nothing, and for targets that were
    released and no event says so, which hold still.
    """
    query = select(Order, TargetRow).join(TargetRow, TargetRow.order_id == Order.id)
    rows = [Held(*row) for row in session.execute(query.where(targets.covers(key), Order.published))]
    contradicted = unexplained_orders(session, {each.order.id for each in rows})
    held = [each for each in rows if each.order.id not in contradicted and _holds(session, each)]
    name = names.from_key(key)
    return targets.decision_of(f"{ANY_LABEL}.{name}" if below else name, held) is Decision.BLOCK


def _holds(session: Session, held: Held) -> bool:
    row = held.target
    if row.released_at is None:
        return True
    return unexplained_targets(session, held.order.id, [(row.key, row.match)]) is not None


def _events(session: Session, order_ids: Collection[int]) -> dict[int, list[Event]]:
    wanted = [*BEGINS, *ENDS, EventType.ORDER_PROPOSED, EventType.ORDER_END_PROPOSED]
    query = select(Event).where(Event.order_id.in_(order_ids), Event.type.in_(wanted)).order_by(Event.seq)
    found: dict[int, list[Event]] = {}
    for event in session.scalars(query):
        assert event.order_id is not None
        found.setdefault(event.order_id, []).append(event)
    return found


def _contradiction(session: Session, order: Order, events: list[Event]) -> str | None:
    in_force = False
    for event in events:
        if event.type in BEGINS:
            in_force = event.type != EventType.ORDER_APPROVED or not _is_scheduled(order, event)
        elif event.type in ENDS:
            in_force = False
    if in_force != (order.state == OrderState.ACTIVE):
        return f"its row says {order.state}, and the journal does not"
    return _wrong_beginning(session, order, events) if in_force else _wrong_end(order, events)


def _is_scheduled(order: Order, approved: Event) -> bool:
    return order.effective_at is not None and order.effective_at > approved.recorded_at


def _wrong_beginning(session: Session, order: Order, events: list[Event]) -> str | None:
    """Why an order that is in force should not be: nobody allowed to decided it, or its targets are others."""
    by_type = {event.type: event for event in events}
    proposed, approved = by_type.get(EventType.ORDER_PROPOSED), by_type.get(EventType.ORDER_APPROVED)
    if proposed is None or proposed.principal_id != order.proposed_by_id:
        return "nobody proposed it"
    if order.kind != OrderKind.EMERGENCY and (
        approved is None
        or approved.principal_id != order.approved_by_id
        or approved.principal_id == proposed.principal_id
    ):
        return "nobody else approved it"
    facts = json.loads(proposed.body)["facts"]
    if facts["kind"] != order.kind or facts["targets_count"] != order.targets_count:
        return "it is not the order that was proposed"
    return None if _root(session, order, facts) == facts["targets_root"] else "its targets are not those proposed"


def _wrong_end(order: Order, events: list[Event]) -> str | None:
    """Why an exception should still be in force: one person alone ended it, and that blocks."""
    last = next((event for event in reversed(events) if event.type in ENDS), None)
    if order.kind != OrderKind.EXCEPTION or last is None or last.principal_id is None:
        return None
    facts = json.loads(last.body)["facts"]
    if facts.get("ground") == Ground.CONDITIONS_MET or "with" in facts:
        return None
    first = {event.principal_id for event in events if event.type == EventType.ORDER_END_PROPOSED}
    return None if first - {last.principal_id} else "nobody else wanted it to end"


def _root(session: Session, order: Order, facts: Mapping[str, Any]) -> str:
    """The Merkle root of the targets as they are; of very many, as their order says it (nobody waits for that)."""
    if facts["targets_count"] > MAX_TARGETS:
        return "sha256:" + order.targets_root.hex()
    lines = (target_line(key, match) for key, match in targets.of_order_in_pages(session, order.id))
    return "sha256:" + merkle_root(lines).hex()


def _rows(session: Session, order_id: int, touched: Iterable[tuple[str, int]]) -> Iterable[TargetRow]:
    for some in targets.batches(touched):
        wanted = set(some)
        query = select(TargetRow).where(TargetRow.key.in_([key for key, _ in some]), TargetRow.order_id == order_id)
        yield from (row for row in session.scalars(query) if (row.key, row.match) in wanted)


def _released(
    session: Session, order_id: int, moments: Collection[dt.datetime]
) -> set[tuple[dt.datetime | None, str, str]]:
    said: set[tuple[dt.datetime | None, str, str]] = set()
    for some in targets.batches(moments):
        query = select(Event).where(Event.order_id == order_id, Event.recorded_at.in_(some), Event.type.in_(RELEASES))
        for event in session.scalars(query):
            for target in json.loads(event.body)["facts"].get("targets", ()):
                said.add((event.recorded_at, target["name"], target["match"]))
    return said
