"""The proof of an answer about a name at a moment: which events it rests on, and what they show and do not show."""

import base64
import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.answers import documents, held, held_words, said
from app.answers.names import Answer, explain
from app.audit import proof
from app.journal import merkle, queries
from app.journal.events import EventType
from app.journal.models import Event
from app.journal.notes import Signer
from app.orders import targets
from app.orders.models import Order, OrderState, TargetRow
from app.orders.propose import target_line
from app.publication import zones
from app.publication.models import Release
from app.subscribers import queries as subscribers
from resolver_policy import names

MOST_PROVED = 100_000
"""Names of an order of which it is proved that one is among them; of more it would take long."""

SHOWS = (
    "Every event in events.jsonl is in the journal of the checkpoint; each name in consistency.json is among the names "
    "that its order was proposed with; the key signed this answer."
)
DOES_NOT_SHOW = (
    "That there was no other event: only the export of the whole journal shows that (pulih audit export). "
    "What zones said (serials, digests) and what was seen of an ISP is signed here, and not in the journal, but for "
    "what the ISP acknowledged."
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question: of a name, at a moment, at an ISP or none."""

    name: str
    at: dt.datetime
    isp: str | None = None


def stream(session: Session, signer: Signer, asked: Asked, since: str | None = None) -> Iterator[bytes]:
    """The octets of the zip. Raises PolicyError for what is no name, NotFound for an ISP."""
    answer = explain(session, asked.name, asked.at)
    key = names.sort_key(answer.name)
    covering = _covering(session, key, asked.at)
    orders = {target.order_id for target in covering}
    events = queries.of_orders(session, orders, until=asked.at)
    document = {
        "asked": {"name": answer.name, "at": asked.at, "isp": asked.isp},
        **_answer(session, answer, asked.isp),
        "zones": _zones(session, asked.at),
        "events": [event.seq for event in events],
        "journal_then": queries.size_at(session, asked.at),
        "names_not_proved": sorted({uid for uid, count in _large(session, orders) if count > MOST_PROVED}),
        "shows": SHOWS,
        "does_not_show": DOES_NOT_SHOW,
    }
    proved = _names(session, covering, events)
    yield from proof.stream(session, signer, document["events"], document, proved, since)


def _answer(session: Session, answer: Answer, isp: str | None) -> dict[str, Any]:
    found = {"decided": documents.whole(answer), **held_words.published(session, answer)}
    if isp is None:
        return found
    row = subscribers.by_name(session, isp)
    told = said.of(session, answer, row.name)
    return {**found, "held": held_words.document(session, answer, held.at_isp(session, answer, row, told))}


def _covering(session: Session, key: str, at: dt.datetime) -> Sequence[TargetRow]:
    """Every target at the name or a subtree above it, of any order that had been proposed by then."""
    query = select(TargetRow).join(Order, Order.id == TargetRow.order_id)
    known = query.where(targets.covers(key), Order.state != OrderState.IMPORTING, Order.proposed_at <= at)
    return session.scalars(known.order_by(TargetRow.id)).all()


def _large(session: Session, orders: set[int]) -> Sequence[tuple[str, int]]:
    query = select(Order.uid, Order.targets_count).where(Order.id.in_(sorted(orders)))
    return [(uid, count) for uid, count in session.execute(query)]


def _names(session: Session, covering: Sequence[TargetRow], events: Sequence[Event]) -> proof.Names:
    """That each of these targets is among those its order was proposed with, by the event that says their root."""
    proposed = {event.order_id: event.seq for event in events if event.type == EventType.ORDER_PROPOSED}
    found: dict[str, list[list[Any]]] = {}
    for row in covering:
        if row.order_id in proposed and _count(session, row.order_id) <= MOST_PROVED:
            found.setdefault(str(proposed[row.order_id]), []).append(_path(session, row))
    return found


def _count(session: Session, order_id: int) -> int:
    return session.get_one(Order, order_id).targets_count


def _path(session: Session, row: TargetRow) -> list[Any]:
    lines = [target_line(key, match) for key, match in targets.of_order_in_pages(session, row.order_id)]
    line = target_line(row.key, row.match)
    index = lines.index(line)
    spans = merkle.inclusion(index, len(lines))
    path = [base64.b64encode(merkle.merkle_root(lines[first:past])).decode() for first, past in spans]
    return [index, len(lines), line.decode(), path]


def _zones(session: Session, at: dt.datetime) -> list[dict[str, Any]]:
    """What was published at the moment: serials, and the digest of the rules."""
    head = zones.head_at(session, at)
    found = (
        []
        if head is None
        else [(zone, zones.at_release(session, zone, head.id)) for zone in zones.active_at(session, at)]
    )
    return [
        {
            "zone": zone.name,
            "serial": there.serial,
            "published_at": release.published_at,
            "names": release.names,
            "digest": f"sha256:{release.digest.hex()}",
        }
        for zone, there in found
        if there is not None and zones.layer_of(zone.name) is zones.Layer.FULL
        for release in [session.get_one(Release, there.release_id)]
    ]
