"""Proposing orders from a list of any length: every line gets a verdict, and all of it is stored, or nothing."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db import Clock, Database
from app.errors import Conflict, Fault
from app.journal.actor import Actor
from app.journal.merkle import MerkleRoot
from app.orders import imports_plan, meanwhile, plan, propose, targets
from app.orders import imports_staging as staging
from app.orders.guarding import Guard
from app.orders.imports_answer import FAULTS_SHOWN, Imported, Options, Outcome
from app.orders.imports_book import Book, Entered, Template
from app.orders.imports_formats import Given
from app.orders.imports_judging import Entries, Progress, Setting, Tally, Watch, by_order, read, to_be_stored
from app.orders.imports_plan import NamesWatch
from app.orders.imports_sorting import KeySorter
from app.orders.imports_verdicts import Rules, Verdicts
from app.orders.models import Order, OrderState, TargetRow
from app.orders.schemas import OrderIn


@dataclass(frozen=True, slots=True)
class Import:
    """A list on its way in: who brings it, and what is done with it."""

    database: Database
    actor: Actor
    guard: Guard
    clock: Clock
    progress: Progress
    imported: Imported

    @property
    def stores(self) -> bool:
        """Whether the list is to be stored, after it was read."""
        return not self.imported.options.dry_run and not self.imported.refused


@dataclass(frozen=True, slots=True)
class Staged:
    """An order of the list whose names are stored, unseen: its database id, and its outcome to be."""

    order_id: int
    command: OrderIn
    outcome: Outcome


def import_list(
    database: Database,
    session: Session,
    actor: Actor,
    order: OrderIn | Template,
    given: Given,
    options: Options,
    *,
    guard: Guard,
    clock: Clock,
    progress: Progress = lambda _: None,
) -> Imported:
    """Judge a list, store it in short transactions that no reader sees, and make it proposals in `session`.

    `order` is the list's, or what its lines do not say of theirs. `session` must not have read anything yet: until the
    last step it holds no lock. Raises PolicyError or AppError where an order itself is refused, where one that stands
    would get other names, or where what a plan id depends on has moved; whether the list is, `Imported.refused` says.
    """
    book = Book(database, clock, order)
    imported = Imported(given, given.lines(options.match, book.kind), Rules(guard, book), options, Verdicts())
    importing = Import(database, actor, guard, clock, progress, imported)
    with KeySorter() as sorter, ExitStack() as undo:
        read(imported.lines, imported.rules, imported.verdicts, sorter, progress)
        parts = _judged(importing, order)
        watch = NamesWatch() if parts else Watch()
        with database.read() as reading:
            since = meanwhile.events(reading)
        done = [
            _one(importing, book.orders[index], entries, watch, undo)
            for index, entries in by_order(sorter.entries(), many=book.many)
        ]
        if any(isinstance(each, Staged) for each in done):
            imports_plan.check(options.plan_id, watch.parts())
        undo.pop_all()
    outcomes = _submit(session, importing, done, since)
    plan_id = imports_plan.joined({**parts, **watch.parts()}) if options.dry_run else None
    return replace(imported, outcomes=outcomes, plan_id=plan_id)


def _judged(importing: Import, order: OrderIn | Template) -> dict[str, str]:
    """The parts of the plan id that are known once the list is read; none where nobody asks for it."""
    options, given = importing.imported.options, importing.imported.given
    if not options.dry_run and (options.plan_id is None or importing.imported.refused):
        return {}
    said = [options.match, options.partial, imports_plan.sop_version(importing.database, order)]
    first = {"list": imports_plan.of_list(given), "order": imports_plan.of_order(order, said)}
    then = {"guard": imports_plan.of_judgement(importing.imported.verdicts)}
    if not options.dry_run:
        imports_plan.check(options.plan_id, first)
        imports_plan.check(options.plan_id, then)
    return {**first, **then}


def _one(importing: Import, entered: Entered, entries: Entries, watch: Watch, undo: ExitStack) -> Outcome | Staged:
    """One order of the list: stored where nobody sees it, or compared with the one that has its number.

    Raises Conflict where names were to be added to an order that stands.
    """
    command, standing = entered.command, entered.standing
    tally = Tally()
    watch.turn_to(standing)
    decision = targets.decision(command.kind)
    setting = Setting(decision, None if standing is None else standing.id, tally, watch)
    database, verdicts = importing.database, importing.imported.verdicts
    batches = to_be_stored(database, entries, verdicts, setting, importing.progress)
    if standing is None and importing.stores:
        order_id, plan_hash = _stage(importing, command, batches, undo)
        return Staged(order_id, command, Outcome(command.number, tally.found, tally.new, plan_hash=plan_hash))
    for _ in batches:
        pass
    outcome = Outcome(command.number, tally.found, tally.new)
    if standing is None:
        return outcome
    if tally.new and importing.stores:
        raise _stands(importing.imported, entered, tally.new)
    return _compared(importing, standing, outcome)


def _compared(importing: Import, standing: Order, outcome: Outcome) -> Outcome:
    """What an order that stands lacks of the list, and the list of it."""
    held = select(func.count()).where(targets.of_order(standing.id), TargetRow.released_at.is_(None))
    with importing.database.read() as session:
        missing = (session.scalar(held) or 0) - (outcome.names - outcome.new)
        proposed = standing.state == OrderState.PROPOSED
        plan_hash = plan.make(session, standing, guard=importing.guard).plan_hash if proposed else None
    return replace(outcome, order=standing, plan_hash=plan_hash, missing=missing)


def _stands(imported: Imported, entered: Entered, new: int) -> Conflict:
    """The refusal to add names to an order; it names the first 1,000 of them."""
    number = entered.command.number
    why = f"order {number} stands and never changes: {new} names of the list are not in it"
    lines = imported.verdicts.new(imported.lines, imported.rules.book, entered)
    faults = [Fault("order_number_taken", number, "/number")]
    faults += [Fault("not_in_order", line.text[:200], line=line.number) for line in islice(lines, FAULTS_SHOWN)]
    return Conflict(f"{why}; they need an order of their own", code="order_number_taken", faults=faults)


def _stage(
    importing: Import, command: OrderIn, batches: Iterable[Sequence[tuple[str, int]]], undo: ExitStack
) -> tuple[int, str]:
    """Store an order and its names where no reader sees them; its database id and its plan's hash.

    `undo` takes it away at once where something fails on the way.
    """
    database, now, root = importing.database, importing.clock, MerkleRoot()
    order_id = staging.open_order(database, importing.actor, command, now())
    undo.callback(staging.discard, database, order_id)
    for rows in batches:
        first = root.count
        root.extend(propose.target_line(key, code) for key, code in rows)
        staging.add(database, order_id, rows, first, now())
    staging.seal(database, order_id, root.count, root.digest(), now())
    with database.read() as session:
        order = session.get_one(Order, order_id)
        plan.refuse_useless_exception(session, order)
        return order_id, plan.make(session, order, guard=importing.guard).plan_hash


def _submit(session: Session, importing: Import, done: Sequence[Outcome | Staged], since: int) -> tuple[Outcome, ...]:
    """Make what was staged proposals, all in one transaction; with a plan id, only if nothing touched their names."""
    staged = [each for each in done if isinstance(each, Staged)]
    if importing.imported.options.plan_id is not None and not all(
        meanwhile.untouched(session, each.order_id, since) for each in staged
    ):
        raise imports_plan.changed(["names"])
    return tuple(_submitted(session, importing, each) if isinstance(each, Staged) else each for each in done)


def _submitted(session: Session, importing: Import, staged: Staged) -> Outcome:
    now = importing.clock()
    order = staging.submit(session, importing.actor, staged.order_id, staged.command, now)
    return replace(staged.outcome, order=order, stored=True)
