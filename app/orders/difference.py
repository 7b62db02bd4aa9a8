"""What was decided differently at two moments: names newly blocked, let go of, or held by other orders.

Only orders that something happened to in between are looked at, by the events of that time, and of those only the names
that are held at one of the two moments and not at the other: the cost follows the change, not the list.
"""

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.journal.events import EventType
from app.journal.models import Event
from app.orders import targets
from app.orders.explanation import ANY_LABEL, BEGINS, ENDS
from app.orders.models import ORDINAL_BITS, InForce, Order, TargetRow
from app.orders.targets import Held
from resolver_policy import names
from resolver_policy.targets import Decision

AT_ONCE = 500


class Change(StrEnum):
    """What became of a name: `holders` where it is as it was, by other orders."""

    BLOCKED = "blocked"
    LIFTED = "lifted"
    BOTH = "blocked_and_lifted"
    HOLDERS = "holders"


class Turn(NamedTuple):
    """Whether something is blocked at the first moment, and at the second."""

    before: bool
    after: bool


@dataclass(frozen=True, slots=True)
class Changed:
    """One name: it itself, what is below it (None where no subtree of it began or ended), and who holds it."""

    place: int
    name: str
    itself: Turn
    below: Turn | None
    before: tuple[Held, ...] = ()
    after: tuple[Held, ...] = ()

    @property
    def change(self) -> Change:
        turns = {turn for turn in (self.itself, self.below) if turn is not None and turn.before != turn.after}
        if len({turn.after for turn in turns}) > 1:
            return Change.BOTH
        return Change.HOLDERS if not turns else Change.BLOCKED if turns.pop().after else Change.LIFTED


class _Row(NamedTuple):
    id: int
    key: str


def between(session: Session, older: dt.datetime, newer: dt.datetime, *, after: int = 0) -> Iterator[Changed]:
    """Every name that two moments differ in, by the id of a target of it, behind one of those."""
    rows: list[_Row] = []
    for row in _rows(session, older, newer, after):
        rows.append(row)
        if len(rows) == AT_ONCE:
            yield from _changed(session, rows, older, newer)
            rows = []
    yield from _changed(session, rows, older, newer)


def _rows(session: Session, older: dt.datetime, newer: dt.datetime, after: int) -> Iterator[_Row]:
    """Targets of orders that something happened to, by id: they are held at one of the moments alone, or may be."""
    order_ids = _touched(session, older, newer)
    before, then = (_in_force(session, order_ids, at) for at in (older, newer))
    for order_id in sorted(order_ids):
        if (order_id + 1) << ORDINAL_BITS <= after or not {order_id} & (before | then):
            continue
        if order_id in before & then:
            yield from _released(session, order_id, older, newer, after)
        else:
            yield from _all_of(session, order_id, after)


def _touched(session: Session, older: dt.datetime, newer: dt.datetime) -> set[int]:
    wanted = [*BEGINS, *ENDS, EventType.ORDER_LIFTED_IN_PART]
    query = select(Event.order_id).where(Event.recorded_at > older, Event.recorded_at <= newer, Event.type.in_(wanted))
    return {order_id for order_id in session.scalars(query) if order_id is not None}


def _in_force(session: Session, order_ids: Iterable[int], at: dt.datetime) -> set[int]:
    found: set[int] = set()
    for some in targets.batches(sorted(order_ids)):
        query = select(InForce.order_id, InForce.ended_at).where(InForce.order_id.in_(some), InForce.began_at <= at)
        found |= {order_id for order_id, ended in session.execute(query) if ended is None or ended > at}
    return found


def _all_of(session: Session, order_id: int, after: int) -> Iterator[_Row]:
    columns = (
        select(TargetRow.id, TargetRow.key).where(targets.of_order(order_id)).order_by(TargetRow.id).limit(AT_ONCE)
    )
    last = after
    while rows := session.execute(columns.where(TargetRow.id > last)).all():
        yield from (_Row(*row) for row in rows)
        last = rows[-1][0]


def _released(session: Session, order_id: int, older: dt.datetime, newer: dt.datetime, after: int) -> Sequence[_Row]:
    """Names that an order which stayed in force let go of by themselves: their events name them."""
    query = select(Event.body).where(
        Event.order_id == order_id,
        Event.type == EventType.ORDER_LIFTED_IN_PART,
        Event.recorded_at > older,
        Event.recorded_at <= newer,
    )
    told = [each for body in session.scalars(query) for each in json.loads(body)["facts"]["targets"]]
    keys = {names.sort_key(each["name"]) for each in told}
    found: list[_Row] = []
    for some in targets.batches(sorted(keys)):
        rows = select(TargetRow.id, TargetRow.key).where(TargetRow.key.in_(some), TargetRow.order_id == order_id)
        found += [_Row(*row) for row in session.execute(rows.where(TargetRow.id > after))]
    return sorted(found)


def _changed(session: Session, rows: Sequence[_Row], older: dt.datetime, newer: dt.datetime) -> Iterator[Changed]:
    """What became of each name; told once, with the first target by which it changed."""
    keys = {row.key for row in rows}
    before, after = _covering(session, keys, older), _covering(session, keys, newer)
    for row in rows:
        old, new = before[row.key], after[row.key]
        moved = {each.target.id: each.target for each in old + new if each.target.key == row.key}
        for each in {one.target.id for one in old} & {one.target.id for one in new}:
            moved.pop(each, None)
        if not moved or min(moved) != row.id:
            continue
        name = names.from_key(row.key)
        has_subtree = any(each.match == targets.SUBTREE for each in moved.values())
        below = _turn(f"{ANY_LABEL}.{name}", old, new) if has_subtree else None
        yield Changed(row.id, name, _turn(name, old, new), below, old, new)


def _turn(name: str, old: Sequence[Held], new: Sequence[Held]) -> Turn:
    return Turn(*(targets.decision_of(name, held) is Decision.BLOCK for held in (old, new)))


def _covering(session: Session, keys: Iterable[str], at: dt.datetime) -> Mapping[str, tuple[Held, ...]]:
    """What was in force over each of many names at a moment, nearest first."""
    wanted = {key: (key, *names.key_ancestors(key)) for key in keys}
    held: dict[str, list[Held]] = {}
    for some in targets.batches(sorted({each for chain in wanted.values() for each in chain})):
        query = select(Order, TargetRow).join(TargetRow, TargetRow.order_id == Order.id)
        for order, target in session.execute(query.where(TargetRow.key.in_(some), targets.was_in_force(at))):
            held.setdefault(target.key, []).append(Held(order, target))
    return {
        key: tuple(
            each
            for place in chain
            for each in sorted(held.get(place, ()), key=lambda one: (one.target.match, one.order.id))
            if place == key or each.target.match == targets.SUBTREE
        )
        for key, chain in wanted.items()
    }
