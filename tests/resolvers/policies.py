"""Many small policies side by side in one zone, with names to ask about and what the definition says of them."""

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from resolver_policy.names import ancestors, from_key, sort_key
from resolver_policy.rules import build
from resolver_policy.targets import Decision, Match, Target, decide
from tests.policy.worlds import cells_of, queries, random_targets
from tests.policy.zones import Rules

LONG = ".".join(["x" * 63, "y" * 63, "z" * 63, "w" * 41])
"""As long as a name below block.rpz may be, once `.example` follows."""

HOSTILE = (
    LONG,
    "1.2.3.4",
    "0",
    "127",
    "_dmarc._tcp",
    "_",
    "-",
    "-a-",
    "a--b",
    "xn--bcher-kva",
    "xn--p1ai",
    "xn--a",
    "local",
    "localhost",
    "in-addr.arpa",
    "server",
    "include",
)


class Question(NamedTuple):
    """A name, what holds for it, and the rules at it and above it, nearest first."""

    name: str
    blocked: bool
    rules: tuple[tuple[str, bool, bool], ...]


class Policy(NamedTuple):
    """The rules of a zone and what to ask about it."""

    rules: Rules
    questions: tuple[Question, ...]


def made(count: int, asked: int, seed: int = 1) -> Policy:
    """Draw `count` policies, each below a name of its own, `asked` questions each, and one of hostile names.

    Whatever has a rule is asked about too.
    """
    random = Random(seed)
    rules: Rules = {}
    questions: list[Question] = []
    for number in range(count):
        targets = [Target(f"{each.name}.p{number}.example", *each[1:]) for each in random_targets(random)]
        near = {name for name in queries(targets, random, asked) if f".{name}".endswith(f".p{number}.example")}
        _add(rules, questions, targets, near)
    hostile = [
        Target(f"{name}.example", match, Decision.BLOCK)
        for name, match in zip(HOSTILE, [Match.SUBTREE, Match.EXACT] * len(HOSTILE), strict=False)
    ]
    below = [f"q.{target.name}" for target in hostile]
    _add(rules, questions, hostile, {*below, *(target.name for target in hostile)})
    return Policy(rules, tuple(questions))


def _add(rules: Rules, questions: list[Question], targets: list[Target], asked: set[str]) -> None:
    own = dict(build(cells_of(targets)))
    assert not own.keys() & rules.keys()
    rules.update(own)
    for name in sorted(asked.union(map(from_key, own))):
        blocked = decide(name, targets) is Decision.BLOCK
        questions.append(Question(name, blocked, tuple(_rules_above(own, name))))


def _rules_above(rules: Rules, name: str) -> Iterator[tuple[str, bool, bool]]:
    for each in (name, *ancestors(name)):
        rule = rules.get(sort_key(each))
        if rule is not None:
            yield each, rule.own is Decision.BLOCK, rule.wild is Decision.BLOCK
