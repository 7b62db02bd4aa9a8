"""Targets as they lie in the database, and the effective cells that the active ones add up to."""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session

from app.db import insert_tuples
from app.orders.models import ORDINAL_BITS, InForce, Order, OrderKind, OrderState, TargetRow
from resolver_policy import names
from resolver_policy.targets import Decision, Match, Target, decide

Item = TypeVar("Item")

EXACT, SUBTREE = 0, 1
MATCHES = (Match.EXACT, Match.SUBTREE)
MATCH_TEXTS = tuple(map(str, MATCHES))
KEYS_IN_ONE_QUERY = 500
ROWS_IN_ONE_INSERT = 5_000


class Held(NamedTuple):
    """A target that covers a name, and the order it belongs to."""

    order: Order
    target: TargetRow


def match_code(match: Match) -> int:
    """How a match is stored."""
    return MATCHES.index(match)


def add(session: Session, order_id: int, targets: Iterable[tuple[str, int]], first_ordinal: int = 0) -> None:
    """Store (key, match code) pairs, given in key order, as targets of an order."""
    numbered = enumerate(targets, start=(order_id << ORDINAL_BITS) + first_ordinal)
    while rows := [(id_, order_id, key, match) for id_, (key, match) in islice(numbered, ROWS_IN_ONE_INSERT)]:
        insert_tuples(session, TargetRow, ("id", "order_id", "key", "match"), rows)


def of_order(order_id: int) -> ColumnElement[bool]:
    """Restricts a query to the targets of one order: one stretch of the primary key."""
    first = order_id << ORDINAL_BITS
    return and_(TargetRow.id >= first, TargetRow.id < first + (1 << ORDINAL_BITS))


def page(session: Session, first_id: int, count: int) -> Sequence[tuple[str, int]]:
    """(key, match code) of the targets with so many ids; ids of one order follow each other in key order."""
    within = and_(TargetRow.id >= first_id, TargetRow.id < first_id + count)
    columns = TargetRow.__table__.c
    query = select(columns.key, columns.match).where(within).order_by(columns.id)
    return session.connection().execute(query).all()


def reach(session: Session, order_id: int, other_id: int) -> bool:
    """Whether a target of an order is at, or as a subtree above, a name of another order; for orders of few names."""
    return any(
        session.scalar(select(TargetRow.id).where(_reached(key, match), TargetRow.order_id == other_id).limit(1))
        for key, match in session.execute(select(TargetRow.key, TargetRow.match).where(of_order(order_id)))
    )


def _reached(key: str, match: int) -> ColumnElement[bool]:
    if match == EXACT:
        return TargetRow.key == key
    return and_(TargetRow.key >= key, TargetRow.key < names.subtree_end(key))


def is_active() -> ColumnElement[bool]:
    """Restricts a query of targets joined with orders to what is in force."""
    return and_(Order.state == OrderState.ACTIVE, TargetRow.released_at.is_(None))


def covers(key: str) -> ColumnElement[bool]:
    """Restricts a query to targets that cover the name with this key: at it, or a subtree above it."""
    above = and_(TargetRow.key.in_(names.key_ancestors(key)), TargetRow.match == SUBTREE)
    return or_(TargetRow.key == key, above)


def cover_at(session: Session, key: str, at: dt.datetime) -> Sequence[Held]:
    """What was in force over a name at a past moment, from the intervals that were recorded."""
    query = _held().where(covers(key), was_in_force(at))
    return _nearest_first(session, query)


def was_in_force(at: dt.datetime) -> ColumnElement[bool]:
    """Restricts a query of targets joined with orders to what was in force at a moment."""
    interval = select(InForce.id).where(
        InForce.order_id == Order.id,
        InForce.began_at <= at,
        or_(InForce.ended_at.is_(None), InForce.ended_at > at),
    )
    return and_(interval.exists(), or_(TargetRow.released_at.is_(None), TargetRow.released_at > at))


def active_decisions(session: Session, condition: ColumnElement[bool]) -> Iterator[tuple[str, Match, Decision]]:
    """(key, match, decision) of active targets, in key order, streamed."""
    query = (
        select(TargetRow.key, TargetRow.match, Order.kind)
        .join(Order, Order.id == TargetRow.order_id)
        .where(condition, is_active())
        .order_by(TargetRow.key)
    )
    for key, match, kind in session.execute(query):
        yield key, MATCHES[match], decision(kind)


def longest_key(session: Session) -> str | None:
    """The key of the longest name in force; None where nothing is. It reads every name: for the start alone."""
    query = select(TargetRow.key).join(Order, Order.id == TargetRow.order_id).where(is_active())
    return session.scalar(query.order_by(func.length(TargetRow.key).desc()).limit(1))


def of_order_in_pages(session: Session, order_id: int) -> Iterator[tuple[str, int]]:
    """(key, match code) of every target of an order, in key order, read a page at a time."""
    first = order_id << ORDINAL_BITS
    while rows := page(session, first, ROWS_IN_ONE_INSERT):
        yield from rows
        first += ROWS_IN_ONE_INSERT


def decision_of(name: str, held: Sequence[Held]) -> Decision:
    """What covering targets make of a name."""
    return decide(
        name,
        (Target(names.from_key(row.target.key), MATCHES[row.target.match], decision(row.order.kind)) for row in held),
    )


def decision(kind: str) -> Decision:
    """What a target of an order of this kind says of its name."""
    return Decision.PASS if kind == OrderKind.EXCEPTION else Decision.BLOCK


def batches(keys: Iterable[Item], size: int = KEYS_IN_ONE_QUERY) -> Iterator[list[Item]]:
    """Cut keys (or other values) into lists short enough for one query."""
    remaining = iter(keys)
    while batch := list(islice(remaining, size)):
        yield batch


def _held() -> Select[Order, TargetRow]:
    return select(Order, TargetRow).join(TargetRow, TargetRow.order_id == Order.id)


def _nearest_first(session: Session, query: Select[Order, TargetRow]) -> Sequence[Held]:
    held = [Held(order, target) for order, target in session.execute(query)]
    return sorted(held, key=lambda row: (-len(row.target.key), row.target.match, row.order.id))
