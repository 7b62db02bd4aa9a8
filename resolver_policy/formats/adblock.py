"""Filter list (`||NAME^`), for AdGuard Home, Pi-hole, Technitium and browser extensions.

An exception (`@@`) beats every block in these readers, whichever is the more specific, so it opens all below it
and a block below it would do nothing. `|NAME^` is the name alone for readers that match host names (AdGuard);
those that match whole addresses find nothing to match it with, and others skip the line.
"""

from collections.abc import Iterable, Iterator
from enum import IntEnum

from resolver_policy.formats.lines import Lines
from resolver_policy.formats.walk import Entry, Path
from resolver_policy.wire import Zone


class _Said(IntEnum):
    NOTHING = 0
    BLOCKED = 1
    EXCEPTED = 2


def fold(_zone: Zone, entries: Iterable[Entry], path: Path) -> Iterator[str]:
    """Give the lines of some entries."""
    for key, name, own, below, _ in entries:
        said = path.above(key)
        if said == _Said.BLOCKED and not (own and below):
            yield f"@@||{name}^\n"
            path.enter(key, said=_Said.EXCEPTED)
        elif said == _Said.NOTHING and own and below:
            yield f"||{name}^\n"
            path.enter(key, said=_Said.BLOCKED)
        elif said == _Said.NOTHING and own:
            yield f"|{name}^\n"


FORMAT = Lines(
    name="adblock",
    media_type="text/plain; charset=us-ascii",
    limits=(
        "an exception opens all below it, blocks there are left out, and it opens for the reader's other lists too; "
        "a name blocked alone is blocked by AdGuard only; a block that only holds below a name is left out"
    ),
    comment="!",
    fold=fold,
)
