"""Rules kept up by regions, against the full build.

The likeliest bug of a block list is a child that does not come back when its parent is lifted.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from random import Random
from typing import ClassVar

import pytest

from resolver_policy.delta import EMPTY_RULE, Change
from resolver_policy.names import sort_key
from resolver_policy.rules import Cell, Counts, Rule, RuleStore, build, effective, recompute
from resolver_policy.targets import Decision, Match
from tests.policy.scale import Record, scaled, tell
from tests.policy.worlds import LABELS, MemoryStore, random_name

HISTORIES = scaled(900)
STEPS = 150

BLOCK, PASS, NOTHING = Decision.BLOCK, Decision.PASS, Decision.NOTHING
Touched = set[tuple[str, Match]]
Recompute = Callable[[Iterable[tuple[str, Match]], RuleStore, int], Counts]


class History:
    """Targets with their holders, toggled at random; the store beside is kept up by the given function."""

    def __init__(self, seed: int, recompute_rules: Recompute, store: MemoryStore) -> None:
        self.random = Random(seed)
        self.recompute = recompute_rules
        self.store = store
        self.holders: dict[tuple[str, Match], list[Decision]] = {}
        labels = self.random.sample(LABELS, self.random.randint(2, 4))
        self.names = [random_name(self.random, labels, 5) for _ in range(self.random.randint(4, 40))]

    def step(self) -> None:
        touched = {place for _ in range(self.random.choice((1, 1, 1, 2, 5, 12))) for place in self._toggle()}
        before, self.store.written = dict(self.store.rules), []
        counts = self.recompute(touched, self.store, self.random.choice((1, 2, 3, 400)))
        assert self.store.rules == dict(build(sorted(self.store.cells.items()))), "not the full build"
        assert counts == counted(self.store.written)
        assert len({change.key for change in self.store.written}) == len(self.store.written)
        assert all(before.get(change.key, EMPTY_RULE) == change.old for change in self.store.written)

    def _toggle(self) -> Touched:
        """Add or drop a holder; say where a cell's value changed, and now and then where it did not."""
        key = sort_key(self.random.choice(self.names))
        match = self.random.choice(tuple(Match))
        held = self.holders.setdefault((key, match), [])
        if held and self.random.random() < 0.55:
            held.remove(self.random.choice(held))
        else:
            held.append(self.random.choice((BLOCK, BLOCK, PASS)))
        before = self.store.cells.get(key)
        pairs = ((one, decision) for one in Match for decision in self.holders.get((key, one), []))
        self.store.set_cell(key, effective(pairs))
        changed = self.store.cells.get(key) != before
        return {(key, match)} if changed or self.random.random() < 0.1 else set()


def counted(changes: Iterable[Change]) -> Counts:
    kinds = [(change.old == EMPTY_RULE, change.new == EMPTY_RULE) for change in changes]
    return Counts(kinds.count((True, False)), kinds.count((False, True)), kinds.count((False, False)))


def run(recompute_rules: Recompute, store: type[MemoryStore], histories: int) -> int:
    for seed in range(histories):
        history = History(seed, recompute_rules, store())
        for _ in range(STEPS):
            history.step()
    return histories * STEPS


def test_incremental_equals_full_build(record_property: Record) -> None:
    steps = run(recompute, MemoryStore, HISTORIES)
    tell(record_property, incremental_steps=steps, histories=HISTORIES)


def only_the_touched_name(touched: Iterable[tuple[str, Match]], store: RuleStore, batch: int) -> Counts:
    """Planted: the children of a lifted parent, left out while it covered them, do not come back."""
    return recompute(((key, Match.EXACT) for key, _ in touched), store, batch)


class Deaf(MemoryStore):
    """Planted: nodes between a covering block and a rule below are not kept."""

    def has_rule_below(self, key: str) -> bool:
        return not key


@pytest.mark.parametrize(("recompute_rules", "store"), [(only_the_touched_name, MemoryStore), (recompute, Deaf)])
def test_the_same_check_catches_a_planted_bug(recompute_rules: Recompute, store: type[MemoryStore]) -> None:
    with pytest.raises(AssertionError, match="not the full build"):
        run(recompute_rules, store, 10)


def store_of(cells: dict[str, Cell]) -> MemoryStore:
    store = MemoryStore(cells)
    rules = list(build(sorted(cells.items())))
    store.write([Change(key, EMPTY_RULE, rule) for key, rule in rules])
    store.written = []
    return store


def test_children_come_back_when_their_parent_is_lifted() -> None:
    store = store_of({"example.": Cell(NOTHING, BLOCK), "example.child.": Cell(NOTHING, BLOCK)})
    assert store.rules == {"example.": Rule(BLOCK, BLOCK)}
    store.set_cell("example.", Cell(NOTHING, NOTHING))
    assert recompute([("example.", Match.SUBTREE)], store) == Counts(added=1, removed=1, changed=0)
    assert store.rules == {"example.child.": Rule(BLOCK, BLOCK)}


def test_a_second_holder_writes_nothing() -> None:
    store = store_of({"example.a.": Cell(BLOCK, NOTHING)})
    assert recompute([("example.a.", Match.EXACT)], store) == Counts(0, 0, 0)
    assert store.written == []


def test_a_node_between_goes_with_the_last_rule_below_it() -> None:
    cells = {"example.": Cell(NOTHING, BLOCK), "example.mid.deep.": Cell(PASS, NOTHING)}
    store = store_of(cells)
    assert store.rules["example.mid."] == Rule(BLOCK, BLOCK)
    store.set_cell("example.mid.deep.", Cell(NOTHING, NOTHING))
    assert recompute([("example.mid.deep.", Match.EXACT)], store) == Counts(added=0, removed=2, changed=0)
    assert store.rules == {"example.": Rule(BLOCK, BLOCK)}


def test_a_change_of_decision_is_counted_as_changed() -> None:
    store = store_of({"example.": Cell(NOTHING, BLOCK)})
    store.set_cell("example.", Cell(PASS, BLOCK))
    assert recompute([("example.", Match.EXACT)], store) == Counts(added=0, removed=0, changed=1)
    assert store.rules == {"example.": Rule(NOTHING, BLOCK)}


def test_an_exact_toggle_under_a_subtree_block_reads_no_region() -> None:
    class Near(MemoryStore):
        def rules_in(self, roots: Sequence[str]) -> Iterator[tuple[str, Rule]]:
            raise AssertionError(f"read the rules of {roots}")

    store = Near({"example.": Cell(NOTHING, BLOCK), "example.a.": Cell(PASS, NOTHING)})
    assert recompute([("example.a.", Match.EXACT)], store).added == 2


def test_what_lies_in_a_touched_region_is_not_asked_for_again() -> None:
    class Counting(MemoryStore):
        asked: ClassVar[list[str]] = []

        def rules_at(self, keys: Sequence[str]) -> dict[str, Rule]:
            self.asked.extend(keys)
            return super().rules_at(keys)

    cells = {"com.a.": Cell(NOTHING, BLOCK), "com.a.x.y.": Cell(PASS, NOTHING), "com.b.": Cell(NOTHING, BLOCK)}
    touched = [("com.a.", Match.SUBTREE), ("com.a.x.y.", Match.EXACT), ("com.b.", Match.SUBTREE)]
    assert recompute(touched, Counting(cells)).added == 4
    assert Counting.asked == ["com."]


def test_large_changes_come_in_batches() -> None:
    class Counting(MemoryStore):
        asked: ClassVar[list[int]] = []

        def cells_in(self, roots: Sequence[str]) -> Iterator[tuple[str, Cell]]:
            self.asked.append(len(roots))
            return super().cells_in(roots)

    cells = {f"example.n{number:03}.": Cell(NOTHING, BLOCK) for number in range(1000)}
    counts = recompute(((key, Match.SUBTREE) for key in cells), Counting(cells), batch=400)
    assert counts == Counts(added=1000, removed=0, changed=0)
    assert Counting.asked == [400, 400, 200]
