"""Bugs of whoever writes: what the kill loop, the power cut and the faults of single steps must find."""

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any

import pysqlite3
from fastapi import Request
from sqlalchemy import Connection
from sqlalchemy.orm import Session

from app import deps, drafts, main, sqlite
from app.auth import idempotency
from app.db import Database
from app.journal.append import append
from app.publication.follower import Follower
from app.publication.marks import Marks, sync_folder
from app.settings import Settings
from tests.planted import replace

Method = Callable[..., Any]
LATE = 0.05
"""Seconds by which what comes too late does."""


def synchronous_normal() -> None:
    """A commit is told before it is durable."""

    def careless(prepare: Method) -> Method:
        def prepared(connection: pysqlite3.dbapi2.Connection, record: object) -> None:
            prepare(connection, record)
            connection.execute("PRAGMA synchronous=NORMAL")

        return prepared

    replace(sqlite, "_prepare_connection", careless)


def autocommit() -> None:
    """Every statement is a transaction of its own."""

    def never_begun(_begin: Method) -> Method:
        def begun(connection: Connection) -> None:
            connection.exec_driver_sql("PRAGMA query_only=OFF")

        return begun

    replace(sqlite, "_begin", never_begun)


def journal_apart() -> None:
    """The act is committed first, and then its event."""

    def apart(session: Session, *arguments: object) -> object:
        _commit_so_far(session)
        write: Method = append
        return write(session, *arguments)

    for module in list(sys.modules.values()):
        if module.__name__.startswith("app.") and vars(module).get("append") is append:
            replace(module, "append", lambda _: apart)


class Borrowed:
    """A database whose transactions are all the one that is going on."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @contextmanager
    def write(self) -> Iterator[Session]:
        yield self._session

    read = write


def publish_before_commit() -> None:
    """What an act changes is published, and shown, before the act is committed."""
    followers: dict[int, Follower] = {}

    def remembered(refresh: Method) -> Method:
        def refreshed(self: Follower, session: Session) -> object:
            followers[id(self)] = self
            return refresh(self, session)

        return refreshed

    @contextmanager
    def published(database: Database) -> Iterator[Session]:
        with database.write() as session:
            yield session
            publish: Method = main.make_publisher
            publish(Settings(), Borrowed(session)).publish(main.utc_now())
            for follower in followers.values():
                follower.refresh(session)

    replace(Follower, "refresh", remembered)
    _write_requests_by(published)


def answer_before_commit() -> None:
    """A request is answered first, and then committed."""

    @contextmanager
    def late(database: Database) -> Iterator[Session]:
        transaction = database.write()
        yield transaction.__enter__()
        threading.Timer(LATE, transaction.__exit__, (None, None, None)).start()

    _write_requests_by(late)


def mark_without_fsync() -> None:
    """A high-water mark is moved into place before it is durable."""

    def careless(self: Marks, zone: str, serial: int) -> None:
        if serial > self.own(zone):
            folder: Path = vars(self)["_folder"]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / ".new").write_text(f"{serial}\n")
            (folder / ".new").replace(folder / zone)
            sync_folder(folder)

    replace(Marks, "raise_to", lambda _: careless)


def mark_after_showing() -> None:
    """A serial is shown first, and then marked."""
    waiting: list[tuple[Marks, str, int]] = []

    def one_late(raise_to: Method) -> Method:
        def raised(self: Marks, zone: str, serial: int) -> None:
            for each in waiting:
                raise_to(*each)
            waiting[:] = [(self, zone, serial)]

        return raised

    replace(Marks, "raise_to", one_late)


def zone_file_in_place() -> None:
    """A zone's file is written where it is read."""

    def in_place(file: IO[bytes], path: Path) -> None:
        file.flush()
        path.write_bytes(Path(file.name).read_bytes())

    replace(drafts, "place", lambda _: in_place)


def serial_from_the_database_alone() -> None:
    """Nobody asks which serials were shown."""
    replace(Marks, "highest", lambda _: lambda _self, _zone: 0)
    replace(Marks, "own", lambda _: lambda _self, _zone: 0)


def idempotency_apart() -> None:
    """The act is committed first, and then the answer under its key."""

    def apart(keep: Method) -> Method:
        def kept(request: Request, *arguments: object) -> None:
            _commit_so_far(request.state.session)
            keep(request, *arguments)

        return kept

    replace(idempotency, "_keep", apart)


def _commit_so_far(session: Session) -> None:
    """Go on in another transaction."""
    session.flush()
    connection = session.connection()
    connection.exec_driver_sql("COMMIT")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.dialect.name == "sqlite" else "BEGIN")


def _write_requests_by(write: Callable[[Database], AbstractContextManager[Session]]) -> None:
    """Requests that change something get their transaction from a function."""

    def made(get: Method) -> Method:
        def got(request: object) -> Database:
            database: Database = get(request)
            other = database.guarded(lambda _session: None)
            vars(other)["write"] = lambda: write(database)
            return other

        return got

    replace(deps, "get_database", made)


PLANTS: Mapping[str, Callable[[], None]] = {
    "synchronous-normal": synchronous_normal,
    "autocommit": autocommit,
    "journal-apart": journal_apart,
    "publish-before-commit": publish_before_commit,
    "answer-before-commit": answer_before_commit,
    "mark-without-fsync": mark_without_fsync,
    "mark-after-showing": mark_after_showing,
    "zone-file-in-place": zone_file_in_place,
    "serial-from-the-database-alone": serial_from_the_database_alone,
    "idempotency-apart": idempotency_apart,
}
