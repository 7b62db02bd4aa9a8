"""Bringing a database to the newest version of its tables, and telling whether it is there."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

import migrations
from app.db import Database
from app.errors import SettingInvalid


def upgrade(database: Database) -> None:
    """Apply every migration that is missing, in one transaction."""
    config = _config()
    with database.engine.execution_options(pulih_write=True).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def check(database: Database) -> None:
    """Raise SettingInvalid unless the database is at the version that this program was written for."""
    with database.engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    wanted = ScriptDirectory.from_config(_config()).get_current_head()
    if current != wanted:
        raise SettingInvalid(f"the database is at version {current}, this program needs {wanted}: run `pulih upgrade`")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    return config
