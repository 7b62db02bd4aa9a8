"""Hosts file: each blocked name at 0.0.0.0 and at `::`, for operating systems, dnsmasq, MikroTik and small devices.

Both addresses, because dnsmasq asks upstream for the kind that a file does not give, and an IPv6 answer would
open the name.
"""

from collections.abc import Iterable, Iterator

from resolver_policy.formats.lines import Lines
from resolver_policy.formats.walk import Entry, Path
from resolver_policy.wire import Zone


def fold(_zone: Zone, entries: Iterable[Entry], _path: Path) -> Iterator[str]:
    """Give the names that are blocked themselves."""
    return (f"0.0.0.0 {entry.name}\n:: {entry.name}\n" for entry in entries if entry.own)


FORMAT = Lines(
    name="hosts",
    media_type="text/plain; charset=us-ascii",
    limits="the blocked names alone: names below them stay open; other record types than addresses are answered",
    comment="#",
    fold=fold,
)
