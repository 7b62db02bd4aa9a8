"""Random histories of orders, many side by side in one database, each on names of its own; the model goes along.

Each round moves the one clock, does what is due, and does one act of each history: as the service does it and as the
model does it. Both allow it, or both refuse it.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from sqlalchemy.orm import Session

from app.auth import tokens
from app.errors import AppError
from app.journal.actor import Actor
from app.journal.moment import moment
from app.orders import clock as orders_clock
from app.orders import decide, lift, marks, propose, suspend, trees, undo
from app.orders.models import Ground, Order
from app.orders.schemas import (
    Claim,
    Commitment,
    Decide,
    EvidenceIn,
    HandGround,
    Lift,
    Mark,
    PlanLift,
    ProposeOrder,
    Resume,
    Suspend,
    TargetIn,
    Undo,
    Waive,
)
from resolver_policy.conditions import SATISFIED
from resolver_policy.errors import PolicyError
from resolver_policy.targets import Match
from tests.orders import model
from tests.publication.worlds import GUARD, World
from tests.service import DAY, HOUR, a_leaf, an_order, text_of

TREES: tuple[model.Tree, ...] = (
    "one",
    ("all_of", ("one", "two")),
    ("any_of", ("one", "two")),
    ("all_of", ("one", ("any_of", ("two", "three")))),
)
LABELS = ("", "a.", "b.a.", "c.")
ASKED = (*LABELS, "q.", "q.b.a.")
JUMPS = (0 * HOUR, HOUR, HOUR, 6 * HOUR, DAY, DAY, 3 * DAY, 10 * DAY, 30 * DAY, -2 * DAY)
GROUNDS: tuple[HandGround, ...] = (Ground.WRONG_BLOCK, Ground.SOLUTION_INDICATED)
NEW = 0.25
BLIND = 0.2
WORD = "as the rules have it"

Both = tuple[Callable[[], Order | None], Callable[[], model.Order | None]]
"""An act in the service, and the same act in the model; a new order that comes of it."""


@dataclass
class Known:
    """An order in the database, and the same order in the model."""

    id: int
    order: model.Order


@dataclass
class History:
    """One history: the domain that it is about, its orders, and what the model said was blocked, by moments."""

    domain: str
    random: Random
    known: list[Known] = field(default_factory=list)
    said: dict[dt.datetime, dict[str, bool]] = field(default_factory=dict)

    @property
    def orders(self) -> list[model.Order]:
        return [each.order for each in self.known]

    def names(self) -> list[str]:
        return [label + self.domain for label in ASKED]

    def note(self, now: dt.datetime) -> dict[str, bool]:
        """What the model says now; what it had said of later moments, at which nothing was recorded, is forgotten."""
        self.said = {at: said for at, said in self.said.items() if at < now}
        self.said[now] = {name: model.blocked(name, self.orders) for name in self.names()}
        return self.said[now]


@dataclass
class Turn:
    """One act in the making: where, when, and by whom it is done."""

    session: Session
    now: dt.datetime
    people: Mapping[str, Actor]
    history: History

    def row(self, known: Known) -> Order:
        return self.session.get_one(Order, known.id, with_for_update=True)

    def later(self) -> dt.datetime:
        return self.now + self.history.random.choice((HOUR, DAY, 3 * DAY, 20 * DAY))

    def maybe_later(self) -> dt.datetime | None:
        return self.later() if self.history.random.random() < 0.3 else None


def play(world: World, histories: list[History], random: Random) -> tuple[dt.datetime, int, int]:
    """A round; the moment that it was, how many acts were done, and how many were refused."""
    world.clock.forward(random.choice(JUMPS))
    done = refused = 0
    with world.database.write() as session:
        now = moment(session, world.clock)
        orders_clock.run_due(session, world.clock)
        for history in histories:
            for order in history.orders:
                order.tick(now)
        people = {
            name: tokens.authenticate(session, world.template.tokens[name], now=world.clock())
            for name in ("operator-1", "approver-1", "approver-2")
        }
        for history in histories:
            agreed = _one(Turn(session, now, people, history))
            done, refused = done + agreed, refused + (not agreed)
    return now, done, refused


def _one(turn: Turn) -> bool:
    """One random act of a history, by both; whether it was allowed."""
    random, known = turn.history.random, turn.history.known
    if not known or random.random() < NEW:
        in_service, in_model = _propose(turn)
    else:
        each = random.choice(known)
        fitting = ACTS if random.random() < BLIND else FITTING[each.order.state]
        in_service, in_model = random.choice(fitting)(turn, each)
    order = row = refused = refusal = None
    try:
        with turn.session.begin_nested():
            row = in_service()
            turn.session.flush()
    except (AppError, PolicyError) as error:
        refused = error
    try:
        order = in_model()
    except model.Refused as error:
        refusal = error
    assert (refused is None) == (refusal is None), (turn.history.domain, in_model, refused)
    assert (row is None) == (order is None), (turn.history.domain, in_model)
    if row is not None and order is not None:
        known.append(Known(row.id, order))
    return refused is None


def _useless(turn: Turn, order: model.Order) -> None:
    """An exception that a block of equal specificity meets would do nothing, and is refused."""
    others = [each for each in turn.history.orders if each.kind == "block" and each.state == "active"]
    if order.kind == "exception" and any(order.targets & other.targets for other in others):
        raise model.Refused


def _propose(turn: Turn) -> Both:
    random = turn.history.random
    kind = "block" if random.random() < 0.75 else "exception"
    labels = random.sample(LABELS, random.randint(1, 3))
    targets = {(label + turn.history.domain, random.choice(("exact", "subtree"))) for label in labels}
    tree = random.choice(TREES) if kind == "block" else None
    order = model.Order(kind, targets, tree, begins=turn.maybe_later(), expires=turn.maybe_later())
    if order.begins is not None and order.expires is not None:
        order.expires = order.begins + DAY
    body = an_order(
        kind=kind,
        targets=[{"name": name, "match": match} for name, match in targets],
        conditions=_sent(tree),
        effective_at=None if order.begins is None else text_of(order.begins),
        expires_at=None if order.expires is None else text_of(order.expires),
        review_due_at="2040-01-01T00:00:00Z",
    )

    def in_service() -> Order:
        command = ProposeOrder.model_validate(body)
        return propose.propose(turn.session, turn.people["operator-1"], command, turn.now, guard=GUARD)

    def in_model() -> model.Order:
        _useless(turn, order)
        return order

    return in_service, in_model


def _sent(tree: model.Tree | None) -> object:
    if tree is None or isinstance(tree, str):
        return None if tree is None else a_leaf(tree)
    return {tree[0]: [_sent(part) for part in tree[1]]}


def _approve(turn: Turn, known: Known) -> Both:
    def in_service() -> None:
        row = turn.row(known)
        decide.approve(turn.session, turn.people["approver-2"], row, Decide(reason=WORD), turn.now, guard=GUARD)

    def in_model() -> None:
        known.order.need(known.order.state == "proposed")
        _useless(turn, known.order)
        known.order.approve(turn.now)

    return in_service, in_model


def _lift(turn: Turn, known: Known) -> Both:
    random = turn.history.random
    ground = random.choice(GROUNDS)
    part = set(random.sample(sorted(known.order.targets), random.randint(0, len(known.order.targets))))
    named = tuple(TargetIn(name=name, match=Match(match)) for name, match in sorted(part)) or None

    def in_service() -> None:
        row = turn.row(known)
        command = Lift(ground=ground, reason=WORD, targets=named, commitments=_promised(turn, known, ground))
        lift.lift(turn.session, turn.people["approver-1"], row, command, turn.now)

    def in_model() -> None:
        known.order.release(part, ground) if part else known.order.end(ground)

    return in_service, in_model


def _plan(turn: Turn, known: Known) -> Both:
    random = turn.history.random
    ground = random.choice(GROUNDS)
    at = turn.later() if random.random() < 0.7 else None

    def in_service() -> None:
        row = turn.row(known)
        command = PlanLift(ground=ground, reason=WORD, at=at, commitments=_promised(turn, known, ground))
        lift.plan_lift(turn.session, turn.people["approver-1"], row, command, turn.now)

    def in_model() -> None:
        known.order.need(known.order.state in model.STANDING)
        known.order.planned = (ground, at)

    return in_service, in_model


def _promised(turn: Turn, known: Known, ground: HandGround) -> tuple[Commitment, ...]:
    """A date for every condition that is not met."""
    if ground is not Ground.SOLUTION_INDICATED:
        return ()
    states = trees.leaf_states(trees.rows_of(turn.session, known.id))
    left = [code for code, state in states.items() if state not in SATISFIED]
    return tuple(Commitment(condition=code, due_at=turn.now + DAY) for code in left)


def _suspend(turn: Turn, known: Known) -> Both:
    until = turn.later() if turn.history.random.random() < 0.95 else turn.now

    def in_service() -> None:
        row, command = turn.row(known), Suspend(reason=WORD, until=until)
        suspend.suspend(turn.session, turn.people["approver-1"], row, command, turn.now, notice=DAY)

    return in_service, lambda: known.order.suspend(until, turn.now)


def _resume(turn: Turn, known: Known) -> Both:
    def in_service() -> None:
        suspend.resume(turn.session, turn.people["approver-1"], turn.row(known), Resume(reason=WORD), turn.now)

    def in_model() -> None:
        known.order.need(known.order.state == "suspended")
        known.order.state = "active"

    return in_service, in_model


def _mark(turn: Turn, known: Known) -> Both:
    """A condition is met (claimed and verified by two people), waived, or breached."""
    codes = [row.code for row in trees.rows_of(turn.session, known.id) if row.code is not None]
    if not codes:
        return _resume(turn, known)
    code = turn.history.random.choice(codes)
    mark = turn.history.random.choice(("met", "met", "met", "waived", "breached"))

    def in_service() -> None:
        row = next(row for row in trees.rows_of(turn.session, known.id) if row.code == code)
        waiver = Waive(reason=WORD, authority="The court")
        approver = turn.people["approver-1"]
        if mark == "met":
            claim = Claim(evidence=EvidenceIn(text="see the letter"))
            marks.claim(turn.session, turn.people["operator-1"], row, claim, turn.now)
            marks.verify(turn.session, approver, row, Mark(reason=WORD), turn.now)
        else:
            (marks.waive if mark == "waived" else marks.breach)(turn.session, approver, row, waiver, turn.now)

    return in_service, lambda: known.order.mark(code, mark)


def _undo(turn: Turn, known: Known) -> Both:
    """Undone by one approver, an exception by a second one the second time."""
    is_second = known.order.end_proposed and known.order.state in model.STANDING
    by = "approver-2" if is_second else "approver-1"

    def in_service() -> Order | None:
        undone = undo.undo(turn.session, turn.people[by], turn.row(known), Undo(reason=WORD), turn.now, guard=GUARD)
        return undone.order if undone.act is undo.Act.PROPOSED else None

    def in_model() -> model.Order | None:
        proposal = known.order.undo(turn.now, turn.history.orders)
        if proposal is not None:
            _useless(turn, proposal)
        return proposal

    return in_service, in_model


ACTS = (_approve, _lift, _plan, _suspend, _resume, _mark, _undo)
FITTING = {
    "proposed": (_approve,),
    "scheduled": (_lift, _plan, _mark, _undo),
    "active": (_lift, _plan, _suspend, _suspend, _mark, _mark, _undo),
    "suspended": (_lift, _plan, _suspend, _resume, _mark, _mark),
    "ended": (_undo, _mark),
}
"""What is likely to be allowed, by the state of an order."""
