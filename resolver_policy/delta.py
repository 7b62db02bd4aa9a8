"""What differs between two sets of rules: one change a name, in key order."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from resolver_policy.targets import Decision


class Rule(NamedTuple):
    """The records of one name: `own` at the name, `wild` at `*.` and the name. NOTHING: no such record."""

    own: Decision
    wild: Decision


EMPTY_RULE = Rule(Decision.NOTHING, Decision.NOTHING)


class Change(NamedTuple):
    """One name before and after. A name without records is EMPTY_RULE on that side."""

    key: str
    old: Rule
    new: Rule


def compared(old: Iterable[tuple[str, Rule]], new: Iterable[tuple[str, Rule]]) -> Iterator[Change]:
    """Merge two streams, each in ascending key order: every name of either, changed or not."""
    olds, news = iter(old), iter(new)
    left, right = next(olds, None), next(news, None)
    while left is not None or right is not None:
        if right is None or (left is not None and left[0] < right[0]):
            assert left is not None
            change = Change(left[0], left[1], EMPTY_RULE)
            left = next(olds, None)
        elif left is None or right[0] < left[0]:
            change = Change(right[0], EMPTY_RULE, right[1])
            right = next(news, None)
        else:
            change = Change(left[0], left[1], right[1])
            left, right = next(olds, None), next(news, None)
        yield change


def differences(old: Iterable[tuple[str, Rule]], new: Iterable[tuple[str, Rule]]) -> Iterator[Change]:
    """Merge two streams, each in ascending key order, into the changes from one to the other."""
    return (change for change in compared(old, new) if change.old != change.new)


def diff(old: Mapping[str, Rule], new: Mapping[str, Rule]) -> tuple[Change, ...]:
    """Give the changes that turn `old` into `new`, in key order."""
    return tuple(differences(sorted(old.items()), sorted(new.items())))


def apply(rules: dict[str, Rule], changes: Iterable[Change]) -> None:
    """Change `rules` in place; ValueError, and nothing done, when an `old` is not what stands there."""
    changes = tuple(changes)
    for key, old, _ in changes:
        if rules.get(key, EMPTY_RULE) != old:
            raise ValueError(f"change of {key} expects {old}, found {rules.get(key, EMPTY_RULE)}")
    for key, _, new in changes:
        if new == EMPTY_RULE:
            rules.pop(key, None)
        else:
            rules[key] = new


def condense(deltas: Iterable[Iterable[Change]]) -> tuple[Change, ...]:
    """Fold deltas, oldest first, into the one difference between both ends (RFC 1995 section 5)."""
    first: dict[str, Rule] = {}
    last: dict[str, Rule] = {}
    for delta in deltas:
        for key, old, new in delta:
            if last.get(key, old) != old:
                raise ValueError(f"broken chain at {key}: {last[key]} is followed by a change from {old}")
            first.setdefault(key, old)
            last[key] = new
    return tuple(Change(key, first[key], last[key]) for key in sorted(first) if first[key] != last[key])
