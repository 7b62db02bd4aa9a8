"""Hosts file: each blocked name at 0.0.0.0 and at `::`, for operating systems, dnsmasq, MikroTik and small devices.

Both addresses, because dnsmasq asks upstream for the kind that a file does not give, and an IPv6 answer would
open the name.
"""

from collections.abc import Iterator

from resolver_policy.formats.format import Contents, Format, with_end_line
from resolver_policy.formats.walk import entries


def render(contents: Contents) -> Iterator[bytes]:
    """Give the names that are blocked themselves; raises what `entries` raises."""
    lines = (f"0.0.0.0 {entry.name}\n:: {entry.name}\n" for entry in entries(contents) if entry.own)
    return with_end_line(lines, "#", contents.serial)


FORMAT = Format(
    name="hosts",
    media_type="text/plain; charset=us-ascii",
    limits="the blocked names alone: names below them stay open; other record types than addresses are answered",
    render=render,
)
