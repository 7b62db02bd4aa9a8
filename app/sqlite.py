"""What only SQLite speaks: how a connection is prepared, who may write, how another's commits are noticed."""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pysqlite3
from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, insert
from sqlalchemy.pool import ConnectionPoolEntry

from app.errors import SettingInvalid

BUSY_TIMEOUT_MS = 60_000
SAFE_SQLITE = (3, 51, 3)
"""First release without the WAL-reset bug, which loses committed writes (sqlite.org/wal.html#walresetbug)."""

NOW = "SELECT strftime('%Y-%m-%d %H:%M:%f000', 'now') AS now"
"""The database's clock, as SQLAlchemy stores a moment: that of this machine, to the millisecond."""

UNWRITABLE = ("readonly database", "disk I/O error", "unable to open database file")

SAFE = {"journal_mode": "wal", "synchronous": 2}
"""How each connection must be set: readers and writers do not wait for each other, and a commit is on the disk (2 is
FULL: with NORMAL a power cut takes back what was answered with success)."""

READING: dict[str, object] = {"pulih_read": True}
WRITING: dict[str, object] = {"pulih_write": True}
POLL = 0.004
"""Seconds between two looks for commits of others: half of it is in every lift, and a look takes 15 microseconds."""


def make_engine(url: URL) -> Engine:
    """An engine whose connections are set up for safety; makes the folder of the file."""
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url,
        module=pysqlite3.dbapi2,
        pool_size=48,
        max_overflow=16,
        hide_parameters=True,  # a statement that fails is logged, what people wrote is not
        pool_use_lifo=True,  # each connection has a page cache of its own: the fewer are in use, the less memory
        connect_args={"check_same_thread": False},
    )
    event.listen(engine, "connect", _prepare_connection)
    event.listen(engine, "begin", _begin)
    return engine


def check_version(version: tuple[int, ...]) -> None:
    """Refuse a SQLite whose write-ahead log may lose committed writes; raises SettingInvalid."""
    if version < SAFE_SQLITE:
        raise SettingInvalid(
            f"SQLite {'.'.join(map(str, version))} can lose committed writes; 3.51.3 or later is needed"
        )


def _prepare_connection(connection: pysqlite3.dbapi2.Connection, _record: ConnectionPoolEntry) -> None:
    check_version(pysqlite3.sqlite_version_info)
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
    check_safe(connection)


def check_safe(connection: pysqlite3.dbapi2.Connection) -> None:
    """Refuse a connection that is not set as it must be, whatever the reason; raises SettingInvalid."""
    for pragma, wanted in SAFE.items():
        (found,) = connection.execute(f"PRAGMA {pragma}").fetchone()
        if found != wanted:
            raise SettingInvalid(f"SQLite has {pragma} {found!r} here, and {wanted!r} is needed to lose nothing")


def _begin(connection: Connection) -> None:
    """Begin with the writer's lock (`BEGIN IMMEDIATE`: with a deferred begin, two checks can both pass before either
    acts), or as a reader, who can change nothing."""
    options = connection.get_execution_options()
    connection.exec_driver_sql(f"PRAGMA query_only={'ON' if options.get('pulih_read') else 'OFF'}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("pulih_write") else "BEGIN")


def insert_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert many rows with one statement."""
    connection.execute(insert(table), rows)


def insert_tuples(
    connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[tuple[object, ...]]
) -> None:
    """The same, past all that SQLAlchemy does for each row."""
    statement = insert(table).compile(dialect=connection.dialect, column_keys=list(columns))
    connection.exec_driver_sql(str(statement), list(rows))


def refusal(name: str, table: str, act: str, condition: str, message: str) -> Iterator[str]:
    """The trigger that refuses an act on a row where a condition over OLD and NEW holds."""
    yield (
        f"CREATE TRIGGER refuse_{name} BEFORE {act} ON {table} WHEN {condition} "
        f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
    )


def is_full(error: BaseException) -> bool:
    """Whether the driver failed since no space is left."""
    return "full" in str(error)


def is_busy(error: BaseException) -> bool:
    """Whether the driver gave up waiting for others."""
    return "locked" in str(error) or "busy" in str(error)


def is_unwritable(error: BaseException) -> bool:
    """Whether the driver failed since the file cannot be written: read-only by now, or on a disk that fails."""
    return any(text in str(error) for text in UNWRITABLE)


def commits(engine: Engine) -> "Commits":
    """What tells of the commits of others."""
    return Commits(engine)


class Commits:
    """Counts commits of other connections, in any process, by `PRAGMA data_version`; asking costs microseconds."""

    def __init__(self, engine: Engine) -> None:
        self._connection = engine.raw_connection()
        self._version = -1

    def seen(self, timeout: float) -> bool:
        """Whether there was one since it was last asked; where not, sleeps a little, at most `timeout` seconds."""
        cursor = self._connection.cursor()
        cursor.execute("PRAGMA data_version")
        version = int(next(iter(cursor.fetchall()))[0])
        cursor.close()
        changed, self._version = version != self._version, version
        if not changed and timeout > 0:
            time.sleep(min(timeout, POLL))
        return changed

    def close(self) -> None:
        self._connection.close()
