"""The key that signs for the journal: in a file, never in the database, which knows its public half and since when."""

import base64
import datetime as dt
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import keyfile
from app.db import Clock, Database
from app.errors import Conflict, SettingInvalid
from app.journal import tree
from app.journal.actor import CLOCK, Actor
from app.journal.append import Entry, append
from app.journal.events import EventType
from app.journal.models import LogKey
from app.journal.moment import moment
from app.journal.notes import Checkpoint, PublicKey, Signer
from app.settings import Settings

log = logging.getLogger(__name__)

NEXT_ENDING = ".next"


def start(database: Database, settings: Settings, clock: Clock) -> None:
    """Make the first key, and give the journal its name; where that was done, nothing is written.

    Raises SettingInvalid where LOG_ORIGIN is another name than it has, and for a key file that others can read.
    """
    with database.read() as session:
        is_new = newest(session) is None
    if is_new:
        with database.write() as session:
            _make(session, settings, clock)
    with database.read() as session:
        current, path = newest(session), settings.log_key_path
        assert current is not None
        if settings.log_origin not in {"", current.name}:
            raise SettingInvalid(
                f"the journal is called {current.name} since its first checkpoint, and cannot be {settings.log_origin}"
            )
        if held(session, path) is None:
            log.error(
                "%s does not hold the journal's key %s: this host signs nothing until it does", path, current.vkey
            )


def rotate(session: Session, actor: Actor, path: Path, now: dt.datetime) -> PublicKey:
    """Put a new key in force, which the one before signs; its file takes the old one's place at its next use."""
    before = needed(session, path)
    after = Signer.of(before.name, keyfile.make(_next(path))).public
    signature = base64.b64encode(before.private.sign(succession(after.name, after.vkey))).decode()
    facts = {"before": before.public.vkey, "signature": signature}
    _record(session, actor, EventType.LOG_KEY_ROTATED, after, facts, now)
    return after


def succession(name: str, vkey: str) -> bytes:
    """What a key signs to name the one that follows it; no checkpoint has such a second line."""
    return f"{name}\nnext key\n{vkey}\n".encode()


def held(session: Session, path: Path) -> Signer | None:
    """The key in force, where this host has it. Raises SettingInvalid for a file that is damaged or open to others."""
    current = newest(session)
    if current is None or not path.exists():
        return None
    signer = Signer.of(current.name, keyfile.read(path))
    if signer.public != current and _next(path).exists():
        following = Signer.of(current.name, keyfile.read(_next(path)))
        if following.public == current:  # recorded, so the file moves up; whoever else does it moves the same
            with suppress(FileNotFoundError):
                _next(path).rename(path)
            return following
    return signer if signer.public == current else None


def needed(session: Session, path: Path) -> Signer:
    """The same; raises Conflict where this host does not have it."""
    signer = held(session, path)
    if signer is None:
        current = newest(session)
        which = "the journal has no key yet: it is made at the first start"
        raise Conflict(which if current is None else f"{path} does not hold the journal's key {current.vkey}")
    return signer


def newest(session: Session) -> PublicKey | None:
    """The key in force."""
    rows = keys(session)
    return rows[-1][1] if rows else None


def keys(session: Session) -> Sequence[tuple[int, PublicKey]]:
    """Every key that ever signed, oldest first, with the number of the event that put it in force."""
    return [(row.seq, PublicKey(row.name, row.public)) for row in session.scalars(select(LogKey).order_by(LogKey.seq))]


def checkpoint(session: Session, signer: Signer, size: int | None = None) -> str:
    """The signed note of the journal as it now is, or was at a size."""
    size = tree.size(session) if size is None else size
    return signer.note(Checkpoint(signer.name, size, tree.root(session, size)).text)


def _make(session: Session, settings: Settings, clock: Clock) -> None:
    if newest(session) is None:  # nor did another host make one meanwhile
        public = Signer.of(settings.first_origin, keyfile.make(settings.log_key_path)).public
        _record(session, CLOCK, EventType.LOG_KEY_MADE, public, {}, moment(session, clock))


def _next(path: Path) -> Path:
    return path.with_name(path.name + NEXT_ENDING)


def _record(
    session: Session, actor: Actor, type_: EventType, key: PublicKey, facts: Mapping[str, object], now: dt.datetime
) -> None:
    seq = append(session, actor, Entry(type_, {"log": key.name, "key": key.vkey, **facts}), now)
    session.add(LogKey(seq=seq, name=key.name, public=key.octets))
    session.flush()
