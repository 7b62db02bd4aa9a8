"""A secondary that keeps nothing: it asks over a plain socket, reads as fast as it can, and checks what came.

It is the same for every server. A transfer is over when as many records have come as the zone or the difference
holds; it must be signed throughout, without an error, and end in the SOA of the right serial.
"""

import multiprocessing
import socket
import time
from collections.abc import Callable
from struct import pack, unpack_from
from typing import NamedTuple

import dns.exception
import dns.message
import dns.name
import dns.tsig

from bench.signing import HEADER, Signer

HOST = "127.0.0.1"
TIMEOUT = 600.0
READ_AT_ONCE = 1024 * 1024
SERIAL_FROM_END = 20
TYPE_SOA, TYPE_IXFR, TYPE_AXFR, CLASS_IN = 6, 251, 252, 1


class WrongTransfer(Exception):
    """What came is not what was asked for."""


class Wanted(NamedTuple):
    """What to ask for, and what must come: AXFR, or IXFR `since` a serial; `records` counts every SOA."""

    zone: str
    serial: int
    records: int
    since: int | None = None


class Transfer(NamedTuple):
    """One that was right; `seconds` are from before the connection was opened until the last octet was here."""

    seconds: float
    messages: int
    octets: int


class Read(NamedTuple):
    """What came over a connection: how many messages, how many octets with the lengths before them, and the end."""

    messages: int
    octets: int
    last: bytes


def transfer(port: int, key: dns.tsig.Key, wanted: Wanted, *, verify: bool = False) -> Transfer:
    """Fetch once. Each message must be signed; `verify` computes the signatures too, which the time includes.

    Raises WrongTransfer, or WrongSignature.
    """
    signer = Signer(key)
    wire = signer.sign(question(wanted))
    framed = pack("!H", len(wire)) + wire
    began = time.perf_counter()
    with socket.create_connection((HOST, port), TIMEOUT) as sock:
        sock.sendall(framed)
        try:
            came = read(sock, wanted.records, signer.check if verify else None)
        except WrongTransfer as wrong:
            raise WrongTransfer(f"{wanted} at port {port}: {wrong}") from wrong
        seconds = time.perf_counter() - began
    (serial,) = unpack_from("!I", came.last, len(came.last) - signer.length - SERIAL_FROM_END)
    if serial != wanted.serial:
        raise WrongTransfer(f"{wanted}: it ends in serial {serial}")
    return Transfer(seconds, came.messages, came.octets)


def all_at_once(port: int, key: dns.tsig.Key, wanted: Wanted, clients: int) -> float:
    """So many transfers side by side, each by a process of its own; seconds until the last has everything."""
    with multiprocessing.get_context("fork").Pool(clients) as pool:
        pool.map(_ready, range(clients), chunksize=1)
        began = time.perf_counter()
        pool.starmap(transfer, [(port, key, wanted)] * clients, chunksize=1)
        seconds = time.perf_counter() - began
        pool.close()
        pool.join()
    return seconds


def _ready(_number: int) -> None:
    """Nothing: a process that has done it is there."""


def serial_of(port: int, zone: str, timeout: float = 5) -> int:
    """The serial that a server shows, asked over UDP without a signature; OSError at once where nobody listens."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout)
        sock.connect((HOST, port))
        sock.send(dns.message.make_query(zone, "SOA").to_wire())
        answer = dns.message.from_wire(sock.recv(4096))
    if not answer.answer:
        raise WrongTransfer(f"no SOA: {answer}")
    serial: int = answer.answer[0][0].serial
    return serial


def shows(port: int, zone: str) -> bool:
    """Whether a server has the zone."""
    try:
        serial_of(port, zone, timeout=0.5)
    except (OSError, WrongTransfer, dns.exception.DNSException):
        return False
    return True


def send_signed(port: int, wire: bytes) -> bytes:
    """Send one message over TCP; the answer as it came."""
    with socket.create_connection((HOST, port), TIMEOUT) as sock:
        sock.sendall(pack("!H", len(wire)) + wire)
        reader = sock.makefile("rb")
        return reader.read(int.from_bytes(reader.read(2), "big"))


def question(wanted: Wanted, identity: int = 1) -> bytes:
    """A query for a transfer, not signed: AXFR, or IXFR with the SOA of the serial that one has."""
    name = dns.name.from_text(wanted.zone).to_wire()
    assert name is not None
    rdtype = TYPE_AXFR if wanted.since is None else TYPE_IXFR
    message = pack("!6H", identity, 0, 1, 0, int(wanted.since is not None), 0) + name + pack("!2H", rdtype, CLASS_IN)
    if wanted.since is not None:
        message += (
            b"\xc0\x0c" + pack("!2HIH", TYPE_SOA, CLASS_IN, 60, 22) + bytes(2) + pack("!5I", wanted.since, *[1] * 4)
        )
    return message


def read(sock: socket.socket, records: int, check: Callable[[bytes], None] | None = None) -> Read:
    """Messages until so many records have come; `check` sees each."""
    messages = octets = 0
    buffer, last = bytearray(), b""
    while records > 0:
        piece = sock.recv(READ_AT_ONCE)
        if not piece:
            raise WrongTransfer(f"closed after {messages} messages, {records} records short")
        octets += len(piece)
        buffer += piece
        at = 0
        while len(buffer) - at > HEADER:
            length, _, flags, _, answers, _, additional = unpack_from("!7H", buffer, at)
            if len(buffer) - at < 2 + length:
                break
            if not answers:
                raise WrongTransfer(f"message {messages} holds no record, error {flags & 0x0F}")
            if not additional:
                raise WrongTransfer(f"message {messages} is not signed")
            records -= answers
            if check is not None or records <= 0:
                last = bytes(buffer[at + 2 : at + 2 + length])
            if check is not None:
                check(last)
            messages += 1
            at += 2 + length
        del buffer[:at]
    if records or buffer:
        raise WrongTransfer(f"{-records} records and {len(buffer)} octets too many")
    return Read(messages, octets, last)
