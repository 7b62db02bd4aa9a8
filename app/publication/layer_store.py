"""The rules of the head and of the live bases, side by side, as `resolver_policy.layers` reads them."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

from sqlalchemy import and_, exists, or_, select

from app.orders import targets
from app.publication.models import RuleSpan, UrgentSpan
from app.publication.store import STORED, Reading, TooMuch, rows_in_subtrees, stood_in
from resolver_policy import names
from resolver_policy.delta import EMPTY_RULE, Rule
from resolver_policy.layers import CANARY, Sides

CANARY_KEY = names.sort_key(CANARY)

SIDES = """
SELECT rule_spans.key, from_release, to_release, own, wild FROM stretches
LEFT JOIN rule_spans ON rule_spans.key >= first_key AND rule_spans.key < past_key
AND from_release <= :head AND (to_release IS NULL OR to_release > :oldest)
ORDER BY rule_spans.key
"""
SIDES_OF_ONE = """
SELECT key, from_release, to_release, own, wild FROM rule_spans
WHERE key >= :first_0 AND key < :past_0 AND from_release <= :head AND (to_release IS NULL OR to_release > :oldest)
ORDER BY key
"""
URGENT = """
SELECT urgent_spans.key, own, wild FROM stretches
LEFT JOIN urgent_spans ON urgent_spans.key >= first_key AND urgent_spans.key < past_key
AND from_release <= :urgent AND (to_release IS NULL OR to_release > :urgent)
ORDER BY urgent_spans.key
"""
URGENT_OF_ONE = """
SELECT key, own, wild FROM urgent_spans
WHERE key >= :first_0 AND key < :past_0 AND from_release <= :urgent AND (to_release IS NULL OR to_release > :urgent)
ORDER BY key
"""

WRITTEN_LAST = 2**31 - 1
"""Above the number of any release."""


class DatabaseLayers:
    """A `LayerStore` over the spans of the database: the head is `release_id`, `bases` are releases before it.

    What `urgent` holds is read as of the release `urgent`, by default as it was written last.
    """

    def __init__(self, reading: Reading, release_id: int, bases: Sequence[int], urgent: int = WRITTEN_LAST) -> None:
        self._reading = reading
        self._releases = (release_id, *bases)
        self._oldest = min(bases)
        self._urgent = urgent
        self._left: int | None = None

    @contextmanager
    def reading_at_most(self, most: int) -> Iterator[None]:
        """Raise TooMuch where more rows of whole subtrees are read."""
        self._left = most
        try:
            yield
        finally:
            self._left = None

    @property
    def sides(self) -> int:
        return len(self._releases)

    def sides_at(self, keys: Sequence[str]) -> dict[str, Sides]:
        columns = (RuleSpan.key, RuleSpan.from_release, RuleSpan.to_release, RuleSpan.own, RuleSpan.wild)
        later = or_(RuleSpan.to_release.is_(None), RuleSpan.to_release > self._oldest)
        found: dict[str, Sides] = {}
        with self._reading() as session:
            for batch in targets.batches(keys):
                query = select(*columns).where(
                    RuleSpan.key.in_(batch), RuleSpan.from_release <= self._releases[0], later
                )
                found.update(self._sides_of(session.execute(query.order_by(RuleSpan.key))))
        return found

    def sides_in(self, roots: Sequence[str]) -> Iterator[tuple[str, Sides]]:
        parameters = {"head": self._releases[0], "oldest": self._oldest}
        with self._reading() as session:
            rows = rows_in_subtrees(session, SIDES_OF_ONE, SIDES, roots, parameters)
            yield from self._sides_of(self._counted(rows))

    def has_rule_below(self, key: str) -> bool:
        below = and_(RuleSpan.key > key, RuleSpan.key < names.subtree_end(key), stood_in(self._releases[0]))
        with self._reading() as session:
            return bool(session.scalar(select(exists().where(below))))

    def urgent_at(self, keys: Sequence[str]) -> dict[str, Rule]:
        found: dict[str, Rule] = {}
        with self._reading() as session:
            for batch in targets.batches(keys):
                query = select(UrgentSpan.key, UrgentSpan.own, UrgentSpan.wild)
                rows = session.execute(query.where(UrgentSpan.key.in_(batch), stood_in(self._urgent, UrgentSpan)))
                found.update((key, STORED[own][wild]) for key, own, wild in rows)
        return found

    def urgent_in(self, roots: Sequence[str]) -> Iterator[tuple[str, Rule]]:
        with self._reading() as session:
            rows = rows_in_subtrees(session, URGENT_OF_ONE, URGENT, roots, {"urgent": self._urgent})
            counted = self._counted(rows)
            yield from ((key, STORED[own][wild]) for key, own, wild in counted if key not in {None, CANARY_KEY})

    def _counted(self, rows: Iterable[Sequence[Any]]) -> Iterator[Sequence[Any]]:
        for row in rows:
            if self._left is not None:
                self._left -= 1
                if self._left < 0:
                    raise TooMuch
            yield row

    def _sides_of(self, rows: Iterable[Sequence[Any]]) -> Iterator[tuple[str, Sides]]:
        for key, spans in groupby(rows, key=lambda row: row[0]):
            if key is not None:
                sides = self._sides(list(spans))
                if any(rule != EMPTY_RULE for rule in sides):
                    yield key, sides

    def _sides(self, spans: Sequence[Sequence[Any]]) -> Sides:
        return tuple(
            next((STORED[own][wild] for _, begins, ends, own, wild in spans if _stood(begins, ends, each)), EMPTY_RULE)
            for each in self._releases
        )


def _stood(begins: int, ends: int | None, release_id: int) -> bool:
    return begins <= release_id and (ends is None or ends > release_id)
