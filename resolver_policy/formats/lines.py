"""Formats of lines, which can be cut: the rules of any stretch of the zone can be rendered without the others."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from resolver_policy.delta import Rule
from resolver_policy.formats.format import Contents, Format, joined
from resolver_policy.formats.walk import Entry, Path, entries
from resolver_policy.wire import Zone


def _no_header(_zone: Zone, _serial: int) -> str:
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines(Format):
    """A header, the lines that `fold` makes of the rules, and an end line, which is a comment.

    What `fold` says of a rule depends on the zone, on the rule and on what the path says, and it leaves in the path
    whatever later lines depend on. So it may be called for one stretch of rules after the other.
    """

    comment: str
    fold: Callable[[Zone, Iterable[Entry], Path], Iterator[str]]
    header: Callable[[Zone, int], str] = _no_header

    def render(self, contents: Contents) -> Iterator[bytes]:
        """Give the file; raises what `entries` raises."""
        zone, serial = contents.zone, contents.serial
        hashed, count = hashlib.sha256(), 0
        for some in joined(chain([self.header(zone, serial)], self.fold(zone, entries(zone, contents.rules), Path()))):
            hashed.update(some)
            count += some.count(b"\n")
            yield some
        yield self.end(serial, count, hashed.hexdigest())

    def stretch(self, zone: Zone, rules: Iterable[tuple[str, Rule]], path: Path) -> bytes:
        """Give the lines of neighbouring rules, after all lines before them; raises what `entries` raises."""
        return "".join(self.fold(zone, entries(zone, rules), path)).encode()

    def end(self, serial: int, lines: int, digest: str) -> bytes:
        """Give the last line, which lets a reader notice a file that was cut off.

        It says the serial, how many lines stand above it, and the SHA-256 of all octets above it.
        """
        return f"{self.comment} end: serial={serial} lines={lines} sha256={digest}\n".encode()
