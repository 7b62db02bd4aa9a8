"""What approving an order would do, and the hash that binds an approval to it.

Of a million names, most meet nothing: no order holds them or a name above them, and no list protects them. Such a name
is said in full by the order's own Merkle root, so a plan looks closer only at the others, and its hash is about those.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from app.errors import Conflict, Fault
from app.orders import holders, targets
from app.orders.documents import emergency_document
from app.orders.guarding import Guard
from app.orders.holders import Above, Holder, Overhead
from app.orders.limits import Sums
from app.orders.models import ORDINAL_BITS, Order, OrderKind, OrderState, TargetRow
from app.orders.schemas import MAX_TARGETS
from app.orders.surroundings import Looker, Surroundings
from app.settings import Limits
from resolver_policy import names
from resolver_policy.errors import HardProtected, NameInvalid, SoftProtected
from resolver_policy.rules import Cell, together
from resolver_policy.targets import Decision, Match

SHOWN = 1_000
"""Targets that a plan lists one by one; its counts and its hash are about all of them."""

NAMES_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True)
class Plan:
    """Counts over all targets, the first targets in detail, and the hash over everything; whether it `blocks`, or
    keeps open."""

    blocks: bool
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

    def exceeds(self, sums: Sums, limits: Limits) -> bool:
        """Whether it needs it for the sake of what its proposer, or this approver, has had in force unseen."""
        return self.blocks and sums.exceed(self.targets, limits)


class Item(NamedTuple):
    """What approval would do to one target."""

    name: str
    match: Match
    held_by: list[str]
    held_above_by: list[str]
    exceptions: list[str]
    changes: bool
    overridden: str | None
    around: Surroundings | None = None

    def document(self) -> dict[str, Any]:
        """The item as the interface shows it."""
        fields = self._asdict()
        around = fields.pop("around")
        return fields if around is None else {**fields, **around._asdict()}


def make(session: Session, order: Order, *, guard: Guard) -> Plan:
    """The plan of a proposal against what is in force now. Its cost follows the order, not the list."""
    digest = hashlib.sha256(f"{order.uid} {order.version} {order.targets_root.hex()}\n".encode())
    decision, looker = targets.decision(order.kind), Looker(session, guard, order)
    count = already_held = below_held = changes = overridden = 0
    shown: list[dict[str, Any]] = []
    for key, match, here, above in _met(session, order.id):
        count += 1
        said = None if order.override is None else _overridden(guard, key, match)
        meets_something = here or above.holders or said is not None
        if not meets_something and len(shown) == SHOWN:
            changes += decision is Decision.BLOCK
            continue
        item = _item(key, match, decision, here, above)._replace(overridden=said)
        if len(shown) < SHOWN:
            around = looker.around(key, match)
            item = item._replace(around=around)
            meets_something = meets_something or around.tells_something
        if meets_something:
            digest.update(json.dumps(item).encode() + b"\n")
        already_held += bool(item.held_by)
        below_held += bool(item.held_above_by)
        changes += item.changes
        overridden += said is not None
        if len(shown) < SHOWN:
            shown.append(item.document())
    return Plan(
        decision is Decision.BLOCK,
        count,
        already_held,
        below_held,
        changes,
        overridden,
        tuple(shown),
        f"sha256:{digest.hexdigest()}",
    )


def document(
    order: Order, plan: Plan, now: dt.datetime, *, sums: Sums, limits: Limits, zone: dict[str, Any]
) -> dict[str, Any]:
    """The plan of an order as it is shown to somebody with these sums, and with what the zone would be."""
    counts = {
        "targets": plan.targets,
        "already_held": plan.already_held,
        "below_held": plan.below_held,
        "changes": plan.changes,
        "overridden": plan.overridden,
    }
    return {
        "at": now,
        "emergency": emergency_document(order),
        "counts": counts,
        "items": plan.items,
        "items_left_out": plan.targets - len(plan.items),
        "plan_hash": plan.plan_hash,
        "plan_hash_needed": plan.must_be_seen or plan.exceeds(sums, limits),
        "unseen": sums.document(limits),
        "zone": zone,
    }


def _met(session: Session, order_id: int) -> Iterator[tuple[str, int, Sequence[Holder], Above]]:
    """Every target of an order, in key order: who holds it, and what lies above it."""
    overhead = Overhead(but=order_id)
    first = order_id << ORDINAL_BITS
    while rows := targets.page(session, first, NAMES_AT_ONCE):
        page = select(TargetRow.key).where(TargetRow.id >= first, TargetRow.id < first + NAMES_AT_ONCE)
        at = holders.of(session, TargetRow.key.in_(page), but=order_id)
        overhead.look(session, (key for key, _ in rows))
        for key, match in rows:
            yield key, match, at.get(key, ()), overhead.above(key)
        first += NAMES_AT_ONCE


def _item(key: str, match: int, decision: Decision, here: Sequence[Holder], above: Above) -> Item:
    before = together(_cell(holder.match, holder.decision) for holder in here)
    after = together((before, _cell(match, decision)))
    changes = _own(before, above) != _own(after, above)
    if match == targets.SUBTREE:
        changes |= (before.subtree or above.decision) != (after.subtree or above.decision)
    return Item(
        names.from_key(key),
        targets.MATCHES[match],
        [holder.label for holder in here if holder.decision is decision and holder.match >= match],
        [holder.label for holder in above.holders if holder.decision is decision],
        [holder.label for holder in here if holder.decision is Decision.PASS],
        changes,
        None,
    )


def _cell(match: int, decision: Decision) -> Cell:
    return Cell(Decision.NOTHING, decision) if match == targets.SUBTREE else Cell(decision, Decision.NOTHING)


def _own(cell: Cell, above: Above) -> Decision:
    """What the name itself gets."""
    return cell.exact or cell.subtree or above.decision


def _overridden(guard: Guard, key: str, match: int) -> str | None:
    """The rule that only the order's override gets this name past, if there is one."""
    try:
        guard.check_again(key, targets.MATCHES[match], overridden=False)
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
        .where(targets.of_order(order.id), other.released_at.is_(None), Order.kind != OrderKind.EXCEPTION)
        .where(Order.state == OrderState.ACTIVE)
        .order_by(TargetRow.key)
        .limit(20)
    )
    return [names.from_key(key) for key in session.scalars(query)]
