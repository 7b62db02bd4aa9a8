"""Random target sets, and a rule store in memory."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from random import Random

from resolver_policy.delta import EMPTY_RULE, Change, apply
from resolver_policy.names import ancestors, from_key, sort_key, subtree_end
from resolver_policy.rules import Cell, Rule, Stretch, effective
from resolver_policy.targets import Decision, Match, Target

# Of different lengths on purpose: Unbound's order compares lengths first.
LABELS = ("a", "b", "z", "ab", "b0", "a-b", "zzz", "_s", "abcd", "0")


def random_name(random: Random, labels: Sequence[str] = LABELS, deepest: int = 5) -> str:
    return ".".join(random.choice(labels) for _ in range(random.randint(1, deepest)))


def random_targets(random: Random, most: int = 14) -> list[Target]:
    """Draw nested blocks and exceptions: most names stand above, below or beside one already drawn."""
    labels = random.sample(LABELS, random.randint(2, 6))
    names: list[str] = []
    for _ in range(random.randint(1, most)):
        names.append(_related(random, names, labels) if names else random_name(random, labels, 3))
    return [
        Target(name, random.choice(tuple(Match)), random.choice((Decision.BLOCK, Decision.BLOCK, Decision.PASS)))
        for name in names
    ]


def _related(random: Random, names: Sequence[str], labels: Sequence[str]) -> str:
    name = random.choice(names)
    kind = random.randrange(5)
    if kind == 0:
        return name
    if kind == 1 and "." in name:
        return random.choice(ancestors(name))
    if kind == 2 and "." in name:
        return f"{random.choice(labels)}.{name.partition('.')[2]}"
    below = ".".join(random.choice(labels) for _ in range(random.randint(1, 3)))
    return f"{below}.{name}"


def queries(targets: Iterable[Target], random: Random, count: int) -> list[str]:
    """Draw names at, between, below and beside the targets."""
    nodes = sorted({node for target in targets for node in (target.name, *ancestors(target.name))})
    near = [*nodes, *LABELS, *(f"{label}.{node}" for node in nodes for label in LABELS)]
    found = random.sample(near, min(len(near), 3 * count // 4))
    while len(found) < count:
        found.append(f"{random_name(random, LABELS, 3)}.{random.choice(nodes)}")
    return found


def cells_of(targets: Iterable[Target]) -> list[tuple[str, Cell]]:
    """Fold targets into effective cells, in key order."""
    pairs: dict[str, list[tuple[Match, Decision]]] = {}
    for target in targets:
        pairs.setdefault(sort_key(target.name), []).append((target.match, target.decision))
    return sorted((key, effective(some)) for key, some in pairs.items())


class MemoryStore:
    """Cells and rules in dictionaries. It refuses what a store may rely on: stretches that overlap or are unordered,
    changes that change nothing, questions that need no answer."""

    def __init__(self, cells: Mapping[str, Cell] | None = None) -> None:
        self.cells = dict(cells or {})
        self.rules: dict[str, Rule] = {}
        self.written: list[Change] = []
        self._cell_keys: list[str] = []
        self._rule_keys: list[str] = []

    def cells_at(self, keys: Sequence[str]) -> dict[str, Cell]:
        assert len(set(keys)) == len(keys)
        return {key: self.cells[key] for key in keys if key in self.cells}

    def cells_in(self, stretches: Sequence[Stretch]) -> Iterator[tuple[str, Cell]]:
        if len(self._cell_keys) != len(self.cells):
            self._cell_keys = sorted(self.cells)
        return ((key, self.cells[key]) for key in _within(self._cell_keys, stretches))

    def rules_at(self, keys: Sequence[str]) -> dict[str, Rule]:
        return {key: self.rules[key] for key in keys if key in self.rules}

    def rules_in(self, stretches: Sequence[Stretch]) -> Iterator[tuple[str, Rule]]:
        return iter([(key, self.rules[key]) for key in _within(self._rule_keys, stretches)])

    def is_short(self, stretch: Stretch, most: int) -> bool:
        return all(
            sum(stretch.first <= key < stretch.past for key in keys) <= most for keys in (self.cells, self.rules)
        )

    def has_rule_below(self, key: str) -> bool:
        assert self._covered(key), f"{key} is not covered: whether rules stand below it decides nothing"
        at = bisect_left(self._rule_keys, subtree_end(key))
        return at > 0 and self._rule_keys[at - 1].startswith(key) and self._rule_keys[at - 1] != key

    def write(self, changes: Sequence[Change]) -> None:
        assert changes
        assert all(change.old != change.new for change in changes)
        assert len({change.key for change in changes}) == len(changes)
        apply(self.rules, changes)
        self.written += changes
        gone = {change.key for change in changes if change.new == EMPTY_RULE}
        if gone:
            self._rule_keys = [key for key in self._rule_keys if key not in gone]
        self._rule_keys += [change.key for change in changes if change.old == EMPTY_RULE]
        self._rule_keys.sort()

    def set_cell(self, key: str, cell: Cell) -> None:
        """Change a cell as a writer of targets would, before the touched name is recomputed."""
        self._cell_keys = []
        if cell == Cell(Decision.NOTHING, Decision.NOTHING):
            self.cells.pop(key, None)
        else:
            self.cells[key] = cell

    def _covered(self, key: str) -> bool:
        above = (sort_key(name) for name in ancestors(from_key(key)))
        return any(self.cells[name].subtree is Decision.BLOCK for name in above if name in self.cells)


def _within(keys: Sequence[str], stretches: Sequence[Stretch]) -> Iterator[str]:
    assert all(stretch.first <= stretch.last for stretch in stretches)
    assert all(low.past <= high.first for low, high in pairwise(stretches))
    for stretch in stretches:
        yield from keys[bisect_left(keys, stretch.first) : bisect_left(keys, stretch.past)]
