"""From targets to rules: the normal form that every resolver reads alike.

Resolvers treat wildcards differently: in BIND an empty non-terminal hides the wildcard above it, Unbound
looks only at the ancestor shared with the neighbouring name. So a name that needs a rule below a subtree
block gets both records, and so does every node between it and the topmost block; whatever a rule above says
already is left out. Equal decisions give equal rules, byte for byte.

Names are sort keys here (`names.sort_key`): the subtree of a key is every key that begins with it.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Reversible, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice, takewhile
from typing import NamedTuple, Protocol

from resolver_policy.delta import EMPTY_RULE, Change, Rule, compared
from resolver_policy.names import key_ancestors, subtree_end
from resolver_policy.targets import Decision, Match

__all__ = ["EMPTY_RULE", "Cell", "Rule", "RuleStore", "Stretch", "Touched", "build", "effective", "recompute"]

NOTHING, BLOCK, PASS = Decision.NOTHING, Decision.BLOCK, Decision.PASS

Touched = Reversible[tuple[str, Match]]
"""Every (key, match) whose effective cell may have changed, in key order."""

RUN = 5_000
"""Touched names that are looked at together; a step ends after them, even if they asked for nothing."""

ENOUGH, CLOSE = 100, 4
"""So many names of a run at least are read with everything between them, if that is not over so many rows a name:
reading on is cheaper than looking for each."""

PORTION = 12_000
"""The most names of a region that one step may compare, however large the region is."""


class Cell(NamedTuple):
    """What the active targets of one name say together."""

    exact: Decision
    subtree: Decision


class Stretch(NamedTuple):
    """All names from `first` to the last one below `last`. A region is one whose first name is its last: its root."""

    first: str
    last: str

    @property
    def past(self) -> str:
        """The first text after every key of it."""
        return subtree_end(self.last)


class RuleStore(Protocol):
    """Where effective cells and rules are read. Names without either are absent.

    The `_in` methods get stretches in key order that share no name, and yield all of each, in key order throughout.
    """

    def cells_at(self, keys: Sequence[str]) -> dict[str, Cell]: ...

    def cells_in(self, stretches: Sequence[Stretch]) -> Iterator[tuple[str, Cell]]: ...

    def rules_at(self, keys: Sequence[str]) -> dict[str, Rule]: ...

    def rules_in(self, stretches: Sequence[Stretch]) -> Iterator[tuple[str, Rule]]: ...

    def is_short(self, stretch: Stretch, most: int) -> bool:
        """Say whether no more than `most` rows, of cells and of rules each, lie in a stretch."""
        ...

    def has_rule_below(self, key: str) -> bool:
        """Say whether a rule stands strictly below `key`; what was written before counts."""
        ...


class _Node(NamedTuple):
    """A name on the path from the root: what it gets, what names below it get, and the topmost subtree
    block among itself and its ancestors ("" for none)."""

    key: str
    own: Decision
    sub: Decision
    top: str


_ROOT = _Node("", PASS, PASS, "")


def effective(pairs: Iterable[tuple[Match, Decision]]) -> Cell:
    """Fold the active targets of one name into its cell: at equal specificity block wins."""
    exact = subtree = NOTHING
    for match, decision in pairs:
        if match is Match.EXACT:
            exact = _stronger(exact, decision)
        else:
            subtree = _stronger(subtree, decision)
    return Cell(exact, subtree)


def together(cells: Iterable[Cell]) -> Cell:
    """Fold the cells of several targets of one name into its cell."""
    exact = subtree = NOTHING
    for cell in cells:
        exact, subtree = _stronger(exact, cell.exact), _stronger(subtree, cell.subtree)
    return Cell(exact, subtree)


def _stronger(one: Decision, other: Decision) -> Decision:
    return BLOCK if BLOCK in (one, other) else max(one, other)


def build(cells: Iterable[tuple[str, Cell]]) -> Iterator[tuple[str, Rule]]:
    """Turn all effective cells, in ascending key order, into all rules, in key order.

    Memory is bound by the depth of names. ValueError when the keys do not ascend.
    """
    return _region(cells, [_ROOT], "")


def _node(parent: _Node, key: str, cell: Cell) -> _Node:
    sub = cell.subtree or parent.sub
    top = parent.top or (key if cell.subtree == BLOCK else "")
    return _Node(key, cell.exact or sub, sub, top)


def _region(cells: Iterable[tuple[str, Cell]], path: list[_Node], first: str) -> Iterator[tuple[str, Rule]]:
    """Build the rules of a stretch; `path` holds the nodes above its first name that have a cell."""
    previous = emitted = ""
    for key, cell in cells:
        if key <= previous:
            raise ValueError(f"keys out of order: {key!r} after {previous!r}")
        previous = key
        while not key.startswith(path[-1].key):
            path.pop()
        parent = path[-1]
        node = _node(parent, key, cell)
        if node.own != parent.sub or node.sub != parent.sub:
            if parent.top:
                yield from _between(key, parent.sub, first, emitted)
            emitted = key
            yield key, _rule(node.own, node.sub, covered=bool(parent.top))
        path.append(node)


def _between(key: str, sub: Decision, first: str, emitted: str) -> Iterator[tuple[str, Rule]]:
    """Give both records of the nodes above `key`, not before `first`, that have none yet.

    A node that differs from what it inherits was emitted at its turn, with everything above it. So what is
    missing only inherits, all of it the same `sub`; and as the topmost block differs, none lies above that.
    """
    missing = takewhile(lambda name: name >= first and not emitted.startswith(name), key_ancestors(key))
    return ((name, Rule(sub, sub)) for name in reversed(tuple(missing)))


def _rule(own: Decision, sub: Decision, *, covered: bool) -> Rule:
    """Below a subtree block both records always stand; elsewhere only blocks need one."""
    if covered:
        return Rule(own, sub)
    return Rule(BLOCK if own == BLOCK else NOTHING, BLOCK if sub == BLOCK else NOTHING)


def recompute(touched: Touched, store: RuleStore, batch: int = 400) -> Iterator[list[Change]]:
    """Give what brings the rules in line with the cells, in steps: write each before asking for the next.

    Steps are short, and may be empty: whoever has something more urgent to do can do it in between. A touched subtree
    costs its own region, never the one that covers it; a touched exact name costs itself and its ancestors; very many
    names that lie close together cost what lies between the first and the last of them, read once. A touched cell that
    did not change does no harm. Memory is bound by `batch`, RUN and PORTION.
    """
    first_pass = _FirstPass(store, batch)
    for stretches in first_pass.stretches(touched):
        rows = _rows_in(stretches, store)
        while portion := list(islice(rows, PORTION)):
            yield [change for change in portion if change.old != change.new]
        yield []
    for keys in _singles(first_pass.left(touched), batch):
        yield from _changes_at(keys, store)
        yield []


@dataclass
class _FirstPass:
    """Cuts touched names into stretches, and knows afterwards what is left to be looked at name by name."""

    store: RuleStore
    size: int
    settled: list[Stretch] = field(default_factory=list)
    all_settled: bool = True

    def stretches(self, touched: Touched) -> Iterator[list[Stretch]]:
        """Give a run of names as one stretch, where they lie close; else its topmost subtrees, a few at a time."""
        past = topmost = ""
        names = iter(touched)
        while run := list(islice(names, RUN)):
            run = [row for row in run if row[0] >= past]
            stretch = _stretch(run)
            if stretch is not None and self.store.is_short(stretch, CLOSE * len(run)):
                self.settled.append(stretch)
                past = stretch.past
                yield [stretch]
            elif run:
                self.all_settled = False
                roots = _topmost(run, topmost)
                topmost = roots[-1] if roots else topmost
                yield from _regions_of(roots, self.size)

    def left(self, touched: Touched) -> Iterator[tuple[str, Match]]:
        """Give what was touched outside the settled stretches, and both ends of each, in descending order.

        What lies above the names in a stretch lies in it too, or above one of its ends.
        """
        outside: Iterator[tuple[str, Match]] = iter(()) if self.all_settled else iter(reversed(touched))
        row = next(outside, None)
        for stretch in reversed(self.settled):
            while row is not None and row[0] >= stretch.past:
                yield row
                row = next(outside, None)
            while row is not None and row[0] >= stretch.first:
                row = next(outside, None)
            yield stretch.last, Match.SUBTREE
            yield stretch.first, Match.SUBTREE
        if row is not None:
            yield row
        yield from outside


def _stretch(run: Sequence[tuple[str, Match]]) -> Stretch | None:
    """Everything from the first to the last name of a run, if they are enough to ask how much that is."""
    if len(run) < ENOUGH:
        return None
    last = run[0][0]
    for key, _ in run:
        if not key.startswith(last):
            last = key
    return Stretch(run[0][0], last)


def _topmost(run: Iterable[tuple[str, Match]], last: str) -> list[str]:
    """The touched subtrees that lie in no other one; `last` is the one before them, or empty."""
    roots: list[str] = []
    for key, match in run:
        if match is Match.SUBTREE and not (last and key.startswith(last)):
            last = key
            roots.append(key)
    return roots


def _regions_of(roots: Sequence[str], size: int) -> Iterator[list[Stretch]]:
    """Their regions, a few at a time; none, once, where there are none: that is a step as well."""
    for start in range(0, max(1, len(roots)), size):
        yield [Stretch(root, root) for root in roots[start : start + size]]


def _singles(touched: Iterable[tuple[str, Match]], size: int) -> Iterator[list[str]]:
    """Give the names to look at one by one, in descending order: below each of them the rules are settled.

    They come a few at a time, or none after many names without any.
    """
    path: list[str] = []
    names: list[str] = []
    for count, (key, match) in enumerate(touched, 1):
        while path and not key.startswith(path[-1]):
            names.append(path.pop())
        chain = [*reversed(key_ancestors(key)), *([key] if match is Match.EXACT else [])]
        path += [name for name in chain if not path or len(name) > len(path[-1])]
        if len(names) >= size or count % RUN == 0:
            yield names
            names = []
    yield names + path[::-1]


def _path(key: str, cells: dict[str, Cell]) -> list[_Node]:
    """Give the nodes strictly above `key` that have a cell, topmost first, the root before them."""
    path = [_ROOT]
    for name in reversed(key_ancestors(key)):
        if name in cells:
            path.append(_node(path[-1], name, cells[name]))
    return path


def _rows_in(stretches: Sequence[Stretch], store: RuleStore) -> Iterator[Change]:
    """Compare rules with cells, but for names above a stretch's last one: what lies below them goes on behind it."""
    if not stretches:
        return iter(())
    cut = {name for stretch in stretches for name in key_ancestors(stretch.last) if name >= stretch.first}
    above = store.cells_at(sorted({name for stretch in stretches for name in key_ancestors(stretch.first)}))
    rows = compared(store.rules_in(stretches), _regions(stretches, above, store.cells_in(stretches)))
    return (row for row in rows if row.key not in cut) if cut else rows


def _regions(
    stretches: Sequence[Stretch], above: dict[str, Cell], cells: Iterator[tuple[str, Cell]]
) -> Iterator[tuple[str, Rule]]:
    firsts = [stretch.first for stretch in stretches]
    for first, rows in groupby(cells, key=lambda row: firsts[bisect_right(firsts, row[0]) - 1]):
        yield from _region(rows, _path(first, above), first)


def _changes_at(keys: Sequence[str], store: RuleStore) -> Iterator[list[Change]]:
    """Look at names in descending order. Whether a rule stands below one is asked when all that is known is written."""
    if not keys:
        return
    cells = store.cells_at(sorted({name for key in keys for name in (key, *key_ancestors(key))}))
    rules = store.rules_at(keys)
    changes: list[Change] = []
    for key in keys:
        parent = _path(key, cells)[-1]
        node = _node(parent, key, cells.get(key, Cell(NOTHING, NOTHING)))
        wanted = node.own != parent.sub or node.sub != parent.sub
        if not wanted and parent.top:
            if changes:
                yield changes
                changes = []
            wanted = store.has_rule_below(key)
        new = _rule(node.own, node.sub, covered=bool(parent.top)) if wanted else EMPTY_RULE
        change = Change(key, rules.get(key, EMPTY_RULE), new)
        if change.old != change.new:
            changes.append(change)
    if changes:
        yield changes
