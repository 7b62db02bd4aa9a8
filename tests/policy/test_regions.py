"""Rules kept up by regions, against the full build.

The likeliest bug of a block list is a child that does not come back when its parent is lifted.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import pairwise
from random import Random

import pytest

from resolver_policy import rules
from resolver_policy.delta import EMPTY_RULE, Change
from resolver_policy.names import sort_key
from resolver_policy.rules import Cell, Rule, Stretch, build, effective
from resolver_policy.targets import Decision, Match
from tests.policy.scale import Record, scaled, tell
from tests.policy.worlds import LABELS, MemoryStore, random_name

HISTORIES = scaled(125)
STEPS = 150

BLOCK, PASS, NOTHING = Decision.BLOCK, Decision.PASS, Decision.NOTHING
Touched = Collection[tuple[str, Match]]
Recompute = Callable[[Touched, MemoryStore, int], None]


def recompute(touched: Touched, store: MemoryStore, batch: int = 400) -> None:
    for changes in rules.recompute(sorted(touched), store, batch):
        if changes:
            store.write(changes)


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
        self.recompute(touched, self.store, self.random.choice((1, 2, 3, 400)))
        assert self.store.rules == dict(build(sorted(self.store.cells.items()))), "not the full build"
        assert len({change.key for change in self.store.written}) == len(self.store.written)
        assert all(before.get(change.key, EMPTY_RULE) == change.old for change in self.store.written)

    def _toggle(self) -> set[tuple[str, Match]]:
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


def run(recompute_rules: Recompute, store: type[MemoryStore], histories: int) -> int:
    for seed in range(histories):
        history = History(seed, recompute_rules, store())
        for _ in range(STEPS):
            history.step()
    return histories * STEPS


@pytest.mark.long
def test_incremental_equals_full_build(record_property: Record) -> None:
    steps = run(recompute, MemoryStore, HISTORIES)
    tell(record_property, incremental_steps=steps, histories=HISTORIES)


def test_a_region_written_in_portions_equals_the_full_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "PORTION", 2)
    run(recompute, MemoryStore, scaled(20))


def test_names_that_lie_close_are_read_in_one_piece_and_equal_the_full_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of two or three names, some with little between them and some with much."""
    pieces: list[Stretch] = []

    class Watched(MemoryStore):
        def rules_in(self, stretches: Sequence[Stretch]) -> Iterator[tuple[str, Rule]]:
            pieces.extend(stretch for stretch in stretches if stretch.first != stretch.last)
            return super().rules_in(stretches)

    monkeypatch.setattr(rules, "ENOUGH", 2)
    for run_length in (2, 3, 5):
        monkeypatch.setattr(rules, "RUN", run_length)
        run(recompute, Watched, scaled(12))

    assert len(pieces) > scaled(100)


def only_the_touched_name(touched: Touched, store: MemoryStore, batch: int) -> None:
    """Planted: the children of a lifted parent, left out while it covered them, do not come back."""
    recompute([(key, Match.EXACT) for key, _ in touched], store, batch)


def all_at_the_end(touched: Touched, store: MemoryStore, batch: int) -> None:
    """Planted: nothing is written before everything is known."""
    for changes in list(rules.recompute(sorted(touched), store, batch)):
        if changes:
            store.write(changes)


class Deaf(MemoryStore):
    """Planted: nodes between a covering block and a rule below are not kept."""

    def has_rule_below(self, key: str) -> bool:
        return not key


@pytest.mark.parametrize(
    ("recompute_rules", "store"),
    [(only_the_touched_name, MemoryStore), (all_at_the_end, MemoryStore), (recompute, Deaf)],
)
def test_the_same_check_catches_a_planted_bug(recompute_rules: Recompute, store: type[MemoryStore]) -> None:
    with pytest.raises((AssertionError, ValueError), match=r"not the full build|expects Rule"):
        run(recompute_rules, store, 10)


def store_of(cells: dict[str, Cell]) -> MemoryStore:
    store = MemoryStore(cells)
    store.write([Change(key, EMPTY_RULE, rule) for key, rule in build(sorted(cells.items()))])
    store.written = []
    return store


def test_children_come_back_when_their_parent_is_lifted() -> None:
    store = store_of({"example.": Cell(NOTHING, BLOCK), "example.child.": Cell(NOTHING, BLOCK)})
    assert store.rules == {"example.": Rule(BLOCK, BLOCK)}
    store.set_cell("example.", Cell(NOTHING, NOTHING))
    recompute([("example.", Match.SUBTREE)], store)
    assert store.rules == {"example.child.": Rule(BLOCK, BLOCK)}


def test_a_second_holder_writes_nothing() -> None:
    store = store_of({"example.a.": Cell(BLOCK, NOTHING)})
    recompute([("example.a.", Match.EXACT)], store)
    assert store.written == []


def test_a_node_between_goes_with_the_last_rule_below_it() -> None:
    cells = {"example.": Cell(NOTHING, BLOCK), "example.mid.deep.": Cell(PASS, NOTHING)}
    store = store_of(cells)
    assert store.rules["example.mid."] == Rule(BLOCK, BLOCK)
    store.set_cell("example.mid.deep.", Cell(NOTHING, NOTHING))
    recompute([("example.mid.deep.", Match.EXACT)], store)
    assert store.rules == {"example.": Rule(BLOCK, BLOCK)}


def test_a_change_of_decision_is_one_change_of_the_name() -> None:
    store = store_of({"example.": Cell(NOTHING, BLOCK)})
    store.set_cell("example.", Cell(PASS, BLOCK))
    recompute([("example.", Match.EXACT)], store)
    assert store.written == [Change("example.", Rule(BLOCK, BLOCK), Rule(NOTHING, BLOCK))]
    assert store.rules == {"example.": Rule(NOTHING, BLOCK)}


def test_an_exact_toggle_under_a_subtree_block_reads_no_region() -> None:
    class Near(MemoryStore):
        def rules_in(self, stretches: Sequence[Stretch]) -> Iterator[tuple[str, Rule]]:
            raise AssertionError(f"read the rules of {stretches}")

    store = Near({"example.": Cell(NOTHING, BLOCK), "example.a.": Cell(PASS, NOTHING)})
    recompute([("example.a.", Match.EXACT)], store)
    assert set(store.rules) == {"example.", "example.a."}


class Counting(MemoryStore):
    """Notes how many stretches were asked for at a time."""

    def __init__(self, cells: dict[str, Cell]) -> None:
        super().__init__(cells)
        self.asked: list[int] = []

    def cells_in(self, stretches: Sequence[Stretch]) -> Iterator[tuple[str, Cell]]:
        self.asked.append(len(stretches))
        return super().cells_in(stretches)


def many_subtrees() -> dict[str, Cell]:
    return {f"example.n{number:03}.": Cell(NOTHING, BLOCK) for number in range(1000)}


def test_large_changes_come_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "CLOSE", 0)
    store = Counting(many_subtrees())
    recompute([(key, Match.SUBTREE) for key in store.cells], store, batch=400)
    assert len(store.rules) == 1000
    assert store.asked == [400, 400, 200]


def test_large_changes_of_names_that_lie_close_come_in_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "RUN", 300)
    store = Counting(many_subtrees())
    recompute([(key, Match.SUBTREE) for key in store.cells], store, batch=400)
    assert len(store.rules) == 1000
    assert store.asked == [1, 1, 1, 1]


def test_a_step_ends_even_where_many_names_ask_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "RUN", 10)
    touched = sorted((f"example.n{number:03}.", Match.SUBTREE) for number in range(100))
    read = []

    class Noting(list[tuple[str, Match]]):
        def __reversed__(self) -> Iterator[tuple[str, Match]]:
            for row in super().__reversed__():
                read.append(row)
                yield row

    steps = rules.recompute(Noting(touched), MemoryStore(), batch=400)
    seen = [len(read) for _ in steps]

    assert max(later - earlier for earlier, later in pairwise(seen)) <= 10
