"""Wrong blocks: each leaves a record of what it held and for how long, which the history of its names tells."""

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.journal.actor import Actor
from app.journal.append import Entry, append, timestamp
from app.journal.events import EventType
from app.orders.models import Incident, InForce, Order


def record(session: Session, actor: Actor, order: Order, names: int, reason: object, now: dt.datetime) -> None:
    """Record that `names` names of an order should not have been blocked; since when they were, its intervals say."""
    since = session.scalar(select(func.min(InForce.began_at)).where(InForce.order_id == order.id))
    incident = Incident(
        uid=str(uuid.uuid4()),
        order_id=order.id,
        recorded_at=now,
        recorded_by_id=actor.principal_id,
        reason=None if reason is None else str(reason),
        names=names,
        blocked_since=since,
    )
    session.add(incident)
    facts = {
        "incident": incident.uid,
        "order": order.uid,
        "names": names,
        "blocked_since": None if since is None else timestamp(since),
    }
    append(session, actor, Entry(EventType.INCIDENT_RECORDED, facts, order.id), now)


def page(session: Session, *, order_uid: str | None, after: int, limit: int) -> Sequence[tuple[Incident, Order]]:
    """Incidents with their orders, behind the one with database id `after`, oldest first."""
    query = select(Incident, Order).join(Order, Order.id == Incident.order_id).where(Incident.id > after)
    if order_uid is not None:
        query = query.where(Order.uid == order_uid)
    return [(incident, order) for incident, order in session.execute(query.order_by(Incident.id).limit(limit))]


def document(incident: Incident, order: Order) -> dict[str, Any]:
    """An incident as the interface shows it."""
    return {
        "id": incident.uid,
        "order_id": order.uid,
        "order_number": order.number,
        "recorded_at": incident.recorded_at,
        "reason": incident.reason,
        "names": incident.names,
        "blocked_since": incident.blocked_since,
    }
