"""How a database is opened: what is committed is on the disk, and there is one writer at a time."""

import threading
from pathlib import Path

import pytest
from pysqlite3 import dbapi2
from sqlalchemy import text

from app import migrate, schema
from app.db import Database
from app.errors import SettingInvalid
from app.sqlite import check_safe
from tests import databases

only_sqlite = pytest.mark.skipif(databases.KIND != "sqlite", reason="about a setting of SQLite's")

LOOK = text("SELECT count(*) FROM principals")
PRAGMAS = {"synchronous": 2, "journal_mode": "wal", "foreign_keys": 1, "recursive_triggers": 1}


def check_settings(database: Database) -> None:
    """Of every connection that the service makes, to read and to write."""
    for opened in (database.read, database.write):
        with opened() as session:
            found = {name: session.execute(text(f"PRAGMA {name}")).scalar() for name in PRAGMAS}
        assert found == PRAGMAS


def check_one_writer(database: Database) -> None:
    """Who has begun to write is alone from the first look on: else two checks pass before either acts."""
    entered = threading.Event()

    def second() -> None:
        with database.write() as session:
            session.execute(LOOK)
            entered.set()

    thread = threading.Thread(target=second)
    with database.write() as session:
        session.execute(LOOK)
        thread.start()
        alone = not entered.wait(0.3)
    thread.join()
    assert alone
    assert entered.is_set()


@only_sqlite
def test_every_connection_is_set_so_that_nothing_is_lost(database: Database) -> None:
    check_settings(database)


def test_who_writes_is_alone_from_the_beginning(database: Database) -> None:
    check_one_writer(database)


@only_sqlite
@pytest.mark.parametrize(("pragma", "value"), [("synchronous", "NORMAL"), ("journal_mode", "DELETE")])
def test_a_connection_that_is_set_otherwise_is_refused(tmp_path: Path, pragma: str, value: str) -> None:
    """As where a file system takes no write-ahead log: SQLite says so, and goes on without one."""
    connection = dbapi2.connect(str(tmp_path / "x.db"), isolation_level=None)
    for each in ("journal_mode = WAL", "synchronous = FULL"):
        connection.execute(f"PRAGMA {each}")
    check_safe(connection)

    connection.execute(f"PRAGMA {pragma} = {value}")

    with pytest.raises(SettingInvalid, match=f"SQLite has {pragma}"):
        check_safe(connection)
    connection.close()


def test_tables_of_a_newer_program_are_refused_in_plain_words(database: Database) -> None:
    databases.run(database, "UPDATE alembic_version SET version_num = '0002'")

    for refusing in (schema.check, migrate.upgrade):
        with pytest.raises(SettingInvalid, match=r"made by a newer Pulih: its tables are of version 0002, .* 0001"):
            refusing(database)


def test_tables_of_an_older_program_are_refused_until_they_are_upgraded(database: Database) -> None:
    databases.run(database, "UPDATE alembic_version SET version_num = '0000'")

    with pytest.raises(SettingInvalid, match="version 0000, this program needs 0001: run `pulih upgrade`"):
        schema.check(database)
    with pytest.raises(SettingInvalid, match=r"cannot be brought to this version: .* '0000'"):
        migrate.upgrade(database)  # no migration begins there
