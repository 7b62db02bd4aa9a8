"""The publisher's lease: one of them publishes, the others stand by.

A row names who publishes, under which epoch, and until when by the database's clock. Every write transaction of the
publisher begins by looking at the epoch (`Lease.guard`): whoever lost the lease, frozen for a while or cut off, writes
nothing more, however late it notices. (An advisory lock would stay with a frozen process.)
"""

import logging
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db import Database, database_now
from app.publication.models import PublisherLease

log = logging.getLogger(__name__)

LENGTH = timedelta(seconds=6)
"""Longer than a healthy publisher is ever busy with one thing, and than PostgreSQL lets a silent writer live: when it
is over, the lock that a frozen publisher may have held is free as well."""

RENEWED_EVERY = 2.0
"""Seconds; two renewals may fail before anybody takes over."""

PROCESS = Path("/proc/self")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class LeaseLost(Exception):
    """Another publisher has taken over, so nothing may be written."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to publish, under an epoch of its own; it holds as long as nobody else has taken it."""

    database: Database
    holder: str
    epoch: int

    def guard(self, session: Session) -> None:
        """Raise LeaseLost unless this lease holds; with the writer's lock it then holds until the transaction ends."""
        self._row(session)

    def guarded(self) -> Database:
        """The database as this publisher may write it."""
        return self.database.guarded(self.guard)

    def renew(self) -> None:
        """Move the end of the lease; raises LeaseLost."""
        with self.database.write() as session:
            self._row(session).expires_at = database_now(session) + LENGTH

    def give_up(self) -> None:
        """Let another take over at once."""
        with suppress(LeaseLost), self.database.write() as session:
            self._row(session).expires_at = database_now(session)

    def _row(self, session: Session) -> PublisherLease:
        row = _the_row(session)
        if (row.holder, row.epoch) != (self.holder, self.epoch):
            raise LeaseLost
        return row


def take(database: Database, holder: str) -> Lease | None:
    """The lease under a new epoch; None where another has it. Asking does not wait for a writer."""
    with database.read() as session:
        if not _is_free(session, _the_row(session, lock=False)):
            return None
    with database.write() as session:
        row = _the_row(session)
        if not _is_free(session, row):
            return None
        log.info("the lease of %s has ended", row.holder)
        row.holder, row.epoch, row.expires_at = holder, row.epoch + 1, database_now(session) + LENGTH
        return Lease(database, holder, row.epoch)


def _the_row(session: Session, *, lock: bool = True) -> PublisherLease:
    query = select(PublisherLease)
    return session.scalars(query.with_for_update() if lock else query).one()


def _is_free(session: Session, row: PublisherLease) -> bool:
    """Whether a lease may be taken: it has ended, its process has, or its end was set by a clock that ran ahead."""
    left = row.expires_at - database_now(session)
    return not timedelta() < left <= LENGTH or has_ended(row.holder)


def this_process() -> str:
    """A name for this process that no other has, ever: host, kernel, process namespace, number and start."""
    parts = (
        socket.gethostname().replace(" ", "-"),
        _text_of(lambda: BOOT_ID.read_text().strip()),
        _text_of(lambda: str((PROCESS / "ns" / "pid").readlink())),
        str(os.getpid()),
        _text_of(lambda: _start_of(os.getpid())),
    )
    return " ".join(parts)


def has_ended(holder: str) -> bool:
    """Whether a process of this kernel and namespace is known to be gone; of others nothing is known."""
    known, ours = holder.split(" "), this_process().split(" ")
    if len(known) != len(ours) or known[:3] != ours[:3] or not known[3].isdecimal():
        return False
    try:
        os.kill(int(known[3]), 0)
        return known[4] != _start_of(int(known[3]))
    except ProcessLookupError:
        return True
    except OSError:
        return False


def _start_of(process: int) -> str:
    """When a process was started, in clock ticks since the kernel was (proc(5), field 22 of stat)."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]


def _text_of(read: Callable[[], str]) -> str:
    """What a file says; a dash where there is none: on such a system only the end of a lease tells."""
    try:
        return read()
    except OSError:
        return "-"
