"""Forgetting a server that is no more: it holds its subscriber back no longer, unless it asks again."""

import datetime as dt

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.journal.actor import Actor
from app.journal.append import Entry, append
from app.journal.events import EventType
from app.subscribers.deliveries import WHOLE
from app.subscribers.ledger import FORGOTTEN, Happened, Page
from app.subscribers.models import Delivery
from app.subscribers.queries import live_by_name
from app.subscribers.ranges import address_of


def forget(session: Session, actor: Actor, name: str, address: str, now: dt.datetime) -> None:
    """In every zone. What it did stays in the ledger. Raises NotFound for who is no subscriber or server of it."""
    row = live_by_name(session, name, lock=True)
    text = str(address_of(address) or address)
    query = select(Delivery).where(Delivery.subscriber_id == row.id, Delivery.address == text)
    servers = session.scalars(query.where(Delivery.address != WHOLE)).all()
    if not servers:
        raise NotFound(f"{name} has no server {address[:45]!r} that was ever seen")
    page = Page(session)
    for server in servers:
        server.seen_serial = server.seen_release = server.seen_at = server.had_at = None
        server.asked_at = server.asked_kind = server.asked_serial = None
        server.sent_at = server.sent_serial = server.sent_octets = None
        page.write(server, Happened(FORGOTTEN, now, text), now)
    page.close()
    facts = {"subscriber": name, "address": text, "zones": sorted(server.zone for server in servers)}
    append(session, actor, Entry(EventType.SUBSCRIBER_SERVER_FORGOTTEN, facts), now)
