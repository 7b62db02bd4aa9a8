"""Writing an act on an application into the journal: in the record of every order that it concerns."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from app.cases.models import Application
from app.journal import append as journal
from app.journal.actor import Actor
from app.journal.append import Entry
from app.journal.events import EventType
from app.orders.models import Order


@dataclass(frozen=True, slots=True)
class Record:
    """What is to be written down, but for the application and its orders, which are in every event."""

    type: EventType
    facts: Mapping[str, object]
    occurred_at: dt.datetime | None = None
    personal: Mapping[str, str] = field(default_factory=dict)


def append(
    session: Session, actor: Actor, application: Application, orders: Sequence[Order], record: Record, now: dt.datetime
) -> int:
    """Write an act once for each order that it concerns, so that the history of every name tells it; personal fields
    stand with the first, whose sequence number is given back."""
    facts = {"application": application.uid, "orders": [order.uid for order in orders], **record.facts}
    first = Entry(record.type, facts, orders[0].id, record.occurred_at, record.personal)
    seq = journal.append(session, actor, first, now)
    for order in orders[1:]:
        journal.append(session, actor, Entry(record.type, facts, order.id, record.occurred_at), now)
    return seq
