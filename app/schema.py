"""Which version of the tables this program was written for; told without what migrations need, which takes longer to
load than a zone."""

from sqlalchemy import inspect, text

from app.db import Database
from app.errors import SettingInvalid

NEWEST = "0001"
"""The newest migration."""


def check(database: Database) -> None:
    """Raise SettingInvalid unless the database is at that version."""
    with database.engine.connect() as connection:
        current = None
        if inspect(connection).has_table("alembic_version"):
            current = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if current != NEWEST:
        raise SettingInvalid(f"the database is at version {current}, this program needs {NEWEST}: run `pulih upgrade`")
