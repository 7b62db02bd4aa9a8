"""What only PostgreSQL speaks: who may write, COPY, LISTEN and NOTIFY, and time-outs that outlive a frozen process.

One writer at a time here as well. Every act appends to the journal, and every append locks the journal's head: row
locks alone would let writers overlap for a moment and then queue at that row, each with checks behind it that the one
in front may have made untrue. So a write transaction takes one lock of the whole database as its first statement, and
what it reads afterwards (READ COMMITTED: each statement sees all that is committed by then) stays true until it ends:
the same promise as SQLite's `BEGIN IMMEDIATE`, which the four eyes, idempotency, the moment of an act and serials
rely on. It is an advisory lock of the transaction, not a row: it writes nothing, queues fairly, needs no table (the
first migration takes it too), and goes with the transaction. Rows that an act decides on are locked besides
(`FOR UPDATE`), against whoever writes past this module.

A process that is frozen in the middle of a transaction would hold the lock for ever: after `WRITER_IDLE` seconds
without a statement the server ends its session, and when it wakes its commit fails.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import URL, Connection, Dialect, Engine, Table, create_engine, event
from sqlalchemy.exc import DBAPIError

from app.errors import SettingInvalid

if TYPE_CHECKING:
    import psycopg

NOW = "SELECT clock_timestamp() AT TIME ZONE 'utc' AS now"
"""The database's clock."""

READING: dict[str, object] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
WRITING: dict[str, object] = {"isolation_level": "READ COMMITTED", "pulih_write": True}

WRITER_IDLE = 5
"""Seconds that a writer may be silent inside its transaction: batches hold the lock for half a second at most."""

SESSION = {
    "timezone": "UTC",
    "lock_timeout": "60s",  # as long as SQLite waits
    "statement_timeout": "10min",  # nothing that works takes that long, a whole list of ten million names included
    "idle_in_transaction_session_timeout": "30min",  # a reader may stream to a slow client
}
CHANNEL = "pulih_commits"
LOCK = 0x50756C6968
BEGIN_WRITE = (
    f"SELECT set_config('idle_in_transaction_session_timeout', '{WRITER_IDLE}s', true),"
    f" pg_advisory_xact_lock({LOCK}), pg_notify('{CHANNEL}', '')"
)
"""One round trip; the notification is sent when the transaction commits."""

FULL = frozenset({"53100"})
BUSY = frozenset({"55P03", "57014", "40001", "40P01", "25P03", "53300", "57P01", "57P02", "57P03"})
"""SQLSTATEs of failures that another try may not have: time-outs, deadlocks, too many connections, a restart."""

UNWRITABLE = frozenset({"25006", "58030"})
"""SQLSTATEs of a server that takes no writes: a read-only transaction (a standby), an I/O error."""


def make_engine(url: URL) -> Engine:
    """An engine of psycopg 3; raises SettingInvalid where that is not installed."""
    if importlib.util.find_spec("psycopg") is None:
        raise SettingInvalid("PostgreSQL needs psycopg: install `pulih[postgres]`")
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=8,
        max_overflow=56,  # as many at most as requests run at once; the server's max_connections must allow it
        hide_parameters=True,
        pool_use_lifo=True,
        pool_pre_ping=True,  # a server that was started again costs nobody an error
        connect_args={
            "application_name": "pulih",
            "connect_timeout": 10,
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "tcp_user_timeout": 30_000,
            "options": " ".join(f"-c {name}={value}" for name, value in SESSION.items()),
        },
    )
    event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    if connection.get_execution_options().get("pulih_write"):
        connection.exec_driver_sql(BEGIN_WRITE)


def insert_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert many rows by COPY, converted as an INSERT would."""
    columns = list(rows[0])
    convert = [_converter(table, column, connection.dialect) for column in columns]
    converted = ([to_sql(row[column]) for to_sql, column in zip(convert, columns, strict=True)] for row in rows)
    insert_tuples(connection, table, columns, converted)


def insert_tuples(
    connection: Connection, table: Table, columns: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
    """The same for rows that need no conversion."""
    quoted = connection.dialect.identifier_preparer
    statement = f"COPY {quoted.format_table(table)} ({', '.join(map(quoted.quote, columns))}) FROM STDIN"
    driver, module = connection.connection.driver_connection, connection.dialect.dbapi
    assert driver is not None
    assert module is not None
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except module.Error as error:
        raise DBAPIError.instance(statement, None, error, module.Error, dialect=connection.dialect) from error


def _converter(table: Table, column: str, dialect: Dialect) -> Callable[[object], object]:
    found = table.c[column].type.dialect_impl(dialect).bind_processor(dialect)
    return found or (lambda value: value)


def refusal(name: str, table: str, act: str, condition: str, message: str) -> Iterator[str]:
    """A function and the trigger that calls it; what refuses that rows are deleted refuses TRUNCATE as well."""
    kept = "OLD" if act == "DELETE" else "NEW"
    yield (
        f"CREATE FUNCTION refuse_{name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF {condition} THEN "
        f"RAISE EXCEPTION USING MESSAGE = '{message}', ERRCODE = 'integrity_constraint_violation'; "
        f"END IF; RETURN {kept}; END $$"
    )
    yield f"CREATE TRIGGER refuse_{name} BEFORE {act} ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_{name}()"
    if act == "DELETE":
        yield (
            f"CREATE FUNCTION refuse_{name}_all() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"RAISE EXCEPTION USING MESSAGE = '{message}', ERRCODE = 'integrity_constraint_violation'; END $$"
        )
        yield (
            f"CREATE TRIGGER refuse_{name}_all BEFORE TRUNCATE ON {table} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION refuse_{name}_all()"
        )


def is_full(error: BaseException) -> bool:
    """Whether the server failed since no space is left."""
    return getattr(error, "sqlstate", None) in FULL


def is_busy(error: BaseException) -> bool:
    """Whether the server gave up waiting for others, or is being started again."""
    return getattr(error, "sqlstate", None) in BUSY


def is_unwritable(error: BaseException) -> bool:
    """Whether the server failed since it cannot write: it is a standby, or its disk fails."""
    return getattr(error, "sqlstate", None) in UNWRITABLE


def commits(engine: Engine) -> Commits:
    """What tells of the commits of others."""
    return Commits(engine)


class Commits:
    """Hears of the commits of other connections, in any process, as they happen: each write transaction notifies.

    A connection of its own, made anew after a failure; what was committed meanwhile counts as one commit.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: psycopg.Connection | None = None

    def seen(self, timeout: float) -> bool:
        """Whether there was one since it was last asked, or comes within `timeout` seconds."""
        if self._connection is None:
            self._connection = self._listening()
            return True
        try:
            heard = list(self._connection.notifies(timeout=timeout, stop_after=1))
        except BaseException:
            self.close()
            raise
        return bool(heard)

    def _listening(self) -> psycopg.Connection:
        pooled = self._engine.raw_connection()
        connection = pooled.driver_connection
        assert connection is not None
        pooled.detach()
        connection.autocommit = True
        connection.execute(f"LISTEN {CHANNEL}")
        listening: psycopg.Connection = connection
        return listening

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
