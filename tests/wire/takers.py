"""Secondaries that take zones by AXFR and IXFR, some of them slowly, and say by digest what they have.

They read messages by themselves: sixty thousand records take dnspython seconds.
"""

import random
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from app.publication import digest
from resolver_policy.delta import EMPTY_RULE, Rule
from resolver_policy.targets import Decision
from tests.policy.zones import key
from tests.wire.clients import query, receive, send

CNAME, SOA = 5, 6
HEADER, RECORD_HEAD = 12, 10
POINTER = 0xC0
DECISIONS = {"": Decision.BLOCK, "rpz-passthru": Decision.PASS}
SOME_BUFFER = 16_384


class Taken(NamedTuple):
    """A zone at a serial as somebody has it, by which kind of transfer it came, and the digest of its rules."""

    zone: str
    serial: int
    kind: str
    digest: str


class Record(NamedTuple):
    """A CNAME, or with `serial` an SOA."""

    owner: str
    target: str
    serial: int | None


class Taker:
    """Takes zones, one after the other, until `over`; reads some of them with pauses."""

    def __init__(self, port: int, zones: Iterable[str], over: threading.Event, seed: object) -> None:
        self._port, self._zones, self._over = port, tuple(zones), over
        self._random = random.Random(str(seed))
        self._held: dict[str, tuple[int, dict[str, str]]] = {}
        self.taken: list[Taken] = []

    def run(self) -> None:
        while not self._over.is_set():
            self._take(self._random.choice(self._zones))
            self._over.wait(self._random.choice((0, 0, 0.3)))

    def _take(self, zone: str) -> None:
        serial, held = self._held.get(zone, (None, {}))
        if self._random.random() < 0.3:
            serial = None
        records = _content(self._asked(zone, serial))
        new = next(records).serial
        assert new is not None
        if new == serial:
            return
        first = next(records)
        if first.serial is None or first.serial == new:
            kind, held = "AXFR", {}
            _add(held, _until_soa(first, records, new))
        else:
            kind, held = "IXFR", dict(held)
            assert first.serial == serial, "a difference from a serial that nobody asked from"
            for gone in _until_soa(next(records), records, new):
                assert held.pop(gone.owner) == gone.target
            _add(held, _until_soa(next(records), records, new))
        self._held[zone] = new, held
        self.taken.append(Taken(zone, new, kind, digest_of(held, zone)))

    def _asked(self, zone: str, serial: int | None) -> Iterator[bytes]:
        slowly = self._random.random() < 0.2
        with socket.socket() as sock:
            if slowly:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOME_BUFFER)
            sock.settimeout(30)
            sock.connect(("127.0.0.1", self._port))
            send(sock, query("AXFR" if serial is None else "IXFR", f"{zone}.", serial=serial).to_wire())
            while message := receive(sock):
                yield message
                if slowly:
                    time.sleep(0.02)


def _until_soa(first: Record, records: Iterator[Record], serial: int) -> Iterator[Record]:
    """Records up to the next SOA, which must have this serial."""
    record = first
    while record.serial is None:
        yield record
        record = next(records)
    assert record.serial == serial, f"a transfer of {serial} that goes on with {record.serial}"


def _add(held: dict[str, str], records: Iterable[Record]) -> None:
    for record in records:
        assert record.owner not in held, f"{record.owner} twice"
        held[record.owner] = record.target


def digest_of(held: dict[str, str], zone: str) -> str:
    """The digest of a zone, by its definition, from its records."""
    rules: dict[str, Rule] = {}
    for owner, target in held.items():
        name, decision = owner.removesuffix(f".{zone}"), DECISIONS[target]
        plain = name.removeprefix("*.")
        own, wild = rules.get(plain, EMPTY_RULE)
        rules[plain] = Rule(decision, wild) if plain == name else Rule(own, decision)
    total = sum(digest.rule_number(key(name), rule) for name, rule in rules.items())
    return digest.of_sum(digest.stored(total)).hex()


def _content(messages: Iterable[bytes]) -> Iterator[Record]:
    """CNAME and SOA records of all messages."""
    for message in messages:
        assert not message[3] & 0xF, f"rcode {message[3] & 0xF}"
        _, at = _name(message, HEADER)
        at += 4
        for _ in range(int.from_bytes(message[6:8], "big")):
            owner, at = _name(message, at)
            rtype, start = int.from_bytes(message[at : at + 2], "big"), at + RECORD_HEAD
            at = start + int.from_bytes(message[start - 2 : start], "big")
            if rtype == CNAME:
                yield Record(owner, _name(message, start)[0], None)
            elif rtype == SOA:
                yield Record(owner, "", int.from_bytes(message[at - 20 : at - 16], "big"))


def _name(message: bytes, at: int) -> tuple[str, int]:
    """A name without its last dot, and where it ends."""
    labels: list[str] = []
    while length := message[at]:
        if length >= POINTER:
            rest, _ = _name(message, int.from_bytes(message[at : at + 2], "big") & 0x3FFF)
            return ".".join((*labels, rest)), at + 2
        labels.append(message[at + 1 : at + 1 + length].decode())
        at += 1 + length
    return ".".join(labels), at + 1
