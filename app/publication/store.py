"""Cells and rules in the database, as `resolver_policy.rules` reads them: few queries, each for many names."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cache
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, TextClause, and_, exists, func, select, text
from sqlalchemy.orm import Session

from app.db import streamed
from app.orders import targets
from app.orders.models import Order, OrderKind, TargetRow
from app.publication.models import RuleSpan, Spans, UrgentSpan
from resolver_policy import layers, names
from resolver_policy.delta import EMPTY_RULE, Change, Rule, differences
from resolver_policy.rules import Cell, Stretch, together
from resolver_policy.targets import Decision, Match

log = logging.getLogger(__name__)

STORED = tuple(tuple(Rule(own, wild) for wild in Decision) for own in Decision)
"""Rules by the numbers in which they are stored."""

SAID = tuple(
    {
        str(kind): Cell(*(targets.decision(kind) if at == match else Decision.NOTHING for at in range(2)))
        for kind in OrderKind
    }
    for match in range(len(targets.MATCHES))
)
"""What one target says, by the number of its match and the kind of its order."""

CELLS = """
SELECT targets.key, targets.match, orders.kind FROM stretches
LEFT JOIN targets ON targets.key >= first_key AND targets.key < past_key AND targets.released_at IS NULL
LEFT JOIN orders ON orders.id = targets.order_id AND orders.published <> (orders.id = :turned)
ORDER BY targets.key
"""
CELLS_OF_ONE = """
SELECT targets.key, targets.match, orders.kind FROM targets
LEFT JOIN orders ON orders.id = targets.order_id AND orders.published <> (orders.id = :turned)
WHERE targets.key >= :first_0 AND targets.key < :past_0 AND targets.released_at IS NULL
ORDER BY targets.key
"""
RULES = """
SELECT rule_spans.key, rule_spans.own, rule_spans.wild FROM stretches
LEFT JOIN rule_spans ON rule_spans.key >= first_key AND rule_spans.key < past_key AND {standing}
ORDER BY rule_spans.key
"""
RULES_OF_ONE = """
SELECT rule_spans.key, rule_spans.own, rule_spans.wild FROM rule_spans
WHERE rule_spans.key >= :first_0 AND rule_spans.key < :past_0 AND {standing}
ORDER BY rule_spans.key
"""
WRITTEN_LAST = "rule_spans.to_release IS NULL"
OF_RELEASE = (
    "rule_spans.from_release <= :release_id AND (rule_spans.to_release IS NULL OR rule_spans.to_release > :release_id)"
)

COUNT = """
SELECT count(*) FROM (
    SELECT 1 FROM stretches CROSS JOIN {table} WHERE {table}.key >= first_key AND {table}.key < past_key LIMIT :most
) AS rows_of_stretches
"""
ROWS_AT_ONCE = 2_000

Never = Callable[[str, Match], bool]
"""Whether a key and match must not be blocked, whatever a row says."""

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
                found.update(self._cells(self._active(session, batch)))
        return found

    def cells_in(self, stretches: Sequence[Stretch]) -> Iterator[tuple[str, Cell]]:
        parameters = _bounds(stretches) | {"turned": self._view.turned}
        with self._reading() as session:
            self._spend(session, stretches, "targets")
            yield from self._cells(_rows_of(session, CELLS_OF_ONE, CELLS, stretches, parameters))

    def rules_at(self, keys: Sequence[str]) -> dict[str, Rule]:
        found: dict[str, Rule] = {}
        with self._reading() as session:
            for batch in targets.batches(keys):
                found.update(_rules(session, _spans().where(RuleSpan.key.in_(batch), self._standing())))
        return found

    def rules_in(self, stretches: Sequence[Stretch]) -> Iterator[tuple[str, Rule]]:
        release_id = self._view.release_id
        standing = WRITTEN_LAST if release_id is None else OF_RELEASE
        one, many = RULES_OF_ONE.format(standing=standing), RULES.format(standing=standing)
        parameters = _bounds(stretches) | ({} if release_id is None else {"release_id": release_id})
        with self._reading() as session:
            self._spend(session, stretches, "rule_spans")
            rows = _rows_of(session, one, many, stretches, parameters)
            yield from ((key, STORED[own][wild]) for key, own, wild in rows if key is not None)

    def is_short(self, stretch: Stretch, most: int) -> bool:
        with self._reading() as session:
            return all(_count(session, (stretch,), table, most) <= most for table in ("targets", "rule_spans"))

    def has_rule_below(self, key: str) -> bool:
        below = and_(RuleSpan.key > key, RuleSpan.key < names.subtree_end(key), self._standing())
        with self._reading() as session:
            return bool(session.scalar(select(exists().where(below))))

    def _standing(self) -> ColumnElement[bool]:
        if self._view.release_id is None:
            return RuleSpan.to_release.is_(None)
        return stood_in(self._view.release_id)

    def _active(self, session: Session, keys: Sequence[str]) -> Iterable[Sequence[Any]]:
        counts = Order.published != (Order.id == self._view.turned)
        query = (
            select(TargetRow.key, TargetRow.match, Order.kind)
            .join(Order, Order.id == TargetRow.order_id)
            .where(TargetRow.key.in_(keys), TargetRow.released_at.is_(None), counts)
            .order_by(TargetRow.key)
        )
        return session.execute(query)

    def _cells(self, rows: Iterable[Sequence[Any]]) -> Iterator[tuple[str, Cell]]:
        """Fold rows of targets and the kind of their order (null: not published), in key order, into cells."""
        for key, same in groupby(rows, key=itemgetter(0)):
            allowed = [SAID[match][kind] for _, match, kind in same if kind and self._is_allowed(key, match, kind)]
            if allowed:
                yield key, allowed[0] if len(allowed) == 1 else together(allowed)

    def _is_allowed(self, key: str, match: int, kind: str) -> bool:
        if kind == OrderKind.EXCEPTION or not self._never(key, targets.MATCHES[match]):
            return True
        shown = (names.from_key(key), targets.MATCHES[match])
        log.critical("%s (%s) may never be blocked; it is left out of every zone", *shown)
        return False

    def _spend(self, session: Session, stretches: Sequence[Stretch], table: str) -> None:
        """Count the rows of stretches, as far as is needed, before they are read: sorting them would take longer."""
        if self._left is None:
            return
        self._left -= _count(session, stretches, table, self._left)
        if self._left < 0:
            raise TooMuch


def table_of(zone: str) -> Spans:
    """Where the rules of a zone are kept, by its name."""
    return UrgentSpan if zone.startswith(layers.URGENT) else RuleSpan


def rules_written_last(session: Session, keys: Sequence[str], table: Spans = RuleSpan) -> dict[str, Rule]:
    """The rules of some names as they were written last."""
    found: dict[str, Rule] = {}
    for batch in targets.batches(keys):
        found.update(_rules(session, _spans(table).where(table.key.in_(batch), table.to_release.is_(None))))
    return found


def rules_of_release(
    session: Session, release_id: int, first_key: str = "", past_key: str | None = None, *, table: Spans = RuleSpan
) -> Iterator[tuple[str, Rule]]:
    """All rules as they stood in a release, in key order, streamed; or those from a key on and before another."""
    query = _spans(table).where(stood_in(release_id, table), table.key >= first_key)
    return _rules(session, (query if past_key is None else query.where(table.key < past_key)).order_by(table.key))


def changes_between(session: Session, older: int, newer: int, table: Spans = RuleSpan) -> list[Change]:
    """What differs between two releases, in key order; its cost follows what happened between them."""
    old, new = _ends(older, newer, table)
    before, after = dict(_rules(session, old)), dict(_rules(session, new))
    pairs = ((key, before.get(key, EMPTY_RULE), after.get(key, EMPTY_RULE)) for key in sorted({*before, *after}))
    return [Change(key, old, new) for key, old, new in pairs if old != new]


def stream_changes(session: Session, older: int, newer: int, table: Spans = RuleSpan) -> Iterator[Change]:
    """The same in steps, for so many that they should not be in memory at once: the database sorts them."""
    old, new = (query.order_by(table.key) for query in _ends(older, newer, table))
    return differences(_rules(session, old), _rules(session, new))


def rows_between(session: Session, older: int, newer: int, most: int, table: Spans = RuleSpan) -> int:
    """How many spans began or ended after one release and up to another, counted no further than `most` each."""
    count = 0
    for column in (table.from_release, table.to_release):
        found = select(table.key).where(column > older, column <= newer).limit(most).subquery()
        count += session.execute(select(func.count()).select_from(found)).scalar_one()
    return count


def rows_in_subtrees(
    session: Session, one: str, many: str, roots: Sequence[str], parameters: Mapping[str, object]
) -> Iterable[Sequence[Any]]:
    """The rows of whole subtrees, streamed: by a query for one, or for several, as those above."""
    stretches = [Stretch(root, root) for root in roots]
    return _rows_of(session, one, many, stretches, _bounds(stretches) | dict(parameters))


def spans_of(changes: Iterable[Change]) -> int:
    """How many spans begin and end with changes."""
    return sum((old != EMPTY_RULE) + (new != EMPTY_RULE) for _, old, new in changes)


def _ends(older: int, newer: int, table: Spans) -> tuple[Select[str, int, int], Select[str, int, int]]:
    """What stood in one release and no longer in another, and what stood in that and not yet in the first."""
    return (
        _spans(table).where(table.to_release > older, table.to_release <= newer, table.from_release <= older),
        _spans(table).where(table.from_release > older, table.from_release <= newer, _still_in(newer, table)),
    )


def stood_in(release_id: int, table: Spans = RuleSpan) -> ColumnElement[bool]:
    """Restricts a query of spans to those that stood in a release."""
    return and_(table.from_release <= release_id, _still_in(release_id, table))


def _still_in(release_id: int, table: Spans) -> ColumnElement[bool]:
    return table.to_release.is_(None) | (table.to_release > release_id)


def _spans(table: Spans = RuleSpan) -> Select[str, int, int]:
    return select(table.key, table.own, table.wild)


def _rules(session: Session, query: Select[str, int, int]) -> Iterator[tuple[str, Rule]]:
    for key, own, wild in streamed(session, query):
        yield key, STORED[own][wild]


def _rows_of(
    session: Session, one: str, many: str, stretches: Sequence[Stretch], parameters: Mapping[str, object]
) -> Iterable[Sequence[Any]]:
    """The rows of stretches, streamed; for a single one there is nothing to be joined or sorted."""
    query = text(one) if len(stretches) == 1 else _over_ranges(many, _round(len(stretches)))
    return streamed(session, query, parameters, at_once=ROWS_AT_ONCE)


def _count(session: Session, stretches: Sequence[Stretch], table: str, most: int) -> int:
    """How many rows stretches hold; where there are more than `most`, one more than that."""
    query = _over_ranges(COUNT.format(table=table), _round(len(stretches)))
    return int(session.execute(query, _bounds(stretches) | {"most": most + 1}).scalar_one())


@cache
def _over_ranges(query: str, count: int) -> TextClause:
    """A query over `stretches`, a table of so many key ranges; made once for each count, so that it is compiled once.

    Tables are joined to it from the left, and what a range does not find is left out afterwards: with an inner join
    a planner that has no statistics may walk the whole table instead of the ranges.
    """
    ranges = ", ".join(f"(:first_{index}, :past_{index})" for index in range(count))
    return text(f"WITH stretches (first_key, past_key) AS (VALUES {ranges}) {query}")


def _bounds(stretches: Sequence[Stretch]) -> dict[str, object]:
    """The key ranges of stretches, and as many empty ones as make a round number."""
    padding = [("", "")] * (_round(len(stretches)) - len(stretches))
    ranges = [*((stretch.first, stretch.past) for stretch in stretches), *padding]
    firsts: dict[str, object] = {f"first_{index}": first for index, (first, _) in enumerate(ranges)}
    return firsts | {f"past_{index}": past for index, (_, past) in enumerate(ranges)}


def _round(count: int) -> int:
    """The next power of two: few lengths of a query, since each that was compiled is kept, parameters and all."""
    return 1 << (count - 1).bit_length()
