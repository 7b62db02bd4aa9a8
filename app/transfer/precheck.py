"""Look at the 12 octets of a DNS header before anything else of a message is parsed.

A message of 64 KB with thousands of questions or compressed names costs a general parser seconds. No query
this service answers has more than one question, one authority record (the SOA of IXFR) and two additional
ones (OPT and TSIG), so nothing else goes on to be parsed.
"""

from struct import pack, unpack_from
from typing import NamedTuple

HEADER_LENGTH = 12
LONGEST_TCP = 4096
LONGEST_UDP = 1232
QR, RD = 0x8000, 0x0100
MOST_ADDITIONALS = 2
QUERY, NOTIFY = 0, 4
FORMERR, NOTIMP = 1, 4


class Header(NamedTuple):
    """The fixed part of a message (RFC 1035 section 4.1.1)."""

    id: int
    flags: int
    questions: int
    answers: int
    authorities: int
    additionals: int

    @property
    def opcode(self) -> int:
        return self.flags >> 11 & 0xF

    @property
    def is_answer(self) -> bool:
        return bool(self.flags & QR)


class UnusableError(Exception):
    """A message that goes no further. `answer` is what to send back; None: say nothing."""

    def __init__(self, reason: str, answer: bytes | None = None) -> None:
        super().__init__(reason)
        self.answer = answer


def precheck(data: bytes, longest: int) -> Header:
    """Give the header of a query that may be parsed; raises UnusableError for anything else."""
    header = _header(data)
    if header.is_answer:
        raise UnusableError("an answer, not a query")
    if header.opcode not in {QUERY, NOTIFY}:
        raise UnusableError("opcode not implemented", bare(header.id, header.flags, NOTIMP))
    if len(data) > longest or not _counts_fit(header):
        raise UnusableError("too long, or too many records", bare(header.id, header.flags, FORMERR))
    return header


def precheck_notify_answer(data: bytes) -> Header:
    """Give the header of an answer to a NOTIFY of ours; raises UnusableError for anything else."""
    header = _header(data)
    if not header.is_answer or header.opcode != NOTIFY:
        raise UnusableError("no answer to a NOTIFY")
    if len(data) > LONGEST_UDP or not _counts_fit(header):
        raise UnusableError("too long, or too many records")
    return header


def _header(data: bytes) -> Header:
    if len(data) < HEADER_LENGTH:
        raise UnusableError("shorter than a header")
    return Header(*unpack_from("!6H", data))


def _counts_fit(header: Header) -> bool:
    answers = 1 if header.opcode == NOTIFY else 0
    return (
        header.questions == 1
        and header.answers <= answers
        and header.authorities <= 1
        and header.additionals <= MOST_ADDITIONALS
    )


def bare(identity: int, flags: int, rcode: int) -> bytes:
    """Give an answer of a header alone, to a query of which nothing else could be read; `flags` are the query's."""
    return pack("!6H", identity, QR | flags & (0xF << 11 | RD) | rcode, 0, 0, 0, 0)
