"""A zone at one serial: ranges of neighbouring rules, and what changed to get there.

A change costs what it changes: it is laid over the ranges that it touches, and their messages are made when
somebody takes them. Where the octets of a range are kept is its own business.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol
from weakref import ref

from resolver_policy.delta import EMPTY_RULE, Change, Rule
from resolver_policy.wire import Body, Chunk, Zone, checked, evenly, lines_of, records_in, render

MOST_DELTAS = 256
MOST_CHANGES = 50_000
"""Changes held in memory at once, by the history of a zone or for a difference."""

MOST_KEPT = 1_024
"""Changed ranges of a zone whose messages are held in memory: 16 to 32 MB."""

MOST_LAID_OVER = 512
"""Changes of one range: each further one copies them, so with more than these it is rendered anew."""


class Range(Protocol):
    """Neighbouring rules: from `first_key` on, and before that of the next range."""

    @property
    def first_key(self) -> str:
        """A key that none of its rules is before."""
        ...

    @property
    def names(self) -> int:
        """How many rules it has."""
        ...

    @property
    def records(self) -> int:
        """How many records they have."""
        ...

    @property
    def lines(self) -> bytes:
        """The rules as `wire.lines_of` writes them; they may have to be read, or written anew."""
        ...

    def rules(self) -> Iterator[tuple[str, Rule]]:
        """Give the rules, in key order."""
        ...

    def rules_at(self, keys: Iterable[str]) -> Iterator[Rule]:
        """Look some rules up; EMPTY_RULE where there is none."""
        ...

    def bodies(self) -> Sequence[Body]:
        """Give the message bodies; they may have to be read, or rendered."""
        ...


class Kept:
    """Which changed ranges of a zone keep their messages: those that were rendered last."""

    def __init__(self) -> None:
        self._ranges: deque[ref[Changed]] = deque()

    def add(self, part: "Changed") -> None:
        """Note one that keeps them from now on, and have the oldest forget theirs that are too many."""
        self._ranges.append(ref(part))
        while len(self._ranges) > MOST_KEPT:
            oldest = self._ranges.popleft()()
            if oldest is not None:
                oldest.rendered.clear()


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Changed:
    """A range with changes laid over it; rendered when its messages are asked for."""

    zone: Zone
    kept: Kept
    base: Range
    changes: Mapping[str, Rule]
    first_key: str
    names: int
    records: int
    rendered: list[tuple[Body, ...]] = field(init=False, default_factory=list, repr=False)

    @property
    def lines(self) -> bytes:
        """The rules of the base as they are by now."""
        return lines_of(self.rules())

    def rules(self) -> Iterator[tuple[str, Rule]]:
        """Give the rules of the base as they are by now."""
        rules = dict(self.base.rules())
        rules.update(self.changes)
        return ((key, rule) for key, rule in sorted(rules.items()) if rule != EMPTY_RULE)

    def rules_at(self, keys: Iterable[str]) -> Iterator[Rule]:
        """Look in the changes first."""
        keys = tuple(keys)
        for key, rule in zip(keys, self.base.rules_at(keys), strict=True):
            yield self.changes.get(key, rule)

    def bodies(self) -> tuple[Body, ...]:
        """Render, or give what is kept, so that those who ask at one time have it rendered once."""
        for known in self.rendered:  # another thread may clear it
            return known
        made = tuple(Body(chunk.records, chunk.body) for chunk in render(self.rules(), self.zone))
        self.rendered.append(made)
        self.kept.add(self)
        return made


class Delta(NamedTuple):
    """What one release changed, in key order."""

    from_serial: int
    to_serial: int
    changes: tuple[Change, ...]


class Past(Protocol):
    """What a zone was before, kept elsewhere: for secondaries that are older than the history in memory."""

    def rows_between(self, older: int, newer: int) -> int | None:
        """Say how many rows changed from one serial to another; None where the zone never had one of them."""
        ...

    def changes(self, older: int, newer: int) -> Sequence[Change] | None:
        """Give what differs between two serials, in key order; None where it cannot be had."""
        ...

    def bodies(self, zone: Zone, older: int, newer: int) -> Iterable[Body] | None:
        """Give a difference of more than MOST_CHANGES as message bodies; None where it cannot be had."""
        ...


@dataclass(frozen=True, slots=True)
class ZoneVersion:
    """One zone at one serial. A change makes a new version that shares every range it did not touch.

    `names` and `records` count the rules, without the apex. `history` is contiguous and ends at `serial`; it
    is bounded, and what lies before it is asked of `past`. `memo` keeps differences once rendered, for the next
    secondary that asks.
    """

    zone: Zone
    serial: int
    ranges: tuple[Range, ...]
    names: int
    records: int
    history: tuple[Delta, ...] = ()
    past: Past | None = field(default=None, compare=False, repr=False)
    kept: Kept = field(default_factory=Kept, compare=False, repr=False)
    memo: dict[int, tuple[Body, ...]] = field(init=False, default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, ranges: Iterable[Range], zone: Zone, serial: int, past: Past | None = None) -> "ZoneVersion":
        """Put a zone together from all of its ranges, in key order."""
        ranges = tuple(ranges)
        names, records = sum(part.names for part in ranges), sum(part.records for part in ranges)
        return cls(zone, serial, ranges, names, records, past=past)

    @classmethod
    def from_rules(
        cls, rules: Iterable[tuple[str, Rule]], zone: Zone, serial: int, past: Past | None = None
    ) -> "ZoneVersion":
        """Render a zone from all of its rules, in key order; raises what `render` raises."""
        return cls.of(render(rules, zone), zone, serial, past)

    @property
    def origin(self) -> str:
        """The zone's canonical name."""
        return self.zone.origin

    def rules(self) -> Iterator[tuple[str, Rule]]:
        """Give every rule, in key order."""
        for part in self.ranges:
            yield from part.rules()

    def bodies(self) -> Iterator[Body]:
        """Give every message body, one after the other as it is asked for."""
        for part in self.ranges:
            yield from part.bodies()

    def changed(self, changes: Sequence[Change], serial: int) -> "ZoneVersion":
        """Apply one release, in key order; renders next to nothing.

        Raises ValueError for a serial that does not grow, and where `old` is not what this version holds, and
        what `checked` raises for an owner that breaks the zone contract.
        """
        if serial <= self.serial:
            raise ValueError(f"serial {serial} does not follow {self.serial}")
        ranges: list[Range] = []
        done = 0
        for place, group in grouped(self.ranges, changes):
            ranges += self.ranges[done:place]
            ranges += _laid_over(self.zone, self.kept, self.ranges[place] if self.ranges else _NOTHING, group)
            done = place + 1
        ranges += self.ranges[done:]
        names, records = _gained(changes)
        return replace(
            self,
            serial=serial,
            ranges=tuple(ranges),
            names=self.names + names,
            records=self.records + records,
            history=_bounded((*self.history, Delta(self.serial, serial, tuple(changes)))),
        )


_NOTHING = Chunk("", "", b"", 0, 0, b"")


def grouped(ranges: Sequence[Range], changes: Iterable[Change]) -> Iterator[tuple[int, list[Change]]]:
    """Group changes by the place of the range that holds, or would hold, their key.

    Raises ValueError where they are out of order.
    """
    group: list[Change] = []
    group_place = 0
    for change in changes:
        if group and change.key <= group[-1].key:
            raise ValueError(f"changes out of order: {change.key!r} after {group[-1].key!r}")
        place = max(bisect_right(ranges, change.key, key=lambda part: part.first_key) - 1, 0)
        if group and place != group_place:
            yield group_place, group
            group = []
        group_place = place
        group.append(change)
    if group:
        yield group_place, group


def _laid_over(zone: Zone, kept: Kept, part: Range, group: Sequence[Change]) -> Sequence[Range]:
    """Lay changes over a range: the ranges that take its place, none where nothing is left of it."""
    for change, held in zip(group, part.rules_at([change.key for change in group]), strict=True):
        if held != change.old:
            raise ValueError(f"change of {change.key!r} expects {change.old}, found {held}")
        if change.new != EMPTY_RULE:
            checked(change.key, zone.longest_key)
    base, before = (part.base, part.changes) if isinstance(part, Changed) else (part, {})
    changes = {**before, **{change.key: change.new for change in group}}
    names, records = _gained(group)
    first_key = min(part.first_key or group[0].key, group[0].key)
    changed = Changed(zone, kept, base, changes, first_key, part.names + names, part.records + records)
    if len(changes) > MOST_LAID_OVER or part is _NOTHING:
        return evenly(list(changed.rules()), zone)
    return (changed,) if changed.names else ()


def _gained(changes: Iterable[Change]) -> tuple[int, int]:
    """Count the names and the records that changes add, less those that they remove."""
    names = records = 0
    for _, old, new in changes:
        names += (new != EMPTY_RULE) - (old != EMPTY_RULE)
        records += records_in(new) - records_in(old)
    return names, records


def _bounded(history: tuple[Delta, ...]) -> tuple[Delta, ...]:
    """Drop the oldest deltas that are too many."""
    kept, room = 0, MOST_CHANGES
    for delta in reversed(history[-MOST_DELTAS:]):
        room -= len(delta.changes)
        if room < 0:
            break
        kept += 1
    return history[len(history) - kept :]
