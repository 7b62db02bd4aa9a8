"""Bringing a database to the newest version of its tables."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError

import migrations
from app import schema
from app.db import Database
from app.errors import SettingInvalid


def upgrade(database: Database) -> None:
    """Apply every migration that is missing, in one transaction.

    Raises SettingInvalid for tables of a newer program, or of a version that no migration begins at.
    """
    config = _config()
    with database.engine.execution_options(pulih_write=True).begin() as connection:
        schema.refuse_newer(schema.version(connection))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise SettingInvalid(f"the database cannot be brought to this version: {error}") from error


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    return config
