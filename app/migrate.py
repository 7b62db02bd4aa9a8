"""Bringing a database to the newest version of its tables."""

from pathlib import Path

from alembic import command
from alembic.config import Config

import migrations
from app import schema
from app.db import Database


def upgrade(database: Database) -> None:
    """Apply every migration that is missing, in one transaction; raises SettingInvalid for newer tables."""
    config = _config()
    with database.engine.execution_options(pulih_write=True).begin() as connection:
        schema.refuse_newer(schema.version(connection))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    return config
