"""The rules in the database, as `resolver_policy.rules` reads and writes them: few queries, each for many names."""

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import groupby

from sqlalchemy import ColumnElement, Select, TextClause, and_, exists, select, text, update
from sqlalchemy.orm import Session

from app.db import insert_rows
from app.orders import targets
from app.orders.models import TargetRow
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
LEFT JOIN orders ON orders.id = targets.order_id AND orders.state = 'active'
ORDER BY targets.key
"""
RULES = """
SELECT rule_spans.key, rule_spans.own, rule_spans.wild FROM subtrees
LEFT JOIN rule_spans ON rule_spans.key >= first_key AND rule_spans.key < past_key AND rule_spans.to_release IS NULL
ORDER BY rule_spans.key
"""


Never = Callable[[str, Match], bool]
"""Whether a name and match must not be blocked, whatever a row says."""


class DatabaseRules:
    """A `RuleStore` that writes the rules of one release to be; `buckets` collects what the digest must look at.

    A block that may never be (`never`) is read as if it was not there, and an alarm is logged: what is wrong in one
    row neither gets into a zone nor keeps a lift out of it.
    """

    def __init__(self, session: Session, release_id: int, never: Never) -> None:
        self._session = session
        self._never = never
        self._release_id = release_id
        self.buckets: set[int] = set()

    def cells_at(self, keys: Sequence[str]) -> dict[str, Cell]:
        found: dict[str, Cell] = {}
        for batch in targets.batches(keys):
            found.update(_folded(self._allowed(targets.active_decisions(self._session, TargetRow.key.in_(batch)))))
        return found

    def cells_in(self, roots: Sequence[str]) -> Iterator[tuple[str, Cell]]:
        rows = self._session.execute(_subtrees(CELLS, len(roots)), _bounds(roots))
        active = (
            (key, targets.MATCHES[match], targets.decision(kind)) for key, match, kind in rows if kind is not None
        )
        return _folded(self._allowed(active))

    def _allowed(self, rows: Iterable[tuple[str, Match, Decision]]) -> Iterator[tuple[str, Match, Decision]]:
        for key, match, decision in rows:
            if decision is Decision.BLOCK and self._never(names.from_key(key), match):
                log.critical("%s (%s) may never be blocked; it is left out of every zone", names.from_key(key), match)
            else:
                yield key, match, decision

    def rules_at(self, keys: Sequence[str]) -> dict[str, Rule]:
        found: dict[str, Rule] = {}
        for batch in targets.batches(keys):
            found.update(_rules(self._session, _head().where(RuleSpan.key.in_(batch))))
        return found

    def rules_in(self, roots: Sequence[str]) -> Iterator[tuple[str, Rule]]:
        rows = self._session.execute(_subtrees(RULES, len(roots)), _bounds(roots))
        return ((key, STORED[own][wild]) for key, own, wild in rows if key is not None)

    def has_rule_below(self, key: str) -> bool:
        below = and_(RuleSpan.key > key, RuleSpan.key < names.subtree_end(key), RuleSpan.to_release.is_(None))
        return bool(self._session.scalar(select(exists().where(below))))

    def write(self, changes: Sequence[Change]) -> None:
        gone = [change.key for change in changes if change.old != EMPTY_RULE]
        for batch in targets.batches(gone):
            ends = update(RuleSpan).where(RuleSpan.key.in_(batch), RuleSpan.to_release.is_(None))
            self._session.execute(ends.values(to_release=self._release_id))
        rows = [self._row(change) for change in changes if change.new != EMPTY_RULE]
        if rows:
            insert_rows(self._session, RuleSpan, rows)
        self.buckets.update(bucket_of(change.key) for change in changes)

    def _row(self, change: Change) -> dict[str, object]:
        return {
            "key": change.key,
            "from_release": self._release_id,
            "to_release": None,
            "own": int(change.new.own),
            "wild": int(change.new.wild),
            "bucket": bucket_of(change.key),
        }


def bucket_of(key: str) -> int:
    """The first 16 bits of the SHA-256 of a key."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:2], "big")


def head_rules(session: Session) -> Iterator[tuple[str, Rule]]:
    """All rules in force, in key order, streamed."""
    return _rules(session, _head().order_by(RuleSpan.key))


def rules_of_release(session: Session, release_id: int) -> Iterator[tuple[str, Rule]]:
    """All rules as they stood in a release, in key order, streamed."""
    query = select(RuleSpan.key, RuleSpan.own, RuleSpan.wild).where(_stood_in(release_id)).order_by(RuleSpan.key)
    return _rules(session, query)


def changes_between(session: Session, older: int, newer: int) -> list[Change]:
    """What differs between two releases, in key order; its cost follows what happened between them."""
    old = select(RuleSpan.key, RuleSpan.own, RuleSpan.wild).where(
        RuleSpan.to_release > older, RuleSpan.to_release <= newer, RuleSpan.from_release <= older
    )
    new = select(RuleSpan.key, RuleSpan.own, RuleSpan.wild).where(
        RuleSpan.from_release > older, RuleSpan.from_release <= newer, _still_in(newer)
    )
    before, after = dict(_rules(session, old)), dict(_rules(session, new))
    pairs = ((key, before.get(key, EMPTY_RULE), after.get(key, EMPTY_RULE)) for key in sorted({*before, *after}))
    return [Change(key, old, new) for key, old, new in pairs if old != new]


def _stood_in(release_id: int) -> ColumnElement[bool]:
    return and_(RuleSpan.from_release <= release_id, _still_in(release_id))


def _still_in(release_id: int) -> ColumnElement[bool]:
    return RuleSpan.to_release.is_(None) | (RuleSpan.to_release > release_id)


def _head() -> Select[str, int, int]:
    return select(RuleSpan.key, RuleSpan.own, RuleSpan.wild).where(RuleSpan.to_release.is_(None))


def _rules(session: Session, query: Select[str, int, int]) -> Iterator[tuple[str, Rule]]:
    for key, own, wild in session.execute(query.execution_options(yield_per=2_000)):
        yield key, STORED[own][wild]


def _folded(rows: Iterator[tuple[str, Match, Decision]]) -> Iterator[tuple[str, Cell]]:
    for key, same in groupby(rows, key=lambda row: row[0]):
        yield key, effective((match, decision) for _, match, decision in same)


@cache
def _subtrees(query: str, count: int) -> TextClause:
    """A query over `subtrees`, a table of `count` key ranges; made once for each count, so that it is compiled once.

    Tables are joined to it from the left, and what a range does not find is left out afterwards: with an inner join
    a planner that has no statistics may walk the whole table instead of the ranges.
    """
    ranges = ", ".join(f"(:first_{index}, :past_{index})" for index in range(count))
    return text(f"WITH subtrees (first_key, past_key) AS (VALUES {ranges}) {query}")


def _bounds(roots: Sequence[str]) -> dict[str, str]:
    firsts = {f"first_{index}": root for index, root in enumerate(roots)}
    return firsts | {f"past_{index}": names.subtree_end(root) for index, root in enumerate(roots)}
