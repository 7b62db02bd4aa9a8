"""EDNS (RFC 6891) in answers: the OPT record, with the options that this service speaks."""

from struct import pack
from typing import NamedTuple

from app.transfer.request import DO, TYPE_OPT, Edns

VERSION = 0
LARGEST_UDP = 1232
SMALLEST_UDP = 512
EXPIRE, KEEPALIVE, EDE = 9, 11, 15
BADVERS = 16
LONGEST_TEXT = 160
LONGEST_OPT = 11 + 8 + 6  # with EXPIRE and keepalive


class Ede(NamedTuple):
    """An extended error (RFC 8914): a code and a text for people."""

    code: int
    text: str


PROHIBITED, NOT_AUTHORITATIVE, NOT_SUPPORTED = 18, 20, 21


def udp_size(edns: Edns | None) -> int:
    """How many octets an answer over UDP may take."""
    return SMALLEST_UDP if edns is None else max(SMALLEST_UDP, min(edns.size, LARGEST_UDP))


def is_unknown_version(edns: Edns | None) -> bool:
    """Say whether BADVERS must be answered."""
    return edns is not None and edns.version > VERSION


def asks(edns: Edns | None, option: int) -> bool:
    """Say whether a query carries an option."""
    return edns is not None and any(code == option for code, _ in edns.options)


def expire_option(seconds: int) -> bytes:
    """How long a secondary may go on with what it gets (RFC 7314); we are the primary."""
    return pack("!HHI", EXPIRE, 4, seconds)


def keepalive_option(seconds: float) -> bytes:
    """How long an idle connection stays open, in units of 100 ms (RFC 7828)."""
    return pack("!HHH", KEEPALIVE, 2, min(int(seconds * 10), 0xFFFF))


def ede_option(ede: Ede) -> bytes:
    """Why a query is refused; the text is cut to 160 octets."""
    text = ede.text.encode("utf-8", "replace")[:LONGEST_TEXT].decode("utf-8", "ignore").encode()
    return pack("!HHH", EDE, 2 + len(text), ede.code) + text


def opt(edns: Edns, options: bytes = b"", *, extended_rcode: int = 0) -> bytes:
    """Give the OPT record of an answer; DO is copied from the query (RFC 3225)."""
    ttl = (extended_rcode >> 4) << 24 | VERSION << 16 | edns.flags & DO
    return b"\x00" + pack("!HHIH", TYPE_OPT, LARGEST_UDP, ttl, len(options)) + options


def with_record(message: bytes, record: bytes) -> bytes:
    """Add one record to the additional section, which ends a message."""
    count = int.from_bytes(message[10:12], "big") + 1
    return b"".join((message[:10], pack("!H", count), message[12:], record))
