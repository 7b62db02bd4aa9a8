"""What two releases make of names differently: of a zone between two serials, or of what an ISP has and what it lacks.

Read from the spans that began or ended in between, release by release, each name with the first that touched it: the
cost follows the change, not the list.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from app.orders import targets
from app.orders.difference import Changed, Turn
from app.publication.models import RuleSpan
from app.subscribers.verdicts import verdicts
from resolver_policy import names

AT_ONCE = 500


class Touch(NamedTuple):
    """A release that touched a name: a place in the list."""

    release: int
    key: str


FIRST = Touch(0, "")


def between(session: Session, older: int, newer: int, *, after: Touch = FIRST) -> Iterator[tuple[Touch, Changed]]:
    """Every name that one release blocks and another does not, behind a place."""
    while touches := _touches(session, older, newer, after):
        first = _first_touches(session, [each.key for each in touches], older, newer)
        mine = [each for each in touches if first[each.key] == each.release]
        keys = [each.key for each in mine]
        before, then = verdicts(session, keys, older), verdicts(session, keys, newer)
        for touch in mine:
            itself = Turn(before[touch.key].own, then[touch.key].own)
            below = Turn(before[touch.key].below, then[touch.key].below)
            if itself.before != itself.after or below.before != below.after:
                yield touch, Changed(0, names.from_key(touch.key), itself, below)
        after = touches[-1]


def _touches(session: Session, older: int, newer: int, after: Touch) -> Sequence[Touch]:
    """The next places, by release and name: a stretch of each of two indices."""
    found: set[Touch] = set()
    for column in (RuleSpan.from_release, RuleSpan.to_release):
        query = select(column, RuleSpan.key).where(column > older, column <= newer, column >= after.release)
        behind = query.where(tuple_(column, RuleSpan.key) > (after.release, after.key))
        rows = session.execute(behind.order_by(column, RuleSpan.key).limit(AT_ONCE))
        found |= {Touch(release, key) for release, key in rows if release is not None}
    return sorted(found)[:AT_ONCE]


def _first_touches(session: Session, keys: Sequence[str], older: int, newer: int) -> Mapping[str, int]:
    """The first release in between that touched each name."""
    found: dict[str, int] = {}
    for some in targets.batches(sorted(set(keys))):
        query = select(RuleSpan.key, RuleSpan.from_release, RuleSpan.to_release).where(RuleSpan.key.in_(some))
        for key, *ends in session.execute(query):
            between_them = [each for each in ends if each is not None and older < each <= newer]
            if between_them:
                found[key] = min([*between_them, found.get(key, newer)])
    return found
