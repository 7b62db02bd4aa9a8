"""What a release blocks anew must be what was decided; what comes back under a lifted parent was blocked before."""

from collections.abc import Mapping, Sequence
from random import Random

import pytest

from resolver_policy.accounting import Acts, Look, unaccounted
from resolver_policy.delta import Rule, diff
from resolver_policy.names import sort_key
from resolver_policy.rules import build
from resolver_policy.targets import Decision, Match, Target
from tests.policy.scale import Record, scaled, seeded, tell
from tests.policy.worlds import cells_of, random_name

BLOCK, PASS = Decision.BLOCK, Decision.PASS
HISTORIES = 300
LABELS = ("a", "b", "zz")

Rules = Mapping[str, Rule]


def target(text: str) -> Target:
    """`name`, `*.name` with everything below it, `+name` an exception."""
    name = text.removeprefix("+").removeprefix("*.")
    return Target(name, Match.SUBTREE if "*." in text else Match.EXACT, PASS if text.startswith("+") else BLOCK)


def rules_of(targets: Sequence[Target]) -> Rules:
    return dict(build(cells_of(targets)))


def acts_of(before: Sequence[Target], after: Sequence[Target]) -> Acts:
    """The acts by which more may be blocked: blocks that began, exceptions that ended."""
    began = [each for each in after if each not in before and each.decision is BLOCK]
    ended = [each for each in before if each not in after and each.decision is PASS]
    return Acts.of((sort_key(each.name), each.match) for each in (*began, *ended))


def looking_in(rules: Rules) -> Look:
    return lambda keys: {key: rules[key] for key in keys if key in rules}


def found(old: Rules, new: Rules, acts: Acts) -> list[str]:
    return [change.key for change in unaccounted(diff(old, new), acts, looking_in(old), looking_in(new))]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "a.example"),
        ("", "*.a.example"),
        ("a.example", ""),
        ("*.a.example b.a.example *.c.a.example", "b.a.example *.c.a.example"),
        ("*.a.example +b.a.example", "*.a.example"),
        ("*.a.example +b.a.example c.b.a.example", "*.a.example c.b.a.example"),
        ("*.a.example +*.b.a.example", "*.a.example"),
        ("*.a.example +*.b.a.example +c.b.a.example", "*.a.example +c.b.a.example"),
        ("*.a.example", "*.a.example +x.y.a.example"),
        ("+*.b.a.example *.a.example", "+*.b.a.example *.a.example c.b.a.example"),
    ],
)
def test_what_acts_do_is_accounted_for(before: str, after: str) -> None:
    old, new = ([target(each) for each in text.split()] for text in (before, after))

    assert found(rules_of(old), rules_of(new), acts_of(old, new)) == []


@pytest.mark.parametrize(
    ("before", "after", "unexplained"),
    [
        ("", "a.example", ["example.a."]),
        ("a.example", "*.a.example", ["example.a."]),
        ("*.a.example +b.a.example", "*.a.example", ["example.a.b."]),
        ("+*.b.a.example *.a.example", "*.a.example", ["example.a.b."]),
    ],
)
def test_what_no_act_does_is_found(before: str, after: str, unexplained: list[str]) -> None:
    old, new = (rules_of([target(each) for each in text.split()]) for text in (before, after))

    assert found(old, new, Acts.of([("example.other.", Match.SUBTREE)])) == unexplained


def test_an_exact_act_does_not_account_for_what_lies_below() -> None:
    old, new = rules_of([]), rules_of([target("*.a.example")])

    assert found(old, new, Acts.of([("example.a.", Match.EXACT)])) == ["example.a."]
    assert found(old, new, Acts.of([("example.a.", Match.SUBTREE)])) == []


def a_target(random: Random) -> Target:
    name = f"{random_name(random, LABELS, 3)}.example"
    return Target(name, random.choice(tuple(Match)), random.choice([BLOCK, BLOCK, PASS]))


def test_random_histories_are_accounted_for_and_one_planted_block_is_found(record_property: Record) -> None:
    random, planted = seeded("accounting"), 0
    for _ in range(scaled(HISTORIES)):
        before = [a_target(random) for _ in range(random.randint(0, 8))]
        after = [each for each in before if random.random() < 0.7] + [a_target(random) for _ in range(3)]
        old, new, acts = rules_of(before), rules_of(after), acts_of(before, after)
        assert found(old, new, acts) == []
        extra = Target(f"planted.{random_name(random, LABELS, 1)}.example", Match.EXACT, BLOCK)
        spoilt = rules_of([*after, extra])
        key = sort_key(extra.name)
        if not acts.reach(key) and rules_of([*before, extra]) != old:
            assert key in found(old, spoilt, acts)
            planted += 1
    tell(record_property, histories=scaled(HISTORIES), planted=planted)
    assert planted
