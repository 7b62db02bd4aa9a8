"""Rules one after the other, and what the names above a name say of it."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from resolver_policy.delta import Rule
from resolver_policy.formats.format import Contents, Holder
from resolver_policy.names import from_key
from resolver_policy.targets import Decision, Match
from resolver_policy.wire import Zone, checked


class Entry(NamedTuple):
    """A rule as formats need it: is the name itself blocked, are the names below it?

    In the normal form of rules a record that is not there means open: only what no block covers goes without.
    """

    key: str
    name: str
    own: bool
    below: bool
    rule: Rule


def entries(zone: Zone, rules: Iterable[tuple[str, Rule]]) -> Iterator[Entry]:
    """Give every rule that has records.

    Raises what `wire.checked` raises for a name that must not be in a zone, ValueError for keys out of order.
    """
    longest, block, last = zone.longest_key, Decision.BLOCK, ""
    for key, rule in rules:
        if key <= last:
            raise ValueError(f"rules out of order: {key!r} after {last!r}")
        last = key
        own, wild = rule
        if own or wild:
            yield Entry(key, from_key(checked(key, longest)), own == block, wild == block, rule)


class Path:
    """What was said of the names below each name above the current one; keys come in ascending order.

    Each format has its own numbers for what it says; 0 is what holds where nothing was said. Memory is bound by the
    depth of names.
    """

    def __init__(self) -> None:
        self._stack = [("", 0)]

    def above(self, key: str) -> int:
        """Tell what the nearest name at or above `key` that was entered says."""
        while not key.startswith(self._stack[-1][0]):
            self._stack.pop()
        return self._stack[-1][1]

    def enter(self, key: str, *, said: int) -> None:
        """Note what holds below `key` from now on; `above(key)` has been asked."""
        self._stack.append((key, said))

    def dump(self) -> bytes:
        """Write down all that it can still tell."""
        return "".join([f"{said:d} {key}\n" for key, said in self._stack[1:]]).encode("ascii")

    @classmethod
    def load(cls, state: bytes) -> "Path":
        """Read back what `dump` gave."""
        path = cls()
        for line in state.decode("ascii").splitlines():
            said, _, key = line.partition(" ")
            path.enter(key, said=int(said))
        return path


def deciding(contents: Contents) -> Iterator[Holder]:
    """Give the holders that the rules bear out: what an order blocks is blocked, what one keeps open is open.

    So a target that is approved and not yet published is left out, and so is an exception that a block outranks.
    Raises what `entries` raises, for holders too.
    """
    rest = entries(contents.zone, contents.rules)
    rule = next(rest, None)
    path, here = Path(), ("", False)
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
        blocked = bool(path.above(key))
        if holder.match is Match.EXACT and here[0] == key:
            blocked = here[1]
        if blocked == (holder.decision is Decision.BLOCK):
            yield holder
