"""Which database tests run on: SQLite, or PostgreSQL where PULIH_TEST_DATABASE says so.

Each data directory has a database of its own: the file in it, or one of the session's server, named after it.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import URL, Dialect, Engine, create_engine, make_url

from app.db import KINDS, Database, refusal_triggers
from tests.servers_postgresql import PostgreSQL, postgresql

KIND = os.environ.get("PULIH_TEST_DATABASE", "sqlite")
_server: list[PostgreSQL] = []


@contextmanager
def server() -> Iterator[None]:
    """What this session's databases need."""
    if KIND == "sqlite":
        yield
        return
    assert KIND == "postgresql", f"PULIH_TEST_DATABASE={KIND} is neither sqlite nor postgresql"
    with postgresql() as running:
        _server.append(running)
        yield
        _server.clear()


@contextmanager
def compiled_once() -> Iterator[None]:
    """Have all files of SQLite that this process opens share what their statements were compiled to.

    Each test has a database of its own, and would compile for it what every test before it did: SQLAlchemy keeps that
    for each engine, by its dialect.
    """
    dialects: dict[str, Dialect] = {}
    compiled: dict[object, object] = {}

    def sharing(make_engine: Callable[[URL], Engine], url: URL) -> Engine:
        engine = make_engine(url)
        engine.dialect = dialects.setdefault(url.get_backend_name(), engine.dialect)
        engine.update_execution_options(compiled_cache=compiled)
        return engine

    with pytest.MonkeyPatch.context() as patch:
        sqlite = KINDS["sqlite"]
        patch.setattr(sqlite, "make_engine", partial(sharing, sqlite.make_engine))
        yield


def url_in(directory: Path) -> str:
    """The address of the database that belongs to a data directory."""
    if KIND == "sqlite":
        return f"sqlite:///{directory.absolute() / 'pulih.db'}"
    name = "d" + hashlib.sha256(str(directory.absolute()).encode()).hexdigest()[:20]
    return _server[0].url(name).render_as_string(hide_password=False)


def make(url: str, template: str | None = None) -> None:
    """Make the database at an address anew, empty or as a copy of another, to which nobody is connected."""
    parsed = make_url(url)
    if KIND == "sqlite":
        path = Path(str(parsed.database))
        path.parent.mkdir(parents=True, exist_ok=True)
        for left_over in path.parent.glob(f"{path.name}*"):
            left_over.unlink()
        if template is not None:
            shutil.copy(str(make_url(template).database), path)
        return
    drop(url)
    origin = "template1" if template is None else make_url(template).database
    _administer(f'CREATE DATABASE "{parsed.database}" TEMPLATE "{origin}"')


def drop(url: str) -> None:
    """Take a database away, also from those who use it; a file goes with its directory."""
    if KIND == "postgresql":
        _administer(f'DROP DATABASE IF EXISTS "{make_url(url).database}" WITH (FORCE)')


def refuse(database: Database, act: str, table: str, condition: str = "1 = 1") -> None:
    """Plant a fault, as a full or broken disk would be one: an act on a table fails."""
    with database.engine.begin() as connection:
        for statement in refusal_triggers(KIND, [("planted", table, act, condition, "planted fault")]):
            connection.exec_driver_sql(statement)


def allow(database: Database, table: str, refusal: str = "planted") -> None:
    """Take a planted fault away, or a refusal of the migrations."""
    if KIND == "sqlite":
        run(database, f"DROP TRIGGER refuse_{refusal}")
    else:
        run(database, f"DROP TRIGGER refuse_{refusal} ON {table}; DROP FUNCTION refuse_{refusal}")


def run(database: Database, statement: str) -> None:
    """A statement from outside the service, in a transaction of its own."""
    with database.engine.begin() as connection:
        connection.exec_driver_sql(spoken(statement))


def spoken(statement: str) -> str:
    """SQLite's SQL as this database says it: octets, and an INSERT that would rather replace than fail."""
    if KIND == "sqlite":
        return statement
    return re.sub(r"\bx'([0-9a-f]*)'", r"'\\x\1'", statement).replace("INSERT OR REPLACE", "INSERT")


def _administer(statement: str) -> None:
    engine = create_engine(_server[0].url("postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()
