"""`urgent` in front of each base that is in use, against the newest release: the same answer for every name there is.

It shares no line with what makes layers. Answers are those of the zones as they are sent, looked up as RFC 4592 section
3.3.1 has it: a name that is there, also for what is below it alone, takes no wildcard from above. So what is looked at
is every name at which, or below which, any of the zones has a record, and a name below it that none of them has. Any
other name is answered like one of these.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from sqlalchemy.orm import Session

from app.fsck.report import Check, Findings, Tick, found, not_checked
from app.publication import layering, zones
from app.publication.models import Release, UrgentSpan
from app.publication.store import rules_of_release
from app.publication.zones import Layer
from resolver_policy import names
from resolver_policy.delta import EMPTY_RULE, Rule
from resolver_policy.layers import CANARY
from resolver_policy.targets import Decision

LAYERS = "layers"
REMEDY = (
    "a resolver that has layers answers otherwise than was decided: take them from its subscriber "
    "(`pulih subscriber change NAME --no-layers`) until the cause is found; `pulih rebase` makes them anew"
)
TOLD_EVERY = 2_000
NOTHING = Decision.NOTHING
CANARY_KEY, PASSED = names.sort_key(CANARY), (Decision.PASS, Decision.PASS)
WORDS = {True: "blocked", False: "not blocked"}


class Node(NamedTuple):
    """A name in all zones at once: what it gets of each, and what a name below it gets that none of them has."""

    key: str
    own: tuple[Decision, ...]
    below: tuple[Decision, ...]


class Records:
    """The records of one zone, in key order."""

    def __init__(self, rules: Iterable[tuple[str, Rule]]) -> None:
        self._rules = iter(rules)
        self.next: tuple[str, Rule] | None = None
        self.step()

    def step(self) -> None:
        """On to the next name that has any."""
        self.next = next(self._rules, None)

    def has(self, key: str) -> bool:
        """Whether a name is there, of those that come from here on: it has records, or something below it does."""
        return self.next is not None and self.next[0].startswith(key)

    def at(self, key: str) -> Rule:
        """The records at a name that is there."""
        return self.next[1] if self.next is not None and self.next[0] == key else EMPTY_RULE


def check(session: Session, tick: Tick) -> Check:
    """Names that a resolver with layers answers otherwise than the newest release says, whichever base it has."""
    newest, bases = zones.head(session), layering.live_releases(session)
    served = {} if newest is None else _bases_served(session, newest)
    if newest is None or not served:
        return not_checked(LAYERS, "no zone is published in layers")
    findings, count, has_canary = Findings(), 0, False
    for zone, base in served.items():
        if base not in bases:
            findings.add(f"zone {zone}", f"is the base of release {base}, for which `urgent` does not make up")
    urgent = rules_of_release(session, newest.id, table=UrgentSpan)
    head = _told(rules_of_release(session, newest.id), tick)
    behind = (rules_of_release(session, each) for each in bases)
    for node in nodes([Records(rules) for rules in (urgent, head, *behind)]):
        count += 1
        has_canary |= node.key == CANARY_KEY and (node.own[0], node.below[0]) == PASSED
        for base, why in _wrong(node, bases):
            findings.add(names.from_key(node.key), f"{why} by `urgent` in front of the base of release {base}")
    if not has_canary:
        findings.add(CANARY, "does not pass in `urgent`: nobody can see any more whether a resolver reads passes")
    said = f"{count:,} names are answered as release {newest.id} says, by {len(bases)} bases with `urgent`"
    return found(LAYERS, findings, said, REMEDY)


def _bases_served(session: Session, newest: Release) -> dict[str, int]:
    """The zones that are bases, and the release that each has the rules of."""
    of_layers = [zone for zone in layering.published(session) if zones.layer_of(zone.name) is Layer.BASE]
    at = {zone.name: zones.at_release(session, zone, newest.id) for zone in of_layers}
    return {name: serial.release_id for name, serial in at.items() if serial is not None}


def nodes(records: Sequence[Records]) -> Iterator[Node]:
    """Every name at which, or below which, any of some zones has a record, in key order."""
    path = [Node("", (NOTHING,) * len(records), (NOTHING,) * len(records))]
    while keys := [each.next[0] for each in records if each.next is not None]:
        key = min(keys)
        while not key.startswith(path[-1].key):
            path.pop()
        missing = [name for name in reversed(names.key_ancestors(key)) if len(name) > len(path[-1].key)]
        for name in (*missing, key):
            path.append(_node(name, path[-1], records))
            yield path[-1]
        for each in records:
            if each.next is not None and each.next[0] == key:
                each.step()


def _told(rules: Iterable[tuple[str, Rule]], tick: Tick) -> Iterator[tuple[str, Rule]]:
    for count, rule in enumerate(rules, start=1):
        yield rule
        if not count % TOLD_EVERY:
            tick(TOLD_EVERY)


def _node(key: str, above: Node, records: Sequence[Records]) -> Node:
    own, below = [], []
    for each, inherited in zip(records, above.below, strict=True):
        rule = each.at(key) if each.has(key) else Rule(inherited, inherited)
        own.append(rule.own)
        below.append(rule.wild)
    return Node(key, tuple(own), tuple(below))


def _wrong(node: Node, bases: Sequence[int]) -> Iterator[tuple[int, str]]:
    """Of which bases the answer is another one than it should be, and how."""
    for what, (urgent, head, *others) in (("", node.own), ("names below it are ", node.below)):
        wanted = head is Decision.BLOCK
        for base, decision in zip(bases, others, strict=True):
            answered = (urgent or decision) is Decision.BLOCK
            if answered != wanted:
                yield base, f"{what}{WORDS[answered]}, decided {WORDS[wanted]},"
