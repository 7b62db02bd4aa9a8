"""Which transfer processes run, and how they do: each says so every few seconds, whoever asks reads it."""

import datetime as dt
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.subscribers.models import TransferProcess

TOLD_EVERY = 10.0
"""Seconds after which a transfer process says again that it runs."""

SILENT_AFTER = dt.timedelta(seconds=35)
"""One that said nothing for so long is taken for gone: three times in a row it was not heard."""

FORGOTTEN_AFTER = dt.timedelta(days=7)
"""One that was silent for so long is no more: nobody misses it."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """Connections that are open over TCP, and the longest, in seconds, that the loop was late since the last time."""

    connections: int
    late: float


def name_of_this_process() -> str:
    """A name that no other process has."""
    return f"{socket.gethostname()}:{os.getpid()}"


def tell(session: Session, name: str, pulse: Pulse, now: dt.datetime) -> None:
    """Note that a transfer process runs, and forget those that were silent for a week."""
    row = session.get(TransferProcess, name)
    if row is None:
        row = TransferProcess(name=name, started_at=now)
        session.add(row)
    row.seen_at, row.connections, row.late_microseconds = now, pulse.connections, round(pulse.late * 1_000_000)
    session.execute(delete(TransferProcess).where(TransferProcess.seen_at < now - FORGOTTEN_AFTER))
    session.flush()


def leave(session: Session, name: str) -> None:
    """Note that a transfer process has ended as it should."""
    session.execute(delete(TransferProcess).where(TransferProcess.name == name))


def processes(session: Session) -> Sequence[TransferProcess]:
    """Those that run, and those that fell silent."""
    return session.scalars(select(TransferProcess).order_by(TransferProcess.name)).all()


def ailment(session: Session, now: dt.datetime) -> str | None:
    """What is wrong, in words, where all transfer processes that ever began are silent; None where one is heard.

    None as well where none ever began: zones may be fetched over HTTP alone.
    """
    known = processes(session)
    if not known or any(now - row.seen_at < SILENT_AFTER for row in known):
        return None
    last = max(row.seen_at for row in known)
    return f"no transfer process has been heard of for {(now - last).total_seconds():.0f} s: zones are not served"
