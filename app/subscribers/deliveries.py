"""What each server of a subscriber asked, was sent, and is thereby known to have.

A server that is sent a zone does not say that it took it. It is known to have a serial when it asks for an
increment from it, when it was sent that serial to the end and its next SOA poll, answered with the same one,
is not followed by a request, or when its ISP acknowledges that it applied it.

What an unsigned datagram says can be said by anybody: it may confirm what was sent, never claim or take back.
"""

import datetime as dt
import logging
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.orders import targets
from app.publication.models import Zone, ZoneSerial
from app.subscribers import counts, ledger
from app.subscribers.models import Delivery, SubscriberRow
from app.subscribers.sighting import DONE, Sighting, SightingKind

log = logging.getLogger(__name__)

MOST_LOGGED = 20
"""Refusals of strangers that one batch may log: whoever is refused chooses how often, and every word of it."""

MOST_SERVERS = 1_000
"""Addresses of one subscriber that are told apart in one zone; what others do is noted without their address."""

WHOLE = ""
"""The address of the row that stands for a subscriber as a whole."""

Releases = Mapping[tuple[str, int], int]


def record(session: Session, sightings: Sequence[Sighting], now: dt.datetime) -> None:
    """Fold a batch into what is known, in the order in which things ended, and into the ledger.

    Kept are exchanges of subscribers about published zones; what strangers were refused, and what subscribers
    were refused of zones that do not exist, is logged.
    """
    in_order = sorted(sightings, key=lambda each: each.ended_at)
    ids = _ids(session, {each.subscriber for each in sightings if each.subscriber is not None})
    published = set(session.scalars(select(Zone.name).where(Zone.retired_at.is_(None))))
    ours = [each for each in in_order if each.subscriber in ids and each.zone in published]
    releases = _releases(session, ours)
    rows = _Rows(session, ids.values(), {each.address for each in ours})
    page = ledger.Page(session)
    for sighting in ours:
        row = rows.at(ids[str(sighting.subscriber)], sighting)
        _fold(page, row, sighting, releases, now)
    page.close()
    session.flush()
    counts.add(session, ((ids[each.subscriber], each) for each in ours))
    _log([each for each in in_order if each.subscriber not in ids or each.zone not in published])


def whole(session: Session, subscriber_id: int, zone: str) -> Delivery:
    """The row of a subscriber as a whole, made where there is none."""
    row = session.get(Delivery, (subscriber_id, zone, WHOLE))
    if row is None:
        row = _new(session, subscriber_id, zone, WHOLE)
        session.flush()
    return row


def see(row: Delivery, serial: int | None, release: int | None, at: dt.datetime) -> bool:
    """Note what a server is known to have, and since when; whether that is something else than before."""
    if row.seen_at is not None and row.seen_serial == serial:
        return False
    changed = row.seen_serial != serial
    row.seen_serial, row.seen_release, row.seen_at = serial, release, at
    return changed


def _fold(page: ledger.Page, row: Delivery, sighting: Sighting, releases: Releases, now: dt.datetime) -> None:
    if sighting.kind is SightingKind.NOTIFY:
        row.notified_at, row.notify_outcome = sighting.at, sighting.outcome
        return
    if sighting.kind is SightingKind.REFUSED:
        worth = _refused(row, sighting, now)
    elif sighting.kind is SightingKind.SOA:
        worth = _polled(row, sighting, releases)
    else:
        worth = _requested(row, sighting, releases)
    if worth or ledger.is_silent(row, now):
        page.keep(row, ledger.of_sighting(sighting), now)
    else:
        ledger.fold(row)


def _refused(row: Delivery, sighting: Sighting, now: dt.datetime) -> bool:
    again = row.refusal == sighting.outcome and row.refusal_kept_at is not None
    row.refused_at, row.refusal = sighting.at, sighting.outcome
    if again and now - (row.refusal_kept_at or now) < ledger.SAME_REFUSAL:
        return False
    row.refusal_kept_at = now
    return True


def _polled(row: Delivery, sighting: Sighting, releases: Releases) -> bool:
    """A poll that finds what was last sent is taken for having it; a request that follows takes that back."""
    row.asked_at, row.asked_kind, row.asked_serial = sighting.at, sighting.kind, None
    if row.sent_serial is None or row.sent_serial != sighting.sent_serial:
        return False
    return see(row, row.sent_serial, releases.get((row.zone, row.sent_serial)), sighting.at)


def _requested(row: Delivery, sighting: Sighting, releases: Releases) -> bool:
    """An IXFR says what the server has; an AXFR says that it may have nothing."""
    asked = sighting.asked_serial
    row.asked_at, row.asked_kind, row.asked_serial = sighting.at, sighting.kind, asked
    changed = False
    if sighting.proven or (asked is not None and asked == row.sent_serial):
        changed = see(row, asked, None if asked is None else releases.get((row.zone, asked)), sighting.at)
    current = asked is not None and asked == sighting.sent_serial
    if sighting.outcome == DONE and sighting.sent_serial is not None and not current:
        row.sent_at, row.sent_serial, row.sent_octets = sighting.ended_at, sighting.sent_serial, sighting.octets
        return True
    return changed or sighting.outcome != DONE


class _Rows:
    """The rows that a batch is about, read at once, made where there are none."""

    def __init__(self, session: Session, subscriber_ids: Iterable[int], addresses: set[str]) -> None:
        self._session = session
        self._rows: dict[tuple[int, str, str], Delivery] = {}
        self._counts: dict[tuple[int, str], int] = {}
        for ids in targets.batches(subscriber_ids):
            for some in targets.batches({*addresses, WHOLE}):
                query = select(Delivery).where(Delivery.subscriber_id.in_(ids), Delivery.address.in_(some))
                for row in session.scalars(query):
                    self._rows[row.subscriber_id, row.zone, row.address] = row

    def at(self, subscriber_id: int, sighting: Sighting) -> Delivery:
        """The row of the address; where that is neither known nor proven to be its own, of the subscriber."""
        zone, address = sighting.zone, sighting.address
        if (subscriber_id, zone, address) not in self._rows and not self._may_be_made(subscriber_id, sighting):
            address = WHOLE
        place = (subscriber_id, zone, address)
        if place not in self._rows:
            self._rows[place] = _new(self._session, subscriber_id, zone, address)
        return self._rows[place]

    def _may_be_made(self, subscriber_id: int, sighting: Sighting) -> bool:
        slot = (subscriber_id, sighting.zone)
        if not sighting.proven:
            return False
        if slot not in self._counts:
            mine = select(func.count()).where(Delivery.subscriber_id == slot[0], Delivery.zone == slot[1])
            self._counts[slot] = self._session.execute(mine).scalar_one()
        self._counts[slot] += 1
        return self._counts[slot] <= MOST_SERVERS


def _new(session: Session, subscriber_id: int, zone: str, address: str) -> Delivery:
    row = Delivery(subscriber_id=subscriber_id, zone=zone, address=address, kept_rows=0, folded=0, unkept=False)
    session.add(row)
    return row


def _releases(session: Session, sightings: Sequence[Sighting]) -> Releases:
    """The release of every (zone, serial) that is spoken of and that the zone ever had."""
    spoken = {(each.zone, serial) for each in sightings for serial in (each.asked_serial, each.sent_serial)}
    found: dict[tuple[str, int], int] = {}
    for zone, pairs in groupby(sorted(pair for pair in spoken if pair[1] is not None), key=lambda pair: pair[0]):
        for some in targets.batches(serial for _, serial in pairs):
            query = select(ZoneSerial.serial, ZoneSerial.release_id).join(Zone, Zone.id == ZoneSerial.zone_id)
            rows = session.execute(query.where(Zone.name == zone, ZoneSerial.serial.in_(some)))
            found.update({(zone, serial): release for serial, release in rows})
    return found


def _ids(session: Session, names: Iterable[str]) -> Mapping[str | None, int]:
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
