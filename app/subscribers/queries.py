"""Finding subscribers, and what each is known to have beside what is published."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.publication import zones
from app.publication.models import Release, Zone, ZoneSerial
from app.subscribers.models import Delivery, KeyRow, SubscriberRow

LONGEST_ID = 18
"""Digits that surely fit into a database's integer."""


@dataclass(frozen=True, slots=True)
class Behind:
    """How far a known serial is from the head: releases it lacks, and seconds since the first of them."""

    serials: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Standing:
    """One zone as one subscriber has it.

    `delivery` is None where nothing was ever seen of it; `behind` is None where no serial is known that this
    zone ever had.
    """

    zone: str
    serial: int
    published_at: dt.datetime
    delivery: Delivery | None
    behind: Behind | None


def live_by_name(session: Session, name: str, *, lock: bool = False) -> SubscriberRow:
    """The subscriber of this name; raises NotFound, also where it was removed."""
    row = find(session, name, lock=lock)
    if row is None:
        raise NotFound(f"there is no subscriber {name[:80]}")
    return row


def find(session: Session, name: str, *, lock: bool = False) -> SubscriberRow | None:
    """The subscriber of this name, unless it was removed."""
    query = select(SubscriberRow).where(SubscriberRow.name == name, SubscriberRow.removed_at.is_(None))
    return session.scalars(query.with_for_update() if lock else query).one_or_none()


def by_id_or_name(session: Session, text: str) -> SubscriberRow:
    """A subscriber, removed or not; raises NotFound."""
    wanted = SubscriberRow.id == int(text) if _is_id(text) else SubscriberRow.name == text
    row = session.scalars(select(SubscriberRow).where(wanted)).one_or_none()
    if row is None:
        raise NotFound(f"there is no subscriber {text[:80]}")
    return row


def page(session: Session, *, after: int, limit: int) -> Sequence[SubscriberRow]:
    """Subscribers behind the one with this id, without those that were removed."""
    query = select(SubscriberRow).where(SubscriberRow.removed_at.is_(None), SubscriberRow.id > after)
    return session.scalars(query.order_by(SubscriberRow.id).limit(limit)).all()


def keys_of(session: Session, row: SubscriberRow, now: dt.datetime) -> Sequence[KeyRow]:
    """The keys that a subscriber may sign with now, oldest first."""
    query = select(KeyRow).where(KeyRow.subscriber_id == row.id).order_by(KeyRow.id)
    return [key for key in session.scalars(query) if key.valid_until is None or key.valid_until > now]


def standings(session: Session, row: SubscriberRow, now: dt.datetime) -> Sequence[Standing]:
    """Every published zone as this subscriber has it; none before the first release."""
    heads = _heads(session)
    seen = {
        delivery.zone: delivery
        for delivery in session.scalars(select(Delivery).where(Delivery.subscriber_id == row.id))
    }
    return [
        Standing(
            zone.name,
            serial,
            published_at,
            seen.get(zone.name),
            _behind(session, zone, seen.get(zone.name), now),
        )
        for zone, (serial, published_at) in heads.items()
    ]


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= LONGEST_ID


def _heads(session: Session) -> Mapping[Zone, tuple[int, dt.datetime]]:
    newest = zones.head(session)
    if newest is None:
        return {}
    return {zone: (zones.last_serial(session, zone), newest.published_at) for zone in zones.active(session)}


def _behind(session: Session, zone: Zone, delivery: Delivery | None, now: dt.datetime) -> Behind | None:
    serial = None if delivery is None else delivery.seen_serial
    if serial is None or zones.release_of(session, zone, serial) is None:
        return None
    query = (
        select(func.count(), func.min(Release.published_at))
        .select_from(ZoneSerial)
        .join(Release, Release.id == ZoneSerial.release_id)
        .where(ZoneSerial.zone_id == zone.id, ZoneSerial.serial > serial)
    )
    count, since = session.execute(query).one()
    return Behind(count, 0 if since is None else max(0, int((now - since).total_seconds())))
