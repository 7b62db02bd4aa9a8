"""All checks, one after the other: from the journal down to what resolvers get."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from app.db import Clock, Database
from app.fsck import files, log, orders, registers, rules, serials, server
from app.fsck.report import Check, State, Tick, not_checked
from app.fsck.server import Asking
from app.orders import guarding
from app.publication import zones
from app.settings import Settings

BESIDES = (
    "what the journal does not have: secrets of tokens and keys, why a review was opened, names of a stop beyond the "
    "first; notes, incidents and what the ledger says of subscribers; what `urgent` zones hold against what base and "
    "head say; exports that were written to files"
)
Bar = Callable[[str, int], AbstractContextManager[Tick]]
"""Shows how far a check is: its name, and how many steps it takes."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be looked at: a server, unless `server` is None; and a checkpoint that somebody kept."""

    asking: Asking | None = field(default_factory=Asking)
    checkpoint: str | None = None


def run(database: Database, settings: Settings, wanted: Wanted, clock: Clock, bar: Bar) -> Iterator[Check]:
    """Make every check; each is given as soon as it is made. The first ones are of one view of the database."""
    marked = serials.marked(database, settings)
    with database.read() as session:
        yield from _of_tables(session, settings, wanted, bar)
        yield serials.check_journal(session, marked.journal)
    with database.read() as session:
        published, count = zones.active(session), rules.names_published(session)
    served: dict[str, int] = {}
    for zone in published:
        with bar(f"file {zone.name}", count) as tick:
            yield files.check(database, settings, zone, tick)
        if wanted.asking is None:
            yield not_checked(f"transfer {zone.name}", "--offline: no server was asked")
            continue
        with bar(f"transfer {zone.name}", count) as tick:
            yield server.check(database, settings, zone, wanted.asking, clock, served, tick)
    with database.read() as session:
        for zone in published:
            yield serials.check(session, marked, zone, served)
    yield not_checked("besides", BESIDES)


def status(checks: list[Check]) -> State:
    """The worst of them: what is wrong counts for more than what could not be looked at."""
    states = {check.state for check in checks}
    return next((each for each in (State.WRONG, State.COULD_NOT_LOOK) if each in states), State.OK)


def _of_tables(session: Session, settings: Settings, wanted: Wanted, bar: Bar) -> Iterator[Check]:
    size = log.events(session)
    with bar(log.EVENTS, size) as tick:
        yield log.check_events(session, tick)
    with bar(log.TREE, size) as tick:
        yield log.check_tree(session, tick)
    yield log.check_checkpoint(session, wanted.checkpoint)
    with bar(orders.ORDERS, orders.rows(session)) as tick:
        yield orders.check(session, tick)
    with bar(registers.REGISTERS, registers.events(session)) as tick:
        yield registers.check(session, tick)
    count = rules.names_published(session)
    with bar(rules.RULES, count) as tick:
        yield rules.check(session, guarding.load(settings.zone_settings).never, tick)
    with bar(rules.RELEASE, count) as tick:
        yield rules.check_release(session, tick)
