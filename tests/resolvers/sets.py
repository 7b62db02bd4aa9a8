"""Hundreds of target sets side by side in one zone, changing over generations, and the orders that make them so.

Each set has a name of its own below `example`, so none touches another. Each target stands from one generation until
another; an order carries targets of one span, so it is approved when they begin and lifted when they end.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any, NamedTuple

from resolver_policy.targets import Decision, Match, Target, decide
from tests.installation import order
from tests.policy.worlds import queries, random_targets

LAST = 3
"""The last generation; the first is 0."""

NEVER = LAST + 1

SPANS = ((0, NEVER), *((0, end) for end in range(1, NEVER)), *((begin, NEVER) for begin in range(1, NEVER)))
WEIGHTS = (24, *(1 for _ in SPANS[1:]))
"""Few change, or the increments would be so large that whole zones are sent instead."""

MOST = 500
"""Targets in one order."""


class Span(NamedTuple):
    """Generations from `begin` up to, but not at, `end`."""

    begin: int
    end: int


class TargetSet(NamedTuple):
    """Targets with the generations in which they are active, and names to ask about."""

    targets: tuple[tuple[Target, Span], ...]
    asked: tuple[str, ...]

    def active(self, generation: int) -> list[Target]:
        return [target for target, span in self.targets if span.begin <= generation < span.end]

    def expected(self, generation: int) -> dict[str, bool]:
        """Whether each name is blocked, by the definition."""
        active = self.active(generation)
        return {name: decide(name, active) is Decision.BLOCK for name in self.asked}


class Change(NamedTuple):
    """An order of one span, as it is proposed."""

    span: Span
    body: dict[str, Any]


def drawn(count: int, asked: int, seed: int) -> list[TargetSet]:
    """Draw target sets, each with about `asked` names besides those of its targets."""
    random = Random(seed)
    return [_drawn(random, f"s{number}.example", asked) for number in range(count)]


def _drawn(random: Random, parent: str, asked: int) -> TargetSet:
    relative = random_targets(random)
    names = {target.name for target in relative}.union(queries(relative, random, asked))
    targets = [target._replace(name=f"{target.name}.{parent}") for target in relative]
    blocks = {target[:2] for target in targets if target.decision is Decision.BLOCK}
    # An exception beside a block of equal specificity does nothing, and its order would be refused.
    useful = [each for each in targets if each.decision is Decision.BLOCK or each[:2] not in blocks]
    spans = [Span(*span) for span in random.choices(SPANS, WEIGHTS, k=len(useful))]
    return TargetSet(
        tuple(dict.fromkeys(zip(useful, spans, strict=True))), (parent, *(f"{name}.{parent}" for name in sorted(names)))
    )


def orders(sets: Sequence[TargetSet]) -> list[Change]:
    """The orders that make all sets so, in the order of their generations; blocks before exceptions."""
    return list(_orders(sets))


def _orders(sets: Sequence[TargetSet]) -> Iterator[Change]:
    groups: dict[tuple[Span, Decision], list[tuple[str, str]]] = defaultdict(list)
    for each in sets:
        for (name, match, decision), span in each.targets:
            groups[span, decision].append((name, match.value))
    number = 0
    for (span, decision), targets in sorted(groups.items()):
        for at in range(0, len(targets), MOST):
            number += 1
            body = order(f"SET-{number}", *targets[at : at + MOST])
            if decision is Decision.PASS:
                body |= {"kind": "exception"}
            yield Change(span, body)


def mark(generation: int) -> str:
    """A name that is blocked from a generation on, by the last order of it."""
    return f"generation-{generation}.mark.example"


def mark_order(generation: int) -> dict[str, Any]:
    return order(f"MARK-{generation}", (mark(generation), Match.EXACT.value))
