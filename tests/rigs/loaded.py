"""What a process has in memory from which the rigs' processes are forked: all of the service, and an application."""

import gc
from pathlib import Path
from tempfile import TemporaryDirectory

from app import migrate
from app.db import Database
from app.main import create_app
from app.settings import Settings
from tests import databases
from tests.rigs import lives, mounted, processes
from tests.service import NOW, begin

LOADED = (lives, mounted, processes)
"""They import what runs in each."""

COMPILED_ONCE = databases.compiled_once()


def _warm() -> None:
    """Routes and bodies are built before the fork, and nothing of it is looked at again by a collector after it."""
    COMPILED_ONCE.__enter__()
    with TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder))
        database = Database(settings.database)
        migrate.upgrade(database)
        lives.READY.append(create_app(settings, database, with_publisher=False))
        begin(settings, database, NOW).close()
        database.close()
    gc.collect()
    gc.freeze()


_warm()
