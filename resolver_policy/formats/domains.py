"""Plain list, one blocked name a line, in the order of the zone; the last line is a comment.

A line says that the name itself is blocked and nothing about the names below it, which is all that a list can
say without a convention of its own. So three things are lost: whether the block goes on below the name, an
exception below a blocked name, and a block that only holds below a name which is itself open. A reader that
takes each line as a subtree blocks too much wherever an order names one host only, or an exception stands.
"""

from collections.abc import Iterator

from resolver_policy.formats.format import Contents, Format, with_end_line
from resolver_policy.formats.walk import entries


def render(contents: Contents) -> Iterator[bytes]:
    """Give the blocked names; raises what `entries` raises."""
    return with_end_line((f"{entry.name}\n" for entry in entries(contents) if entry.own), "#", contents.serial)


FORMAT = Format(
    name="domains",
    media_type="text/plain; charset=us-ascii",
    limits="exact or subtree is not told; exceptions, and blocks that only hold below a name, are left out",
    render=render,
)
