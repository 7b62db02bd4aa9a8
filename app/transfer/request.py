"""A query as values, read in bounded time from a message whose header was checked.

Only names are left to dnspython's wire parser, at most seven of them; record data are cut out by their length
and nothing is decoded that is not used.
"""

from dataclasses import dataclass
from struct import unpack_from
from typing import NamedTuple

import dns.exception
import dns.name
import dns.wire

from app.transfer.precheck import HEADER_LENGTH, RD, Header

TYPE_SOA, TYPE_OPT, TYPE_TSIG = 6, 41, 250
CLASS_IN, CLASS_ANY = 1, 255
DO = 0x8000
OPTION_HEAD = 4


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
    at: int
    name: dns.name.Name
    rtype: int
    rclass: int
    ttl: int
    start: int
    end: int


def parse(data: bytes, header: Header) -> Request:
    """Read a message that passed the precheck; raises MalformedError."""
    try:
        return _parse(data, header)
    except dns.exception.DNSException as exc:
        raise MalformedError(type(exc).__name__) from exc


def _parse(data: bytes, header: Header) -> Request:
    parser = dns.wire.Parser(data, HEADER_LENGTH)
    name = parser.get_name(decompress=False)
    qtype, qclass = parser.get_struct("!HH")
    question = data[HEADER_LENGTH : parser.current]
    for _ in range(header.answers):
        _record(parser)
    authorities = [_record(parser) for _ in range(header.authorities)]
    additionals = [_record(parser) for _ in range(header.additionals)]
    _finished(parser)
    serial = next((_serial(parser, each) for each in authorities if _is_soa_of(each, name)), None)
    edns, tsig = _additional(parser, additionals)
    return Request(header, _text(name), qtype, qclass, question, serial, edns, tsig)


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()


def _record(parser: dns.wire.Parser) -> _Record:
    at = parser.current
    name = parser.get_name(decompress=True)
    rtype, rclass, ttl, length = parser.get_struct("!HHIH")
    start = parser.current
    parser.get_bytes(length)
    return _Record(at, name, rtype, rclass, ttl, start, parser.current)


def _is_soa_of(record: _Record, name: dns.name.Name) -> bool:
    return record.rtype == TYPE_SOA and record.rclass == CLASS_IN and record.name == name


def _data(parser: dns.wire.Parser, record: _Record) -> dns.wire.Parser:
    """Read the data of a record already skipped; names in it may still point back to what stands before."""
    return dns.wire.Parser(parser.wire[: record.end], record.start)


def _finished(parser: dns.wire.Parser) -> None:
    if parser.remaining():
        raise MalformedError("octets left over")


def _serial(parser: dns.wire.Parser, record: _Record) -> int:
    soa = _data(parser, record)
    soa.get_name(decompress=True)
    soa.get_name(decompress=True)
    serial, *_ = soa.get_struct("!IIIII")
    _finished(soa)
    return int(serial)


def _additional(parser: dns.wire.Parser, records: list[_Record]) -> tuple[Edns | None, Tsig | None]:
    edns = tsig = None
    for place, record in enumerate(records):
        if record.rtype == TYPE_OPT:
            if edns is not None or record.name != dns.name.root:
                raise MalformedError("more than one OPT record, or one with an owner")
            edns = _edns(record, _data(parser, record))
        elif record.rtype == TYPE_TSIG:
            if place != len(records) - 1 or record.rclass != CLASS_ANY or record.ttl:
                raise MalformedError("a TSIG record that is not last, or not of class ANY and TTL 0")
            tsig = _tsig(record, _data(parser, record))
    return edns, tsig


def _edns(record: _Record, data: dns.wire.Parser) -> Edns:
    """Read the options with as little as it takes: a query has room for a thousand of them."""
    options, at = [], record.start
    while at + OPTION_HEAD <= record.end:
        code, length = unpack_from("!HH", data.wire, at)
        at += OPTION_HEAD + length
        options.append((code, data.wire[at - length : at]))
    if at != record.end:
        raise MalformedError("an option that does not end with its record")
    return Edns(record.rclass, record.ttl >> 16 & 0xFF, record.ttl & 0xFFFF, tuple(options))


def _tsig(record: _Record, data: dns.wire.Parser) -> Tsig:
    algorithm = data.get_name(decompress=False)
    high, low, fudge = data.get_struct("!HIH")
    mac = data.get_counted_bytes(2)
    original_id, error = data.get_struct("!HH")
    other = data.get_counted_bytes(2)
    _finished(data)
    time = high << 32 | low
    return Tsig(record.at, _text(record.name), _text(algorithm), time, fudge, mac, original_id, error, other)
