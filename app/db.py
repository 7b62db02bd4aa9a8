"""The database: transactions, column types, and one way to say what each kind of database says in its own way."""

import datetime as dt
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from threading import Event
from typing import Any, Literal, Protocol

from sqlalchemy import (
    URL,
    BigInteger,
    Connection,
    CursorResult,
    DateTime,
    Delete,
    Dialect,
    Engine,
    Executable,
    Integer,
    MetaData,
    Table,
    Text,
    Update,
    make_url,
    text,
)
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker
from sqlalchemy.types import TypeDecorator

from app import postgresql, sqlite
from app.errors import SettingInvalid

Clock = Callable[[], dt.datetime]
"""Where time comes in; everything below the edges takes `now` as an argument."""

Guard = Callable[[Session], None]
"""What a write transaction must pass before anything else is done in it; raises where it may not go on."""

KeyText = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that has an order: compared octet by octet, on every database."""

RowId = BigInteger().with_variant(Integer, "sqlite")
"""64 bits everywhere; on SQLite only a column declared INTEGER is the row's own number."""


class UTCDateTime(TypeDecorator[dt.datetime]):
    """An aware UTC datetime; a naive one is refused, never guessed at."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, _dialect: Dialect) -> dt.datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        return value.astimezone(dt.UTC).replace(tzinfo=None)

    def process_result_value(self, value: dt.datetime | None, _dialect: Dialect) -> dt.datetime | None:
        return None if value is None else value.replace(tzinfo=dt.UTC)


class Base(DeclarativeBase):
    """Parent of every table; constraint names are fixed so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {dt.datetime: UTCDateTime(), int: RowId}  # noqa: RUF012 - SQLAlchemy reads a plain dict


class Commits(Protocol):
    """Commits of other connections, in any process."""

    def seen(self, timeout: float) -> bool:
        """Whether there was one since it was last asked; may wait for one, at most `timeout` seconds."""
        ...

    def close(self) -> None: ...


class Kind(Protocol):
    """A kind of database: a module that says what only it understands."""

    NOW: str
    READING: dict[str, object]
    WRITING: dict[str, object]

    def make_engine(self, url: URL) -> Engine: ...
    def commits(self, engine: Engine) -> Commits: ...
    def insert_rows(self, connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None: ...
    def insert_tuples(
        self, connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[tuple[object, ...]]
    ) -> None: ...
    def refusal(self, name: str, table: str, act: str, condition: str, message: str) -> Iterator[str]: ...
    def is_full(self, error: BaseException) -> bool: ...
    def is_busy(self, error: BaseException) -> bool: ...
    def is_unwritable(self, error: BaseException) -> bool: ...


KINDS: Mapping[str, Kind] = {"sqlite": sqlite, "postgresql": postgresql}


class Database:
    """One database and the two ways into it.

    `read()` is a view of one moment, in which nothing can be changed. `write()` has the writer's lock from its first
    statement on and commits when its block ends well: there is one writer at a time, so what it has read stays true
    until then. Nothing else in the service commits.
    """

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        name = parsed.get_backend_name()
        if name not in KINDS:
            raise SettingInvalid(f"{name}: the database is SQLite or PostgreSQL")
        self.kind = KINDS[name]
        self.engine = self.kind.make_engine(parsed)
        self._reader = sessionmaker(self.engine.execution_options(**self.kind.READING), expire_on_commit=False)
        self._writer = sessionmaker(self.engine.execution_options(**self.kind.WRITING), expire_on_commit=False)
        self.guards: tuple[Guard, ...] = ()

    def guarded(self, guard: Guard) -> "Database":
        """The same database, in which every write transaction must first pass `guard`."""
        guarded = copy(self)
        guarded.guards = (*self.guards, guard)
        return guarded

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A consistent view, in which nothing can be changed."""
        with self._reader() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction: all of it is kept, or nothing."""
        with self._writer.begin() as session:
            for guard in self.guards:
                guard(session)
            yield session

    def close(self) -> None:
        self.engine.dispose()


class Watch:
    """Tells when another connection, in any process, has committed since it was last asked."""

    LONGEST_WAIT = 0.1
    """Seconds without a look at whether to stop."""

    def __init__(self, database: Database) -> None:
        self._commits = database.kind.commits(database.engine)

    def changed(self) -> bool:
        return self._commits.seen(0)

    def wait(self, stop: Event, *, timeout: float) -> bool:
        """Sleep until a commit was seen (True), or until `timeout` seconds went by or `stop` was set (False)."""
        until = time.monotonic() + timeout
        while not self._commits.seen(max(0.0, min(self.LONGEST_WAIT, until - time.monotonic()))):
            if stop.is_set() or time.monotonic() >= until:
                return False
        return True

    def close(self) -> None:
        self._commits.close()


def kind_of(session: Session) -> Kind:
    """The kind of database that a session speaks to."""
    return KINDS[session.connection().dialect.name]


def database_now(session: Session) -> dt.datetime:
    """What the database's own clock says: the same for every process that uses it."""
    now: dt.datetime = session.execute(text(kind_of(session).NOW).columns(now=UTCDateTime())).scalar_one()
    return now


def insert_rows(session: Session, table: type[Base], rows: Sequence[Mapping[str, object]]) -> None:
    """Insert many rows at once, in the session's transaction, without making an object of each.

    All have the same columns; none is filled in but by the database.
    """
    assert isinstance(table.__table__, Table)
    if rows:
        kind_of(session).insert_rows(session.connection(), table.__table__, rows)


def insert_tuples(
    session: Session, table: type[Base], columns: Sequence[str], rows: Sequence[tuple[object, ...]]
) -> None:
    """The same for very many rows: tuples of what the database itself takes (integers, text), in the table's order."""
    assert isinstance(table.__table__, Table)
    if rows:
        kind_of(session).insert_tuples(session.connection(), table.__table__, columns, rows)


def streamed(
    session: Session, statement: Executable, parameters: Mapping[str, object] | None = None, *, at_once: int = 2_000
) -> Iterator[Any]:
    """The rows of a query, so many in memory at once. Who stops early leaves no cursor open in the database."""
    with session.execute(statement, parameters, execution_options={"yield_per": at_once}) as rows:
        yield from rows


def rows_changed(session: Session, statement: Update | Delete) -> int:
    """Change or delete rows without loading them, and say how many."""
    result = session.execute(statement, execution_options={"synchronize_session": False})
    assert isinstance(result, CursorResult)
    return result.rowcount


def refusal_triggers(dialect: str, refusals: Iterable[tuple[str, str, str, str, str]]) -> Iterator[str]:
    """The statements that make a database refuse: (name, table, act, condition over OLD and NEW, message).

    Conditions are SQL that SQLite and PostgreSQL read alike.
    """
    for refusal in refusals:
        yield from KINDS[dialect].refusal(*refusal)


Failure = Literal["storage_full", "not_writable", "busy"]


class RecordRefused(OperationalError):
    """The database takes no event: whatever its reason is, nothing may change without one."""


def failure(error: DBAPIError) -> Failure | None:
    """Why a database could not do what it was asked, where another try may do."""
    cause = error.orig
    if cause is None:
        return None
    if isinstance(error, RecordRefused):
        return "not_writable"
    kind = postgresql if hasattr(cause, "sqlstate") else sqlite
    if kind.is_full(cause):
        return "storage_full"
    if kind.is_unwritable(cause):
        return "not_writable"
    return "busy" if kind.is_busy(cause) else None
