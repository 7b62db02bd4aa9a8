"""What becomes of each name of a list: said line by line as it is read, then in key order, where a name above comes
first and the same name comes twice in a row."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db import Database
from app.orders import targets
from app.orders.holders import Overhead
from app.orders.imports_lines import Lines
from app.orders.imports_sorting import KeySorter
from app.orders.imports_verdicts import Rules, Verdicts
from app.orders.models import TargetRow
from resolver_policy.errors import PolicyError
from resolver_policy.targets import Decision, Match

NAMES_IN_ONE_BATCH = 5_000
LINES_IN_ONE_TICK = 5_000

Progress = Callable[[int], object]
"""Told how many more lines (while they are read) or names (while they are stored) are done."""


class Found(NamedTuple):
    """A name of the list, the first line that gives it, and the nearest name of the list above it with its line."""

    key: str
    line: int
    above: str
    above_line: int


@dataclass(frozen=True, slots=True)
class Setting:
    """What a list is compared with: its match, what its order decides, and the order that has its number already."""

    match: Match
    decision: Decision
    standing_id: int | None


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
            key = rules.key_of(line)
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
    overhead = Overhead()
    for batch in targets.batches(_found(sorter.entries(), verdicts, setting.match), NAMES_IN_ONE_BATCH):
        with database.read() as session:
            overhead.look(session, (name.key for name in batch))
            standing = _standing(session, batch, setting)
        yield [name.key for name in batch if _say(name, standing, overhead, setting, verdicts)]
        progress(len(batch))


def _found(entries: Iterator[tuple[str, int]], verdicts: Verdicts, match: Match) -> Iterator[Found]:
    """Each name once, with the nearest one above that stands in the list with its subtree.

    In key order that lies on the way down, and the same name in whatever spelling comes in one piece: the first line
    of it counts, the others are duplicates.
    """
    way = [("", 0)]
    previous, first = "", 0
    for key, line in entries:
        if key == previous:
            verdicts.duplicate(line, first)
            continue
        previous, first = key, line
        while not key.startswith(way[-1][0]):
            way.pop()
        yield Found(key, line, *way[-1])
        if match is Match.SUBTREE:
            way.append((key, line))


def _say(name: Found, standing: frozenset[str], overhead: Overhead, setting: Setting, verdicts: Verdicts) -> bool:
    """Give a name its verdict; True where the order shall hold it."""
    if name.key in standing:
        verdicts.unchanged(name.line)
        return False
    above = overhead.above(name.key)
    if len(above.nearest) > len(name.above):
        if above.decision is setting.decision:
            verdicts.cover(name.line, None)
        else:
            verdicts.accept()
    elif name.above:
        verdicts.cover(name.line, name.above_line)
    else:
        verdicts.accept()
    return True


def _standing(session: Session, batch: Sequence[Found], setting: Setting) -> frozenset[str]:
    """Names of a batch that the standing order of this number holds."""
    if setting.standing_id is None:
        return frozenset()
    held = select(TargetRow.key).where(
        TargetRow.order_id == setting.standing_id,
        TargetRow.match == targets.match_code(setting.match),
        TargetRow.released_at.is_(None),
    )
    keys = targets.batches(name.key for name in batch)
    return frozenset(key for some in keys for key in session.scalars(held.where(TargetRow.key.in_(some))))
