"""Who holds names, and what lies above them: targets in force, found for many names at once."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from app.orders import targets
from app.orders.models import Order, TargetRow
from resolver_policy import names
from resolver_policy.targets import Decision


class Holder(NamedTuple):
    """A target in force: its match code, what it decides, and its order's number or id."""

    match: int
    decision: Decision
    label: str


class Above(NamedTuple):
    """The holders of subtrees above a name, nearest first; the nearest name that has one, and what it decides."""

    holders: tuple[Holder, ...]
    nearest: str
    decision: Decision


NOTHING_ABOVE = Above((), "", Decision.PASS)


def of(session: Session, condition: ColumnElement[bool], but: int = 0) -> dict[str, list[Holder]]:
    """Key -> its holders, by match and then by order, of the targets that a condition finds; `but` one order."""
    query = (
        select(TargetRow.key, TargetRow.match, Order.kind, Order.number, Order.uid)
        .join(Order, Order.id == TargetRow.order_id)
        .where(condition, targets.is_active(), Order.id != but)
        .order_by(TargetRow.key, TargetRow.match, Order.id)
    )
    found: dict[str, list[Holder]] = {}
    for key, match, kind, number, uid in session.execute(query):
        found.setdefault(key, []).append(Holder(match, targets.decision(kind), number or uid))
    return found


class Overhead:
    """Which subtrees above names are held (`but` by one order), for names that come in key order: each name above is
    asked for once."""

    def __init__(self, but: int = 0) -> None:
        self._but = but
        self._asked: set[str] = set()
        self._held: dict[str, list[Holder]] = {}
        self._parent = ""
        self._above = NOTHING_ABOVE

    def look(self, session: Session, keys: Iterable[str]) -> None:
        """Ask about what lies above the next names; of what lies above none of them, nothing is kept."""
        kept = {self._parent, *names.key_ancestors(self._parent)}
        self._asked &= kept
        self._held = {key: held for key, held in self._held.items() if key in kept}
        wanted: list[str] = []
        for key in keys:
            parent = names.key_parent(key)
            while parent and parent not in self._asked:
                self._asked.add(parent)
                wanted.append(parent)
                parent = names.key_parent(parent)
        for some in targets.batches(wanted):
            self._held |= of(session, TargetRow.key.in_(some) & (TargetRow.match == targets.SUBTREE), self._but)

    def above(self, key: str) -> Above:
        """What lies above one of these names."""
        parent = names.key_parent(key)
        if parent != self._parent:
            self._parent = parent
            self._above = self._at(parent) if self._held else NOTHING_ABOVE
        return self._above

    def _at(self, parent: str) -> Above:
        held = [key for key in (parent, *names.key_ancestors(parent)) if key in self._held]
        if not held:
            return NOTHING_ABOVE
        return Above(tuple(chain(*map(self._held.__getitem__, held))), held[0], _together(self._held[held[0]]))


def _together(held: Sequence[Holder]) -> Decision:
    """What holders of one subtree say: a block wins."""
    return min(holder.decision for holder in held)
