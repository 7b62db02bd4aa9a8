"""Backups of a world of orders, and worlds that were restored from them."""

import datetime as dt
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner, Result

from app.backup import restore as restoring
from app.backup import take as taking
from app.backup.manifest import Manifest, Progress
from app.backup.restore import Restored
from app.cli import main
from app.db import Database
from app.journal import queries
from app.main import make_publisher
from app.settings import Settings
from tests.publication.worlds import Held, World
from tests.service import HOST, Json, environment_of

SECOND = dt.timedelta(seconds=1)
REASON = "The disk failed"


@dataclass(frozen=True)
class Backup:
    """A backup's file, and what the orders in it should hold."""

    path: Path
    manifest: Manifest
    held: tuple[Held, ...]


def silent(_label: str) -> Progress:
    """Tells nobody how far it is."""
    return lambda _share: None


def backed_up(world: World, path: Path) -> Backup:
    return Backup(path, taking.take(world.settings, path, world.clock, silent), tuple(deepcopy(world.held)))


def put_back(world: World, path: Path) -> Restored:
    """Restore, as the command does it; the service is stopped for it."""
    world.publisher.close()
    world.database.close()
    world.clock.forward(SECOND)
    return restoring.restore(world.settings, path, HOST, REASON, world.clock, silent)


def started(world: World, held: tuple[Held, ...]) -> World:
    """The service started again on what was put back."""
    database = Database(world.settings.database)
    publisher = make_publisher(world.settings, database)
    publisher.start(world.clock())
    return World(database, publisher, world.clock, world.template, world.settings, list(deepcopy(held)))


def run(settings: Settings, *arguments: str, status: int = 0) -> Result:
    """A command, in this process; it must end with a status."""
    done = CliRunner().invoke(main, arguments, env=environment_of(settings), prog_name="pulih")
    assert done.exit_code == status, done.output
    return done


def events(database: Database, type_: str) -> list[Json]:
    """The facts of every event of a type, oldest first."""
    with database.read() as session:
        return [queries.document(event)["facts"] for event in queries.page(session, limit=100_000, type_=type_)]
