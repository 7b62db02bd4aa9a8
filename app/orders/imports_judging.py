"""What becomes of each name of a list: said line by line as it is read, then in key order, where a name above comes
first and the same name comes twice in a row."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from app.db import Database
from app.orders import targets
from app.orders.imports_lines import Lines
from app.orders.imports_sorting import KeySorter
from app.orders.imports_verdicts import Rules, Verdicts
from app.orders.models import TargetRow
from resolver_policy import names
from resolver_policy.errors import PolicyError
from resolver_policy.targets import Decision, Match

NAMES_IN_ONE_BATCH = 5_000
LINES_IN_ONE_TICK = 5_000

Progress = Callable[[int], object]
"""Told how many more lines (while they are read) or names (while they are stored) are done."""


class Above(NamedTuple):
    """A name of the list above another, and its line."""

    key: str
    line: int


class Found(NamedTuple):
    """A name of the list, the first line that gives it, and the nearest name of the list that covers it."""

    key: str
    line: int
    above: Above | None


@dataclass(frozen=True, slots=True)
class Setting:
    """What a list is compared with: its match, what its order decides, and the order that has its number already."""

    match: Match
    decision: Decision
    standing_id: int | None


class Holds(NamedTuple):
    """What the database knows about a batch: names the standing order holds, and subtrees in force above."""

    standing: frozenset[str]
    above: dict[str, Decision]


def read(lines: Lines, rules: Rules, verdicts: Verdicts, sorter: KeySorter, progress: Progress) -> None:
    """Judge every line by itself, and hand the good names to the sorter."""
    done = 0
    for line in lines():
        done += 1
        if done == LINES_IN_ONE_TICK:
            progress(done)
            done = 0
        if not line.text and line.fault is None:
            verdicts.empty()
            continue
        try:
            key = names.sort_key(rules.name_of(line))
        except PolicyError:
            verdicts.refuse()
        else:
            verdicts.named()
            sorter.add(key, line.number)
    progress(done)


def to_be_stored(
    database: Database, sorter: KeySorter, verdicts: Verdicts, setting: Setting, progress: Progress
) -> Iterator[list[str]]:
    """Give each name its verdict; keys that the order shall hold, in order, in batches.

    A covered name is held too: when what covers it is lifted, it stays blocked.
    """
    found = _with_cover(_once(sorter.entries(), verdicts), setting.match)
    for batch in targets.batches(found, NAMES_IN_ONE_BATCH):
        with database.read() as session:
            holds = _holds(session, batch, setting)
        yield [name.key for name in batch if _say(name, holds, setting, verdicts)]
        progress(len(batch))


def _once(entries: Iterator[tuple[str, int]], verdicts: Verdicts) -> Iterator[tuple[str, int]]:
    """The first line of each name; the others are duplicates, in whatever spelling they came."""
    previous, first = "", 0
    for key, line in entries:
        if key == previous:
            verdicts.duplicate(line, first)
        else:
            previous, first = key, line
            yield key, line


def _with_cover(entries: Iterator[tuple[str, int]], match: Match) -> Iterator[Found]:
    """Add the nearest name above that stands in the list with its subtree; in key order it is on the way down."""
    way: list[Above] = []
    for key, line in entries:
        while way and not key.startswith(way[-1].key):
            way.pop()
        yield Found(key, line, way[-1] if way else None)
        if match is Match.SUBTREE:
            way.append(Above(key, line))


def _say(name: Found, holds: Holds, setting: Setting, verdicts: Verdicts) -> bool:
    """Give a name its verdict; True where the order shall hold it."""
    if name.key in holds.standing:
        verdicts.unchanged(name.line)
        return False
    covered, by_line = _cover(name, holds.above, setting.decision)
    if covered:
        verdicts.cover(name.line, by_line)
    else:
        verdicts.accept()
    return True


def _cover(name: Found, in_force: dict[str, Decision], ours: Decision) -> tuple[bool, int | None]:
    """Whether a name is covered already, and by which line: the nearest subtree above decides."""
    for key in names.key_ancestors(name.key) if in_force else ():
        if name.above is not None and key == name.above.key:
            break
        if key in in_force:
            return in_force[key] is ours, None
    return (False, None) if name.above is None else (True, name.above.line)


def _holds(session: Session, batch: Sequence[Found], setting: Setting) -> Holds:
    above = {key for name in batch for key in names.key_ancestors(name.key)}
    return Holds(_standing(session, batch, setting), _subtrees_in_force(session, sorted(above)))


def _standing(session: Session, batch: Sequence[Found], setting: Setting) -> frozenset[str]:
    if setting.standing_id is None:
        return frozenset()
    held = select(TargetRow.key).where(
        TargetRow.order_id == setting.standing_id,
        TargetRow.match == targets.match_code(setting.match),
        TargetRow.released_at.is_(None),
    )
    keys = targets.batches(name.key for name in batch)
    return frozenset(key for some in keys for key in session.scalars(held.where(TargetRow.key.in_(some))))


def _subtrees_in_force(session: Session, keys: Sequence[str]) -> dict[str, Decision]:
    """What the subtrees of these keys are decided to be; where a block and an exception meet, the block wins."""
    found: dict[str, Decision] = {}
    for some in targets.batches(keys):
        condition = and_(TargetRow.key.in_(some), TargetRow.match == targets.SUBTREE)
        for key, _, decision in targets.active_decisions(session, condition):
            found[key] = min(decision, found.get(key, decision))
    return found
