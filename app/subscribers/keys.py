"""TSIG keys of subscribers: made, rotated with two of them alive, ended; their secrets lie sealed."""

import datetime as dt
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.errors import Conflict, SettingInvalid, Unprocessable
from app.journal.actor import Actor
from app.journal.append import Entry, append, timestamp
from app.journal.events import EventType
from app.subscribers import seal
from app.subscribers.models import KeyRow, SubscriberRow
from app.subscribers.queries import live_by_name
from app.subscribers.seal import SecretKey

Algorithm = Literal["hmac-sha256", "hmac-sha384", "hmac-sha512"]

SECRET_OCTETS: dict[str, int] = {"hmac-sha256": 32, "hmac-sha384": 48, "hmac-sha512": 64}
"""A secret as long as the hash (RFC 8945 section 8), for each algorithm that is offered."""

LONGEST_OVERLAP = dt.timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Tsig:
    """A key as its subscriber needs it."""

    name: str
    algorithm: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class RotateKey:
    """A new key for a subscriber; the ones it has stay good for `overlap`. No algorithm: that of the newest."""

    name: str
    overlap: dt.timedelta
    algorithm: Algorithm | None = None


def secret_key(session: Session, path: Path) -> SecretKey:
    """Read the key file, or make it where nothing was ever sealed; raises SettingInvalid where it is lost."""
    sealed = session.scalars(select(KeyRow.name).limit(1)).first() is not None
    if sealed and not path.exists():
        raise SettingInvalid(
            f"the key file {path} is gone, and secrets in the database are sealed with it: "
            "put back the copy that was made with the database"
        )
    return seal.make(path)


def rotate(session: Session, actor: Actor, command: RotateKey, now: dt.datetime, *, secret_key: SecretKey) -> Tsig:
    """Give a subscriber a new key; each it had is good until `now + overlap`, or its own end if that is sooner.

    Raises NotFound without such a subscriber, Conflict for one without a key, Unprocessable for an overlap
    below zero or above 90 days.
    """
    if not dt.timedelta(0) <= command.overlap <= LONGEST_OVERLAP:
        raise Unprocessable(f"an overlap is from 0 to {LONGEST_OVERLAP.days} days")
    row = live_by_name(session, command.name, lock=True)
    if not row.keyed:
        raise Conflict(
            f"{row.name} was registered without a key: remove it, and add it with --tsig, so that no address "
            "is served without a signature meanwhile"
        )
    old = newest(session, row)
    algorithm = command.algorithm or (old.algorithm if old is not None else "hmac-sha256")
    until = now + command.overlap
    end(session, row, until)
    key = create(session, row, algorithm, now, secret_key=secret_key)
    facts = {"subscriber": row.name, "key": key.name, "algorithm": algorithm, "others_until": timestamp(until)}
    append(session, actor, Entry(EventType.SUBSCRIBER_KEY_ROTATED, facts), now)
    return key


def create(session: Session, row: SubscriberRow, algorithm: str, now: dt.datetime, *, secret_key: SecretKey) -> Tsig:
    """Make a key and seal it; the caller writes the event."""
    key = Tsig(_free_name(session, row.name, now), algorithm, secrets.token_bytes(SECRET_OCTETS[algorithm]))
    session.add(
        KeyRow(
            subscriber_id=row.id,
            name=key.name,
            algorithm=algorithm,
            sealed_secret=secret_key.seal(key.secret, key.name),
            valid_from=now,
            valid_until=None,
        )
    )
    session.flush()
    return key


def end(session: Session, row: SubscriberRow, until: dt.datetime) -> None:
    """Let no key of a subscriber live longer than `until`."""
    longer = or_(KeyRow.valid_until.is_(None), KeyRow.valid_until > until)
    for key in session.scalars(select(KeyRow).where(KeyRow.subscriber_id == row.id, longer)):
        key.valid_until = until
    session.flush()


def newest(session: Session, row: SubscriberRow) -> KeyRow | None:
    """The key that was made last, alive or not."""
    query = select(KeyRow).where(KeyRow.subscriber_id == row.id).order_by(KeyRow.id.desc()).limit(1)
    return session.scalars(query).one_or_none()


def opened(session: Session, row: SubscriberRow, path: Path) -> Tsig | None:
    """The newest key with its secret, for whoever administers the host; None for a subscriber without one."""
    key = newest(session, row) if row.keyed else None
    if key is None:
        return None
    return Tsig(key.name, key.algorithm, seal.read(path).unseal(key.sealed_secret, key.name))


def _free_name(session: Session, subscriber: str, now: dt.datetime) -> str:
    """`NAME-YYYYMMDD`, and `-2`, `-3` behind it where the day had one: a key's name is never used again."""
    stem = f"{subscriber}-{now:%Y%m%d}"
    taken = set(session.scalars(select(KeyRow.name).where(KeyRow.name.startswith(stem, autoescape=True))))
    if stem not in taken:
        return stem
    number = 2
    while f"{stem}-{number}" in taken:
        number += 1
    return f"{stem}-{number}"
