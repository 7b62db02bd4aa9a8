"""What an ISP says of a release itself: received, applied, applied in part, failed."""

import datetime as dt
from typing import Annotated, Literal

from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import Fault, Forbidden, Gone
from app.journal.actor import Actor
from app.journal.append import Entry, append
from app.journal.events import EventType
from app.orders.schemas import Line, Schema
from app.publication import zones
from app.subscribers import deliveries
from app.subscribers.ledger import Happened, Page
from app.subscribers.models import Delivery
from app.subscribers.queries import find


class Acknowledge(Schema):
    """`applied` says that the resolvers answer by this serial; only that counts as having it."""

    zone: Annotated[str, Field(max_length=255)]
    serial: Annotated[int, Field(ge=0, lt=2**32)]
    phase: Literal["received", "applied", "partial", "failed"]
    names_pending: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    note: Line | None = None


def acknowledge(session: Session, actor: Actor, command: Acknowledge, now: dt.datetime) -> Delivery:
    """Write it down. Raises Forbidden for who is no subscriber, NotFound for the zone, Gone for the serial."""
    row = find(session, actor.name)
    if row is None:
        raise Forbidden(f"{actor.name} is not registered as a subscriber, or was removed")
    zone = zones.by_name(session, command.zone)
    release = zones.release_of(session, zone, command.serial)
    if release is None:
        fault = Fault(rule="serial", value=str(command.serial), pointer="/serial")
        raise Gone(f"{zone.name} never had the serial {command.serial}", faults=(fault,))
    delivery = deliveries.whole(session, row.id, zone.name)
    delivery.acknowledged_serial, delivery.acknowledged_phase = command.serial, command.phase
    delivery.acknowledged_pending, delivery.acknowledged_note = command.names_pending, command.note
    delivery.acknowledged_at = now
    page = Page(session)
    if command.phase == "applied":
        _raise_servers(session, page, delivery, command.serial, release, now)
        deliveries.see(delivery, command.serial, release, now)
    said = Happened(command.phase, now, delivery.address, asked_serial=command.serial)
    page.keep(delivery, said, now)
    page.close()
    facts = {"subscriber": row.name, **command.model_dump()}
    append(session, actor, Entry(EventType.SUBSCRIBER_ACKNOWLEDGED, facts), now)
    return delivery


def _raise_servers(session: Session, page: Page, said: Delivery, serial: int, release: int, now: dt.datetime) -> None:
    """An ISP speaks for all of its servers; one that is known to have something newer keeps it."""
    query = select(Delivery).where(
        Delivery.subscriber_id == said.subscriber_id,
        Delivery.zone == said.zone,
        Delivery.address != deliveries.WHOLE,
        Delivery.asked_at.is_not(None),
    )
    for server in session.scalars(query).all():
        behind = server.seen_release is None or server.seen_release < release
        if behind and deliveries.see(server, serial, release, now):
            page.keep(server, Happened("applied", now, server.address, asked_serial=serial), now)
