"""What becomes of each name of a list: said line by line as it is read, then in key order, where a name above comes
first and the same name comes twice in a row."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db import Database
from app.errors import Unprocessable
from app.orders import targets
from app.orders.holders import Overhead
from app.orders.imports_lines import BELOW, Lines
from app.orders.imports_sorting import KeySorter
from app.orders.imports_verdicts import Rules, Verdicts
from app.orders.models import Order, TargetRow
from resolver_policy.errors import PolicyError
from resolver_policy.targets import Decision

NAMES_IN_ONE_BATCH = 5_000
LINES_IN_ONE_TICK = 5_000
REACH_BITS = 32
ENTRY = (1 << REACH_BITS) - 1

Progress = Callable[[int], object]
"""Told how many more lines (while they are read) or names (while they are stored) are done."""

Entries = Iterable[tuple[str, int]]
"""Keys in order, each with its tag: the reach above 32 bits, below them which entry of the list it is."""


class Found(NamedTuple):
    """A target of the list: key, match code, the first entry that says it, another that says the rest of it (0 if
    none does), and the nearest subtree of the list above with its entry."""

    key: str
    match: int
    entry: int
    partner: int
    above: str
    above_entry: int


@dataclass(slots=True)
class Tally:
    """How many targets a list has, and how many of them its order is still to hold."""

    found: int = 0
    new: int = 0


class Watch:
    """Is shown each batch before its verdicts, in the transaction that they come from."""

    def turn_to(self, standing: Order | None) -> None:
        """Names of another order of the list follow; `standing` has its number already."""

    def parts(self) -> dict[str, str]:
        """What was seen, as a part of the plan's id."""
        return {}

    def see(self, session: Session, batch: Sequence[Found], overhead: Overhead) -> None:
        """Nobody watches."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What an order of the list is compared with: what it decides, and the order that has its number already."""

    decision: Decision
    standing_id: int | None
    tally: Tally
    watch: Watch


def read(lines: Lines, rules: Rules, verdicts: Verdicts, sorter: KeySorter, progress: Progress) -> None:
    """Judge every line by itself, and hand the good names to the sorter."""
    done = 0
    below = False
    place_of, add, named = rules.place_of, sorter.add, verdicts.named
    for line in lines():
        done += 1
        if done == LINES_IN_ONE_TICK:
            progress(done)
            done = 0
        number, name, fault, _, reach, _ = line
        if not name and fault is None:
            verdicts.empty(number)
            continue
        try:
            place = place_of(line)
        except (PolicyError, Unprocessable):
            verdicts.refuse(number)
        else:
            add(place, reach << REACH_BITS | named(number))
            below = below or reach == BELOW
    progress(done)
    if below:
        _refuse_alone(sorter.entries(), verdicts)


def by_order(entries: Entries, *, many: bool) -> Iterator[tuple[int, Entries]]:
    """The entries of each order of the list; one's are to be read before the next is asked for."""
    if not many:
        yield 0, entries
        return
    for place, group in groupby(entries, key=lambda entry: entry[0].partition("!")[0]):
        start = len(place) + 1
        yield int(place), ((key[start:], tag) for key, tag in group)


def to_be_stored(
    database: Database, entries: Entries, verdicts: Verdicts, setting: Setting, progress: Progress
) -> Iterator[list[tuple[str, int]]]:
    """Give each target its verdict; (key, match code) pairs that the order shall hold, in order, in batches.

    A covered name is held too: when what covers it is lifted, it stays blocked.
    """
    overhead = Overhead()
    for batch in targets.batches(_found(entries, verdicts), NAMES_IN_ONE_BATCH):
        with database.read() as session:
            overhead.look(session, (name.key for name in batch))
            standing = _standing(session, batch, setting)
            setting.watch.see(session, batch, overhead)
        wanted = [(name.key, name.match) for name in batch if _say(name, standing, overhead, setting, verdicts)]
        setting.tally.found += len(batch)
        setting.tally.new += len(wanted)
        yield wanted
        progress(len(batch))


def _refuse_alone(entries: Entries, verdicts: Verdicts) -> None:
    """Refuse what is said of the names below one that the list does not have: no target means that."""
    own = ""
    for place, tag in entries:
        if tag >> REACH_BITS != BELOW:
            own = place
        elif place != own:
            verdicts.alone(tag & ENTRY)


def _found(entries: Entries, verdicts: Verdicts) -> Iterator[Found]:
    """Each target once, with the nearest name above that stands in the list with its subtree.

    In key order that lies on the way down, and the same name in whatever spelling comes in one piece, by its reach:
    the first entry of each counts, the others are duplicates.
    """
    way = [("", 0)]
    previous = ""
    first = [0, 0, 0]
    for key, tag in chain(entries, [("", 0)]):
        if key != previous:
            if previous:
                while not previous.startswith(way[-1][0]):
                    way.pop()
                yield from _targets(previous, first, way)
            previous, first = key, [0, 0, 0]
        reach, entry = tag >> REACH_BITS, tag & ENTRY
        if not first[reach]:
            first[reach] = entry
        elif reach != BELOW or first[targets.EXACT]:
            verdicts.duplicate(entry, first[reach])


def _targets(key: str, first: Sequence[int], way: list[tuple[str, int]]) -> Sequence[Found]:
    """The targets at one name: itself, itself and all below it, or both; together, they are the second.

    What is below the name finds it on the way where it is a subtree.
    """
    exact, subtree, below = first
    above = way[-1]
    if exact and below:
        subtree, exact = exact, 0
    if subtree:
        way.append((key, subtree))
        whole = Found(key, targets.SUBTREE, subtree, below, *above)
        return (Found(key, targets.EXACT, exact, 0, key, subtree), whole) if exact else (whole,)
    return (Found(key, targets.EXACT, exact, 0, *above),) if exact else ()


def _say(
    name: Found, standing: frozenset[tuple[str, int]], overhead: Overhead, setting: Setting, verdicts: Verdicts
) -> bool:
    """Give a target its verdict; True where the order shall hold it."""
    wanted = (name.key, name.match) not in standing
    if not wanted:
        verdicts.unchanged(name.entry)
    else:
        above = overhead.above(name.key)
        if len(above.nearest) > len(name.above):
            if above.decision is setting.decision:
                verdicts.cover(name.entry, None)
            else:
                verdicts.accept()
        elif name.above:
            verdicts.cover(name.entry, name.above_entry)
        else:
            verdicts.accept()
    if name.partner:
        verdicts.together(name.partner, name.entry)
    return wanted


def _standing(session: Session, batch: Sequence[Found], setting: Setting) -> frozenset[tuple[str, int]]:
    """Targets of a batch that the standing order of this number holds."""
    if setting.standing_id is None:
        return frozenset()
    held = select(TargetRow.key, TargetRow.match).where(
        TargetRow.order_id == setting.standing_id, TargetRow.released_at.is_(None)
    )
    keys = targets.batches(name.key for name in batch)
    return frozenset(
        (key, match) for some in keys for key, match in session.execute(held.where(TargetRow.key.in_(some)))
    )
