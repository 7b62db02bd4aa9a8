"""Configuration of dnsmasq (`conf-file=`): `local=/NAME/` blocks with NXDOMAIN, `server=/NAME/#` opens again.

The longest pattern wins. `/NAME/` is the name and all below it, `/*.NAME/` (dnsmasq 2.86) only what is below it
and longer, so every rule can be said. What a pattern above says already is not repeated.
"""

from collections.abc import Iterable, Iterator

from resolver_policy.formats.lines import Lines
from resolver_policy.formats.walk import Entry, Path
from resolver_policy.wire import Zone


def fold(_zone: Zone, entries: Iterable[Entry], path: Path) -> Iterator[str]:
    """Give the lines of some entries."""
    for key, name, own, below, _ in entries:
        if own != path.above(key):
            yield _line(name, blocked=own)
            path.enter(key, said=own)
        if below != path.above(key):
            yield _line(f"*.{name}", blocked=below)
            path.enter(key, said=below)


def _line(pattern: str, *, blocked: bool) -> str:
    return f"local=/{pattern}/\n" if blocked else f"server=/{pattern}/#\n"


FORMAT = Lines(
    name="dnsmasq",
    media_type="text/plain; charset=us-ascii",
    limits="none in dnsmasq 2.86 or later, older ones block too much; a block answers NXDOMAIN in every zone",
    comment="#",
    fold=fold,
)
