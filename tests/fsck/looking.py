"""Looking at a world of orders as `pulih fsck` does, and altering it past the service."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from app.db import Clock, Database
from app.fsck import checks
from app.fsck.checks import Wanted
from app.fsck.report import Check, State, Tick
from app.fsck.server import Asking
from app.settings import Settings
from tests import databases


class Place(Protocol):
    """A database with its settings: a world, or a service."""

    database: Database
    settings: Settings

    @property
    def clock(self) -> Clock: ...


@contextmanager
def no_bar(_name: str, _length: int) -> Iterator[Tick]:
    yield lambda _: None


def looked(place: Place, *, checkpoint: str | None = None, asking: Asking | None = None) -> dict[str, Check]:
    """Every check, by its name."""
    wanted = Wanted(asking, checkpoint)
    return {check.name: check for check in checks.run(place.database, place.settings, wanted, place.clock, no_bar)}


def wrong(place: Place, *, checkpoint: str | None = None, asking: Asking | None = None) -> dict[str, list[str]]:
    """What is wrong, by the check that found it."""
    made = looked(place, checkpoint=checkpoint, asking=asking).values()
    return {
        check.name: [f"{each.where}: {each.why}" for each in check.wrong]
        for check in made
        if check.state in {State.WRONG, State.COULD_NOT_LOOK}
    }


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
    databases.run(database, statement)
