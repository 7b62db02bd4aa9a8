"""A snapshot file: one zone at one serial, its messages rendered, read piece by piece and never held in memory.

It begins with a head that says what it holds, then come the chunks, each a message body and the lines of its rules,
and at the end an index and the serials that the zone had. Head and index are checked when it is opened, a chunk each
time it is read, and all of them in the background. A chunk that is damaged is made anew from its rules; nothing goes
out that is not, octet for octet, what was written.
"""

import asyncio
import hashlib
import json
import logging
import os
import sys
import weakref
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from resolver_policy import wire
from resolver_policy.actions import Action
from resolver_policy.delta import Rule
from resolver_policy.errors import PolicyError
from resolver_policy.wire import Body, Chunk

log = logging.getLogger(__name__)

MAGIC = b"pulih zone 1\n"
"""Ends in a number that grows whenever the format of the file does, or what is rendered into it."""

HEAD = Struct("<I")
TAIL = Struct("<QIII")
"""Where the index begins, and how many chunks, octets of first keys and serials it has."""

DIGEST = 32
"""Octets of the SHA-256 of head, index and tail, with which a file ends."""

NUMBERS = 6
"""Columns of the index, besides the keys."""

MOST_MENDED = 64
"""Damaged chunks held in memory until the file is replaced; where there are more, transfers are broken off."""

RulesOf = Callable[[int, str, str | None], Iterable[tuple[str, Rule]]]
"""Gives the rules of a release from a key on and before another one (None: to the end), from the database."""


class DamagedError(Exception):
    """A file, or a part of it, that is not as it was written and cannot be mended."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a file holds: which zone, how it is rendered, and which release, whose digest is that of its rules.

    Or the increment to it, from an older serial (`since`).
    """

    zone: wire.Zone
    epoch_release_id: int
    release_id: int
    serial: int
    digest: str
    since_release_id: int = 0
    since_serial: int = 0

    def dump(self) -> bytes:
        """Write it down, with what the numbers of the index depend on."""
        return json.dumps({**asdict(self), "byteorder": sys.byteorder}, sort_keys=True).encode()

    @classmethod
    def load(cls, octets: bytes) -> "Identity":
        """Read it back; raises DamagedError where it is of another kind of machine, or none at all."""
        try:
            document = json.loads(octets)
            if document.pop("byteorder") != sys.byteorder:
                raise DamagedError("written by another kind of machine")
            zone = document.pop("zone")
            action, soa = Action(**zone.pop("action")), wire.Soa(**zone.pop("soa"))
            return cls(zone=wire.Zone(**zone, action=action, soa=soa), **document)
        except (ValueError, TypeError, KeyError) as exc:
            raise DamagedError(f"its head cannot be read: {exc}") from exc


class Serials(NamedTuple):
    """The serials of a zone since its epoch: their releases, how many rows changed up to each, and themselves."""

    releases: "array[int]"
    rows: "array[int]"
    serials: "array[int]"

    @classmethod
    def none(cls) -> "Serials":
        return cls(array("Q"), array("Q"), array("Q"))


class Index(NamedTuple):
    """What is known of each chunk: octets and checksums of body and lines, names, records, and its first key."""

    numbers: Sequence["array[int]"]
    first_keys: list[str]

    @classmethod
    def empty(cls) -> "Index":
        return cls([array("I") for _ in range(NUMBERS)], [])

    @property
    def body_octets(self) -> "array[int]":
        return self.numbers[0]

    @property
    def lines_octets(self) -> "array[int]":
        return self.numbers[1]

    @property
    def body_sums(self) -> "array[int]":
        return self.numbers[2]

    @property
    def lines_sums(self) -> "array[int]":
        return self.numbers[3]

    @property
    def names(self) -> "array[int]":
        return self.numbers[4]

    @property
    def records(self) -> "array[int]":
        return self.numbers[5]

    def add(self, chunk: Chunk) -> None:
        """Take note of a chunk that is written."""
        values = (len(chunk.body), len(chunk.lines), crc32(chunk.body), crc32(chunk.lines), chunk.names, chunk.records)
        for column, value in zip(self.numbers, values, strict=True):
            column.append(value)
        self.first_keys.append(chunk.first_key)

    def extend(self, other: "Index", first: int, past: int) -> None:
        """Take note of chunks that are copied."""
        for column, copied in zip(self.numbers, other.numbers, strict=True):
            column.extend(copied[first:past])
        self.first_keys.extend(other.first_keys[first:past])


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """A range that lies in a file, as chunk `number` of it."""

    file: "Snapshot"
    number: int
    first_key: str
    names: int
    records: int

    @property
    def lines(self) -> bytes:
        """Read the rules."""
        return self.file.lines(self.number)

    def rules(self) -> Iterator[tuple[str, Rule]]:
        """Read the rules one by one."""
        return wire.rules_in(self.lines)

    def rules_at(self, keys: Iterable[str]) -> Iterator[Rule]:
        """Read the rules, and look some of them up."""
        return wire.rules_at(self.lines, keys)

    def bodies(self) -> tuple[Body, ...]:
        """Read the body."""
        return (Body(self.records, self.file.body(self.number)),)


class Snapshot:
    """An open file. It is closed when the last version that has ranges in it is gone, whatever became of its name."""

    def __init__(self, path: Path, rules_of: RulesOf) -> None:
        """Open and check; raises FileNotFoundError or DamagedError."""
        self.path = path
        self._rules_of = rules_of
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)
        self.identity, self.index, self.serials, begins = _opened(self._descriptor)
        octets = map(sum, zip(self.index.body_octets, self.index.lines_octets, strict=True))
        self.offsets = array("Q", accumulate(octets, initial=begins))
        self._checked_to = 0
        self._damaged: set[int] = set()
        self._to_mend: deque[int] = deque()
        self._mended: dict[int, Chunk] = {}

    @property
    def descriptor(self) -> int:
        """Of the open file, for copying."""
        return self._descriptor

    @property
    def is_damaged(self) -> bool:
        """Whether a chunk was found that is not as it was written."""
        return bool(self._damaged)

    def ranges(self) -> tuple[Stored, ...]:
        """The chunks, in key order."""
        columns = (self.index.first_keys, self.index.names, self.index.records)
        return tuple(Stored(self, number, *values) for number, values in enumerate(zip(*columns, strict=True)))

    def body(self, number: int) -> bytes:
        """The message body of a chunk; raises DamagedError where it cannot be had."""
        octets = self._read(self.offsets[number], self.index.body_octets[number])
        if crc32(octets) == self.index.body_sums[number]:
            return octets
        return self._mend(number).body

    def lines(self, number: int) -> bytes:
        """The rules of a chunk; raises DamagedError where they cannot be had."""
        octets = self._lines(number)
        if crc32(octets) == self.index.lines_sums[number]:
            return octets
        return self._mend(number).lines

    def check(self, chunks: int) -> bool:
        """Look at the next so many chunks; False once all have been looked at. Damage is mended as far as it can be."""
        last = min(self._checked_to + chunks, len(self.index.first_keys))
        for number in range(self._checked_to, last):
            with suppress(DamagedError):
                self.body(number)
                self.lines(number)
        self._checked_to = last
        return last < len(self.index.first_keys)

    def mend(self) -> bool:
        """Make anew what was found damaged since the last time, as far as that can be; False where nothing was."""
        found = bool(self._to_mend)
        while self._to_mend:
            try:
                self._mend(self._to_mend[0])
            except DamagedError as exc:
                log.warning("%s", exc)
            self._to_mend.popleft()
        return found

    def _lines(self, number: int) -> bytes:
        return self._read(self.offsets[number] + self.index.body_octets[number], self.index.lines_octets[number])

    def _read(self, offset: int, octets: int) -> bytes:
        try:
            return os.pread(self._descriptor, octets, offset)
        except OSError as exc:
            log.warning("%s: octet %d cannot be read: %s", self.path, offset, exc)
            return b""

    def _mend(self, number: int) -> Chunk:
        """Make a damaged chunk anew, from its lines or from the database, and compare it with what was written.

        Where an event loop runs nobody may wait for the database: the transfer is broken off, and `mend` does it.
        """
        if number in self._mended:
            return self._mended[number]
        if number not in self._damaged:
            self._damaged.add(number)
            self._to_mend.append(number)
        if len(self._mended) >= MOST_MENDED:
            raise DamagedError(f"{self.path}: more than {MOST_MENDED} chunks are damaged")
        lines = self._lines(number)
        if crc32(lines) == self.index.lines_sums[number]:
            made, source = self._rendered(wire.rules_in(lines)), "its rules"
        elif _is_on_a_loop():
            raise DamagedError(f"{self.path}: chunk {number} is damaged, and is yet to be made anew")
        else:
            bounds = [*self.index.first_keys[number : number + 2], None][:2]
            assert bounds[0] is not None
            made, source = (
                self._rendered(self._rules_of(self.identity.release_id, bounds[0], bounds[1])),
                "the database",
            )
        sums = (self.index.body_sums[number], self.index.lines_sums[number])
        if made is None or (crc32(made.body), crc32(made.lines)) != sums:
            raise DamagedError(f"{self.path}: chunk {number} is damaged, and {source} does not give it again")
        log.error("%s: chunk %d is damaged; it was made anew from %s", self.path, number, source)
        self._mended[number] = made
        return made

    def _rendered(self, rules: Iterable[tuple[str, Rule]]) -> Chunk | None:
        try:
            chunks = list(wire.render(rules, self.identity.zone))
        except (PolicyError, ValueError):
            return None
        return chunks[0] if len(chunks) == 1 else None


def _is_on_a_loop() -> bool:
    """Whether this thread answers many at once."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _opened(descriptor: int) -> tuple[Identity, Index, Serials, int]:
    """Read and check head and index; the last value is where the first chunk begins."""
    size = os.fstat(descriptor).st_size
    begin = os.pread(descriptor, len(MAGIC) + HEAD.size, 0)
    end = os.pread(descriptor, TAIL.size + DIGEST, max(0, size - TAIL.size - DIGEST))
    if not begin.startswith(MAGIC) or len(end) < TAIL.size + DIGEST:
        raise DamagedError("it is not a snapshot of this version")
    tail, digest = end[: TAIL.size], end[TAIL.size :]
    at, chunks, key_octets, serials = TAIL.unpack(tail)
    (head_octets,) = HEAD.unpack(begin[len(MAGIC) :])
    head = os.pread(descriptor, min(head_octets, size), len(begin))
    index = os.pread(descriptor, max(0, size - len(end) - at), min(at, size))
    if hashlib.sha256(head + index + tail).digest() != digest:
        raise DamagedError("head or index are not as they were written")
    rest = memoryview(index)
    numbers, rest = _arrays("I", rest, NUMBERS, chunks)
    keys, rest = bytes(rest[:key_octets]).decode("ascii"), rest[key_octets:]
    past, _ = _arrays("Q", rest, 3, serials)
    return (
        Identity.load(head),
        Index(numbers, keys.split("\n") if chunks else []),
        Serials(*past),
        len(begin) + len(head),
    )


def _arrays(code: str, octets: memoryview, count: int, length: int) -> tuple[list["array[int]"], memoryview]:
    """Cut arrays of one length off, and give the rest."""
    size = array(code).itemsize * length
    return [array(code, bytes(octets[n * size : (n + 1) * size])) for n in range(count)], octets[count * size :]
