"""Proposals that bring names back which a lift let go, under the same legal order, as long as that stands.

What was met stays met, what was committed to stays so; another person approves, as for every order.
"""

import datetime as dt
import uuid
from collections.abc import Iterator, Sequence
from itertools import islice

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db import Clock, Database
from app.errors import Conflict, Fault, Unprocessable, faults_of
from app.journal.actor import Actor
from app.journal.append import Entry, append
from app.journal.events import EventType
from app.journal.merkle import MerkleRoot
from app.orders import imports_staging as staging
from app.orders import plan, propose, states, targets, trees
from app.orders.guarding import Guard
from app.orders.models import LEAF, ConditionRow, Ground, Order, OrderKind, OrderState, TargetRow
from app.orders.schemas import MAX_TARGETS, Undo
from resolver_policy import conditions
from resolver_policy.errors import PolicyError

UNDOABLE = (Ground.SOLUTION_INDICATED, Ground.WRONG_BLOCK)
"""Grounds of a lift that leave the legal order as it is; after every other one a new order is needed."""

LIVING = (OrderState.PROPOSED, *states.STANDING)
ROWS_AT_ONCE = 5_000

COPIED = (
    "sample",
    "number",
    "number_note",
    "dated",
    "authority",
    "legal_basis",
    "category",
    "reason_id",
    "reason_en",
    "platform",
    "sop",
    "override",
    "expires_at",
)
COPIED_OF_A_CONDITION = (
    "position",
    "parent_position",
    "op",
    "code",
    "text_id",
    "text_en",
    "responsible_party",
    "gating",
    "kind",
    "due_at",
    "state",
    "delegate",
    "delegated_from",
    "delegated_until",
    "commitment_due_at",
    "claimed_by_id",
    "verified_by_id",
)
"""What a proposal says as the order did whose lift it undoes."""

Row = tuple[str, int]


def check(session: Session, order: Order, now: dt.datetime) -> None:
    """Raise Conflict unless the lift of an order can be undone: its legal order stands, and nothing undoes it yet."""
    name = order.number or order.uid
    if order.state == OrderState.ENDED and order.ground not in UNDOABLE:
        raise Conflict(f"order {name} ended ({order.ground}), so it no longer stands: propose a new order")
    expires_at = states.expiry(order)
    if expires_at is not None and expires_at <= now:
        raise Conflict(f"order {name} would have expired by now, so it no longer stands: propose a new order")
    refuse_if_met(session, order)
    undoing = select(Order.uid).where(Order.undoes_id == order.id, Order.state.in_(LIVING)).limit(1)
    if (uid := session.scalar(undoing)) is not None:
        raise Conflict(f"order {uid} undoes the lift of {name} already")


def refuse_if_met(session: Session, order: Order) -> None:
    """Raise Conflict where the conditions of an order are met: nothing may block again what they opened."""
    rows = trees.rows_of(session, order.id)
    if rows and conditions.judge(trees.tree_of(rows), trees.leaf_states(rows)).satisfied:
        raise Conflict(f"the conditions of order {order.number or order.uid} are met: propose a new order")


def whole(
    session: Session,
    actor: Actor,
    order: Order,
    command: Undo,
    now: dt.datetime,
    *,
    guard: Guard,
    staged: int | None = None,
) -> Order:
    """Propose everything that an ended order held when it ended; `staged` is what `stage` has made ready.

    Raises Conflict where it held nothing, and what `propose_again` raises.
    """
    if staged is None:
        return propose_again(session, actor, order, _held_at_the_end(session, order.id), command, now, guard=guard)
    check(session, order, now)
    proposal = session.get(Order, staged)
    if proposal is None or proposal.version != staging.FIRST_VERSION:
        raise Conflict("it took too long and was taken away; nothing of it is kept: undo it again")
    _submit(session, actor, order, proposal, command, now)
    return proposal


def stage(database: Database, actor: Actor, order_id: int, command: Undo, *, guard: Guard, clock: Clock) -> int | None:
    """Store the names that undoing the lift of a large order proposes, in short transactions, seen by no reader.

    None for an order whose lift is not to be undone, or that is small. Raises what `propose_again` raises; what is not
    proposed in the end is swept as a broken-off import is.
    """
    with database.write() as session:
        order = session.get_one(Order, order_id)
        if order.state != OrderState.ENDED or order.targets_count <= MAX_TARGETS:
            return None
        check(session, order, clock())
        staged = _draft(session, actor, order, command, clock()).id
    root, after = MerkleRoot(), 0
    while True:
        with database.read() as session:
            rows = _page(session, order_id, after)
        if not rows:
            break
        after, pairs = rows[-1][0], [(key, match) for _, key, match in rows]
        _check_names(order, pairs, guard)
        staging.add(database, staged, pairs, root.count, clock())
        root.extend(propose.target_line(key, match) for key, match in pairs)
    staging.seal(database, staged, root.count, root.digest(), clock())
    return staged


def _held_at_the_end(session: Session, order_id: int) -> Iterator[Row]:
    """Targets of an order that were not released before it ended, in key order, read a page at a time."""
    after = 0
    while rows := _page(session, order_id, after):
        yield from ((key, match) for _, key, match in rows)
        after = rows[-1][0]


def _page(session: Session, order_id: int, after: int) -> Sequence[tuple[int, str, int]]:
    query = select(TargetRow.id, TargetRow.key, TargetRow.match).where(TargetRow.released_at.is_(None))
    query = query.where(targets.of_order(order_id), TargetRow.id > after)
    return [(id_, key, match) for id_, key, match in session.execute(query.order_by(TargetRow.id).limit(ROWS_AT_ONCE))]


def propose_again(
    session: Session,
    actor: Actor,
    order: Order,
    rows: Iterator[Row],
    command: Undo,
    now: dt.datetime,
    *,
    guard: Guard,
) -> Order:
    """Propose some names of an order again, given in key order.

    Raises Conflict where that may not be, Unprocessable where the review date has passed and no other is given, or
    where a name may not be blocked any more.
    """
    check(session, order, now)
    proposal = _draft(session, actor, order, command, now)
    root = MerkleRoot()
    while some := list(islice(rows, ROWS_AT_ONCE)):
        _check_names(order, some, guard)
        targets.add(session, proposal.id, some, root.count)
        root.extend(propose.target_line(key, match) for key, match in some)
    if not root.count:
        raise Conflict(f"order {order.number or order.uid} holds nothing that could come back")
    proposal.targets_count, proposal.targets_root = root.count, root.digest()
    session.flush()
    plan.refuse_useless_exception(session, proposal)
    _submit(session, actor, order, proposal, command, now)
    return proposal


def _draft(session: Session, actor: Actor, order: Order, command: Undo, now: dt.datetime) -> Order:
    review_due_at = command.review_due_at or max(order.review_due_at, order.review_at)
    if review_due_at <= now:
        fault = Fault("review_date_past", review_due_at.isoformat(), "/review_due_at")
        raise Unprocessable("the review date has passed: give another", code="review_date_past", faults=(fault,))
    assert actor.principal_id is not None
    proposal = Order(
        uid=str(uuid.uuid4()),
        state=OrderState.IMPORTING,
        version=1,
        effective_at=None,
        review_due_at=review_due_at,
        review_at=review_due_at,
        targets_count=0,
        targets_root=b"",
        proposed_at=now,
        proposed_by_id=actor.principal_id,
        undoes_id=order.id,
        kind=OrderKind.EXCEPTION if order.kind == OrderKind.EXCEPTION else OrderKind.BLOCK,
        **{column: getattr(order, column) for column in COPIED},
    )
    session.add(proposal)
    session.flush()
    for row in trees.rows_of(session, order.id):
        copied = {column: getattr(row, column) for column in COPIED_OF_A_CONDITION}
        session.add(ConditionRow(uid=str(uuid.uuid4()), order_id=proposal.id, version=1, **copied))
    return proposal


def _submit(session: Session, actor: Actor, order: Order, proposal: Order, command: Undo, now: dt.datetime) -> None:
    proposal.state = OrderState.PROPOSED
    proposal.proposed_at = now
    rows = trees.rows_of(session, proposal.id)
    facts = {
        **propose.proposal_facts(proposal, propose.stored_tree(session, proposal)),
        "undoes": order.uid,
        "reason_to_undo": command.reason,
        "condition_states": {row.code: row.state for row in rows if row.op == LEAF},
    }
    append(session, actor, Entry(EventType.ORDER_PROPOSED, facts, proposal.id), now)
    session.flush()


def _check_names(order: Order, rows: list[Row], guard: Guard) -> None:
    lenient = propose.is_lenient(order.kind, order.override)
    for key, match in rows:
        try:
            guard.check_again(key, targets.MATCHES[match], overridden=lenient)
        except PolicyError as error:
            raise Unprocessable(error.detail, code=error.code, faults=faults_of(error, pointer="/targets")) from error
