"""Constant database (CDB) for the key-value store of dnsdist.

The key is a name in wire format, lower case; the value says what is blocked: `both` (the name and all below
it), `name`, `below` or `none`. A question is decided by the record of its own name, else by that of the nearest
name above: `KeyValueLookupKeyQName()` finds the first, `KeyValueLookupKeySuffix()` whichever of the two there is.
The record under `pulih`, which is no name in wire format, carries zone, serial and the number of names.

Layout: 256 pointers (position and slots of a table), the records, the 256 hash tables with twice as many slots
as records; every number is 32 bits, little-endian. Own code, since the packages for it keep some 150 octets a
name in memory while they write; this keeps 8, its hash and its position.
"""

from array import array
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from struct import Struct

from resolver_policy.errors import ExportTooLarge
from resolver_policy.formats.format import Contents, Whole
from resolver_policy.formats.walk import entries

PAIR = Struct("<II")
TABLES = 256
HEAD = TABLES * PAIR.size
LONGEST_FILE = 2**32 - 1
RECORDS_AT_ONCE = 1000
WORDS = ((b"none", b"below"), (b"name", b"both"))
ABOUT = b"pulih"


class _Index:
    """Hash and position of every record, by table; they follow each other from the end of the head on."""

    def __init__(self) -> None:
        self.tables = [(array("I"), array("I")) for _ in range(TABLES)]
        self.count, self.end = 0, HEAD

    def add(self, key: bytes, value: bytes) -> None:
        """Give the next place to a record; raises ExportTooLarge where the file would pass 4 GiB."""
        hashed = _hash(key)
        hashes, positions = self.tables[hashed % TABLES]
        hashes.append(hashed)
        positions.append(self.end)
        self.count += 1
        self.end += PAIR.size + len(key) + len(value)
        if self.end + 2 * PAIR.size * self.count > LONGEST_FILE:
            raise ExportTooLarge("the zone does not fit into a constant database: the format ends at 4 GiB")

    def head(self) -> bytes:
        """Lay out the pointers to the tables."""
        at, pairs = self.end, []
        for hashes, _ in self.tables:
            pairs.append(PAIR.pack(at, 2 * len(hashes)))
            at += 2 * len(hashes) * PAIR.size
        return b"".join(pairs)


def render(contents: Contents) -> Iterator[bytes]:
    """Give the database; reads the rules twice.

    Raises what `entries` raises, and ExportTooLarge, both before the first octet.
    """
    index = _Index()
    for key, value in _records(contents):
        index.add(key, value)
    about = f"zone={contents.zone.origin} serial={contents.serial} names={index.count}".encode()
    index.add(ABOUT, about)
    records = _octets(chain(_records(contents), [(ABOUT, about)]))
    return chain([index.head()], records, (_slots(*table) for table in index.tables))


def _records(contents: Contents) -> Iterator[tuple[bytes, bytes]]:
    for entry in entries(contents.zone, contents.rules):
        labels = "".join([chr(len(label)) + label for label in entry.name.split(".")])
        yield f"{labels}\0".encode("ascii"), WORDS[entry.own][entry.below]


def _octets(records: Iterable[tuple[bytes, bytes]]) -> Iterator[bytes]:
    rest = (PAIR.pack(len(key), len(value)) + key + value for key, value in records)
    while piece := b"".join(islice(rest, RECORDS_AT_ONCE)):
        yield piece


def _hash(key: bytes) -> int:
    hashed = 5381
    for octet in key:
        hashed = (hashed * 33 ^ octet) & 0xFFFFFFFF
    return hashed


def _slots(hashes: "array[int]", positions: "array[int]") -> bytes:
    """Lay out one table: a record stands in the first free slot from the one that its hash names; 0 is free."""
    slots = 2 * len(hashes)
    table = bytearray(slots * PAIR.size)
    for hashed, position in zip(hashes, positions, strict=True):
        slot = (hashed >> 8) % slots
        while PAIR.unpack_from(table, slot * PAIR.size)[1]:
            slot = (slot + 1) % slots
        PAIR.pack_into(table, slot * PAIR.size, hashed, position)
    return bytes(table)


FORMAT = Whole(
    name="cdb",
    media_type="application/octet-stream",
    limits="none with two look-ups, of the name and then of its suffixes; one alone blocks too much; at most 4 GiB",
    octets=render,
)
