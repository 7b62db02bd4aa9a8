"""From targets to rules: the normal form that every resolver reads alike.

Resolvers treat wildcards differently: in BIND an empty non-terminal hides the wildcard above it, Unbound
looks only at the ancestor shared with the neighbouring name. So a name that needs a rule below a subtree
block gets both records, and so does every node between it and the topmost block; whatever a rule above says
already is left out. Equal decisions give equal rules, byte for byte.

Names are sort keys here (`names.sort_key`): the subtree of a key is every key that begins with it.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Reversible, Sequence
from itertools import groupby, islice, takewhile
from typing import NamedTuple, Protocol

from resolver_policy.delta import EMPTY_RULE, Change, Rule, compared
from resolver_policy.names import key_ancestors
from resolver_policy.targets import Decision, Match

__all__ = ["EMPTY_RULE", "Cell", "Rule", "RuleStore", "Touched", "build", "effective", "recompute"]

NOTHING, BLOCK, PASS = Decision.NOTHING, Decision.BLOCK, Decision.PASS

Touched = Reversible[tuple[str, Match]]
"""Every (key, match) whose effective cell may have changed, in key order."""

PACE = 5_000
"""Touched names after which a step ends, even if they asked for nothing."""

PORTION = 12_000
"""The most names of a region that one step may compare, however large the region is."""


class Cell(NamedTuple):
    """What the active targets of one name say together."""

    exact: Decision
    subtree: Decision


class RuleStore(Protocol):
    """Where effective cells and rules are read. Names without either are absent.

    The `_in` methods get roots in key order, none below another, and yield the whole subtree of each, the
    root included, in key order throughout.
    """

    def cells_at(self, keys: Sequence[str]) -> dict[str, Cell]: ...

    def cells_in(self, roots: Sequence[str]) -> Iterator[tuple[str, Cell]]: ...

    def rules_at(self, keys: Sequence[str]) -> dict[str, Rule]: ...

    def rules_in(self, roots: Sequence[str]) -> Iterator[tuple[str, Rule]]: ...

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


def _region(cells: Iterable[tuple[str, Cell]], path: list[_Node], root: str) -> Iterator[tuple[str, Rule]]:
    """Build the rules at and below `root`; `path` holds the nodes above it that have a cell."""
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
                yield from _between(key, parent.sub, root, emitted)
            emitted = key
            yield key, _rule(node.own, node.sub, covered=bool(parent.top))
        path.append(node)


def _between(key: str, sub: Decision, root: str, emitted: str) -> Iterator[tuple[str, Rule]]:
    """Give both records of the nodes above `key`, at or below `root`, that have none yet.

    A node that differs from what it inherits was emitted at its turn, with everything above it. So what is
    missing only inherits, all of it the same `sub`; and as the topmost block differs, none lies above that.
    """
    missing = takewhile(lambda name: not emitted.startswith(name) and len(name) >= len(root), key_ancestors(key))
    return ((name, Rule(sub, sub)) for name in reversed(tuple(missing)))


def _rule(own: Decision, sub: Decision, *, covered: bool) -> Rule:
    """Below a subtree block both records always stand; elsewhere only blocks need one."""
    if covered:
        return Rule(own, sub)
    return Rule(BLOCK if own == BLOCK else NOTHING, BLOCK if sub == BLOCK else NOTHING)


def recompute(touched: Touched, store: RuleStore, batch: int = 400) -> Iterator[list[Change]]:
    """Give what brings the rules in line with the cells, in steps: write each before asking for the next.

    Steps are short, and may be empty: whoever has something more urgent to do can do it in between. A touched subtree
    costs its own region, never the one that covers it; a touched exact name costs itself and its ancestors. A touched
    cell that did not change does no harm. Memory is bound by `batch` and PORTION.
    """
    for roots in _topmost(touched, batch):
        rows = _rows_in(roots, store)
        while portion := list(islice(rows, PORTION)):
            yield [change for change in portion if change.old != change.new]
        yield []
    for keys in _singles(touched, batch):
        yield from _changes_at(keys, store)
        yield []


def _topmost(touched: Touched, size: int) -> Iterator[list[str]]:
    """Give the touched subtrees that lie in no other one, a few at a time, or none after many names without any."""
    roots: list[str] = []
    last = None
    for count, (key, match) in enumerate(touched, 1):
        if match is Match.SUBTREE and (last is None or not key.startswith(last)):
            last = key
            roots.append(key)
        if len(roots) >= size or count % PACE == 0:
            yield roots
            roots = []
    yield roots


def _singles(touched: Touched, size: int) -> Iterator[list[str]]:
    """Give the names to look at one by one, in descending order: below each of them the rules are settled.

    They come a few at a time, or none after many names without any.
    """
    path: list[str] = []
    names: list[str] = []
    for count, (key, match) in enumerate(reversed(touched), 1):
        while path and not key.startswith(path[-1]):
            names.append(path.pop())
        chain = [*reversed(key_ancestors(key)), *([key] if match is Match.EXACT else [])]
        path += [name for name in chain if not path or len(name) > len(path[-1])]
        if len(names) >= size or count % PACE == 0:
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


def _rows_in(roots: Sequence[str], store: RuleStore) -> Iterator[Change]:
    if not roots:
        return iter(())
    above = store.cells_at(sorted({name for root in roots for name in key_ancestors(root)}))
    return compared(store.rules_in(roots), _regions(roots, above, store.cells_in(roots)))


def _regions(
    roots: Sequence[str], above: dict[str, Cell], cells: Iterator[tuple[str, Cell]]
) -> Iterator[tuple[str, Rule]]:
    by_root = groupby(cells, key=lambda row: roots[bisect_right(roots, row[0]) - 1])
    for root, rows in by_root:
        yield from _region(rows, _path(root, above), root)


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
