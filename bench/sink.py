"""A secondary that keeps nothing: it asks over a plain socket, reads as fast as it can, and checks what came.

It is the same for every server. A transfer is over when as many records have come as the zone or the difference
holds; it must be signed throughout, without an error, and end in the SOA of the right serial.
"""

import hashlib
import hmac
import socket
import time
from collections.abc import Sequence
from struct import pack, unpack_from
from typing import NamedTuple

import dns.message
import dns.name
import dns.query
import dns.rrset
import dns.tsig

HOST = "127.0.0.1"
TIMEOUT = 120.0
HEADER = 12
READ_AT_ONCE = 1024 * 1024
SERIAL_FROM_END = 20
MAC_LENGTH = 32


class WrongTransfer(Exception):
    """What came is not the transfer that was asked for."""


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


def transfer(port: int, key: dns.tsig.Key, wanted: Wanted, *, verify: bool = False) -> Transfer:
    """Fetch once. Each message must be signed; with `verify` the signatures are computed, after the time was taken.

    Raises WrongTransfer.
    """
    query = _query(key, wanted)
    wire = query.to_wire()
    framed = pack("!H", len(wire)) + wire
    began = time.perf_counter()
    with socket.create_connection((HOST, port), TIMEOUT) as sock:
        sock.sendall(framed)
        messages, octets = read(sock, wanted.records)
        seconds = time.perf_counter() - began
    (serial,) = unpack_from("!I", messages[-1], len(messages[-1]) - _tsig_length(key) - SERIAL_FROM_END)
    if serial != wanted.serial:
        raise WrongTransfer(f"{wanted}: it ends in serial {serial}")
    if verify:
        assert query.mac is not None
        check_signatures(messages, key, query.mac)
    return Transfer(seconds, len(messages), octets)


def serial_of(port: int, zone: str) -> int:
    """The serial that a server shows, asked over UDP without a signature."""
    answer = dns.query.udp(dns.message.make_query(zone, "SOA"), HOST, port=port, timeout=5)
    if not answer.answer:
        raise WrongTransfer(f"no SOA: {answer}")
    serial: int = answer.answer[0][0].serial
    return serial


def send_signed(port: int, wire: bytes) -> bytes:
    """Send one message over TCP; the answer as it came."""
    with socket.create_connection((HOST, port), TIMEOUT) as sock:
        sock.sendall(pack("!H", len(wire)) + wire)
        reader = sock.makefile("rb")
        return reader.read(int.from_bytes(reader.read(2), "big"))


def _query(key: dns.tsig.Key, wanted: Wanted) -> dns.message.Message:
    query = dns.message.make_query(wanted.zone, "AXFR" if wanted.since is None else "IXFR")
    if wanted.since is not None:
        soa = f". . {wanted.since} 1 1 1 1"
        query.authority.append(dns.rrset.from_text(f"{wanted.zone}.", 60, "IN", "SOA", soa))
    query.use_tsig(key)
    return query


def read(sock: socket.socket, records: int) -> tuple[list[bytes], int]:
    """Messages until so many records have come; also how many octets that were, with the lengths before them."""
    messages: list[bytes] = []
    buffer, octets = bytearray(), 0
    while records > 0:
        piece = sock.recv(READ_AT_ONCE)
        if not piece:
            raise WrongTransfer(f"closed after {len(messages)} messages, {records} records short")
        octets += len(piece)
        buffer += piece
        at = 0
        while len(buffer) - at > HEADER:
            length, _, flags, _, answers, _, additional = unpack_from("!7H", buffer, at)
            if len(buffer) - at < 2 + length:
                break
            if not answers:
                raise WrongTransfer(f"message {len(messages)} holds no record, error {flags & 0x0F}")
            if not additional:
                raise WrongTransfer(f"message {len(messages)} is not signed")
            messages.append(bytes(buffer[at + 2 : at + 2 + length]))
            records -= answers
            at += 2 + length
        del buffer[:at]
    if records or buffer:
        raise WrongTransfer(f"{-records} records and {len(buffer)} octets too many")
    return messages, octets


def _tsig_length(key: dns.tsig.Key) -> int:
    """How long the record is that ends every message: no name in it is compressed (RFC 8945 section 4.2)."""
    return len(key.name.to_digestable()) + 10 + len(key.algorithm.to_digestable()) + 16 + MAC_LENGTH


def check_signatures(messages: Sequence[bytes], key: dns.tsig.Key, mac: bytes) -> None:
    """Compute each signature over the one before it (RFC 8945 section 5.3.1), for hmac-sha256."""
    head = key.name.to_digestable() + pack("!HI", 255, 0) + key.algorithm.to_digestable()
    assert isinstance(key.secret, bytes)
    for number, message in enumerate(messages):
        body, signature = message[: -_tsig_length(key)], message[-_tsig_length(key) :]
        timers = signature[-16 - MAC_LENGTH :][:8]
        signed = pack("!H", len(mac)) + mac + body[:10] + pack("!H", 0) + body[HEADER:]
        signed += timers if number else head + timers + bytes(4)
        mac = signature[-6 - MAC_LENGTH : -6]
        if not hmac.compare_digest(hmac.digest(key.secret, signed, hashlib.sha256), mac):
            raise WrongTransfer(f"the signature of message {number} is wrong")
