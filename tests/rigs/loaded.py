"""What a process has in memory from which the rigs' processes are forked: all of the service, and an application."""

from pathlib import Path
from tempfile import TemporaryDirectory

from app import migrate
from app.db import Database
from app.main import create_app
from app.settings import Settings
from tests.rigs import lives, mounted, processes

LOADED = (lives, mounted, processes)
"""They import what runs in each."""


def _warm() -> None:
    """Routes and bodies are built before the fork."""
    with TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder))
        database = Database(settings.database)
        migrate.upgrade(database)
        lives.READY.append(create_app(settings, database, with_publisher=False))
        database.close()


_warm()
