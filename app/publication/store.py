"""Cells and rules in the database, as `resolver_policy.rules` reads them: few queries, each for many names."""

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import cache
from itertools import groupby
from typing import NamedTuple

from sqlalchemy import ColumnElement, Select, TextClause, and_, exists, select, text
from sqlalchemy.orm import Session

from app.orders import targets
from app.orders.models import Order, TargetRow
from app.publication.models import RuleSpan
from resolver_policy import names
from resolver_policy.delta import EMPTY_RULE, Change, Rule
from resolver_policy.rules import Cell, effective
from resolver_policy.targets import Decision, Match

log = logging.getLogger(__name__)

BUCKETS = 65_536

STORED = tuple(tuple(Rule(own, wild) for wild in Decision) for own in Decision)
"""Rules by the numbers in which they are stored."""

CELLS = """
SELECT targets.key, targets.match, orders.kind FROM subtrees
LEFT JOIN targets ON targets.key >= first_key AND targets.key < past_key AND targets.released_at IS NULL
LEFT JOIN orders ON orders.id = targets.order_id AND orders.published <> (orders.id = :turned)
ORDER BY targets.key
"""
RULES = """
SELECT rule_spans.key, rule_spans.own, rule_spans.wild FROM subtrees
LEFT JOIN rule_spans ON rule_spans.key >= first_key AND rule_spans.key < past_key AND {standing}
ORDER BY rule_spans.key
"""
WRITTEN_LAST = RULES.format(standing="rule_spans.to_release IS NULL")
OF_RELEASE = RULES.format(
    standing="rule_spans.from_release <= :release_id"
    " AND (rule_spans.to_release IS NULL OR rule_spans.to_release > :release_id)"
)

COUNT = """
SELECT count(*) FROM (
    SELECT 1 FROM subtrees CROSS JOIN {table} WHERE {table}.key >= first_key AND {table}.key < past_key LIMIT :most
) AS rows_of_regions
"""

Never = Callable[[str, Match], bool]
"""Whether a name and match must not be blocked, whatever a row says."""

Reading = Callable[[], AbstractContextManager[Session]]
"""Where queries go: a transaction that is open, or a fresh view for each."""


class View(NamedTuple):
    """What a reader takes for the present.

    The rules are those of `release_id`, or (None) what was written last. Orders count as they are published, but
    for the one whose id is `turned`, which counts the other way round (0: none does).
    """

    release_id: int | None = None
    turned: int = 0


PRESENT = View()


class TooMuch(Exception):
    """More rows had to be read than may be while others wait for the writer's lock."""


class DatabaseRules:
    """A `RuleStore` over one view of the database; raises TooMuch where it is asked for more rows than `most`.

    A block that may never be (`never`) is read as if it was not there, and an alarm is logged: what is wrong in one
    row neither gets into a zone nor keeps a lift out of it.
    """

    def __init__(self, reading: Reading, never: Never, view: View = PRESENT, most: int | None = None) -> None:
        self._reading = reading
        self._never = never
        self._view = view
        self._left = most

    def cells_at(self, keys: Sequence[str]) -> dict[str, Cell]:
        found: dict[str, Cell] = {}
        with self._reading() as session:
            for batch in targets.batches(keys):
                found.update(_folded(self._allowed(self._active(session, batch))))
        return found

    def cells_in(self, roots: Sequence[str]) -> Iterator[tuple[str, Cell]]:
        parameters = _bounds(roots) | {"turned": self._view.turned}
        with self._reading() as session:
            self._spend(session, roots, "targets")
            rows = session.execute(_subtrees(CELLS, roots), parameters)
            active = (
                (key, targets.MATCHES[match], targets.decision(kind)) for key, match, kind in rows if kind is not None
            )
            yield from _folded(self._allowed(active))

    def rules_at(self, keys: Sequence[str]) -> dict[str, Rule]:
        found: dict[str, Rule] = {}
        with self._reading() as session:
            for batch in targets.batches(keys):
                found.update(_rules(session, _spans().where(RuleSpan.key.in_(batch), self._standing())))
        return found

    def rules_in(self, roots: Sequence[str]) -> Iterator[tuple[str, Rule]]:
        release_id = self._view.release_id
        query = WRITTEN_LAST if release_id is None else OF_RELEASE
        parameters = _bounds(roots) | ({} if release_id is None else {"release_id": release_id})
        with self._reading() as session:
            self._spend(session, roots, "rule_spans")
            rows = session.execute(_subtrees(query, roots), parameters)
            yield from ((key, STORED[own][wild]) for key, own, wild in rows if key is not None)

    def has_rule_below(self, key: str) -> bool:
        below = and_(RuleSpan.key > key, RuleSpan.key < names.subtree_end(key), self._standing())
        with self._reading() as session:
            return bool(session.scalar(select(exists().where(below))))

    def _standing(self) -> ColumnElement[bool]:
        if self._view.release_id is None:
            return RuleSpan.to_release.is_(None)
        return stood_in(self._view.release_id)

    def _active(self, session: Session, keys: Sequence[str]) -> Iterator[tuple[str, Match, Decision]]:
        counts = Order.published != (Order.id == self._view.turned)
        query = (
            select(TargetRow.key, TargetRow.match, Order.kind)
            .join(Order, Order.id == TargetRow.order_id)
            .where(TargetRow.key.in_(keys), TargetRow.released_at.is_(None), counts)
            .order_by(TargetRow.key)
        )
        for key, match, kind in session.execute(query):
            yield key, targets.MATCHES[match], targets.decision(kind)

    def _allowed(self, rows: Iterable[tuple[str, Match, Decision]]) -> Iterator[tuple[str, Match, Decision]]:
        for key, match, decision in rows:
            if decision is Decision.BLOCK and self._never(names.from_key(key), match):
                log.critical("%s (%s) may never be blocked; it is left out of every zone", names.from_key(key), match)
            else:
                yield key, match, decision

    def _spend(self, session: Session, roots: Sequence[str], table: str) -> None:
        """Count the rows of regions, as far as is needed, before they are read: sorting them would take longer."""
        if self._left is None:
            return
        parameters = _bounds(roots) | {"most": self._left + 1}
        self._left -= session.execute(_subtrees(COUNT.format(table=table), roots), parameters).scalar_one()
        if self._left < 0:
            raise TooMuch


def rules_written_last(session: Session, keys: Sequence[str]) -> dict[str, Rule]:
    """The rules of some names as they were written last."""
    found: dict[str, Rule] = {}
    for batch in targets.batches(keys):
        found.update(_rules(session, _spans().where(RuleSpan.key.in_(batch), RuleSpan.to_release.is_(None))))
    return found


def bucket_of(key: str) -> int:
    """The first 16 bits of the SHA-256 of a key."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:2], "big")


def buckets_of(changes: Iterable[Change]) -> set[int]:
    """The buckets in which changes lie."""
    return {bucket_of(change.key) for change in changes}


def rules_of_release(session: Session, release_id: int) -> Iterator[tuple[str, Rule]]:
    """All rules as they stood in a release, in key order, streamed."""
    return _rules(session, _spans().where(stood_in(release_id)).order_by(RuleSpan.key))


def changes_between(session: Session, older: int, newer: int) -> list[Change]:
    """What differs between two releases, in key order; its cost follows what happened between them."""
    old = _spans().where(RuleSpan.to_release > older, RuleSpan.to_release <= newer, RuleSpan.from_release <= older)
    new = _spans().where(RuleSpan.from_release > older, RuleSpan.from_release <= newer, _still_in(newer))
    before, after = dict(_rules(session, old)), dict(_rules(session, new))
    pairs = ((key, before.get(key, EMPTY_RULE), after.get(key, EMPTY_RULE)) for key in sorted({*before, *after}))
    return [Change(key, old, new) for key, old, new in pairs if old != new]


def spans_of(changes: Iterable[Change]) -> int:
    """How many spans begin and end with changes."""
    return sum((old != EMPTY_RULE) + (new != EMPTY_RULE) for _, old, new in changes)


def stood_in(release_id: int) -> ColumnElement[bool]:
    """Restricts a query of spans to those that stood in a release."""
    return and_(RuleSpan.from_release <= release_id, _still_in(release_id))


def _still_in(release_id: int) -> ColumnElement[bool]:
    return RuleSpan.to_release.is_(None) | (RuleSpan.to_release > release_id)


def _spans() -> Select[str, int, int]:
    return select(RuleSpan.key, RuleSpan.own, RuleSpan.wild)


def _rules(session: Session, query: Select[str, int, int]) -> Iterator[tuple[str, Rule]]:
    for key, own, wild in session.execute(query.execution_options(yield_per=2_000)):
        yield key, STORED[own][wild]


def _folded(rows: Iterator[tuple[str, Match, Decision]]) -> Iterator[tuple[str, Cell]]:
    for key, same in groupby(rows, key=lambda row: row[0]):
        yield key, effective((match, decision) for _, match, decision in same)


def _subtrees(query: str, roots: Sequence[str]) -> TextClause:
    """A query over `subtrees`, a table of the key ranges of roots, and of as many empty ones as make a round number."""
    return _over_ranges(query, _round(len(roots)))


@cache
def _over_ranges(query: str, count: int) -> TextClause:
    """The same over `count` ranges; made once for each count, so that it is compiled once.

    Tables are joined to it from the left, and what a range does not find is left out afterwards: with an inner join
    a planner that has no statistics may walk the whole table instead of the ranges.
    """
    ranges = ", ".join(f"(:first_{index}, :past_{index})" for index in range(count))
    return text(f"WITH subtrees (first_key, past_key) AS (VALUES {ranges}) {query}")


def _bounds(roots: Sequence[str]) -> dict[str, object]:
    padded = [*roots, *[""] * (_round(len(roots)) - len(roots))]
    firsts = {f"first_{index}": root for index, root in enumerate(padded)}
    pasts = {f"past_{index}": root and names.subtree_end(root) for index, root in enumerate(padded)}
    return {**firsts, **pasts}


def _round(count: int) -> int:
    """The next power of two: few lengths of a query, since each that was compiled is kept, parameters and all."""
    return 1 << (count - 1).bit_length()
