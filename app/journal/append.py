"""Writing an event: numbered, hashed, and kept or dropped together with the act that it records."""

import datetime as dt
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import rfc8785
from sqlalchemy import update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.db import RecordRefused, failure
from app.journal import tree
from app.journal.actor import Actor
from app.journal.events import EventType
from app.journal.models import Event, EventPersonal, JournalHead

Facts = Mapping[str, Any]
"""JSON values without floats (RFC 8785 writes those in a way of its own)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be written down.

    `facts` are JSON values (no floats). `personal` maps a field to text that names or locates a person: its hash
    goes into the body, its text beside it. `occurred_at` is when it happened, if that is not when it was recorded.
    """

    type: EventType
    facts: Facts = field(default_factory=dict)
    order_id: int | None = None
    occurred_at: dt.datetime | None = None
    personal: Mapping[str, str] = field(default_factory=dict)


def append(session: Session, actor: Actor, entry: Entry, now: dt.datetime) -> int:
    """Write one event and return its sequence number (from 1, without gaps).

    Raises RecordRefused where the database does not take it, and the act that it is of goes no further.
    """
    session.flush()  # what the act itself has changed, and may be refused for
    try:
        return _append(session, actor, entry, now)
    except DBAPIError as error:
        if failure(error) is not None:
            raise
        raise RecordRefused(error.statement, error.params, error.orig or error) from error


def _append(session: Session, actor: Actor, entry: Entry, now: dt.datetime) -> int:
    seq = _next_seq(session)
    personal = dict(entry.personal)
    if actor.address is not None:
        personal["network_address"] = actor.address
    salted = {name: (secrets.token_bytes(16), text) for name, text in sorted(personal.items())}
    occurred_at = entry.occurred_at or now
    body = canonical_body(seq, actor, entry, now, salted)
    leaf = leaf_hash(body)
    session.add(
        Event(
            seq=seq,
            type=entry.type,
            recorded_at=now,
            occurred_at=occurred_at,
            actor=actor.name,
            role=actor.role,
            principal_id=actor.principal_id,
            order_id=entry.order_id,
            body=body.decode(),
            leaf=leaf,
        )
    )
    session.flush()
    tree.grow(session, seq, leaf)
    session.add_all(EventPersonal(seq=seq, field=name, salt=salt, text=text) for name, (salt, text) in salted.items())
    session.flush()
    return seq


def canonical_body(
    seq: int, actor: Actor, entry: Entry, now: dt.datetime, salted: Mapping[str, tuple[bytes, str]]
) -> bytes:
    """The octets that an event commits to (RFC 8785); personal fields are in it as salted hashes only."""
    return rfc8785.dumps(
        {
            "seq": seq,
            "type": str(entry.type),
            "recorded_at": timestamp(now),
            "occurred_at": timestamp(entry.occurred_at or now),
            "actor": {"name": actor.name, "role": str(actor.role), "token": actor.token_id},
            "facts": dict(entry.facts),
            "personal": {name: salted_hash(salt, text) for name, (salt, text) in salted.items()},
        }
    )


def leaf_hash(body: bytes) -> bytes:
    """Hash of a Merkle tree leaf (RFC 6962 section 2.1)."""
    return hashlib.sha256(b"\x00" + body).digest()


def salted_hash(salt: bytes, text: str) -> str:
    """What stands in a body for a personal field: nobody can guess the text back without the salt."""
    return "sha256:" + hashlib.sha256(salt + text.encode()).hexdigest()


def timestamp(moment: dt.datetime) -> str:
    """RFC 3339, UTC, microseconds always written, so that text order is time order."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _next_seq(session: Session) -> int:
    statement = update(JournalHead).where(JournalHead.id == 1).values(size=JournalHead.size + 1)
    return session.execute(statement.returning(JournalHead.size)).scalar_one()
