"""What was seen of blocked names: that the owner changed, or that the name is gone; with its date and source.

People note it, by hand or from a list. Nothing is ever resolved for it, and nothing is lifted by it: the review of the
order is due at once.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import Fault, Unprocessable, faults_of
from app.journal.actor import Actor
from app.journal.append import Entry, append, timestamp
from app.journal.events import EventType
from app.orders import states, targets
from app.orders.models import Order, TargetRow
from app.orders.queries import order_by_number_or_uid
from app.orders.review_models import TargetNote
from app.orders.review_schemas import NoteIn
from app.orders.targets import Held
from resolver_policy import names
from resolver_policy.errors import PolicyError

Known = set[tuple[int, str, dt.datetime, str]]
VERDICTS = NOTED, UNCHANGED, NOT_HELD = "noted", "unchanged", "not_held"


def note(session: Session, actor: Actor, notes: Sequence[NoteIn], now: dt.datetime) -> list[dict[str, Any]]:
    """Note what was seen, and say of each whether it is new (`noted`), known (`unchanged`) or of no standing order.

    Raises Unprocessable, naming the note, for what is no name or was seen later than now; then nothing is kept.
    """
    keys = [key_of(each, now, f"/notes/{index}") for index, each in enumerate(notes)]
    held = _held(session, keys)
    known = _known(session, [each.target.id for found in held.values() for each in found])
    new: dict[int, tuple[Order, list[dict[str, str]]]] = {}
    verdicts = []
    for each, key in zip(notes, keys, strict=True):
        about = [one for one in held.get(key, ()) if each.order in {None, one.order.number, one.order.uid}]
        fresh = [one for one in about if (one.target.id, each.what, each.seen_at, each.source) not in known]
        for one in fresh:
            known.add((one.target.id, each.what, each.seen_at, each.source))
            session.add(_row(actor, one, each, now))
            new.setdefault(one.order.id, (one.order, []))[1].append(_facts(one, each))
        verdict = NOTED if fresh else UNCHANGED if about else NOT_HELD
        orders = list(dict.fromkeys(one.order.uid for one in about))
        verdicts.append({"name": names.from_key(key), "verdict": verdict, "orders": orders})
    for order, facts in new.values():
        _make_due(order, now)
        append(session, actor, Entry(EventType.ORDER_NOTED, {"order": order.uid, "notes": facts}, order.id), now)
    session.flush()
    return verdicts


def key_of(each: NoteIn, now: dt.datetime, pointer: str | None = None, line: int | None = None) -> str:
    """The canonical key of the name that a note is about; raises Unprocessable for one that cannot be taken."""
    try:
        key = names.sort_key(names.canonical(each.name))
    except PolicyError as error:
        where = None if pointer is None else f"{pointer}/name"
        raise Unprocessable(error.detail, code=error.code, faults=faults_of(error, pointer=where, line=line)) from error
    if each.seen_at > now:
        where = None if pointer is None else f"{pointer}/seen_at"
        fault = Fault("seen_later", each.seen_at.isoformat(), where, line)
        raise Unprocessable("what was seen was seen before now", faults=(fault,))
    return key


def page(
    session: Session, *, order: str | None, name: str | None, after: int, limit: int
) -> Sequence[tuple[int, dict[str, Any]]]:
    """Notes with their database ids, behind one of them, oldest first; of an order (number or id), of a name."""
    query = select(TargetNote, TargetRow.key, Order).join(TargetRow, TargetRow.id == TargetNote.target_id)
    query = query.join(Order, Order.id == TargetNote.order_id).where(TargetNote.id > after)
    if order is not None:
        query = query.where(TargetNote.order_id == order_by_number_or_uid(session, order).id)
    if name is not None:
        query = query.where(TargetRow.key == names.sort_key(names.canonical(name)))
    rows = session.execute(query.order_by(TargetNote.id).limit(limit))
    return [(row.id, document(row, key, about)) for row, key, about in rows]


def document(row: TargetNote, key: str, order: Order) -> dict[str, Any]:
    """A note as the interface shows it."""
    return {
        "name": names.from_key(key),
        "order_id": order.uid,
        "order_number": order.number,
        "what": row.what,
        "seen_at": row.seen_at,
        "source": row.source,
        "recorded_at": row.recorded_at,
    }


def _held(session: Session, keys: Iterable[str]) -> dict[str, list[Held]]:
    """The targets of standing orders at these names themselves, by key, oldest order first."""
    found: dict[str, list[Held]] = {}
    for some in targets.batches(dict.fromkeys(keys)):
        query = (
            select(Order, TargetRow)
            .join(TargetRow, TargetRow.order_id == Order.id)
            .where(TargetRow.key.in_(some), TargetRow.released_at.is_(None), Order.state.in_(states.STANDING))
            .order_by(TargetRow.id)
        )
        for order, target in session.execute(query):
            found.setdefault(target.key, []).append(Held(order, target))
    return found


def _known(session: Session, target_ids: Iterable[int]) -> Known:
    found: Known = set()
    for some in targets.batches(target_ids):
        rows = session.scalars(select(TargetNote).where(TargetNote.target_id.in_(some)))
        found |= {(row.target_id, row.what, row.seen_at, row.source) for row in rows}
    return found


def _row(actor: Actor, held: Held, each: NoteIn, now: dt.datetime) -> TargetNote:
    return TargetNote(
        order_id=held.order.id,
        target_id=held.target.id,
        what=each.what,
        seen_at=each.seen_at,
        source=each.source,
        recorded_at=now,
        recorded_by_id=actor.principal_id,
    )


def _facts(held: Held, each: NoteIn) -> dict[str, str]:
    return {
        "name": names.from_key(held.target.key),
        "match": str(targets.MATCHES[held.target.match]),
        "what": str(each.what),
        "seen_at": timestamp(each.seen_at),
        "source": each.source,
    }


def _make_due(order: Order, now: dt.datetime) -> None:
    order.stale_since = order.stale_since or now
    order.review_at = min(order.review_at, now)
