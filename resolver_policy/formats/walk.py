"""Rules one after the other, and what the names above a name say of it."""

from collections.abc import Iterator
from typing import Generic, NamedTuple, TypeVar

from resolver_policy.delta import EMPTY_RULE
from resolver_policy.formats.format import Contents, Holder
from resolver_policy.names import from_key
from resolver_policy.targets import Decision, Match
from resolver_policy.wire import checked

Said = TypeVar("Said")


class Entry(NamedTuple):
    """A rule as formats need it: is the name itself blocked, are the names below it?

    In the normal form of rules a record that is not there means open: only what no block covers goes without.
    """

    key: str
    name: str
    own: bool
    below: bool


def entries(contents: Contents) -> Iterator[Entry]:
    """Give every rule that has records.

    Raises what `wire.checked` raises for a name that must not be in a zone, ValueError for keys out of order.
    """
    longest, last = contents.zone.longest_key, ""
    for key, rule in contents.rules:
        if key <= last:
            raise ValueError(f"rules out of order: {key!r} after {last!r}")
        last = key
        if rule != EMPTY_RULE:
            name = from_key(checked(key, longest))
            yield Entry(key, name, rule.own == Decision.BLOCK, rule.wild == Decision.BLOCK)


class Path(Generic[Said]):
    """What was said of the names below each name above the current one; keys come in ascending order.

    Memory is bound by the depth of names.
    """

    def __init__(self, *, root: Said) -> None:
        self._stack = [("", root)]

    def above(self, key: str) -> Said:
        """Tell what the nearest name at or above `key` that was entered says."""
        while not key.startswith(self._stack[-1][0]):
            self._stack.pop()
        return self._stack[-1][1]

    def enter(self, key: str, *, said: Said) -> None:
        """Note what holds below `key` from now on; `above(key)` has been asked."""
        self._stack.append((key, said))


def deciding(contents: Contents) -> Iterator[Holder]:
    """Give the holders that the rules bear out: what an order blocks is blocked, what one keeps open is open.

    So a target that is approved and not yet published is left out, and so is an exception that a block outranks.
    Raises what `entries` raises, for holders too.
    """
    rest = entries(contents)
    rule = next(rest, None)
    path, here = Path(root=False), ("", False)
    longest, last = contents.zone.longest_key, ""
    for holder in contents.holders:
        key = checked(holder.key, longest)
        if key < last:
            raise ValueError(f"holders out of order: {key!r} after {last!r}")
        last = key
        while rule is not None and rule.key <= key:
            path.above(rule.key)
            path.enter(rule.key, said=rule.below)
            here = (rule.key, rule.own)
            rule = next(rest, None)
        blocked = path.above(key)
        if holder.match is Match.EXACT and here[0] == key:
            blocked = here[1]
        if blocked == (holder.decision is Decision.BLOCK):
            yield holder
