"""The policy in two zones: `urgent`, which a resolver asks first, and behind it `base`, an earlier state of the policy.

`base` rarely changes. `urgent` holds what makes the pair answer as the head does, whichever of the bases still in use
(the live ones) a resolver has. A mere difference of rules would not: what stands below a name whose subtree changed
may have the same rule in both and be hidden, in `urgent`, by the wildcard of that name. So of every topmost name below
which something else holds than in some live base (a region) `urgent` repeats all that the head says there, with the
nodes between; any other name of which something else holds is there alone, without a wildcard. Passes are explicit.

What holds for names is read back from the rules: in the normal form (`resolver_policy.rules`) a record at a name
decides, or the nearest wildcard above it; and the rule of a region's root, as of a name that stands alone, has always
changed. Names are sort keys here, as in `resolver_policy.rules`.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice, takewhile
from typing import NamedTuple, Protocol

from resolver_policy.delta import EMPTY_RULE, Change, Rule, compared
from resolver_policy.names import key_ancestors
from resolver_policy.targets import Decision

BASE, URGENT = "base.", "urgent."
"""What stands in front of a zone's name in those of its layers."""

CANARY = "canary.pulih.example"
"""A name of our own that no order can block. `urgent` always passes it, so that whoever asks for it sees whether a
resolver reads passes as they are meant."""

PORTION = 12_000
"""The most names of a region that one step may compare, however large the region is."""

NOTHING, PASS = Decision.NOTHING, Decision.PASS

Sides = tuple[Rule, ...]
"""The rules of one name: that of the head, then that of each live base; EMPTY_RULE where it has none."""


class LayerStore(Protocol):
    """Where the rules of the head and of the live bases are read, and what `urgent` holds so far.

    The `_in` methods get roots in key order, none below another, and yield the whole subtree of each, the root
    included, in key order throughout. Names without a rule on any side are absent.
    """

    @property
    def sides(self) -> int:
        """One for the head, and one for each live base."""
        ...

    def sides_at(self, keys: Sequence[str]) -> dict[str, Sides]: ...

    def sides_in(self, roots: Sequence[str]) -> Iterator[tuple[str, Sides]]: ...

    def has_rule_below(self, key: str) -> bool:
        """Say whether the head has a rule strictly below `key`."""
        ...

    def urgent_at(self, keys: Sequence[str]) -> dict[str, Rule]:
        """Give what `urgent` holds; what was written before counts."""
        ...

    def urgent_in(self, roots: Sequence[str]) -> Iterator[tuple[str, Rule]]: ...


class _Node(NamedTuple):
    """What a name gets on each side, and what names below it get."""

    key: str
    owns: tuple[Decision, ...]
    subs: tuple[Decision, ...]

    @property
    def put(self) -> Rule:
        """Both records of it, as the head has it."""
        return Rule(self.owns[0], self.subs[0])

    @property
    def alone(self) -> Rule:
        """Its own record, where some base says something else of it."""
        return Rule(self.owns[0] if _differ(self.owns) else NOTHING, NOTHING)


def recompute(
    touched: Iterable[str], store: LayerStore, batch: int = 400, *, anew: bool = False
) -> Iterator[list[Change]]:
    """Give what brings `urgent` in line with the head, in steps: write each before asking for the next.

    `touched` are the names whose rule is another one in the head than in the head for which `urgent` was right, in key
    order; and, where a base is live no more, all names that `urgent` holds, in portions as small as one likes. More
    names do no harm, and neither does what `urgent` still holds for a base that is live no more. A name costs
    itself and its ancestors, and its subtree where a region begins or ends there. `anew` builds those subtrees in any
    case: where `urgent` was right for no head, but at other names than these and those below them.
    """
    names = iter(touched)
    while keys := list(islice(names, batch)):
        roots, inside = _sorted_out(keys, store, anew=anew)
        rows = _rows_in(roots, store)
        while portion := list(islice(rows, PORTION)):
            yield [change for change in portion if change.old != change.new]
        yield inside


def _sorted_out(keys: Sequence[str], store: LayerStore, *, anew: bool) -> tuple[list[str], list[Change]]:
    """Give the roots of regions that begin or end, topmost only, and what else changes at these names.

    A name lies in the region of the topmost name above it, or itself, below which something else holds than in a base.
    """
    names = sorted({name for key in keys for name in (key, *key_ancestors(key))})
    sides, urgent = store.sides_at(names), store.urgent_at(names)
    changed: set[str] = set()
    wanted: dict[str, Rule] = {}
    with_rule = {name for key in keys if _in_head(sides, key) for name in key_ancestors(key)}
    for key in keys:
        path = _path(key, sides, store.sides)
        new = next((node.key for node in path if _differ(node.subs)), "")
        old = next((node.key for node in path if urgent.get(node.key, EMPTY_RULE).wild is not NOTHING), "")
        if new != old or anew:
            changed.add(min(filter(None, (new, old, key)), key=len))
        elif not new:
            wanted[key] = path[-1].alone
        else:
            for node in path:
                if node.key.startswith(new) and node.key not in wanted:
                    stays = node.key == new or node.key in with_rule or _in_head(sides, node.key)
                    stays = stays or store.has_rule_below(node.key)
                    wanted[node.key] = node.put if stays else EMPTY_RULE
    roots = _topmost(changed)
    changes = (Change(key, urgent.get(key, EMPTY_RULE), wanted[key]) for key in sorted(wanted))
    return roots, [change for change in changes if change.old != change.new and not _within(change.key, roots)]


def _path(key: str, sides: dict[str, Sides], count: int) -> list[_Node]:
    """Give the nodes from the topmost one down to the name itself, whether they have rules or not."""
    nodes = [_root(count)]
    for name in (*reversed(key_ancestors(key)), key):
        nodes.append(_node(nodes[-1], name, sides.get(name, (EMPTY_RULE,) * count)))
    return nodes[1:]


def _root(count: int) -> _Node:
    return _Node("", (PASS,) * count, (PASS,) * count)


def _node(parent: _Node, key: str, sides: Sides) -> _Node:
    pairs = list(zip(sides, parent.subs, strict=True))
    return _Node(key, tuple(rule.own or sub for rule, sub in pairs), tuple(rule.wild or sub for rule, sub in pairs))


def _differ(decisions: tuple[Decision, ...]) -> bool:
    """Whether the head differs from any base: if they differ at all, it does from one of them."""
    return len(set(decisions)) > 1


def _in_head(sides: dict[str, Sides], key: str) -> bool:
    return key in sides and sides[key][0] != EMPTY_RULE


def _topmost(roots: Iterable[str]) -> list[str]:
    found: list[str] = []
    for root in sorted(roots):
        if not found or not root.startswith(found[-1]):
            found.append(root)
    return found


def _within(key: str, roots: Sequence[str]) -> bool:
    at = bisect_right(roots, key)
    return at > 0 and key.startswith(roots[at - 1])


def _rows_in(roots: Sequence[str], store: LayerStore) -> Iterator[Change]:
    if not roots:
        return iter(())
    above = store.sides_at(sorted({name for root in roots for name in key_ancestors(root)}))
    return compared(store.urgent_in(roots), _subtrees(roots, above, store))


def _subtrees(roots: Sequence[str], above: dict[str, Sides], store: LayerStore) -> Iterator[tuple[str, Rule]]:
    for root, rows in groupby(store.sides_in(roots), key=lambda row: roots[bisect_right(roots, row[0]) - 1]):
        yield from _subtree(rows, [_root(store.sides), *_path(root, above, store.sides)[:-1]])


def _subtree(rows: Iterable[tuple[str, Sides]], path: list[_Node]) -> Iterator[tuple[str, Rule]]:
    """Build what `urgent` holds from one name on downwards; `path` holds the nodes above it, and no region."""
    region = emitted = ""
    for key, sides in rows:
        while not key.startswith(path[-1].key):
            path.pop()
        node = _node(path[-1], key, sides)
        if not (region and key.startswith(region)):
            region = key if _differ(node.subs) else ""
            emitted = region
            if region or _differ(node.owns):
                yield key, node.put if region else node.alone
        elif sides[0] != EMPTY_RULE:
            yield from _between(key, path[-1], region, emitted)
            emitted = key
            yield key, node.put
        path.append(node)


def _between(key: str, parent: _Node, region: str, emitted: str) -> Iterator[tuple[str, Rule]]:
    """Give both records of the nodes above `key`, below the region's root, that have none yet.

    All names with a rule in the head were emitted at their turn, with everything above them: what is missing inherits.
    """
    missing = takewhile(lambda name: not emitted.startswith(name) and len(name) > len(region), key_ancestors(key))
    return ((name, Rule(parent.subs[0], parent.subs[0])) for name in reversed(tuple(missing)))
