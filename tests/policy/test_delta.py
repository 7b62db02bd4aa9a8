from itertools import pairwise
from random import Random

import pytest

from resolver_policy.delta import EMPTY_RULE, Change, Rule, apply, condense, diff
from resolver_policy.targets import Decision
from tests.policy.scale import scaled

BLOCK, PASS, NOTHING = Decision.BLOCK, Decision.PASS, Decision.NOTHING
ONE, BOTH, OPEN = Rule(BLOCK, NOTHING), Rule(BLOCK, BLOCK), Rule(PASS, BLOCK)


def test_diff_names_what_came_went_and_changed_in_key_order() -> None:
    old = {"a.": ONE, "b.": BOTH, "d.": ONE}
    new = {"d.": OPEN, "c.": BOTH, "b.": BOTH}
    assert diff(old, new) == (
        Change("a.", ONE, EMPTY_RULE),
        Change("c.", EMPTY_RULE, BOTH),
        Change("d.", ONE, OPEN),
    )


def test_equal_sets_do_not_differ() -> None:
    assert diff({"a.": ONE}, {"a.": ONE}) == ()


def test_what_is_added_may_stand_after_or_before_all_else() -> None:
    assert diff({"b.": ONE}, {"b.": ONE, "a.": ONE, "c.": ONE}) == (
        Change("a.", EMPTY_RULE, ONE),
        Change("c.", EMPTY_RULE, ONE),
    )


def test_apply_leads_from_one_to_the_other() -> None:
    rules = {"a.": ONE, "d.": ONE}
    apply(rules, diff(rules, {"c.": BOTH, "d.": OPEN}))
    assert rules == {"c.": BOTH, "d.": OPEN}


def test_apply_refuses_a_change_from_something_else_and_does_nothing() -> None:
    rules = {"a.": ONE}
    with pytest.raises(ValueError, match="change of b"):
        apply(rules, [Change("a.", ONE, BOTH), Change("b.", ONE, EMPTY_RULE)])
    assert rules == {"a.": ONE}


def test_condense_leaves_out_what_went_back() -> None:
    there = [Change("a.", EMPTY_RULE, ONE), Change("b.", ONE, BOTH)]
    back = [Change("a.", ONE, EMPTY_RULE), Change("b.", BOTH, OPEN)]
    assert condense([there, back]) == (Change("b.", ONE, OPEN),)
    assert condense([]) == ()


def test_condense_refuses_a_broken_chain() -> None:
    with pytest.raises(ValueError, match="broken chain at a"):
        condense([[Change("a.", EMPTY_RULE, ONE)], [Change("a.", BOTH, EMPTY_RULE)]])


def test_condensed_histories_equal_the_difference_of_their_ends() -> None:
    random = Random(7)
    for _ in range(scaled(300)):
        versions = [
            {key: random.choice((ONE, BOTH, OPEN)) for key in random.sample("abcdef", random.randint(0, 6))}
            for _ in range(random.randint(2, 8))
        ]
        deltas = [diff(old, new) for old, new in pairwise(versions)]
        assert condense(deltas) == diff(versions[0], versions[-1])
