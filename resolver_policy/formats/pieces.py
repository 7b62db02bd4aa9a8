"""A file of lines in pieces that are made once: whoever has a piece from an earlier file copies it.

A piece is found again by what it was made of: the rules of a range, what the names above its first one say, and what
describes zone and format. So it does not matter which file it was in, nor what changed since.
"""

import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from resolver_policy.delta import Rule
from resolver_policy.formats.lines import Lines
from resolver_policy.formats.walk import Path
from resolver_policy.wire import Zone, checked, lines_of, rules_in

EDITION = 1
"""Grows whenever a format says something else of the same rules: pieces of an older edition are not found."""

LEVEL = 6
"""Of compression."""

ID = 32
"""Octets of an id."""

USUAL, MOST = 400, 1600
"""Rules of a range, where rules are cut that nobody keeps in ranges."""


class Piece(NamedTuple):
    """Some octets of a file, and a deflate stream of them (RFC 1951) without a final block.

    The stream ends at an octet and refers to nothing before itself, so that streams of pieces may be put together.
    `id` says what the piece was made of, and `state` what the names above the rules after it say; both are empty
    where it is of one file alone.
    """

    plain: bytes
    packed: bytes
    id: bytes = b""
    state: bytes = b""


Known = Callable[[bytes], Piece | None]
"""Finds a piece by its id."""


def piece(plain: bytes, made_of: bytes = b"", state: bytes = b"") -> Piece:
    """Compress a piece."""
    squeezed = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return Piece(plain, squeezed.compress(plain) + squeezed.flush(zlib.Z_FULL_FLUSH), made_of, state)


def pieces(chosen: Lines, zone: Zone, serial: int, ranges: Iterable[bytes], known: Known) -> Iterator[Piece]:
    """Give all of a file but its end line: its header, and a piece for each range, made or found.

    `ranges` are the rules of the zone's ranges as lines, in key order. Raises what `walk.entries` raises.
    """
    header = chosen.header(zone, serial).encode()
    if header:
        yield piece(header)
    about = f"{EDITION} {chosen.name} {zone!r}\n".encode()
    path, last = Path(), ""
    for lines in filter(None, ranges):
        first = _key(lines.partition(b"\n")[0])
        if first <= last:
            raise ValueError(f"ranges out of order: {first!r} after {last!r}")
        last = _key(lines.rpartition(b"\n")[2])
        path.above(first)
        made_of = id_of(about, path.dump(), lines)
        found = known(made_of)
        if found is None:
            found = piece(chosen.stretch(zone, rules_in(lines), path), made_of, path.dump())
        else:
            path = Path.load(found.state)
        yield found


def cut(rules: Iterable[tuple[str, Rule]], zone: Zone) -> Iterator[bytes]:
    """Cut rules into ranges, at names that say so themselves: a rule more or less moves no cut but those beside it.

    Raises what `wire.checked` raises for a name that must not be in a zone.
    """
    longest = zone.longest_key
    some: list[tuple[str, Rule]] = []
    for key, rule in rules:
        octets = checked(key, longest).encode("ascii")
        if zlib.crc32(octets) % USUAL == 0 or len(some) == MOST:
            yield lines_of(some)
            some = []
        some.append((key, rule))
    yield lines_of(some)


def id_of(about: bytes, state: bytes, lines: bytes) -> bytes:
    """Give the id of what is made of zone and format, of what the names above say, and of rules."""
    hashed = hashlib.blake2b(b"%d %d " % (len(about), len(state)), digest_size=ID)
    for part in (about, state, lines):
        hashed.update(part)
    return hashed.digest()


def _key(line: bytes) -> str:
    """The key of a rule's line, without the digit."""
    return line[:-1].decode("ascii")
