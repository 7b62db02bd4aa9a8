"""The database: engines, transactions, column types, and the only SQL that speaks to one kind of database."""

import datetime as dt
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pysqlite3
from sqlalchemy import (
    Connection,
    CursorResult,
    DateTime,
    Delete,
    Dialect,
    Engine,
    MetaData,
    Table,
    Update,
    create_engine,
    event,
    insert,
    make_url,
)
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.types import TypeDecorator

from app.errors import SettingInvalid

BUSY_TIMEOUT_MS = 60_000
SAFE_SQLITE = (3, 51, 3)
"""First release without the WAL-reset bug, which loses committed writes (sqlite.org/wal.html#walresetbug)."""


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
    type_annotation_map = {dt.datetime: UTCDateTime()}  # noqa: RUF012 - SQLAlchemy reads a plain dict


class Database:
    """One database and the two ways into it.

    `read()` begins deferred and never commits; `write()` takes the writer's lock at its first statement
    (`BEGIN IMMEDIATE`: with a deferred begin, two checks can both pass before either acts) and commits when its
    block ends well. Nothing else in the service commits.
    """

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)
        self._reader = sessionmaker(self.engine, expire_on_commit=False)
        self._writer = sessionmaker(self.engine.execution_options(pulih_write=True), expire_on_commit=False)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A consistent view; whatever is changed in it is dropped."""
        with self._reader() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction: all of it is kept, or nothing."""
        with self._writer.begin() as session:
            yield session

    def close(self) -> None:
        self.engine.dispose()


class Watch:
    """Tells when another connection, in any process, has committed since it was last asked.

    SQLite counts commits in `PRAGMA data_version`; asking costs microseconds.
    """

    def __init__(self, database: Database) -> None:
        self._connection = database.engine.raw_connection()
        self._version = -1

    def changed(self) -> bool:
        cursor = self._connection.cursor()
        cursor.execute("PRAGMA data_version")
        version = int(next(iter(cursor.fetchall()))[0])
        cursor.close()
        changed, self._version = version != self._version, version
        return changed

    def wait(self, stop: threading.Event, *, timeout: float, interval: float = 0.02) -> bool:
        """Sleep until a commit was seen (True), or until `timeout` seconds went by or `stop` was set (False)."""
        for _ in range(max(1, int(timeout / interval))):
            if self.changed():
                return True
            if stop.wait(interval):
                return False
        return False

    def close(self) -> None:
        self._connection.close()


def _engine(url: str) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(parsed)
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        parsed,
        module=pysqlite3.dbapi2,
        pool_size=48,
        max_overflow=16,
        pool_use_lifo=True,  # each connection has a page cache of its own: the fewer are in use, the less memory
        connect_args={"check_same_thread": False},
    )
    event.listen(engine, "connect", _prepare_connection)
    event.listen(engine, "begin", _begin)
    return engine


def check_sqlite(version: tuple[int, ...]) -> None:
    """Refuse a SQLite whose write-ahead log may lose committed writes; raises SettingInvalid."""
    if version < SAFE_SQLITE:
        raise SettingInvalid(
            f"SQLite {'.'.join(map(str, version))} can lose committed writes; 3.51.3 or later is needed"
        )


def _prepare_connection(connection: pysqlite3.dbapi2.Connection, _record: ConnectionPoolEntry) -> None:
    check_sqlite(pysqlite3.sqlite_version_info)
    connection.isolation_level = None
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "recursive_triggers=ON",  # else INSERT OR REPLACE deletes a row without asking its triggers
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "cache_size=-8192",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("pulih_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def insert_rows(session: Session, table: type[Base], rows: Sequence[Mapping[str, object]]) -> None:
    """Insert many rows at once, in the session's transaction, without making an object of each."""
    assert isinstance(table.__table__, Table)
    session.connection().execute(insert(table.__table__), rows)


def insert_tuples(
    session: Session, table: type[Base], columns: Sequence[str], rows: Sequence[tuple[object, ...]]
) -> None:
    """The same for very many rows: tuples of what the database itself takes (integers, text), in the table's order."""
    if not rows:
        return
    assert isinstance(table.__table__, Table)
    connection = session.connection()
    if connection.dialect.positional:
        statement = insert(table.__table__).compile(dialect=connection.dialect, column_keys=list(columns))
        connection.exec_driver_sql(str(statement), list(rows))
    else:
        connection.execute(insert(table.__table__), [dict(zip(columns, row, strict=True)) for row in rows])


def rows_changed(session: Session, statement: Update | Delete) -> int:
    """Change or delete rows without loading them, and say how many."""
    result = session.execute(statement, execution_options={"synchronize_session": False})
    assert isinstance(result, CursorResult)
    return result.rowcount


def refusal_triggers(dialect: str, refusals: Iterable[tuple[str, str, str, str, str]]) -> Iterator[str]:
    """The statements that make a database refuse: (name, table, act, condition over OLD and NEW, message).

    Conditions are SQL that SQLite and PostgreSQL read alike.
    """
    for name, table, act, condition, message in refusals:
        if dialect == "sqlite":
            yield (
                f"CREATE TRIGGER refuse_{name} BEFORE {act} ON {table} WHEN {condition} "
                f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
            )
        else:
            kept = "OLD" if act == "DELETE" else "NEW"
            yield (
                f"CREATE FUNCTION refuse_{name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                f"IF {condition} THEN RAISE EXCEPTION '{message}'; END IF; RETURN {kept}; END $$"
            )
            yield (
                f"CREATE TRIGGER refuse_{name} BEFORE {act} ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_{name}()"
            )


Clock = Callable[[], dt.datetime]
"""Where time comes in; everything below the edges takes `now` as an argument."""
