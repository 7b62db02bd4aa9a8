"""What a process has in memory from which the rigs' processes are forked: all of the service, and an application."""

from pathlib import Path
from tempfile import TemporaryDirectory

from app import migrate
from app.db import Database
from app.main import create_app
from app.settings import Settings
from tests.rigs import mounted, processes

LOADED = (mounted, processes)
"""They import what runs in each."""


def _warm() -> None:
    """Routes and bodies are built once before the fork: much of what is made for that is kept."""
    with TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder))
        database = Database(settings.database)
        migrate.upgrade(database)
        create_app(settings, database)
        database.close()


_warm()
