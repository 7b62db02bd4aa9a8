"""Subscribers, zones and releases, put into a database in a line each."""

import datetime as dt
import json
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.auth.models import Principal
from app.db import Database
from app.journal.actor import host
from app.journal.models import Event
from app.orders.models import Order
from app.publication.models import Release, Zone, ZoneSerial
from app.subscribers.keys import Algorithm
from app.subscribers.models import Delivery, SubscriberRow
from app.subscribers.register import Added, AddSubscriber, add
from app.subscribers.seal import SecretKey

ROOT = host("root")


def registered(
    database: Database,
    name: str,
    *addresses: str,
    now: dt.datetime,
    notify: Sequence[str] = (),
    secret_key: SecretKey | None = None,
) -> Added:
    """Take a subscriber on; it signs if there is a key file to seal with."""
    algorithm: Algorithm | None = "hmac-sha256" if secret_key is not None else None
    command = AddSubscriber(name, addresses, tuple(notify), algorithm)
    with database.write() as session:
        return add(session, ROOT, command, now, secret_key=secret_key)


def published(database: Database, zone: str, serials: Sequence[tuple[int, dt.datetime]]) -> None:
    """A zone with these serials, each at its moment."""
    with database.write() as session:
        row = Zone(name=zone, action="nxdomain", floor=0, epoch_release_id=1, created_at=serials[0][1], retired_at=None)
        session.add(row)
        session.flush()
        for number, (serial, at) in enumerate(serials, start=1):
            if session.get(Release, number) is None:
                session.add(_release(number, at))
                session.flush()
            session.add(ZoneSerial(zone_id=row.id, release_id=number, serial=serial))


def _release(number: int, at: dt.datetime) -> Release:
    return Release(
        id=number,
        published_at=at,
        names=0,
        rules=0,
        digest=bytes(32),
        events_until=0,
    )


def hold_the_sample(database: Database, now: dt.datetime) -> None:
    """One order that is marked as sample."""
    with database.write() as session:
        proposer = Principal(name="sample-operator", role="operator", created_at=now)
        session.add(proposer)
        session.flush()
        session.add(
            Order(
                uid="sample",
                kind="block",
                state="importing",
                version=1,
                sample=True,
                number=None,
                number_note="no source states it",
                dated="2017-07-14",
                authority="-",
                legal_basis="[]",
                category="radicalism",
                reason_id="-",
                reason_en="-",
                review_due_at=now,
                review_at=now,
                targets_count=0,
                targets_root=bytes(32),
                proposed_at=now,
                proposed_by_id=proposer.id,
            )
        )


def delivery(session: Session, subscriber: str, zone: str) -> Delivery:
    """The ledger's row."""
    query = select(Delivery).join(SubscriberRow, SubscriberRow.id == Delivery.subscriber_id)
    return session.scalars(query.where(SubscriberRow.name == subscriber, Delivery.zone == zone)).one()


def facts_of(database: Database, kind: str) -> list[dict[str, object]]:
    """The facts of every event of one kind, oldest first."""
    with database.read() as session:
        bodies = session.scalars(select(Event.body).where(Event.type == kind).order_by(Event.seq)).all()
    return [json.loads(body)["facts"] for body in bodies]


def journal_text(database: Database) -> str:
    """Everything that the journal says."""
    with database.read() as session:
        return "\n".join(session.scalars(select(Event.body)))
