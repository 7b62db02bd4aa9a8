"""Plain list, one blocked name a line, in the order of the zone.

A line says that the name itself is blocked and nothing about the names below it, which is all that a list can
say without a convention of its own. So three things are lost: whether the block goes on below the name, an
exception below a blocked name, and a block that only holds below a name which is itself open. A reader that
takes each line as a subtree blocks too much wherever an order names one host only, or an exception stands.
"""

from collections.abc import Iterator

from resolver_policy.formats.format import Format, Rules, in_pieces
from resolver_policy.targets import Decision
from resolver_policy.wire import Zone, checked


def render(rules: Rules, zone: Zone, _serial: int) -> Iterator[str]:
    """Give the blocked names; raises what `wire.render` raises for a name that must not be in a zone."""
    longest = zone.longest_key
    return in_pieces(
        ".".join(reversed(checked(key, longest)[:-1].split("."))) + "\n"
        for key, rule in rules
        if rule.own == Decision.BLOCK
    )


FORMAT = Format(
    name="domains",
    media_type="text/plain; charset=us-ascii",
    limits="exact or subtree is not told; exceptions, and blocks that only hold below a name, are left out",
    render=render,
)
