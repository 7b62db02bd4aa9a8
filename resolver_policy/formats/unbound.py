"""Configuration of Unbound (`include:`): local zones, for resolvers that do not take a response policy zone.

The nearest local zone above a name decides. A zone that blocks takes its whole subtree, so a name that is
blocked alone gets a `transparent` zone with one record of a type that nobody asks for: every other question
about that very name finds no data. A name that is open in a blocked subtree opens all below it.
"""

from collections.abc import Iterable, Iterator

from resolver_policy.formats.lines import Lines
from resolver_policy.formats.walk import Entry, Path
from resolver_policy.wire import Zone


def header(_zone: Zone, _serial: int) -> str:
    """Give the line that the others belong to."""
    return "server:\n"


def fold(zone: Zone, entries: Iterable[Entry], path: Path) -> Iterator[str]:
    """Give the lines of some entries."""
    block = "always_nodata" if zone.action.kind == "nodata" else "always_nxdomain"
    for key, name, own, below, _ in entries:
        covered = path.above(key)
        if own and below:
            if not covered:
                yield f'local-zone: "{name}." {block}\n'
            path.enter(key, said=True)
        elif own:
            yield f'local-zone: "{name}." transparent\nlocal-data: "{name}. 60 IN NULL \\# 0"\n'
            path.enter(key, said=False)
        elif covered:
            yield f'local-zone: "{name}." always_transparent\n'
            path.enter(key, said=False)


FORMAT = Lines(
    name="unbound",
    media_type="text/plain; charset=us-ascii",
    limits=(
        "a block that only holds below a name is left out; a name blocked alone answers NODATA; "
        "where the zone redirects, a block answers NXDOMAIN"
    ),
    comment="#",
    header=header,
    fold=fold,
)
