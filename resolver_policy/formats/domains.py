"""Plain list, one blocked name a line, in the order of the zone; the last line is a comment.

A line says that the name itself is blocked and nothing about the names below it, which is all that a list can
say without a convention of its own. So three things are lost: whether the block goes on below the name, an
exception below a blocked name, and a block that only holds below a name which is itself open. A reader that
takes each line as a subtree blocks too much wherever an order names one host only, or an exception stands.
"""

from collections.abc import Iterable, Iterator

from resolver_policy.formats.lines import Lines
from resolver_policy.formats.walk import Entry, Path
from resolver_policy.wire import Zone


def fold(_zone: Zone, entries: Iterable[Entry], _path: Path) -> Iterator[str]:
    """Give the names that are blocked themselves."""
    return (f"{entry.name}\n" for entry in entries if entry.own)


FORMAT = Lines(
    name="domains",
    media_type="text/plain; charset=us-ascii",
    limits="exact or subtree is not told; exceptions, and blocks that only hold below a name, are left out",
    comment="#",
    fold=fold,
)
