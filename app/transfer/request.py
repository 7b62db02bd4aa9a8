"""A query as values, read in bounded time from a message whose header was checked.

Records are cut out by their lengths, and nothing is decoded that is not used. What a name says is left to
dnspython, once for each name: secondaries ask for the same zones with the same keys all day.
"""

from functools import lru_cache
from struct import Struct, error, pack, unpack_from
from typing import NamedTuple

import dns.exception
import dns.name

from app.transfer.precheck import HEADER_LENGTH, Header

TYPE_SOA, TYPE_OPT, TYPE_TSIG = 6, 41, 250
CLASS_IN, CLASS_ANY = 1, 255
DO = 0x8000
OPTION_HEAD = 4
LONGEST_LABEL = 63
LONGEST_NAME = 255
POINTER = 0xC0
ROOT = b"\x00"
TO_QUESTION = b"\xc0\x0c"
SOA_NUMBERS = 20
TIMES = 8
NAMES_REMEMBERED = 4096

_question, _record_head = Struct("!HH"), Struct("!HHIH")
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
    """A TSIG record (RFC 8945 section 4.2), which begins at `at`, and its MAC at `mac_at`; names in lower case, without
    a last dot. `signed` is what the MAC is over (section 4.3), but for the MAC of the message before."""

    at: int
    mac_at: int
    key: str
    algorithm: str
    time: int
    fudge: int
    mac: bytes
    original_id: int
    error: int
    other: bytes
    signed: bytes


class Request(NamedTuple):
    """`name` is lower-case text without a last dot, escaped where it is no host name; `serial` is that of an
    IXFR query, and stands at `serial_at`. `recurs`: no name in it ends in a part of the message that may be another
    next time."""

    id: int
    flags: int
    name: str
    qtype: int
    qclass: int
    question: bytes
    serial: int | None
    serial_at: int | None
    edns: Edns | None
    tsig: Tsig | None
    recurs: bool


class Names(NamedTuple):
    """The names of a key and an algorithm, in lower case, not compressed: as they are signed, with class and TTL
    between them; how a TSIG record begins, up to the length of its data; and how its data begin."""

    signed: bytes
    owner: bytes
    algorithm: bytes


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
    serial_at = next((_serial_at(data, soa) for soa in soas), None)
    serial = None if serial_at is None else int.from_bytes(data[serial_at : serial_at + 4], "big")
    edns, tsig = _additional(data, records[first:])
    recurs = all(each.owner == TO_QUESTION or each.owner.endswith(ROOT) for each in records)
    flags, text = header.flags, text_of(name)
    return Request(header.id, flags, text, qtype, qclass, question, serial, serial_at, edns, tsig, recurs)


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


def _serial_at(data: bytes, record: _Record) -> int:
    at = _past_name(data, _past_name(data, record.start))
    _ended(at + SOA_NUMBERS, record.end)
    return at


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
    high, low, fudge, mac_length = _tsig_times.unpack_from(data, past)
    mac_at = past + _tsig_times.size
    mac, at = data[mac_at : mac_at + mac_length], mac_at + mac_length
    original_id, failure, length = _tsig_end.unpack_from(data, at)
    at += _tsig_end.size
    other = data[at : at + length]
    _ended(at + length, record.end)
    key = _text_at(data, record.at, record.owner)
    signed = _signed(data, record.at, mac_at, mac_length, names_of(key, algorithm))
    return Tsig(record.at, mac_at, key, algorithm, high << 32 | low, fudge, mac, original_id, failure, other, signed)


@lru_cache(NAMES_REMEMBERED)
def names_of(key: str, algorithm: str) -> Names:
    """Give the names of a TSIG record."""
    key_name, algorithm_name = dns.name.from_text(key).to_digestable(), dns.name.from_text(algorithm).to_digestable()
    return Names(
        key_name + pack("!HI", CLASS_ANY, 0) + algorithm_name,
        key_name + pack("!HHI", TYPE_TSIG, CLASS_ANY, 0),
        algorithm_name,
    )


def _signed(data: bytes, at: int, mac_at: int, length: int, names: Names) -> bytes:
    """Give what a MAC is over: the message as it was before the record came to it, and what the record says."""
    past = mac_at + length
    additionals = pack("!H", int.from_bytes(data[10:12], "big") - 1)
    times, rest = data[mac_at - TIMES - 2 : mac_at - 2], data[past + 2 :]
    return b"".join((data[past : past + 2], data[2:10], additionals, data[12:at], names.signed, times, rest))
