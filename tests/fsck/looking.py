"""Looking at a world of orders as `pulih fsck` does, and altering it past the service."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from app.db import Clock, Database
from app.fsck import checks
from app.fsck.checks import Wanted
from app.fsck.report import Check, State, Tick
from app.fsck.server import Asking
from app.settings import Settings
from app.transfer.process import system_clock
from tests import databases
from tests.service import settings_in


class Place(Protocol):
    """A database with its settings: a world, or a service."""

    @property
    def database(self) -> Database: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def clock(self) -> Clock: ...


@contextmanager
def no_bar(_name: str, _length: int) -> Iterator[Tick]:
    yield lambda _: None


def looked(place: Place, *, checkpoint: str | None = None, asking: Asking | None = None) -> dict[str, Check]:
    """Every check, by its name. A server is asked by the real time, as signatures are made by that."""
    wanted, clock = Wanted(asking, checkpoint), place.clock if asking is None else system_clock
    return {check.name: check for check in checks.run(place.database, place.settings, wanted, clock, no_bar)}


def wrong(place: Place, *, checkpoint: str | None = None, asking: Asking | None = None) -> dict[str, list[str]]:
    """What is wrong, by the check that found it."""
    made = looked(place, checkpoint=checkpoint, asking=asking).values()
    return {
        check.name: [f"{each.where}: {each.why}" for each in check.wrong] or [check.said]
        for check in made
        if check.state in {State.WRONG, State.COULD_NOT_LOOK}
    }


@dataclass(frozen=True, slots=True)
class Copied:
    """A copy of a place: its database and its marks."""

    database: Database
    settings: Settings
    clock: Clock


@contextmanager
def copied(place: Place, name: str) -> Iterator[Copied]:
    """A copy for as long as the block runs; nobody may be connected to what is copied."""
    settings = settings_in(place.settings.data_dir / name)
    shutil.copytree(place.settings.data_dir / "marks", settings.data_dir / "marks")
    databases.make(settings.database, place.settings.database)
    database = Database(settings.database)
    try:
        yield Copied(database, settings, place.clock)
    finally:
        database.close()
        databases.drop(settings.database)
        shutil.rmtree(settings.data_dir)


def alter(database: Database, table: str, statement: str) -> None:
    """Do what the database refuses to the service: its triggers on a table are taken away first."""
    if databases.KIND == "postgresql":
        databases.run(database, f"ALTER TABLE {table} DISABLE TRIGGER ALL; {statement}")
        return
    with database.engine.connect() as connection:
        found = connection.exec_driver_sql(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?", (table,)
        )
        triggers = [row[0] for row in found]
    for trigger in triggers:
        databases.run(database, f"DROP TRIGGER {trigger}")
    with database.engine.connect() as connection:
        connection.exec_driver_sql("ROLLBACK")
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        connection.exec_driver_sql(statement)
        connection.exec_driver_sql("PRAGMA foreign_keys = ON")


def wrong_once(place: Place, table: str, statement: str) -> dict[str, list[str]]:
    """What is wrong with a copy that was altered; nobody may be connected to what is copied."""
    with copied(place, "altered") as copy:
        alter(copy.database, table, statement)
        return wrong(copy)
