"""Which version of the tables this program was written for; told without what migrations need, which takes longer to
load than a zone."""

from sqlalchemy import Connection, inspect, text

from app.db import Database
from app.errors import SettingInvalid

NEWEST = "0001"
"""The newest migration; versions are numbers of four digits, so they compare as texts."""


def check(database: Database) -> None:
    """Raise SettingInvalid unless the database is at that version."""
    with database.engine.connect() as connection:
        current = version(connection)
    refuse_newer(current)
    if current != NEWEST:
        raise SettingInvalid(f"the database is at version {current}, this program needs {NEWEST}: run `pulih upgrade`")


def version(connection: Connection) -> str | None:
    """The version of a database; None for one that has no tables yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def refuse_newer(current: str | None) -> None:
    """Raise SettingInvalid for tables that a newer program has made: nothing leads back from them."""
    if current is not None and current > NEWEST:
        raise SettingInvalid(
            f"the database was made by a newer Pulih: its tables are of version {current}, this program knows {NEWEST}."
            " Install that Pulih, or restore a backup that was made before the upgrade"
        )
