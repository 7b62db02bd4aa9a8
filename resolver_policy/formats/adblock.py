"""Filter list (`||NAME^`), for AdGuard Home, Pi-hole, Technitium and browser extensions.

An exception (`@@`) beats every block in these readers, whichever is the more specific, so it opens all below it
and a block below it would do nothing. `|NAME^` is the name alone for readers that match host names (AdGuard);
those that match whole addresses find nothing to match it with, and others skip the line.
"""

from collections.abc import Iterator
from enum import Enum, auto

from resolver_policy.formats.format import Contents, Format, with_end_line
from resolver_policy.formats.walk import Path, entries


class _Said(Enum):
    NOTHING = auto()
    BLOCKED = auto()
    EXCEPTED = auto()


def render(contents: Contents) -> Iterator[bytes]:
    """Give the list; raises what `entries` raises."""
    return with_end_line(_lines(contents), "!", contents.serial)


def _lines(contents: Contents) -> Iterator[str]:
    path = Path(root=_Said.NOTHING)
    for key, name, own, below in entries(contents):
        said = path.above(key)
        if said is _Said.BLOCKED and not (own and below):
            yield f"@@||{name}^\n"
            path.enter(key, said=_Said.EXCEPTED)
        elif said is _Said.NOTHING and own and below:
            yield f"||{name}^\n"
            path.enter(key, said=_Said.BLOCKED)
        elif said is _Said.NOTHING and own:
            yield f"|{name}^\n"


FORMAT = Format(
    name="adblock",
    media_type="text/plain; charset=us-ascii",
    limits=(
        "an exception opens all below it, blocks there are left out, and it opens for the reader's other lists too; "
        "a name blocked alone is blocked by AdGuard only; a block that only holds below a name is left out"
    ),
    render=render,
)
