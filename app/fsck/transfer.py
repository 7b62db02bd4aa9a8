"""Fetching a zone as an ISP would (AXFR over TCP, RFC 5936), every message signed where a key is given (RFC 8945).

It asks for nothing else: a query for the SOA behind a transfer would tell the ledger of a server that has the zone.
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from struct import error as struct_error
from struct import pack, unpack_from

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.tsig

from app.db import Clock
from app.fsck import reader
from app.fsck.reader import Part, Reader, UnreadableError
from app.settings import Endpoint
from app.subscribers.keys import Tsig

PATIENCE = 60.0
"""Seconds without an octet after which a server is given up."""

RCODE = 0xF
VALIDATE: Callable[..., object] = dns.tsig.validate
"""Holds one message of many against the one before it; gives what the next is held against. It has no types."""


class RefusedError(Exception):
    """The server does not give the zone, or not all of it; says why."""


@contextmanager
def connected(endpoint: Endpoint) -> Iterator[socket.socket]:
    """A connection; raises OSError where there is none to be had."""
    with socket.create_connection((endpoint.host, endpoint.port), PATIENCE) as connection:
        yield connection


def source_towards(endpoint: Endpoint) -> str:
    """The address of this host from which a server is asked; no octet is sent to find it. Raises OSError."""
    family, kind, _, _, address = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as unused:
        unused.connect(address)
        return str(unused.getsockname()[0])


def parts(connection: socket.socket, zone: Reader, origin: str, key: Tsig | None, clock: Clock) -> Iterator[Part]:
    """What a whole transfer makes of names; `zone.serials` has the serial before the first of them is given.

    Raises RefusedError, UnreadableError for anything that a secondary would not take, OSError.
    """
    query = dns.message.make_query(f"{origin}.", dns.rdatatype.AXFR, use_edns=-1)
    ring = None if key is None else dns.tsig.Key(f"{key.name}.", key.secret, f"{key.algorithm}.")
    if ring is not None:
        query.use_tsig(ring)
    wire = query.to_wire()
    connection.sendall(pack("!H", len(wire)) + wire)
    signatures = None if ring is None else _Signatures(ring, query.mac or b"", clock)
    while not _is_over(zone):
        message = _message(connection)
        head = reader.head(message)
        if head.id != query.id or head.flags & RCODE:
            raise RefusedError(f"it answers {dns.rcode.to_text(dns.rcode.Rcode.make(head.flags & RCODE))}")
        read, at = zone.read(message, reader.past_question(message, head.questions), head.answers)
        if signatures is not None:
            signatures.check(message, head, at)
        yield from read


def _is_over(zone: Reader) -> bool:
    """The SOA stands at both ends, and is the same."""
    if len(zone.serials) > 1 and len(set(zone.serials)) > 1:
        raise UnreadableError(f"it begins with serial {zone.serials[0]} and ends with {zone.serials[-1]}")
    return len(zone.serials) > 1


class _Signatures:
    """Holds every message against the one before it, by dnspython."""

    def __init__(self, key: dns.tsig.Key, request_mac: bytes, clock: Clock) -> None:
        self._key = key
        self._mac = request_mac
        self._clock = clock
        self._context: object = None

    def check(self, message: bytes, head: reader.Head, at: int) -> None:
        """Raise UnreadableError for a message that is not signed behind its answers, which end at `at`."""
        if not head.additionals:
            raise UnreadableError("a message that is not signed")
        at = reader.past_records(message, at, head.authorities + head.additionals - 1)
        try:
            owner, length = dns.name.from_wire(message, at)
            rtype, _, _, octets = unpack_from("!HHIH", message, at + length)
            if rtype != reader.TSIG:
                raise UnreadableError("a message that is not signed")
            rdata = dns.rdata.from_wire(
                dns.rdataclass.ANY, dns.rdatatype.TSIG, message, at + length + reader.RECORD_HEAD, octets
            )
            now = int(self._clock().timestamp())
            self._context = VALIDATE(message, self._key, owner, rdata, now, self._mac, at, self._context, multi=True)
        except (dns.exception.DNSException, struct_error) as error:
            raise UnreadableError(f"a message whose signature is wrong: {error or type(error).__name__}") from error


def _message(connection: socket.socket) -> bytes:
    return _octets(connection, int.from_bytes(_octets(connection, 2), "big"))


def _octets(connection: socket.socket, count: int) -> bytes:
    received = bytearray()
    while len(received) < count:
        piece = connection.recv(count - len(received))
        if not piece:
            raise RefusedError("it closed the connection before the zone was whole")
        received += piece
    return bytes(received)
