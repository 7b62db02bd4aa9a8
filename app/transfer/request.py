"""A query as values, read in bounded time from a message whose header was checked.

Records are cut out by their lengths, and nothing is decoded that is not used. What a name says is left to
dnspython, once for each name: secondaries ask for the same zones with the same keys all day.
"""

from dataclasses import dataclass
from functools import lru_cache
from struct import Struct, error, unpack_from
from typing import NamedTuple

import dns.exception
import dns.name

from app.transfer.precheck import HEADER_LENGTH, RD, Header

TYPE_SOA, TYPE_OPT, TYPE_TSIG = 6, 41, 250
CLASS_IN, CLASS_ANY = 1, 255
DO = 0x8000
OPTION_HEAD = 4
LONGEST_LABEL = 63
LONGEST_NAME = 255
POINTER = 0xC0
ROOT = b"\x00"
TO_QUESTION = b"\xc0\x0c"
NAMES_REMEMBERED = 4096

_question, _record_head, _soa_numbers = Struct("!HH"), Struct("!HHIH"), Struct("!5I")
_tsig_times, _tsig_end = Struct("!HIHH"), Struct("!HHH")


class MalformedError(Exception):
    """A message to be answered with FORMERR."""


class Edns(NamedTuple):
    """An OPT record (RFC 6891 section 6.1); `options` in order, `(code, data)`."""

    size: int
    version: int
    flags: int
    options: tuple[tuple[int, bytes], ...]


class Tsig(NamedTuple):
    """A TSIG record (RFC 8945 section 4.2), which begins at `at`; names in lower case, without a last dot."""

    at: int
    key: str
    algorithm: str
    time: int
    fudge: int
    mac: bytes
    original_id: int
    error: int
    other: bytes


@dataclass(frozen=True, slots=True)
class Request:
    """`name` is lower-case text without a last dot, escaped where it is no host name; `serial` is that of an
    IXFR query."""

    header: Header
    name: str
    qtype: int
    qclass: int
    question: bytes
    serial: int | None
    edns: Edns | None
    tsig: Tsig | None

    @property
    def recursion_desired(self) -> bool:
        return bool(self.header.flags & RD)


class _Record(NamedTuple):
    """Where a record and its data begin and end; `owner` is its name as it stands there."""

    at: int
    owner: bytes
    rtype: int
    rclass: int
    ttl: int
    start: int
    end: int


def parse(data: bytes, header: Header) -> Request:
    """Read a message that passed the precheck; raises MalformedError."""
    try:
        return _parse(data, header)
    except (dns.exception.DNSException, error, IndexError) as exc:
        raise MalformedError(type(exc).__name__) from exc


def _parse(data: bytes, header: Header) -> Request:
    at = _past_name(data, HEADER_LENGTH, pointers=False)
    name, (qtype, qclass) = data[HEADER_LENGTH:at], _question.unpack_from(data, at)
    at += _question.size
    question, records = data[HEADER_LENGTH:at], []
    for _ in range(header.answers + header.authorities + header.additionals):
        records.append(_record(data, at))
        at = records[-1].end
    _ended(at, len(data))
    first = header.answers + header.authorities
    soas = (each for each in records[header.answers : first] if _is_soa_of(data, each, name))
    serial = next((_serial(data, soa) for soa in soas), None)
    edns, tsig = _additional(data, records[first:])
    return Request(header, text_of(name), qtype, qclass, question, serial, edns, tsig)


def _past_name(data: bytes, at: int, *, pointers: bool = True) -> int:
    """Say where a name ends that begins here; what a pointer in it leads to is not looked at."""
    begin = at
    while length := data[at]:
        if length > LONGEST_LABEL:
            if length < POINTER or not pointers:
                raise MalformedError("a label that is none, or a pointer where none may be")
            return at + 2
        at += 1 + length
    if at - begin >= LONGEST_NAME:
        raise MalformedError("a name of more than 255 octets")
    return at + 1


@lru_cache(NAMES_REMEMBERED)
def text_of(name: bytes) -> str:
    """Give an uncompressed name as text in lower case, without a last dot."""
    return dns.name.from_wire(name, 0)[0].to_text(omit_final_dot=True).lower()


def _text_at(data: bytes, at: int, name: bytes) -> str:
    """Give a name, which may end in a pointer, as text."""
    return text_of(name if name.endswith(ROOT) else dns.name.from_wire(data, at)[0].to_wire())


def _record(data: bytes, at: int) -> _Record:
    past = _past_name(data, at)
    rtype, rclass, ttl, length = _record_head.unpack_from(data, past)
    start = past + _record_head.size
    _within(start + length, len(data))
    return _Record(at, data[at:past], rtype, rclass, ttl, start, start + length)


def _is_soa_of(data: bytes, record: _Record, name: bytes) -> bool:
    if record.rtype != TYPE_SOA or record.rclass != CLASS_IN:
        return False
    return record.owner == TO_QUESTION or _text_at(data, record.at, record.owner) == text_of(name)


def _within(at: int, end: int) -> None:
    if at > end:
        raise MalformedError("data that go on past their end")


def _ended(at: int, end: int) -> None:
    if at != end:
        raise MalformedError("octets left over, or missing")


def _serial(data: bytes, record: _Record) -> int:
    at = _past_name(data, _past_name(data, record.start))
    _ended(at + _soa_numbers.size, record.end)
    return int(_soa_numbers.unpack_from(data, at)[0])


def _additional(data: bytes, records: list[_Record]) -> tuple[Edns | None, Tsig | None]:
    edns = tsig = None
    for place, record in enumerate(records):
        if record.rtype == TYPE_OPT:
            if edns is not None or record.owner != ROOT:
                raise MalformedError("more than one OPT record, or one with an owner")
            edns = _edns(data, record)
        elif record.rtype == TYPE_TSIG:
            if place != len(records) - 1 or record.rclass != CLASS_ANY or record.ttl:
                raise MalformedError("a TSIG record that is not last, or not of class ANY and TTL 0")
            tsig = _tsig(data, record)
    return edns, tsig


def _edns(data: bytes, record: _Record) -> Edns:
    """Read the options with as little as it takes: a query has room for a thousand of them."""
    options, at = [], record.start
    while at + OPTION_HEAD <= record.end:
        code, length = unpack_from("!HH", data, at)
        at += OPTION_HEAD + length
        options.append((code, data[at - length : at]))
    if at != record.end:
        raise MalformedError("an option that does not end with its record")
    return Edns(record.rclass, record.ttl >> 16 & 0xFF, record.ttl & 0xFFFF, tuple(options))


def _tsig(data: bytes, record: _Record) -> Tsig:
    past = _past_name(data, record.start, pointers=False)
    algorithm = text_of(data[record.start : past])
    high, low, fudge, length = _tsig_times.unpack_from(data, past)
    at = past + _tsig_times.size
    mac, at = data[at : at + length], at + length
    original_id, failure, length = _tsig_end.unpack_from(data, at)
    at += _tsig_end.size
    other = data[at : at + length]
    _ended(at + length, record.end)
    key = _text_at(data, record.at, record.owner)
    return Tsig(record.at, key, algorithm, high << 32 | low, fudge, mac, original_id, failure, other)
