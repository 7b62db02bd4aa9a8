"""A name server that knows every name: whatever a reader does not block gets an address from here."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset

ADDRESSES = {dns.rdatatype.A: "192.0.2.1", dns.rdatatype.AAAA: "2001:db8::1"}
LARGEST = 4096


@contextmanager
def upstream() -> Iterator[int]:
    """Serve on a loopback port, UDP, for as long as the block runs; yields the port."""
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        port = int(server.getsockname()[1])
        thread = threading.Thread(target=_serve, args=(server,), daemon=True)
        thread.start()
        try:
            yield port
        finally:
            with socket.socket(type=socket.SOCK_DGRAM) as last:
                last.sendto(b"", ("127.0.0.1", port))
            thread.join(10)


def _serve(server: socket.socket) -> None:
    while True:
        wire, peer = server.recvfrom(LARGEST)
        if not wire:
            return
        reply = dns.message.make_response(dns.message.from_wire(wire))
        reply.flags |= dns.flags.RA
        question = reply.question[0]
        address = ADDRESSES.get(question.rdtype)
        if address is not None:
            reply.answer.append(dns.rrset.from_text(question.name, 5, "IN", question.rdtype, address))
        server.sendto(reply.to_wire(), peer)


def answer(port: int, name: str, rdtype: str = "A") -> str:
    """What a resolver says: an address, NODATA, or the name of an error."""
    reply = dns.query.udp(dns.message.make_query(name, rdtype), "127.0.0.1", port=port, timeout=5)
    if reply.rcode() != dns.rcode.NOERROR:
        return dns.rcode.to_text(reply.rcode())
    return str(reply.answer[0][0]) if reply.answer else "NODATA"


def opens(port: int, name: str) -> bool:
    """Whether a resolver lets a name through, by its IPv4 and its IPv6 address alike."""
    found = {rdtype: answer(port, name, rdtype) for rdtype in ("A", "AAAA")}
    through = {rdtype: found[rdtype] == ADDRESSES[dns.rdatatype.from_text(rdtype)] for rdtype in found}
    assert len(set(through.values())) == 1, (name, found)
    assert through["A"] or found["A"] in {"NXDOMAIN", "NODATA", "0.0.0.0"}, (name, found)
    return through["A"]
