"""Reading the journal, oldest first."""

import datetime as dt
import json
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.journal.models import Event


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


def of_orders(session: Session, order_ids: Collection[int], *, until: dt.datetime | None = None) -> Sequence[Event]:
    """All events of these orders, recorded at `until` or before."""
    query = select(Event).where(Event.order_id.in_(order_ids)).order_by(Event.seq)
    if until is not None:
        query = query.where(Event.recorded_at <= until)
    return session.scalars(query).all()


def document(event: Event) -> dict[str, Any]:
    """An event as the interface shows it: its canonical body and its leaf hash."""
    return {**json.loads(event.body), "leaf": event.leaf.hex()}
