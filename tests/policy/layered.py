"""The layers by their definition, from all targets of the head and of every live base, and a layer store in memory."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from resolver_policy.delta import EMPTY_RULE, Change, Rule, apply, diff
from resolver_policy.layers import Sides, recompute
from resolver_policy.names import key_ancestors
from resolver_policy.rules import Cell, build
from resolver_policy.targets import Decision
from tests.policy.zones import Rules

NOTHING, PASS = Decision.NOTHING, Decision.PASS
EMPTY_CELL = Cell(NOTHING, NOTHING)

Cells = Mapping[str, Cell]


class Held(NamedTuple):
    """What a name gets, what names below it get, and what it would get without targets of its own."""

    own: Decision
    sub: Decision
    inherited: Decision


def held(cells: Cells, key: str) -> Held:
    above = (cells[name].subtree for name in key_ancestors(key) if name in cells)
    inherited = next((each for each in above if each is not NOTHING), PASS)
    cell = cells.get(key, EMPTY_CELL)
    sub = cell.subtree or inherited
    return Held(cell.exact or sub, sub, inherited)


def urgent_of(head: Cells, bases: Sequence[Cells]) -> Rules:
    """The definition, word by word: slow, and from targets alone."""

    def put(name: str) -> Rule:
        return Rule(held(head, name).own, held(head, name).sub)

    names = {name for cells in (head, *bases) for name in cells}
    own_differs = {name for name in names if any(held(base, name).own != held(head, name).own for base in bases)}
    sub_differs = {name for name in names if any(held(base, name).sub != held(head, name).sub for base in bases)}
    roots = {name for name in sub_differs if sub_differs.isdisjoint(key_ancestors(name))}
    urgent = {name: Rule(held(head, name).own, NOTHING) for name in own_differs if not within(name, roots)}
    for root in roots:
        urgent[root] = put(root)
        for name in head:
            own, sub, inherited = held(head, name)
            if name.startswith(root) and name != root and (own != inherited or sub != inherited):
                urgent[name] = put(name)
                between = (node for node in key_ancestors(name) if len(node) > len(root))
                urgent.update((node, put(node)) for node in between)
    return urgent


def within(key: str, roots: Iterable[str]) -> bool:
    return any(key.startswith(root) for root in roots)


def rules_of_cells(cells: Cells) -> Rules:
    return dict(build(sorted(cells.items())))


class MemoryLayers:
    """A `LayerStore` over rules in dictionaries."""

    def __init__(self, head: Rules, bases: Sequence[Rules], urgent: Rules) -> None:
        self._all = (head, *bases)
        self.urgent = dict(urgent)
        self.asked = 0

    @property
    def sides(self) -> int:
        return len(self._all)

    def sides_at(self, keys: Sequence[str]) -> dict[str, Sides]:
        assert len(set(keys)) == len(keys)
        self.asked += len(keys)
        return {key: self._of(key) for key in keys if any(key in rules for rules in self._all)}

    def sides_in(self, roots: Sequence[str]) -> Iterator[tuple[str, Sides]]:
        found = sorted({key for rules in self._all for key in rules if within(key, roots)})
        self.asked += len(found)
        return ((key, self._of(key)) for key in found)

    def has_rule_below(self, key: str) -> bool:
        self.asked += 1
        return any(name.startswith(key) and name != key for name in self._all[0])

    def urgent_at(self, keys: Sequence[str]) -> dict[str, Rule]:
        return {key: self.urgent[key] for key in keys if key in self.urgent}

    def urgent_in(self, roots: Sequence[str]) -> Iterator[tuple[str, Rule]]:
        return iter(sorted((key, rule) for key, rule in self.urgent.items() if within(key, roots)))

    def write(self, changes: Sequence[Change]) -> None:
        assert all(change.old != change.new for change in changes)
        assert len({change.key for change in changes}) == len(changes)
        apply(self.urgent, changes)

    def _of(self, key: str) -> Sides:
        return tuple(rules.get(key, EMPTY_RULE) for rules in self._all)


def kept_up(before: Rules, head: Rules, bases: Sequence[Rules], urgent: Rules, batch: int = 400) -> Rules:
    """What `urgent` becomes when the head moves on from `before`."""
    return _written(MemoryLayers(head, bases, urgent), (change.key for change in diff(before, head)), batch)


def let_go(head: Rules, bases: Sequence[Rules], urgent: Rules, after: str, most: int) -> tuple[Rules, str | None]:
    """What `urgent` becomes on the way to these bases alone, by its next names; the last of them, None at the end."""
    store = MemoryLayers(head, bases, urgent)
    keys = sorted(key for key in urgent if key > after)[:most]
    return _written(store, keys, batch=max(1, most)), keys[-1] if len(keys) == most else None


def _written(store: MemoryLayers, touched: Iterable[str], batch: int) -> Rules:
    for changes in recompute(touched, store, batch):
        store.write(changes)
    return store.urgent
