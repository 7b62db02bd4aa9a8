"""How four kinds of resolver look a name up in a policy zone, each written from what that resolver does.

`otherwise` is what they say where no rule of the zone is about a name.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable

from resolver_policy.names import from_key
from resolver_policy.rules import Rule
from resolver_policy.targets import Decision

Labels = tuple[str, ...]  # the root's side first
Lookup = Callable[[str], Decision]


def records(rules: Iterable[tuple[str, Rule]]) -> dict[Labels, Decision]:
    """Write rules out as the records of a zone."""
    zone: dict[Labels, Decision] = {}
    for key, rule in rules:
        labels = labels_of(from_key(key))
        if rule.own is not Decision.NOTHING:
            zone[labels] = rule.own
        if rule.wild is not Decision.NOTHING:
            zone[*labels, "*"] = rule.wild
    return zone


def labels_of(name: str) -> Labels:
    return tuple(reversed(name.split(".")))


def bind(zone: dict[Labels, Decision], otherwise: Decision = Decision.PASS) -> Lookup:
    """Closest encloser (RFC 4592): a name that exists, even without a record, hides the wildcard above."""
    nodes = {owner[:depth] for owner in zone for depth in range(len(owner) + 1)}

    def look_up(name: str) -> Decision:
        labels = labels_of(name)
        if labels in nodes:
            return zone.get(labels, otherwise)
        encloser = labels
        while encloser and encloser not in nodes:
            encloser = encloser[:-1]
        return zone.get((*encloser, "*"), otherwise)

    return look_up


def powerdns(zone: dict[Labels, Decision], otherwise: Decision = Decision.PASS) -> Lookup:
    """Label by label towards the root: the nearest wildcard."""

    def look_up(name: str) -> Decision:
        labels = labels_of(name)
        if labels in zone:
            return zone[labels]
        for depth in range(len(labels) - 1, 0, -1):
            if (*labels[:depth], "*") in zone:
                return zone[*labels[:depth], "*"]
        return otherwise

    return look_up


def unbound(zone: dict[Labels, Decision], otherwise: Decision = Decision.PASS) -> Lookup:
    """The neighbour before the query, by label length first; the wildcard of the ancestor both share."""
    tree = sorted((_by_length(owner), owner) for owner in zone)

    def look_up(name: str) -> Decision:
        labels = labels_of(name)
        if labels in zone:
            return zone[labels]
        at = bisect_left(tree, (_by_length(labels), labels))
        neighbour = tree[at - 1][1] if at else ()
        shared = 0
        while shared < min(len(neighbour), len(labels)) and neighbour[shared] == labels[shared]:
            shared += 1
        return zone.get((*labels[:shared], "*"), otherwise)

    return look_up


def _by_length(labels: Labels) -> tuple[tuple[int, str], ...]:
    return tuple((len(label), label) for label in labels)


def stopping(zone: dict[Labels, Decision], otherwise: Decision = Decision.PASS) -> Lookup:
    """Label by label towards the root, but a name with a record of its own ends the search."""

    def look_up(name: str) -> Decision:
        labels = labels_of(name)
        if labels in zone:
            return zone[labels]
        for depth in range(len(labels) - 1, 0, -1):
            if (*labels[:depth], "*") in zone:
                return zone[*labels[:depth], "*"]
            if labels[:depth] in zone:
                return otherwise
        return otherwise

    return look_up


def in_turn(first: Lookup, second: Lookup) -> Lookup:
    """Two zones, the first match wins; `first` says NOTHING where it has none."""
    return lambda name: first(name) or second(name)


MODELS = {"bind": bind, "powerdns": powerdns, "unbound": unbound, "stopping": stopping}
