"""The definition: which of the active targets decides a name.

`decide` is slow and obvious on purpose: it is the oracle for every faster path, and shares no code with them.
"""

from collections.abc import Iterable
from enum import IntEnum, StrEnum
from typing import NamedTuple


class Decision(IntEnum):
    """What holds for a name. NOTHING is the absence of a target, or of a record."""

    NOTHING = 0
    BLOCK = 1
    PASS = 2


class Match(StrEnum):
    """Whether a target means its name alone, or its name and everything below it."""

    EXACT = "exact"
    SUBTREE = "subtree"


class Target(NamedTuple):
    """One active block or exception. `name` is canonical."""

    name: str
    match: Match
    decision: Decision


def decide(name: str, targets: Iterable[Target]) -> Decision:
    """Say BLOCK or PASS for a canonical name; PASS when no target covers it.

    The most specific covering target decides: the longer name first, at the name itself exact before
    subtree, and at equal specificity block.
    """
    best = (-1, False, False)
    for target in targets:
        at_name = target.name == name
        below = target.match is Match.SUBTREE and name.endswith("." + target.name)
        if (at_name or below) and target.decision is not Decision.NOTHING:
            exact = target.match is Match.EXACT
            best = max(best, (len(target.name), exact, target.decision is Decision.BLOCK))
    return Decision.BLOCK if best[2] else Decision.PASS
