"""What happens to one order in a random history: as the service does it, and as the model does it."""

from itertools import product

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
    Withdraw,
)
from resolver_policy.conditions import SATISFIED
from resolver_policy.targets import Match
from tests.orders import model
from tests.orders.histories import Both, History, Known, Turn
from tests.publication.worlds import GUARD
from tests.service import DAY, a_leaf, an_order, text_of

TREES: tuple[model.Tree, ...] = (
    "one",
    ("all_of", ("one", "two")),
    ("any_of", ("one", "two")),
    ("all_of", ("one", ("any_of", ("two", "three")))),
)
LABELS = ("", "a.", "b.a.", "c.")
GROUNDS: tuple[HandGround, ...] = (Ground.WRONG_BLOCK, Ground.SOLUTION_INDICATED)
APPROVERS = ("approver-1", "approver-2")
WORD = "as the rules have it"


def useless(history: History, order: model.Order) -> None:
    """An exception that a block of equal specificity meets would do nothing, and is refused."""
    others = [each for each in history.orders if each.kind != "exception" and each.state == "active"]
    if order.kind == "exception" and any(order.targets & other.targets for other in others):
        raise model.Refused


def _too_much(turn: Turn, order: model.Order) -> None:
    """One person's word closes no exception, and holds nothing twice that nobody confirmed."""
    for each in turn.history.known:
        other = each.order
        for target, held in product(order.targets, each.names):
            kept = other.kind == "exception" and other.state == "active" and held in other.targets
            again = other.lapses is not None and (_covers(held, target[0]) or _covers(target, held[0]))
            order.need(not (kept and _covers(held, target[0])), not again)


def _covers(target: tuple[str, str], name: str) -> bool:
    return target[0] == name or (target[1] == "subtree" and name.endswith(f".{target[0]}"))


def propose_one(turn: Turn) -> Both:
    random = turn.history.random
    kind = random.choice(("block",) * 6 + ("exception",) * 2 + ("emergency",) * 2)
    labels = random.sample(LABELS, random.randint(1, 3))
    targets = {(label + turn.history.domain, random.choice(("exact", "subtree"))) for label in labels}
    tree = random.choice(TREES) if kind != "exception" else None
    begins = turn.maybe_later() if kind != "emergency" else None
    order = model.Order(kind, targets, tree, begins=begins, expires=turn.maybe_later())
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
        useless(turn.history, order)
        if kind == "emergency":
            _too_much(turn, order)
            order.state, order.lapses = "active", turn.now + GUARD.limits.emergency_window
        return order

    return in_service, in_model


def _sent(tree: model.Tree | None) -> object:
    if tree is None or isinstance(tree, str):
        return None if tree is None else a_leaf(tree)
    return {tree[0]: [_sent(part) for part in tree[1]]}


def _approve(turn: Turn, known: Known) -> Both:
    by = "approver-1" if known.by == "approver-2" else "approver-2"

    def in_service() -> None:
        row, act = turn.row(known), decide.confirm if known.order.kind == "emergency" else decide.approve
        act(turn.session, turn.people[by], row, Decide(reason=WORD), turn.now, guard=GUARD)

    def in_model() -> None:
        known.order.need(known.order.state in {"proposed", "active"})
        useless(turn.history, known.order)
        known.order.approve(turn.now)

    return in_service, in_model


def _withdraw(turn: Turn, known: Known) -> Both:
    """The proposer takes a proposal back, or an emergency order, which lapses then."""

    def in_service() -> None:
        propose.withdraw(turn.session, turn.people[known.by], turn.row(known), Withdraw(reason=WORD), turn.now)

    def in_model() -> None:
        order = known.order
        order.need((order.state, order.lapses is None) in {("proposed", True), ("active", False)})
        if order.state == "proposed":
            order.state = "withdrawn"
        else:
            order.end("emergency_lapsed")

    return in_service, in_model


def _lift(turn: Turn, known: Known) -> Both:
    random = turn.history.random
    ground = random.choice(GROUNDS)
    part = set(random.sample(sorted(known.order.targets), random.randint(0, len(known.order.targets))))
    if known.order.wanted[0] is not None and random.random() < 0.7:
        wanted, same = known.order.wanted[0]
        part, ground = set(wanted), next(each for each in GROUNDS if each == same)
    named = tuple(TargetIn(name=name, match=Match(match)) for name, match in sorted(part)) or None
    by = random.choice(APPROVERS)

    def in_service() -> None:
        row = turn.row(known)
        command = Lift(ground=ground, reason=WORD, targets=named, commitments=_promised(turn, known, ground))
        lift.lift(turn.session, turn.people[by], row, command, turn.now)

    return in_service, lambda: known.order.lift(part, ground, by)


def _plan(turn: Turn, known: Known) -> Both:
    random = turn.history.random
    ground = random.choice(GROUNDS)
    at = turn.later() if random.random() < 0.7 else None

    def in_service() -> None:
        row = turn.row(known)
        command = PlanLift(ground=ground, reason=WORD, at=at, commitments=_promised(turn, known, ground))
        lift.plan_lift(turn.session, turn.people["approver-1"], row, command, turn.now)

    def in_model() -> None:
        known.order.need(known.order.state in model.STANDING, known.order.kind != "exception")
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
        known.order.state, known.order.begins = "active", None

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
    by = turn.history.random.choice(APPROVERS)

    def in_service() -> Order | None:
        undone = undo.undo(turn.session, turn.people[by], turn.row(known), Undo(reason=WORD), turn.now, guard=GUARD)
        return undone.order if undone.act is undo.Act.PROPOSED else None

    def in_model() -> model.Order | None:
        proposal = known.order.undo(turn.now, by)
        if proposal is not None:
            useless(turn.history, proposal)
        return proposal

    return in_service, in_model


ACTS = (_approve, _lift, _plan, _suspend, _resume, _mark, _undo, _withdraw)
FITTING = {
    "proposed": (_approve, _approve, _approve, _withdraw),
    "scheduled": (_lift, _plan, _mark, _undo),
    "active": (_lift, _plan, _suspend, _suspend, _mark, _mark, _undo, _approve, _withdraw),
    "suspended": (_lift, _plan, _suspend, _resume, _mark, _mark),
    "ended": (_undo, _mark),
    "withdrawn": (_undo,),
}
"""What is likely to be allowed, by the state of an order."""
