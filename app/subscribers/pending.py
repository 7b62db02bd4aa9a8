"""What one release blocks and another does not, in names that people know: what stands between an ISP and the head."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.publication.models import RuleSpan
from app.publication.store import changes_between
from app.subscribers.verdicts import Verdict, verdicts
from resolver_policy import names

LARGEST = 10_000
"""Rules that may begin and end for names to be told; above it it is these that are counted."""

Scope = Literal["exact", "subtree", "below"]


class Item(NamedTuple):
    """A name: it alone (`exact`), with everything below it (`subtree`), or only what is below it (`below`)."""

    name: str
    match: Scope


@dataclass(frozen=True, slots=True)
class Names:
    """How many, and which: none are named where there are too many (`exact` is then False)."""

    count: int
    items: tuple[Item, ...]
    exact: bool


@dataclass(frozen=True, slots=True)
class Pending:
    """What whoever has the older release still blocks though it was lifted, and does not yet block."""

    still_blocked: Names
    not_yet_blocked: Names


NOTHING = Pending(Names(0, (), exact=True), Names(0, (), exact=True))


def pending(session: Session, older: int, newer: int) -> Pending:
    """What differs between two releases; its cost follows the difference."""
    if older >= newer:
        return NOTHING
    began, ended = _counts(session, older, newer)
    if began + ended > LARGEST:
        return Pending(Names(ended, (), exact=False), Names(began, (), exact=False))
    keys = [change.key for change in changes_between(session, older, newer)]
    before, after = verdicts(session, keys, older), verdicts(session, keys, newer)
    return Pending(_names(keys, before, after), _names(keys, after, before))


def _names(keys: Collection[str], one: Mapping[str, Verdict], other: Mapping[str, Verdict]) -> Names:
    items = tuple(_items(keys, one, other))
    return Names(len(items), items, exact=True)


def _items(keys: Collection[str], one: Mapping[str, Verdict], other: Mapping[str, Verdict]) -> Iterator[Item]:
    """What one blocks and the other does not, in key order; a name that one above it speaks for is left out."""
    speaking: set[str] = set()
    for key in sorted(keys):
        own = one[key].own and not other[key].own
        below = one[key].below and not other[key].below
        if below:
            speaking.add(key)
        if (own or below) and speaking.isdisjoint(names.key_ancestors(key)):
            yield Item(names.from_key(key), "exact" if not below else "subtree" if own else "below")


def _counts(session: Session, older: int, newer: int) -> tuple[int, int]:
    """Spans of rules that began and that ended between two releases: from the indices alone."""
    columns = (RuleSpan.from_release, RuleSpan.to_release)
    queries = (select(func.count()).where(column > older, column <= newer) for column in columns)
    began, ended = (session.execute(query).scalar_one() for query in queries)
    return began, ended
