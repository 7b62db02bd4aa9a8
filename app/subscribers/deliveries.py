"""The ledger of deliveries: what each subscriber asked, was sent, and is thereby known to have.

A server that is sent a zone does not say that it took it. It is known to have a serial when it asks for an
increment from it, when it was sent that serial to the end and its next SOA poll, answered with the same one,
is not followed by a request, or when it acknowledges that it applied it.
"""

import datetime as dt
import logging
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.publication.models import Zone
from app.subscribers.models import Delivery, SubscriberRow
from app.subscribers.sighting import DONE, Sighting, SightingKind

log = logging.getLogger(__name__)

MOST_LOGGED = 20
"""Refusals of strangers that one batch may log: whoever is refused chooses how often, and every word of it."""


def record(session: Session, sightings: Sequence[Sighting]) -> None:
    """Fold a batch into the ledger, oldest first.

    Kept are exchanges of subscribers about published zones; what strangers were refused, and what subscribers
    were refused of zones that do not exist, is logged.
    """
    in_order = sorted(sightings, key=lambda each: each.at)
    ids = _ids(session, {each.subscriber for each in sightings if each.subscriber is not None})
    published = set(session.scalars(select(Zone.name).where(Zone.retired_at.is_(None))))
    rows = _rows(session, ids.values())
    strange = []
    for sighting in in_order:
        subscriber_id = ids.get(sighting.subscriber or "")
        if subscriber_id is None or sighting.zone not in published:
            strange.append(sighting)
            continue
        slot = (subscriber_id, sighting.zone)
        if slot not in rows:
            rows[slot] = _new(session, *slot)
        _fold(rows[slot], sighting)
    session.flush()
    _log(strange)


def of(session: Session, subscriber_id: int, zone: str) -> Delivery:
    """The one row of a subscriber and a zone, made where there is none."""
    row = session.get(Delivery, (subscriber_id, zone))
    if row is None:
        row = _new(session, subscriber_id, zone)
        session.flush()
    return row


def _fold(row: Delivery, sighting: Sighting) -> None:
    if sighting.kind is SightingKind.NOTIFY:
        row.notified_at, row.notify_outcome = sighting.at, sighting.outcome
    elif sighting.kind is SightingKind.REFUSED:
        row.refused_at, row.refusal = sighting.at, sighting.outcome
    elif sighting.kind is SightingKind.SOA:
        _polled(row, sighting)
    else:
        _requested(row, sighting)


def _polled(row: Delivery, sighting: Sighting) -> None:
    """A poll that finds what was last sent is taken for having it; a request that follows takes that back."""
    row.asked_at, row.asked_kind, row.asked_serial = sighting.at, sighting.kind, None
    if row.sent_serial is not None and row.sent_serial == sighting.sent_serial:
        see(row, row.sent_serial, sighting.at)


def _requested(row: Delivery, sighting: Sighting) -> None:
    """An IXFR says what the server has; an AXFR says that it may have nothing."""
    row.asked_at, row.asked_kind, row.asked_serial = sighting.at, sighting.kind, sighting.asked_serial
    see(row, sighting.asked_serial, sighting.at)
    current = sighting.asked_serial == sighting.sent_serial
    if sighting.outcome == DONE and sighting.sent_serial is not None and not current:
        row.sent_at, row.sent_serial, row.sent_octets = sighting.at, sighting.sent_serial, sighting.octets


def see(row: Delivery, serial: int | None, at: dt.datetime) -> None:
    """Note what a server is known to have; `seen_at` is when it was first known to have that."""
    if row.seen_serial != serial:
        row.seen_serial, row.seen_at = serial, None if serial is None else at


def _new(session: Session, subscriber_id: int, zone: str) -> Delivery:
    row = Delivery(subscriber_id=subscriber_id, zone=zone)
    session.add(row)
    return row


def _rows(session: Session, subscriber_ids: Iterable[int]) -> dict[tuple[int, str], Delivery]:
    query = select(Delivery).where(Delivery.subscriber_id.in_(subscriber_ids))
    return {(row.subscriber_id, row.zone): row for row in session.scalars(query)}


def _ids(session: Session, names: Iterable[str]) -> Mapping[str, int]:
    query = select(SubscriberRow.name, SubscriberRow.id).where(
        SubscriberRow.name.in_(names), SubscriberRow.removed_at.is_(None)
    )
    return dict(session.execute(query).all())


def _log(strange: Sequence[Sighting]) -> None:
    refused = [each for each in strange if each.kind is SightingKind.REFUSED]
    distinct = {(each.address, each.zone, each.outcome) for each in refused}
    for address, zone, outcome in sorted(distinct)[:MOST_LOGGED]:
        log.warning("refused %s, which asked for %.255s: %s", address, ascii(zone), outcome)
    if len(distinct) > MOST_LOGGED:
        log.warning("refused %d others as well", len(distinct) - MOST_LOGGED)
