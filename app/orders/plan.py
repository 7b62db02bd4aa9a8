"""What approving an order would do, and the hash that binds an approval to it."""

import datetime as dt
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from app.errors import Conflict, Fault
from app.orders import targets
from app.orders.guarding import Guard
from app.orders.models import Order, OrderKind, OrderState, TargetRow
from app.orders.schemas import MAX_TARGETS
from resolver_policy import names
from resolver_policy.errors import HardProtected, NameInvalid, SoftProtected
from resolver_policy.targets import Match, Target, decide

SHOWN = 1_000
"""Targets that a plan lists one by one; its counts and its hash are about all of them."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Counts over all targets, the first targets in detail, and the hash over everything."""

    targets: int
    already_held: int
    below_held: int
    changes: int
    overridden: int
    items: tuple[dict[str, Any], ...]
    plan_hash: str

    @property
    def must_be_seen(self) -> bool:
        """Whether approval needs `plan_hash`: over 1,000 names, or a name that an override lets through."""
        return self.targets > MAX_TARGETS or self.overridden > 0


def make(session: Session, order: Order, *, guard: Guard) -> Plan:
    """The plan of a proposal against what is in force now. Its cost follows the order, not the list."""
    digest = hashlib.sha256(f"{order.uid} {order.version} {order.targets_root.hex()}\n".encode())
    count = already_held = below_held = changes = overridden = 0
    shown: list[dict[str, Any]] = []
    for item in _items(session, order, guard):
        digest.update(json.dumps(item, sort_keys=True).encode() + b"\n")
        count += 1
        already_held += bool(item["held_by"])
        below_held += bool(item["held_above_by"])
        changes += item["changes"]
        overridden += item["overridden"] is not None
        if len(shown) < SHOWN:
            shown.append(item)
    return Plan(count, already_held, below_held, changes, overridden, tuple(shown), f"sha256:{digest.hexdigest()}")


def document(plan: Plan, now: dt.datetime) -> dict[str, Any]:
    """A plan as the interface shows it."""
    counts = {
        "targets": plan.targets,
        "already_held": plan.already_held,
        "below_held": plan.below_held,
        "changes": plan.changes,
        "overridden": plan.overridden,
    }
    return {
        "at": now,
        "counts": counts,
        "items": plan.items,
        "items_left_out": plan.targets - len(plan.items),
        "plan_hash": plan.plan_hash,
        "plan_hash_needed": plan.must_be_seen,
    }


def _items(session: Session, order: Order, guard: Guard) -> Iterator[dict[str, Any]]:
    query = select(TargetRow.key, TargetRow.match).where(targets.of_order(order.id)).order_by(TargetRow.id)
    streamed = session.execute(query.execution_options(yield_per=targets.KEYS_IN_ONE_QUERY))
    for batch in streamed.partitions():
        rows = [(key, match) for key, match in batch]
        holders = _holders(session, rows)
        for key, match in rows:
            yield _item(order, guard, key, match, holders)


Holders = dict[str, list[tuple[int, str, str]]]
"""Per key: (match code, kind, order number or id) of active targets."""


def _holders(session: Session, rows: Sequence[tuple[str, int]]) -> Holders:
    keys = {key for key, _ in rows} | {above for key, _ in rows for above in names.key_ancestors(key)}
    holders: Holders = {}
    for batch in targets.batches(sorted(keys)):
        query = (
            select(TargetRow.key, TargetRow.match, Order.kind, Order.number, Order.uid)
            .join(Order, Order.id == TargetRow.order_id)
            .where(TargetRow.key.in_(batch), targets.is_active())
            .order_by(TargetRow.key, TargetRow.match, Order.id)
        )
        for key, match, kind, number, uid in session.execute(query):
            holders.setdefault(key, []).append((match, kind, number or uid))
    return holders


def _item(order: Order, guard: Guard, key: str, match: int, holders: Holders) -> dict[str, Any]:
    name = names.from_key(key)
    above = [
        (Target(names.from_key(ancestor), Match.SUBTREE, targets.decision(kind)), number)
        for ancestor in names.key_ancestors(key)
        for code, kind, number in holders.get(ancestor, ())
        if code == targets.SUBTREE
    ]
    here = holders.get(key, [])
    new = Target(name, targets.MATCHES[match], targets.decision(order.kind))
    held = [target for target, _ in above]
    held += [Target(name, targets.MATCHES[code], targets.decision(kind)) for code, kind, _ in here]
    return {
        "name": name,
        "match": str(new.match),
        "held_by": [number for code, kind, number in here if kind == order.kind and code >= match],
        "held_above_by": [number for target, number in above if target.decision == new.decision],
        "exceptions": [number for _, kind, number in here if kind == OrderKind.EXCEPTION],
        "changes": _changes(new, held),
        "overridden": None if order.override is None else _overridden(guard, name, match),
    }


def _changes(new: Target, held: list[Target]) -> bool:
    """Whether the target decides anything otherwise than before: its own name, or (a subtree) the names below."""
    asked = (new.name, f"*.{new.name}") if new.match is Match.SUBTREE else (new.name,)
    return any(decide(name, [*held, new]) != decide(name, held) for name in asked)


def _overridden(guard: Guard, name: str, match: int) -> str | None:
    """The rule that only the order's override gets this name past, if there is one."""
    try:
        guard.check(name, targets.MATCHES[match], overridden=False)
    except (SoftProtected, NameInvalid) as error:
        return error.rule or error.code
    except HardProtected as error:
        return f"hard: {error.rule}"
    return None


def refuse_useless_exception(session: Session, order: Order) -> None:
    """Raise Conflict where an exception meets a block of equal specificity: the block would win, always."""
    if order.kind != OrderKind.EXCEPTION:
        return
    useless = blocks_of_equal_specificity(session, order)
    if useless:
        faults = [Fault("exception_not_specific", name, "/targets") for name in useless]
        detail = f"{useless[0]} is blocked just as specifically, so the exception would do nothing"
        raise Conflict(detail, code="exception_not_specific", faults=faults)


def blocks_of_equal_specificity(session: Session, order: Order) -> Sequence[str]:
    """Names of an exception that an active block holds just as specifically: there it would do nothing."""
    other = aliased(TargetRow)
    query = (
        select(TargetRow.key)
        .join(other, (other.key == TargetRow.key) & (other.match == TargetRow.match))
        .join(Order, Order.id == other.order_id)
        .where(targets.of_order(order.id), other.released_at.is_(None), Order.kind == OrderKind.BLOCK)
        .where(Order.state == OrderState.ACTIVE)
        .order_by(TargetRow.key)
        .limit(20)
    )
    return [names.from_key(key) for key in session.scalars(query)]
