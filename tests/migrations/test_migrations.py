"""Migrations: an empty database becomes exactly what the models say, and another version is refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from app import migrate, schema
from app.db import Database, check_sqlite, refusal_triggers
from app.errors import SettingInvalid
from app.main import create_app
from app.settings import Settings
from app.tables import ROOMS, metadata

APP = Path(__file__).parents[2] / "app"


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'deep' / 'er' / 'pulih.db'}")
    yield database
    database.close()


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


def test_constraints_are_those_of_the_models(empty: Database) -> None:
    """Alembic compares no CHECK: so the text of each is looked for in the database's own."""
    migrate.upgrade(empty)
    with empty.engine.connect() as connection:
        made = {row.name: row.sql for row in connection.execute(text("SELECT name, sql FROM sqlite_schema"))}

    for table in metadata.sorted_tables:
        for constraint in table.constraints:
            if hasattr(constraint, "sqltext"):
                assert str(constraint.sqltext) in made[table.name], constraint.name
                assert str(constraint.name) in made[table.name]


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
        tables = connection.execute(text("SELECT name FROM sqlite_schema WHERE type = 'table'")).scalars().all()
    assert tables == ["orders"]


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
        check_sqlite(version)


@pytest.mark.parametrize("version", [(3, 51, 3), (3, 53, 4), (4, 0, 0)])
def test_a_mended_sqlite_is_taken(version: tuple[int, ...]) -> None:
    check_sqlite(version)


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


def test_triggers_are_written_for_the_other_database_too() -> None:
    refusal = ("x", "events", "DELETE", "1 = 1", "no")

    assert list(refusal_triggers("sqlite", [refusal])) == [
        "CREATE TRIGGER refuse_x BEFORE DELETE ON events WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'no'); END"
    ]
    function, trigger = refusal_triggers("postgresql", [refusal])
    assert function == (
        "CREATE FUNCTION refuse_x() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF 1 = 1 THEN RAISE EXCEPTION 'no'; END IF; RETURN OLD; END $$"
    )
    assert trigger == "CREATE TRIGGER refuse_x BEFORE DELETE ON events FOR EACH ROW EXECUTE FUNCTION refuse_x()"
    insert = list(refusal_triggers("postgresql", [("x", "events", "INSERT", "1 = 1", "no")]))
    assert "RETURN NEW" in insert[0]
