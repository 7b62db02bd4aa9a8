"""Finding subscribers, their keys, and the rows of their ledger."""

import datetime as dt
from collections.abc import Collection, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.orders import targets
from app.subscribers.models import Delivery, Exchange, KeyRow, SubscriberRow

LONGEST_ID = 18
"""Digits that surely fit into a database's integer."""


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


def was_removed(session: Session, name: str) -> bool:
    """Whether there was a subscriber of this name, and is none now."""
    query = select(SubscriberRow.id).where(SubscriberRow.name == name, SubscriberRow.removed_at.is_not(None))
    return session.scalar(query) is not None


def by_name(session: Session, name: str) -> SubscriberRow:
    """A subscriber, removed or not; raises NotFound."""
    row = session.scalars(select(SubscriberRow).where(SubscriberRow.name == name)).one_or_none()
    if row is None:
        raise NotFound(f"there is no subscriber {name[:80]}")
    return row


def by_id_or_name(session: Session, text: str) -> SubscriberRow:
    """A subscriber, removed or not; raises NotFound. No name begins with a digit."""
    row = session.get(SubscriberRow, int(text)) if _is_id(text) else by_name(session, text)
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


def deliveries_of(session: Session, subscriber_ids: Collection[int]) -> Sequence[Delivery]:
    """What is known of every server of these subscribers, by zone and address."""
    query = select(Delivery).order_by(Delivery.zone, Delivery.address)
    return [
        row
        for ids in targets.batches(subscriber_ids)
        for row in session.scalars(query.where(Delivery.subscriber_id.in_(ids)))
    ]


def with_a_key(session: Session, subscriber_ids: Collection[int]) -> Collection[int]:
    """Which of these subscribers ever had a key."""
    return {
        id_
        for ids in targets.batches(subscriber_ids)
        for id_ in session.scalars(select(KeyRow.subscriber_id).where(KeyRow.subscriber_id.in_(ids)))
    }


def exchanges_of(
    session: Session, row: SubscriberRow, *, before: int, limit: int, zone: str | None, address: str | None
) -> Sequence[Exchange]:
    """Rows of a subscriber's ledger, newest first; `before` is the id of the last one shown, 0 for none."""
    query = select(Exchange).where(Exchange.subscriber_id == row.id).order_by(Exchange.id.desc()).limit(limit)
    if before:
        query = query.where(Exchange.id < before)
    if zone is not None:
        query = query.where(Exchange.zone == zone)
    if address is not None:
        query = query.where(Exchange.source == address)
    return session.scalars(query).all()


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= LONGEST_ID
