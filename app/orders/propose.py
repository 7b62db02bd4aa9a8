"""Proposing an order, and taking a proposal back."""

import datetime as dt
import json
import uuid
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import Conflict, Fault, Forbidden, TooLarge, Unprocessable, faults_of
from app.journal.actor import Actor
from app.journal.append import Entry, append, timestamp
from app.journal.events import EventType
from app.journal.merkle import merkle_root
from app.orders import categories, emergency, plan, sops, states, targets, trees
from app.orders.condition_documents import tree_document
from app.orders.guarding import Guard
from app.orders.models import LEAF, ConditionRow, Order, OrderKind, OrderState
from app.orders.schemas import MAX_TARGETS, OrderBody, ProposeOrder, ProposeSample, Withdraw
from resolver_policy import conditions, names
from resolver_policy.conditions import State
from resolver_policy.errors import ConditionsInvalid, PolicyError

DEAD_STATES = (OrderState.WITHDRAWN, OrderState.REJECTED, OrderState.IMPORTING)


def propose(
    session: Session, actor: Actor, command: ProposeOrder | ProposeSample, now: dt.datetime, *, guard: Guard
) -> Order:
    """Enter an order as a proposal; it blocks nothing until another person approves (an emergency order: at once).

    Raises PolicyError or AppError, naming value, rule and pointer, and then nothing is kept.
    """
    if len(command.targets) > MAX_TARGETS:
        raise TooLarge(f"{len(command.targets)} targets: more than {MAX_TARGETS} go by import")
    rows = _checked_targets(command, guard)
    if command.kind is OrderKind.EMERGENCY:
        emergency.check(session, actor, command, rows, now)
    order = draft(session, actor, command, now)
    order.targets_count = len(rows)
    order.targets_root = merkle_root(target_line(key, match) for key, match in rows)
    session.flush()
    targets.add(session, order.id, rows)
    plan.refuse_useless_exception(session, order)
    if command.kind is OrderKind.EMERGENCY:
        order.lapses_at = now + guard.limits.emergency_window
    submit(session, actor, order, command, now)
    if command.kind is OrderKind.EMERGENCY:
        emergency.begin(session, actor, order, now)
    return order


def draft(session: Session, actor: Actor, command: OrderBody, now: dt.datetime) -> Order:
    """An order's row and its conditions, in state `importing`: no reader sees it until `submit`."""
    check_order(session, command, now)
    assert actor.principal_id is not None
    order = Order(
        uid=str(uuid.uuid4()),
        kind=command.kind,
        state=OrderState.IMPORTING,
        version=1,
        sample=isinstance(command, ProposeSample),
        number=command.number,
        number_note=command.number_note if isinstance(command, ProposeSample) else None,
        dated=command.dated.isoformat(),
        authority=command.authority,
        legal_basis=_json([basis.model_dump() for basis in command.legal_basis]),
        category=command.category,
        reason_id=command.reason.id,
        reason_en=command.reason.en,
        platform=command.platform,
        sop=_resolved_sop(session, command),
        override=None if command.override is None else _json(command.override.model_dump(mode="json")),
        effective_at=command.effective_at,
        expires_at=command.expires_at,
        review_due_at=command.review_due_at,
        review_at=command.review_due_at,
        targets_count=0,
        targets_root=b"",
        proposed_at=now,
        proposed_by_id=actor.principal_id,
    )
    session.add(order)
    session.flush()
    session.add_all(_condition_rows(order.id, condition_tree(session, command)))
    return order


def submit(session: Session, actor: Actor, order: Order, command: OrderBody, now: dt.datetime) -> None:
    """Make a complete draft a proposal that everybody sees, and write it into the journal."""
    order.state = OrderState.PROPOSED
    order.proposed_at = now
    personal = {"reporter": command.reporter, "contact": command.contact}
    entry = Entry(
        EventType.ORDER_PROPOSED,
        proposal_facts(order, stored_tree(session, order)),
        order_id=order.id,
        personal={field: text for field, text in personal.items() if text is not None},
    )
    append(session, actor, entry, now)
    session.flush()


def withdraw(session: Session, actor: Actor, order: Order, command: Withdraw, now: dt.datetime) -> Order:
    """The proposer takes a proposal back, or an emergency order before it is confirmed, which lapses then.

    Raises Forbidden for anybody else.
    """
    if order.kind == OrderKind.EMERGENCY:
        return emergency.take_back(session, actor, order, command, now)
    states.require_state(order, OrderState.PROPOSED)
    if actor.principal_id != order.proposed_by_id:
        raise Forbidden("only its proposer withdraws a proposal; an approver rejects it")
    states.revise(order)
    order.state = OrderState.WITHDRAWN
    append(
        session,
        actor,
        Entry(EventType.ORDER_WITHDRAWN, {"order": order.uid, "reason": command.reason}, order.id),
        now,
    )
    return order


def check_order(session: Session, command: OrderBody, now: dt.datetime) -> None:
    """Everything about an order but its targets."""
    categories.check(command.category)
    if command.kind is OrderKind.EMERGENCY and not isinstance(command, ProposeOrder | ProposeSample):
        emergency.refuse_list(command)
    _check_dates(command, now)
    _check_conditions(session, command, now)
    if command.number is not None:
        _check_number(session, command.number)


def condition_tree(session: Session, command: OrderBody) -> dict[str, object] | None:
    """The tree as it was sent, or as its SOP says it now."""
    if command.sop is None:
        return command.conditions
    return sops.tree(sops.find(session, command.sop), command.sop.profile)


def stored_tree(session: Session, order: Order) -> dict[str, object] | None:
    """The tree of an order as it is kept, whatever has become of its SOP."""
    rows = trees.rows_of(session, order.id)
    return tree_document(trees.tree_of(rows)) if rows else None


def target_line(key: str, match: int) -> bytes:
    """A target as it is hashed into its order's Merkle root: name, space, match."""
    return f"{names.from_key(key)} {targets.MATCH_TEXTS[match]}".encode()


def proposal_facts(order: Order, tree: dict[str, object] | None) -> dict[str, object]:
    """What an order says, for the journal. However many its names are, their count and root stand for them."""
    return {
        "order": order.uid,
        "number": order.number,
        "number_note": order.number_note,
        "kind": order.kind,
        "dated": order.dated,
        "authority": order.authority,
        "legal_basis": json.loads(order.legal_basis),
        "category": order.category,
        "reason": {"id": order.reason_id, "en": order.reason_en},
        "platform": order.platform,
        "sop": None if order.sop is None else json.loads(order.sop),
        "override": None if order.override is None else json.loads(order.override),
        "effective_at": None if order.effective_at is None else timestamp(order.effective_at),
        "expires_at": None if order.expires_at is None else timestamp(order.expires_at),
        "review_due_at": timestamp(order.review_due_at),
        "lapses_at": None if order.lapses_at is None else timestamp(order.lapses_at),
        "targets_count": order.targets_count,
        "targets_root": "sha256:" + order.targets_root.hex(),
        "conditions": tree,
    }


def _checked_targets(command: ProposeOrder | ProposeSample, guard: Guard) -> Sequence[tuple[str, int]]:
    rows: dict[tuple[str, int], int] = {}
    for index, target in enumerate(command.targets):
        pointer = f"/targets/{index}/name"
        try:
            name = guard.check(target.name, target.match, overridden=is_lenient(command.kind, command.override))
        except PolicyError as error:
            raise Unprocessable(error.detail, code=error.code, faults=faults_of(error, pointer=pointer)) from error
        row = (names.sort_key(name), targets.match_code(target.match))
        if row in rows:
            fault = Fault("duplicate", target.name[:200], pointer)
            raise Unprocessable(f"{name} ({target.match}) stands in the order twice", faults=(fault,))
        rows[row] = index
    return sorted(rows)


def _check_number(session: Session, number: str) -> None:
    taken = select(Order.id).where(Order.number == number, Order.state.not_in(DEAD_STATES)).limit(1)
    if session.scalar(taken) is not None:
        fault = Fault("order_number_taken", number, "/number")
        raise Conflict(f"there is an order {number!r} already", code="order_number_taken", faults=(fault,))


def is_lenient(kind: str, override: object) -> bool:
    """Whether the guard's soft rules are set aside: by an override, and for an exception, which blocks nothing."""
    return override is not None or kind == OrderKind.EXCEPTION


def _check_dates(command: OrderBody, now: dt.datetime) -> None:
    if command.review_due_at <= now:
        fault = Fault("review_date_past", command.review_due_at.isoformat(), "/review_due_at")
        raise Unprocessable("the review date has passed", code="review_date_past", faults=(fault,))
    begins = max(now, command.effective_at or now)
    ends: dict[str, dt.datetime | None] = {
        "/expires_at": command.expires_at,
        "/override/expires_at": None if command.override is None else command.override.expires_at,
    }
    for pointer, end in ends.items():
        if end is not None and end <= begins:
            fault = Fault("ends_before_it_begins", end.isoformat(), pointer)
            raise Unprocessable("the order would end before it begins", faults=(fault,))


def _check_conditions(session: Session, command: OrderBody, now: dt.datetime) -> None:
    if command.sop is not None and command.conditions is not None:
        fault = Fault("conditions_or_sop", pointer="/conditions")
        raise Unprocessable("conditions, or a sop that says them: not both", faults=(fault,))
    if command.sop is None and command.conditions is None and command.kind is not OrderKind.EXCEPTION:
        fault = Fault("conditions_or_sop", pointer="/conditions")
        raise Unprocessable("a block has a way back: give conditions, or a sop", faults=(fault,))
    tree = condition_tree(session, command)
    if tree is None:
        return
    try:
        parsed = conditions.parse(tree)
    except PolicyError as error:
        pointer = "/conditions" + (error.pointer if isinstance(error, ConditionsInvalid) else "")
        raise Unprocessable(error.detail, code=error.code, faults=faults_of(error, pointer=pointer)) from error
    for leaf in conditions.leaves(parsed):
        if leaf.due_at is not None and leaf.due_at <= now:
            fault = Fault("due_in_the_past", timestamp(leaf.due_at), "/conditions")
            raise Unprocessable(f"condition {leaf.code} would be due before it is asked for", faults=(fault,))


def _resolved_sop(session: Session, command: OrderBody) -> str | None:
    """The version that an order is made under: it keeps that one."""
    if command.sop is None:
        return None
    sop = sops.find(session, command.sop)
    return _json({"code": sop.code, "version": sop.number, "profile": command.sop.profile})


def _condition_rows(order_id: int, tree: dict[str, object] | None) -> list[ConditionRow]:
    if tree is None:
        return []
    return [_condition_row(order_id, row) for row in conditions.flatten(conditions.parse(tree))]


def _condition_row(order_id: int, row: conditions.Row) -> ConditionRow:
    node = row.node
    common = ConditionRow(
        uid=str(uuid.uuid4()), order_id=order_id, position=row.index, parent_position=row.parent, version=1
    )
    if isinstance(node, str):
        common.op = node
        return common
    common.op, common.state = LEAF, State.PENDING
    common.code, common.text_id, common.text_en = node.code, node.text.id, node.text.en
    common.responsible_party, common.gating, common.kind = node.responsible_party, node.gating, node.kind
    common.due_at = node.due_at
    return common


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
