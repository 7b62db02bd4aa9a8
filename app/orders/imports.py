"""Proposing one order from a list of any length: every line gets a verdict, and all of it is stored, or nothing."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db import Clock, Database
from app.errors import Conflict, Fault, Unprocessable
from app.journal.actor import Actor
from app.journal.merkle import MerkleRoot
from app.orders import imports_staging as staging
from app.orders import plan, propose, states, targets
from app.orders.guarding import Guard
from app.orders.imports_judging import Progress, Setting, read, to_be_stored
from app.orders.imports_lines import Lines
from app.orders.imports_sorting import KeySorter
from app.orders.imports_verdicts import Rules, Verdict, Verdicts
from app.orders.models import Order, OrderState
from app.orders.schemas import OrderIn
from resolver_policy.targets import Match

REFUSED_SHOWN = 10_000
OTHERS_SHOWN = 1_000
FAULTS_SHOWN = 1_000

HOLDING = (OrderState.PROPOSED, *states.STANDING)
"""States in which an order that has the list's number already may hold its names."""


@dataclass(frozen=True, slots=True)
class Options:
    """The match of all names; a dry run stores nothing; `partial` stores the good lines without the others."""

    match: Match = Match.SUBTREE
    dry_run: bool = False
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of a list. `order` is the proposal that was stored, or the one that holds these names already."""

    lines: Lines
    rules: Rules
    options: Options
    verdicts: Verdicts
    order: Order | None = None
    plan_hash: str | None = None
    stored: bool = False

    @property
    def refused(self) -> bool:
        """Whether nothing was stored because of the list itself."""
        good, bad = self.verdicts.not_refused, self.verdicts.counts[Verdict.REFUSED]
        return not self.options.dry_run and (good == 0 or (bad > 0 and not self.options.partial))

    def refusal(self) -> Unprocessable:
        """The error that says why, naming lines, values and rules (the first 1,000)."""
        bad = self.verdicts.counts[Verdict.REFUSED]
        if not bad:
            return Unprocessable("the list holds no name")
        items = list(self.verdicts.items(self.lines, self.rules, refused=FAULTS_SHOWN, others=0))
        faults = [Fault(item["rule"], item["input"], line=item["line"]) for item in items]
        detail = (
            f"{bad} of {self.verdicts.total} lines are refused, so nothing was stored; the first: {items[0]['detail']}"
        )
        return Unprocessable(detail, code=items[0]["code"], faults=faults)

    def summary(self) -> dict[str, Any]:
        """The order, the plan's hash and the counts, without lines."""
        counts = {str(verdict): count for verdict, count in self.verdicts.counts.items()}
        document = {"plan_hash": self.plan_hash, "counts": {"lines": self.verdicts.total, **counts}}
        return document if self.order is None else {"order_id": self.order.uid, **document}

    def document(self) -> dict[str, Any]:
        """The answer over HTTP: every refused line and the first others, up to what an answer should carry."""
        items = list(self.verdicts.items(self.lines, self.rules, refused=REFUSED_SHOWN, others=OTHERS_SHOWN))
        return {**self.summary(), "items": items, "items_left_out": self.verdicts.total - len(items)}


def import_list(
    database: Database,
    session: Session,
    actor: Actor,
    command: OrderIn,
    lines: Lines,
    options: Options,
    *,
    guard: Guard,
    clock: Clock,
    progress: Progress = lambda _: None,
) -> Imported:
    """Judge a list, store it in short transactions that no reader sees, and make it a proposal in `session`.

    `session` must not have read anything yet: until the last step it holds no lock. Raises PolicyError or AppError
    where the order itself is refused; whether the list is, `Imported.refused` says.
    """
    with database.read() as reading:
        standing = _standing(reading, command)
        if standing is None:
            propose.check_order(reading, command, clock())
    rules = Rules(guard, options.match, command.override is not None)
    imported = Imported(lines, rules, options, Verdicts())
    setting = Setting(options.match, targets.decision(command.kind), None if standing is None else standing.id)
    with KeySorter() as sorter:
        read(lines, rules, imported.verdicts, sorter, progress)
        batches = to_be_stored(database, sorter, imported.verdicts, setting, progress)
        if standing is not None or options.dry_run or imported.refused:
            new = sum(map(len, batches))
            return _compared(database, imported, standing, new, guard=guard)
        order_id, plan_hash = _stage(database, actor, command, batches, options.match, guard=guard, clock=clock)
    order = staging.submit(session, actor, order_id, command, clock())
    return replace(imported, order=order, plan_hash=plan_hash, stored=True)


def _standing(session: Session, command: OrderIn) -> Order | None:
    """The order in force or on its way there that has the number of the list."""
    query = select(Order).where(Order.number == command.number, Order.state.in_(HOLDING), Order.undoes_id.is_(None))
    return session.scalars(query).one_or_none()


def _compared(database: Database, imported: Imported, standing: Order | None, new: int, *, guard: Guard) -> Imported:
    """The outcome where nothing is stored; raises Conflict where names were to be added to an order that stands."""
    if standing is None or imported.refused:
        return imported
    if new and not imported.options.dry_run:
        why = f"order {standing.number} stands and never changes: {new} names of the list are not in it"
        fault = Fault("order_number_taken", standing.number, "/number")
        raise Conflict(f"{why}; they need an order of their own", code="order_number_taken", faults=(fault,))
    if standing.state != OrderState.PROPOSED:
        return replace(imported, order=standing)
    with database.read() as session:
        return replace(imported, order=standing, plan_hash=plan.make(session, standing, guard=guard).plan_hash)


def _stage(
    database: Database,
    actor: Actor,
    command: OrderIn,
    batches: Iterable[Sequence[str]],
    match: Match,
    *,
    guard: Guard,
    clock: Clock,
) -> tuple[int, str]:
    """Store the order and its names where no reader sees them; its database id and its plan's hash.

    What fails on the way is taken away at once.
    """
    code, root = targets.match_code(match), MerkleRoot()
    order_id = staging.open_order(database, actor, command, clock())
    with ExitStack() as undo:
        undo.callback(staging.discard, database, order_id)
        for keys in batches:
            first = root.count
            root.extend(propose.target_line(key, code) for key in keys)
            staging.add(database, order_id, [(key, code) for key in keys], first, clock())
        staging.seal(database, order_id, root.count, root.digest(), clock())
        with database.read() as session:
            plan_hash = plan.make(session, session.get_one(Order, order_id), guard=guard).plan_hash
        undo.pop_all()
    return order_id, plan_hash
