"""Reading the journal, oldest first."""

import datetime as dt
import json
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from app.journal.models import Event, EventPersonal


def page(
    session: Session,
    *,
    after: int = 0,
    limit: int = 100,
    type_: str | None = None,
    actor: str | None = None,
    until: dt.datetime | None = None,
) -> Sequence[Event]:
    """Events behind sequence number `after`, at most `limit` of them."""
    query = select(Event).where(Event.seq > after).order_by(Event.seq).limit(limit)
    if type_ is not None:
        query = query.where(Event.type == type_)
    if actor is not None:
        query = query.where(Event.actor == actor)
    if until is not None:
        query = query.where(Event.recorded_at <= until)
    return session.scalars(query).all()


def of_orders(
    session: Session,
    order_ids: Collection[int],
    *,
    until: dt.datetime | None = None,
    types: Collection[str] | None = None,
) -> Sequence[Event]:
    """All events of these orders, recorded at `until` or before; of some types, if they are given."""
    query = select(Event).where(Event.order_id.in_(order_ids)).order_by(Event.seq)
    if types is not None:
        query = query.where(Event.type.in_(types))
    if until is not None:
        query = query.where(Event.recorded_at <= until)
    return session.scalars(query).all()


def page_of_orders(session: Session, order_ids: Select[int], *, after: int, limit: int) -> Sequence[Event]:
    """Events of the orders that a query finds, behind sequence number `after`, at most `limit` of them."""
    query = select(Event).where(Event.order_id.in_(order_ids), Event.seq > after)
    return session.scalars(query.order_by(Event.seq).limit(limit)).all()


def first_recorded_at(session: Session) -> dt.datetime | None:
    """When the journal begins; None where it has not."""
    return session.scalar(select(Event.recorded_at).where(Event.seq == 1))


def size_at(session: Session, at: dt.datetime) -> int:
    """How many events the journal had at a moment."""
    query = select(Event.seq).where(Event.recorded_at <= at)
    return session.scalar(query.order_by(Event.recorded_at.desc(), Event.seq.desc()).limit(1)) or 0


def personal(session: Session, seq: int) -> dict[str, str | None]:
    """The personal fields of an event; None for one whose text is no longer kept."""
    rows = session.scalars(select(EventPersonal).where(EventPersonal.seq == seq))
    return {row.field: row.text for row in rows}


def document(event: Event) -> dict[str, Any]:
    """An event as the interface shows it: its canonical body and its leaf hash."""
    return {**json.loads(event.body), "leaf": event.leaf.hex()}
