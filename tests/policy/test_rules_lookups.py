"""The rules, looked up as four kinds of resolver do, against the definition."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from random import Random

import pytest

from resolver_policy.names import key_ancestors, sort_key
from resolver_policy.rules import Cell, Rule, build
from resolver_policy.targets import Decision, Match, Target, decide
from tests.policy.lookups import MODELS, records
from tests.policy.scale import Record, scaled, tell
from tests.policy.worlds import cells_of, queries, random_targets

pytestmark = pytest.mark.long

SETS = scaled(1000)
QUERIES = 240
EQUIVALENTS = scaled(400)

Build = Callable[[Iterable[tuple[str, Cell]]], Iterable[tuple[str, Rule]]]
BLOCK, PASS, NOTHING = Decision.BLOCK, Decision.PASS, Decision.NOTHING


def compare(build_rules: Build, targets: Sequence[Target], names: Sequence[str]) -> Iterator[str]:
    """Yield one line for each lookup that differs from `decide`."""
    zone = records(build_rules(cells_of(targets)))
    lookups = {model: MODELS[model](zone) for model in MODELS}
    for name in names:
        wanted = decide(name, targets)
        for model, look_up in lookups.items():
            if look_up(name) != wanted:
                yield f"{model} answers {look_up(name).name} for {name}, wanted {wanted.name}: {targets}"


def differences_of(build_rules: Build, seed: int, sets: int) -> tuple[int, list[str]]:
    random, lookups = Random(seed), 0
    found: list[str] = []
    for _ in range(sets):
        targets = random_targets(random)
        names = queries(targets, random, QUERIES)
        lookups += len(names) * len(MODELS)
        found += compare(build_rules, targets, names)
    return lookups, found


def test_every_model_of_lookup_answers_as_decided(record_property: Record) -> None:
    lookups, found = differences_of(build, 20170714, SETS)
    tell(record_property, target_sets=SETS, lookups_in_four_models=lookups)
    assert found == []


def without_wildcard_of_exact_exceptions(cells: Iterable[tuple[str, Cell]]) -> Iterator[tuple[str, Rule]]:
    """Planted: an exact exception below a subtree block, as its own record alone."""
    table = dict(cells)
    for key, rule in build(table.items()):
        alone = key in table and table[key].exact is PASS and table[key].subtree is NOTHING
        yield key, Rule(rule.own, NOTHING) if alone else rule


def without_nodes_between(cells: Iterable[tuple[str, Cell]]) -> Iterator[tuple[str, Rule]]:
    """Planted: only names that have a target."""
    table = dict(cells)
    return ((key, rule) for key, rule in build(table.items()) if key in table)


def pruned_by_nearest_record_only(cells: Iterable[tuple[str, Cell]]) -> Iterator[tuple[str, Rule]]:
    """Planted: a block that any block above it covers is left out, though an exception lies between."""
    table = dict(cells)
    for key, rule in build(table.items()):
        above = [table[name].subtree for name in key_ancestors(key) if name in table]
        if not (rule == Rule(BLOCK, BLOCK) and BLOCK in above):
            yield key, rule


@pytest.mark.parametrize(
    "naive",
    [without_wildcard_of_exact_exceptions, without_nodes_between, pruned_by_nearest_record_only],
)
def test_the_same_check_catches_a_naive_normal_form(naive: Build) -> None:
    _, found = differences_of(naive, 20170714, 200)
    assert found


@pytest.mark.parametrize("model", ["bind", "unbound"])
def test_the_hole_that_resolvers_see_differently(model: str) -> None:
    targets = [
        Target("hole.test", Match.SUBTREE, BLOCK),
        Target("deep.mid.hole.test", Match.EXACT, PASS),
    ]
    names = [
        "x.hole.test",
        "mid.hole.test",
        "y.mid.hole.test",
        "yyyyyy.mid.hole.test",
        "z.deep.mid.hole.test",
    ]
    assert list(compare(build, targets, [*names, "deep.mid.hole.test", "hole.test"])) == []
    naive = "\n".join(compare(without_nodes_between, targets, names))
    assert f"{model} answers PASS" in naive


def test_equal_decisions_give_equal_rules(record_property: Record) -> None:
    random = Random(10082017)
    for _ in range(EQUIVALENTS):
        targets = random_targets(random, 8)
        rules = list(build(cells_of(targets)))
        assert list(build(cells_of(spelt_out(targets)))) == rules
        assert list(build(cells_of(reduced(targets, random)))) == rules
    tell(record_property, pairs_of_equal_decisions=2 * EQUIVALENTS)


def spelt_out(targets: Sequence[Target]) -> list[Target]:
    """Say the same for every node by itself, so that nothing is inherited any more."""
    said = []
    for node in nodes_of(targets):
        said.append(Target(node, Match.EXACT, decide(node, targets)))
        said.append(Target(node, Match.SUBTREE, decide(f"never-drawn.{node}", targets)))
    return said


def reduced(targets: Sequence[Target], random: Random) -> list[Target]:
    """Leave out, in random order, every target that changes no decision."""
    kept = spelt_out(targets)
    asked = [name for node in nodes_of(targets) for name in (node, f"never-drawn.{node}")]
    wanted = [decide(name, targets) for name in asked]
    for target in random.sample(kept, len(kept)):
        fewer = [other for other in kept if other != target]
        if [decide(name, fewer) for name in asked] == wanted:
            kept = fewer
    return kept


def nodes_of(targets: Sequence[Target]) -> list[str]:
    parts = (target.name.split(".") for target in targets)
    return sorted({".".join(labels[at:]) for labels in parts for at in range(len(labels))}, key=sort_key)
