"""Migrations: an empty database becomes exactly what the models say, and another version is refused."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Inspector, inspect, text

from app import migrate, schema
from app.db import Database
from app.errors import SettingInvalid
from app.main import create_app
from app.settings import Settings
from app.sqlite import check_version
from app.tables import ROOMS, metadata
from tests import databases

APP = Path(__file__).parents[2] / "app"


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Database]:
    with a_database(tmp_path / "deep" / "er") as database:
        yield database


@contextmanager
def a_database(folder: Path) -> Iterator[Database]:
    """An empty database; a folder that it needs is made by whoever opens it."""
    url = databases.url_in(folder)
    if databases.KIND == "postgresql":
        databases.make(url)
    database = Database(url)
    yield database
    database.close()
    databases.drop(url)


def test_an_upgrade_from_nothing_gives_exactly_the_models(empty: Database) -> None:
    migrate.upgrade(empty)

    with empty.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_a_planted_column_would_be_seen(empty: Database) -> None:
    migrate.upgrade(empty)
    with empty.engine.begin() as connection:
        connection.execute(text("ALTER TABLE orders ADD COLUMN planted TEXT"))

    with empty.engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
    assert [difference[0] for difference in differences] == ["remove_column"]


def test_constraints_are_those_of_the_models(empty: Database, tmp_path: Path) -> None:
    """Alembic compares no CHECK: so they are read back from what each of the two has made."""
    migrate.upgrade(empty)
    with a_database(tmp_path / "models") as other:
        metadata.create_all(other.engine)
        migrated, modelled = inspect(empty.engine), inspect(other.engine)

        for table in metadata.tables:
            assert checks(migrated, table) == checks(modelled, table)
        assert checks(migrated, "orders")


def checks(inspector: Inspector, table: str) -> list[tuple[str | None, str]]:
    return sorted((each["name"], each["sqltext"]) for each in inspector.get_check_constraints(table))


def test_every_room_with_tables_is_among_them() -> None:
    rooms = {path.parent.name for path in APP.glob("*/models.py")}

    assert {room.__name__.split(".")[1] for room in ROOMS} == rooms


def test_an_upgrade_twice_is_one(empty: Database) -> None:
    migrate.upgrade(empty)
    migrate.upgrade(empty)

    schema.check(empty)


def test_an_upgrade_that_fails_leaves_nothing(empty: Database) -> None:
    """All missing migrations are one transaction."""
    with empty.engine.begin() as connection:
        connection.execute(text("CREATE TABLE orders (planted INTEGER)"))

    with pytest.raises(Exception, match="already exists"):
        migrate.upgrade(empty)

    with empty.engine.connect() as connection:
        assert inspect(connection).get_table_names() == ["orders"]


@pytest.mark.parametrize("version", [None, "0000"])
def test_a_database_of_another_version_is_refused(empty: Database, tmp_path: Path, version: str | None) -> None:
    if version is not None:
        migrate.upgrade(empty)
        with empty.engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = :version"), {"version": version})

    with pytest.raises(SettingInvalid, match="run `pulih upgrade`"):
        schema.check(empty)
    with pytest.raises(SettingInvalid, match="run `pulih upgrade`"):
        create_app(Settings(data_dir=tmp_path), empty, with_publisher=False)


@pytest.mark.parametrize("version", [(3, 40, 1), (3, 51, 2), (3, 50, 6)])
def test_a_sqlite_that_may_lose_writes_is_refused(version: tuple[int, ...]) -> None:
    with pytest.raises(SettingInvalid, match="can lose committed writes"):
        check_version(version)


@pytest.mark.parametrize("version", [(3, 51, 3), (3, 53, 4), (4, 0, 0)])
def test_a_mended_sqlite_is_taken(version: tuple[int, ...]) -> None:
    check_version(version)


@pytest.mark.skipif(databases.KIND != "sqlite", reason="settings of SQLite")
def test_connections_are_set_up_for_safety(empty: Database) -> None:
    pragmas = {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "recursive_triggers": 1,
        "busy_timeout": 60_000,
    }
    with empty.engine.connect() as connection:
        for pragma, value in pragmas.items():
            assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() == value
