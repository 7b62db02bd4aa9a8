"""What pieces an export is made of, written beside it, so that a later export copies those that are the same."""

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from struct import Struct
from typing import IO, NamedTuple
from zlib import crc32

from resolver_policy.formats.pieces import Known, Piece

log = logging.getLogger(__name__)

MAGIC = b"pulih pieces 1\n"
"""Ends in a number that grows whenever the format of the index does."""

ENDING = ".pieces"

HEAD = Struct("<I")
ROW = Struct("<32s5I")
"""Id, octets and checksum of the plain form and of the compressed one, octets of the state. The ids are all zero where
a piece is of one file alone; the states follow the last row, one after the other."""

DIGEST = 32
"""Octets of the SHA-256 of all before it, with which an index ends."""

OF_ONE_FILE = bytes(32)


class Row(NamedTuple):
    """What an index says of a piece; lengths in octets."""

    id: bytes
    plain_octets: int
    plain_sum: int
    packed_octets: int
    packed_sum: int
    state_octets: int


class Place(NamedTuple):
    """Where a piece lies in its two files."""

    row: Row
    plain_at: int
    packed_at: int
    state: bytes


def row_of(piece: Piece) -> Row:
    """What an index says of a piece."""
    plain, packed, made_of, state = piece
    return Row(made_of or OF_ONE_FILE, len(plain), crc32(plain), len(packed), crc32(packed), len(state))


def dump(rows: Sequence[Row], states: bytes) -> bytes:
    """Write an index."""
    octets = MAGIC + HEAD.pack(len(rows)) + b"".join([ROW.pack(*row) for row in rows]) + states
    return octets + hashlib.sha256(octets).digest()


def load(octets: bytes, packed_at: int) -> dict[bytes, Place]:
    """Read an index; raises ValueError where it is not one of this version, or not as it was written.

    `packed_at` is where the first piece lies in the compressed file.
    """
    written = octets[:-DIGEST]
    if not written.startswith(MAGIC) or hashlib.sha256(written).digest() != octets[-DIGEST:]:
        raise ValueError("its index is not of this version, or not as it was written")
    (count,) = HEAD.unpack_from(written, len(MAGIC))
    rows_at = len(MAGIC) + HEAD.size
    plain_at, state_at = 0, rows_at + count * ROW.size
    places = {}
    for values in ROW.iter_unpack(written[rows_at:state_at]):
        row = Row(*values)
        state = written[state_at : state_at + row.state_octets]
        places[row.id] = Place(row, plain_at, packed_at, state)
        plain_at, packed_at = plain_at + row.plain_octets, packed_at + row.packed_octets
        state_at += row.state_octets
    places.pop(OF_ONE_FILE, None)
    return places


class Pieces:
    """The pieces of an export that is there. Each is compared with its checksums as it is read: one that is not as it
    was written is not found."""

    def __init__(self, places: Mapping[bytes, Place], plain: IO[bytes], packed: IO[bytes]) -> None:
        self._places, self._plain, self._packed = places, plain, packed
        self.damaged = 0

    def find(self, made_of: bytes) -> Piece | None:
        """Read a piece; None where there is none that can be used."""
        place = self._places.get(made_of)
        if place is None:
            return None
        row = place.row
        try:
            plain = os.pread(self._plain.fileno(), row.plain_octets, place.plain_at)
            packed = os.pread(self._packed.fileno(), row.packed_octets, place.packed_at)
        except OSError:
            plain = packed = b""
        if (crc32(plain), crc32(packed)) != (row.plain_sum, row.packed_sum):
            self.damaged += 1
            return None
        return Piece(plain, packed, made_of, place.state)


@contextmanager
def opened(path: Path, packed_path: Path, packed_at: int) -> Iterator[Known]:
    """The pieces of an export, for as long as it takes to write another; none where they cannot be had."""
    with ExitStack() as stack:
        try:
            plain, packed = (stack.enter_context(each.open("rb", buffering=0)) for each in (path, packed_path))
            found = Pieces(load(path.with_name(path.name + ENDING).read_bytes(), packed_at), plain, packed)
        except FileNotFoundError:
            found = None
        except (OSError, ValueError) as exc:
            log.warning("%s cannot be used for the next export: %s", path, exc)
            found = None
        yield _none if found is None else found.find
        if found is not None and found.damaged:
            log.warning("%s: %d pieces are damaged, and were made anew for the next export", path, found.damaged)


def _none(_made_of: bytes) -> None:
    return None
