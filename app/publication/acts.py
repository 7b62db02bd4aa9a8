"""What waits to be published: acts, each as the notes that it left, and the names that it touched."""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from sqlalchemy import delete, select, text, update
from sqlalchemy.orm import Session

from app.db import Database, insert_rows
from app.orders import targets
from app.orders.models import ORDINAL_BITS, Order, OrderState, Touched
from app.publication.models import ReleaseAct
from resolver_policy import rules
from resolver_policy.targets import Decision, Match


@dataclass(frozen=True, slots=True)
class Act:
    """Notes that belong together: those of a whole order, or those of single targets of one.

    `turns` says that the order is now in force and was not when it was last published, or the other way round; `blocks`
    that more may be blocked afterwards: an order that blocks begins, or an exception ends.
    """

    order_id: int
    whole: bool
    notes: tuple[int, ...]
    size: int
    turns: bool
    ends: bool
    blocks: bool

    @property
    def place(self) -> tuple[int, bool]:
        """What another act on the same thing has in common with this one."""
        return self.order_id, self.whole


def waiting(session: Session, but: frozenset[int] = frozenset()) -> list[Act]:
    """Every act that waits, in the order of their first notes; `but` are notes that are being seen to."""
    query = (
        select(
            Touched.id,
            Touched.order_id,
            Touched.key.is_(None),
            Order.targets_count,
            Order.published,
            Order.state,
            Order.kind,
        )
        .join(Order, Order.id == Touched.order_id)
        .order_by(Touched.order_id, Touched.key.is_(None), Touched.id)
    )
    found = []
    for (order_id, whole), same in groupby(session.execute(query), key=lambda row: (row[1], row[2])):
        rows = [row for row in same if row[0] not in but]
        if rows:
            _, _, _, count, published, state, kind = rows[0]
            active = state == OrderState.ACTIVE
            notes = tuple(row[0] for row in rows)
            turns = bool(whole) and published != active
            size = len(notes) if not whole else count if turns else 0
            opens = targets.decision(kind) is not Decision.BLOCK
            blocks = (turns or not whole) and (opens != active if whole else opens)
            found.append(Act(order_id, bool(whole), notes, size, turns, ends=not active, blocks=blocks))
    return sorted(found, key=lambda act: act.notes)


def astray(session: Session) -> list[int]:
    """Orders that are published and not in force, or the other way round, of which no act waits: a row was altered."""
    waits = select(Touched.id).where(Touched.order_id == Order.id, Touched.key.is_(None))
    query = select(Order.id).where(text("orders.published <> (orders.state = 'active')"), ~waits.exists())
    return list(session.scalars(query.order_by(Order.id)))


def set_right(session: Session, order_ids: Iterable[int], now: dt.datetime) -> None:
    """Let the publisher look at orders, whatever their rows said."""
    session.add_all(Touched(order_id=order_id, key=None, match=None, touched_at=now) for order_id in order_ids)
    session.flush()


def take(session: Session, acts: Iterable[Act]) -> list[tuple[str, Match]]:
    """What acts touched, in key order; their notes go, and their orders count as published as they are.

    Notes go by their own ids: one that commits later under a smaller id is never lost.
    """
    touched: set[tuple[str, Match]] = set()
    for act in acts:
        touched.update(targets_of(session, [act]))
        settle(session, act)
    return sorted(touched)


def targets_of(session: Session, acts: Iterable[Act]) -> list[tuple[str, Match]]:
    """The targets of acts, with their notes left as they are."""
    found: list[tuple[str, Match]] = []
    for act in acts:
        found += touched_singly(session, act.notes)
        if act.turns:
            rows = targets.page(session, act.order_id << ORDINAL_BITS, act.size)
            found += [(key, targets.MATCHES[match]) for key, match in rows]
    return found


def settle(session: Session, act: Act) -> None:
    """Drop an act's notes, and let its order count as published as it now is."""
    for batch in targets.batches(act.notes):
        session.execute(delete(Touched).where(Touched.id.in_(batch)))
    if act.turns:
        turned = update(Order).where(Order.id == act.order_id).values(published=~Order.published)
        session.execute(turned, execution_options={"synchronize_session": False})


def keep(session: Session, release_id: int, made_of: Iterable[Act]) -> None:
    """Keep which acts a release was made of: whoever undoes it asks for them."""
    rows = [
        {"release_id": release_id, "order_id": act.order_id, "whole": act.whole, "ends": act.ends}
        for act in made_of
        if act.turns or not act.whole
    ]
    insert_rows(session, ReleaseAct, rows)


def touched_singly(session: Session, notes: Sequence[int]) -> Iterator[tuple[str, Match]]:
    """The single targets among notes."""
    for batch in targets.batches(notes):
        query = select(Touched.key, Touched.match).where(Touched.id.in_(batch), Touched.key.is_not(None))
        for key, match in session.execute(query):
            assert key is not None
            assert match is not None
            yield key, targets.MATCHES[match]


class OrderTargets(rules.Touched):
    """All targets of an order, forwards or backwards, a page at a time, each from a view of its own."""

    def __init__(self, database: Database, order_id: int, count: int) -> None:
        self._database = database
        first = order_id << ORDINAL_BITS
        self._pages = range(first, first + count, targets.ROWS_IN_ONE_INSERT)

    def __iter__(self) -> Iterator[tuple[str, Match]]:
        for rows in self.pages():
            yield from rows

    def pages(self) -> Iterator[Sequence[tuple[str, Match]]]:
        """The same in pages."""
        return map(self._page, self._pages)

    def __reversed__(self) -> Iterator[tuple[str, Match]]:
        for first in reversed(self._pages):
            yield from reversed(self._page(first))

    def _page(self, first: int) -> Sequence[tuple[str, Match]]:
        with self._database.read() as session:
            rows = targets.page(session, first, targets.ROWS_IN_ONE_INSERT)
        return [(key, targets.MATCHES[match]) for key, match in rows]
