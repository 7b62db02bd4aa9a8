"""Clients: dnspython over real sockets, and plain sockets for what no client would send."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from struct import pack

import dns.edns
import dns.message
import dns.query
import dns.rdatatype
import dns.rrset
import dns.tsig

from tests.wire.feeds import KEYED, KEYLESS

TIMEOUT = 5


def query(
    qtype: str,
    name: str = "block.rpz.",
    *,
    key: dns.tsig.Key | None = None,
    serial: int | None = None,
    edns: bool = False,
    options: tuple[dns.edns.Option, ...] = (),
) -> dns.message.QueryMessage:
    """A query; `serial` is what an IXFR client has."""
    made = dns.message.make_query(name, qtype, use_edns=0 if edns or options else -1, options=list(options))
    if serial is not None:
        soa = f"{name} 60 IN SOA . . {serial} 1 1 1 1".split(" ", 4)
        made.authority.append(dns.rrset.from_text(soa[0], 60, "IN", "SOA", soa[4]))
    if key is not None:
        made.use_tsig(key, fudge=300)
    return made


def option(code: int, data: bytes) -> dns.edns.Option:
    return dns.edns.GenericOption(dns.edns.OptionType.make(code), data)


def udp(made: dns.message.Message, port: int, source: str = KEYED) -> dns.message.Message:
    return dns.query.udp(made, "127.0.0.1", timeout=TIMEOUT, port=port, source=source)


def tcp(made: dns.message.Message, port: int, source: str = KEYED) -> dns.message.Message:
    return dns.query.tcp(made, "127.0.0.1", timeout=TIMEOUT, port=port, source=source, one_rr_per_rrset=True)


def transfer(
    port: int, qtype: str = "AXFR", *, key: dns.tsig.Key | None = None, serial: int | None = None, source: str = KEYED
) -> list[str]:
    """All records of a transfer in their order; dnspython checks the TSIG of every message."""
    made = query(qtype, key=key, serial=serial)
    records: list[str] = []
    with connection(port, source) as sock:
        send(sock, made.to_wire())
        context = None
        while len(records) < 2 or not _is_over(records):
            message = dns.message.from_wire(
                receive(sock),
                keyring=key,
                request_mac=made.mac,
                xfr=True,
                tsig_ctx=context,
                multi=True,
                one_rr_per_rrset=True,
            )
            if key is not None:
                assert message.had_tsig
            assert message.rcode() == 0, message
            context = message.tsig_ctx
            records += [str(rrset) for rrset in message.answer]
    return records


def _is_over(records: list[str]) -> bool:
    """The first SOA again, once for a full zone, twice more for a difference."""
    wanted = 3 if " SOA " in records[1] else 2
    return records.count(records[0]) == wanted


@contextmanager
def connection(port: int, source: str = KEYED) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), TIMEOUT, (source, 0)) as sock:
        yield sock


def send(sock: socket.socket, wire: bytes) -> None:
    sock.sendall(pack("!H", len(wire)) + wire)


def receive(sock: socket.socket) -> bytes:
    """One framed message; empty where the server closed the connection."""
    prefix = _exactly(sock, 2)
    return _exactly(sock, int.from_bytes(prefix, "big")) if prefix else b""


def _exactly(sock: socket.socket, size: int) -> bytes:
    octets = b""
    while len(octets) < size:
        try:
            more = sock.recv(size - len(octets))
        except ConnectionResetError:
            more = b""
        if not more:
            assert not octets, "closed within a message"
            return b""
        octets += more
    return octets


def raw_answer(wire: bytes, port: int, source: str = KEYED) -> bytes:
    """The raw answer to raw octets over UDP; empty where none comes in half a second."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind((source, 0))
        sock.settimeout(0.5)
        sock.sendto(wire, ("127.0.0.1", port))
        try:
            return sock.recv(65535)
        except TimeoutError:
            return b""


@contextmanager
def slow_reader(port: int, source: str = KEYLESS, key: dns.tsig.Key | None = None) -> Iterator[socket.socket]:
    """A client with a small buffer that has asked for the zone and reads nothing."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        sock.bind((source, 0))
        sock.settimeout(20)
        sock.connect(("127.0.0.1", port))
        send(sock, query("AXFR", key=key).to_wire())
        yield sock


def records_read(sock: socket.socket, enough: int) -> int:
    """How many records come, until there are enough or the connection is closed."""
    count = 0
    while count < enough:
        message = receive(sock)
        if not message:
            break
        count += int.from_bytes(message[6:8], "big")
    return count
