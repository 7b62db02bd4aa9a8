"""Whether what a release blocks anew is what was decided: each name that was open and is not any more must be covered
by a target of an act that blocks (an order that begins, an exception that ends)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from resolver_policy.delta import EMPTY_RULE, Change, Rule
from resolver_policy.names import key_ancestors
from resolver_policy.targets import Decision, Match

BLOCK, PASS = Decision.BLOCK, Decision.PASS

Look = Callable[[Sequence[str]], Mapping[str, Rule]]
"""Finds the rules of keys; a key without a rule is absent."""


@dataclass(frozen=True, slots=True)
class Acts:
    """Keys of the targets by which more is blocked than before."""

    names: frozenset[str]
    subtrees: frozenset[str]

    @classmethod
    def of(cls, targets: Iterable[tuple[str, Match]]) -> "Acts":
        """Those of targets, whatever their match; a subtree's own name is covered as well."""
        pairs = tuple(targets)
        return cls(frozenset(key for key, _ in pairs), frozenset(key for key, match in pairs if match is Match.SUBTREE))

    def reach(self, key: str) -> bool:
        """Whether a name is the root of one of the subtrees, or below one."""
        return key in self.subtrees or any(above in self.subtrees for above in key_ancestors(key))

    def account_for(self, key: str, old: Rule, new: Rule) -> bool:
        """Whether what a name, and all below it, get now and did not get before is accounted for."""
        if self.reach(key):
            return True
        return not (new.wild == BLOCK != old.wild) and (key in self.names or not new.own == BLOCK != old.own)


def unaccounted(changes: Iterable[Change], acts: Acts, before: Look, after: Look) -> list[Change]:
    """The changes by which something is blocked that was open before, and that no act accounts for.

    `before` and `after` find rules as they stood without the changes, and as they stand with them. Children that come
    back with the lift of a parent were blocked before, so they need no account.
    """
    suspects = [each for each in changes if may_block(each) and not acts.account_for(each.key, *_at_worst(each))]
    if not suspects:
        return []
    keys = [change.key for change in suspects]
    old, new = _said(keys, before), _said(keys, after)
    return [change for change in suspects if not acts.account_for(change.key, old[change.key], new[change.key])]


def may_block(change: Change) -> bool:
    """Whether something may be blocked with a change that was not before, as far as its rules alone tell."""
    _, old, new = change
    gains = (new.own == BLOCK != old.own) or (new.wild == BLOCK != old.wild)
    return gains or (new == EMPTY_RULE and PASS in old)


def _at_worst(change: Change) -> tuple[Rule, Rule]:
    """What a change would be if it blocked all that its rules do not tell."""
    _, old, new = change
    return old, (Rule(BLOCK, BLOCK) if new == EMPTY_RULE else new)


def _said(keys: Sequence[str], look: Look) -> dict[str, Rule]:
    """What each name and all below it get: by its own rule, else by the wildcard of the nearest name above."""
    above = {key: key_ancestors(key) for key in keys}
    rules = look(sorted({*keys, *(each for some in above.values() for each in some)}))
    return {key: rules.get(key) or _inherited(above[key], rules) for key in keys}


def _inherited(above: Sequence[str], rules: Mapping[str, Rule]) -> Rule:
    wild = next((rules[key].wild for key in above if key in rules), PASS)
    return Rule(wild, wild)
