"""Many names asked of a resolver at once, over UDP: what is said of each, and whether that is `blocked` or `open`."""

import socket
from collections.abc import Iterable

import dns.message
import dns.rcode

WINDOW = 64
"""Questions under way at once: fewer than any resolver drops."""

TRIES = 8
WAIT = 1.0
"""Seconds without any answer after which what is under way is asked again."""

HEADER = 12
LARGEST = 4096


def say(port: int, names: Iterable[str]) -> dict[str, str]:
    """Ask for the IPv4 address of every name; NXDOMAIN, the address, or whatever else is answered, in words."""
    said: dict[str, str] = {}
    waiting = iter(dict.fromkeys(names))
    under_way: dict[int, tuple[str, bytes]] = {}
    silent = number = 0
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", port))
        client.settimeout(WAIT)
        while True:
            while len(under_way) < WINDOW and (name := next(waiting, None)) is not None:
                number = (number + 1) % 65536
                under_way[number] = name, _question(name, number)
                client.send(under_way[number][1])
            if not under_way:
                return said
            try:
                wire = client.recv(LARGEST)
            except TimeoutError:
                silent += 1
                if silent > TRIES:
                    return said | {name: "no answer" for name, _ in under_way.values()}
                for _, asked in under_way.values():
                    client.send(asked)
                continue
            silent = 0
            name, asked = under_way.get(int.from_bytes(wire[:2], "big"), ("", b""))
            if name and wire[HEADER : len(asked)] == asked[HEADER:]:
                del under_way[int.from_bytes(wire[:2], "big")]
                said[name] = _said(wire)


def _question(name: str, number: int) -> bytes:
    """Header with RD, and one question of type A."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return number.to_bytes(2, "big") + b"\x01\x00\x00\x01" + bytes(6) + labels + b"\x00\x00\x01\x00\x01"


def _said(wire: bytes) -> str:
    reply = dns.message.from_wire(wire)
    if reply.rcode() != dns.rcode.NOERROR:
        return dns.rcode.to_text(reply.rcode())
    return " ".join(str(record) for rrset in reply.answer for record in rrset) or "NODATA"
