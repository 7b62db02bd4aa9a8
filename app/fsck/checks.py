"""All checks, one after the other: from the journal down to what resolvers get."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy.orm import Session

from app.db import Clock, Database
from app.fsck import files, layers, log, notes, orders, registers, rules, serials, server
from app.fsck.report import Check, Findings, State, Tick, found, not_checked
from app.fsck.server import Asking
from app.orders import guarding
from app.publication import zones
from app.settings import Settings

BESIDES = (
    "what the journal does not have: secrets of tokens and keys, why a review was opened, names of a stop beyond the "
    "first, what the ledger says of subscribers; and what it has, but nobody compares: what reviews of orders found, "
    "rank files, floors of zones, when bases were cut, exports that were written to files"
)
UNREADABLE = (
    "the tables were altered past the service, the disk fails, or this check has a fault: compare that row with a "
    "backup before anything is restored"
)
Look = Callable[[Tick], Check]
"""Makes a check, and tells how far it is."""

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
        for name, steps, look in _of_tables(session, settings, wanted):
            yield _made(name, steps, look, bar)
        yield serials.check_journal(session, marked.journal)
    with database.read() as session:
        published, count = zones.active(session), rules.names_published(session)
    served: dict[str, int] = {}
    for zone in published:
        yield _made(f"file {zone.name}", count, partial(files.check, database, settings, zone), bar)
        if wanted.asking is None:
            yield not_checked(f"transfer {zone.name}", "--offline: no server was asked")
            continue
        look = partial(server.check, database, settings, zone, wanted.asking, clock, served)
        yield _made(f"transfer {zone.name}", count, look, bar)
    with database.read() as session:
        for zone in published:
            yield serials.check(session, marked, zone, served)
    yield not_checked("besides", BESIDES)


def status(checks: list[Check]) -> State:
    """The worst of them: what is wrong counts for more than what could not be looked at."""
    states = {check.state for check in checks}
    return next((each for each in (State.WRONG, State.COULD_NOT_LOOK) if each in states), State.OK)


def _of_tables(session: Session, settings: Settings, wanted: Wanted) -> Iterator[tuple[str, int, Look]]:
    """What is looked at in the database alone: the name of each check, how many steps it takes, and the check."""
    size = log.events(session)
    yield log.EVENTS, size, partial(log.check_events, session)
    yield log.TREE, size, partial(log.check_tree, session)
    yield log.CHECKPOINT, 0, lambda _: log.check_checkpoint(session, wanted.checkpoint)
    yield orders.ORDERS, orders.rows(session), partial(orders.check, session)
    yield registers.REGISTERS, registers.events(session), partial(registers.check, session)
    yield notes.NOTES, notes.rows(session), partial(notes.check, session)
    count, never = rules.names_published(session), guarding.load(settings.zone_settings).never
    yield rules.RULES, count, partial(rules.check, session, never)
    yield rules.RELEASE, count, partial(rules.check_release, session)
    yield layers.LAYERS, count, partial(layers.check, session)


def _made(name: str, steps: int, look: Look, bar: Bar) -> Check:
    """A check, with its bar; one that a row stops, which holds what no row may hold, has found something wrong."""
    with bar(name, steps) as tick:
        try:
            return look(tick)
        except (LookupError, TypeError, ValueError) as error:
            findings = Findings()
            findings.add(
                "a row of the tables", f"cannot be read, and what comes behind it was not looked at: {error!r}"
            )
            return found(name, findings, "", UNREADABLE)
