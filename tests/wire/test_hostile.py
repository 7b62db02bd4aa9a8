"""Messages made to stop a server: none costs more than 10 ms, raises, or gets an octet of a zone."""

import gc
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from struct import pack

import dns.opcode
import dns.rcode
import pytest

from app.transfer.access import KnownAddresses
from app.transfer.exchange import Peer, respond
from app.transfer.notify import Notifier
from app.transfer.precheck import LONGEST_TCP, LONGEST_UDP
from app.transfer.process import Transfer, system_clock
from tests.policy.scale import Record, scaled, tell
from tests.wire.clients import connection, option, query, raw_answer, receive, send, udp
from tests.wire.feeds import KEYED, STRANGER, MadeFeed, client_key

LONGEST_MS = 10
LONG_NAME = b"\x01x" * 126 + b"\x00"
CNAME = b"\xc0\x0c" + pack("!HHIH", 5, 1, 0, 2) + b"\xc0\x0c"
TXT = b"\xc0\x0c" + pack("!HHIH", 16, 1, 0, 3)
KNOWN_BOMBS = {
    "questions that point at one long name": pack("!6H", 1, 0, 10_878, 0, 0, 0)
    + LONG_NAME
    + b"\x00\x01\x00\x01"
    + b"\xc0\x0c\x00\x01\x00\x01" * 10_877,
    "records that point at one long name": pack("!6H", 1, 0, 1, 4661, 0, 0) + LONG_NAME + b"\0\1\0\1" + CNAME * 4661,
    "one record set of thousands": pack("!6H", 1, 0, 1, 0, 4300, 0)
    + LONG_NAME
    + b"\0\1\0\1"
    + b"".join(TXT + b"\x02" + pack("!H", number) for number in range(4300)),
    "pointers that point at pointers": pack("!6H", 1, 0, 1, 0, 0, 2000)
    + b"\x00\x00\x01\x00\x01"
    + b"".join(pack("!HHHIH", 0xC000 | max(12, 12 * number), 1, 1, 0, 0) for number in range(1, 1364)) * 3,
    "a length of all that fits": b"\0" * 65_535,
}


def many_options(count: int) -> bytes:
    """A question, and an OPT record of nothing but empty options."""
    options = pack("!HH", 65001, 0) * count
    return (
        pack("!6H", 1, 0, 1, 0, 0, 1) + LONG_NAME + b"\0\6\0\1\0" + pack("!HHIH", 41, 1232, 0, len(options)) + options
    )


def pointer_ladder() -> bytes:
    """A key name that climbs through as many pointers as a query can hold."""
    steps = b"".join(pack("!H", 0xC000 | 12 + 2 * number) for number in range(1900))
    head = pack("!6H", 1, 0, 1, 0, 1, 1) + b"\0\0\6\0\1"
    soa = b"\0" + pack("!HHIH", 16, 1, 0, len(steps)) + steps
    return head + soa + pack("!H", 0xC000 | 3800) + pack("!HHIH", 250, 255, 0, 0)


def longest_names_everywhere() -> bytes:
    name = (b"\x01\xff" * 126) + b"\0"
    soa = name + name + pack("!5I", 1, 1, 1, 1, 1)
    tsig = name + pack("!HIHH", 0, 1, 300, 32) + bytes(32) + pack("!HHH", 1, 0, 0)
    return (
        pack("!6H", 1, 0, 1, 0, 1, 2)
        + name
        + b"\0\xfb\0\1"
        + (name + pack("!HHIH", 6, 1, 0, len(soa)) + soa)
        + (b"\0" + pack("!HHIH", 41, 1232, 0, 0))
        + (name + pack("!HHIH", 250, 255, 0, len(tsig)) + tsig)
    )


SMALL_BOMBS = {"options": many_options(900), "pointers": pointer_ladder(), "names": longest_names_everywhere()}


class Worst:
    """The most CPU time that one message took, in milliseconds."""

    def __init__(self) -> None:
        self.ms = 0.0

    def of(self, work: Callable[..., object], *arguments: object) -> None:
        begun = time.thread_time()
        work(*arguments)
        self.ms = max(self.ms, (time.thread_time() - begun) * 1000)


@contextmanager
def no_collector() -> Iterator[None]:
    """Other tests' garbage is not what is measured."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


TCP_KNOWN, UDP_KNOWN = Peer(ip_address(KEYED), tcp=True), Peer(ip_address(KEYED), tcp=False)
TCP_STRANGER, UDP_STRANGER = Peer(ip_address(STRANGER), tcp=True), Peer(ip_address(STRANGER), tcp=False)
PEERS = (TCP_KNOWN, UDP_KNOWN, TCP_STRANGER, UDP_STRANGER)


def answers(wire: bytes, peer: Peer, feed: MadeFeed, known: KnownAddresses) -> list[bytes]:
    exchange = respond(wire, peer, feed, known, system_clock)
    return [] if exchange is None else list(exchange.messages)


@pytest.mark.parametrize("bomb", [*KNOWN_BOMBS.values(), *SMALL_BOMBS.values()], ids=[*KNOWN_BOMBS, *SMALL_BOMBS])
def test_bomb_costs_at_most_10_ms_and_is_refused(bomb: bytes) -> None:
    worst, feed, known = Worst(), MadeFeed(), KnownAddresses()
    with no_collector():
        for peer in PEERS:
            worst.of(answers, bomb, peer, feed, known)
    assert worst.ms <= LONGEST_MS
    for answer in [answer for peer in PEERS for answer in answers(bomb, peer, feed, known)]:
        assert answer[3] & 0xF in {dns.rcode.FORMERR, dns.rcode.REFUSED, dns.rcode.NOTAUTH}
        assert answer[6:8] == b"\0\0"


def test_bombs_stop_neither_udp_nor_tcp(server: Transfer) -> None:
    for bomb in KNOWN_BOMBS.values():
        raw_answer(bomb[:65_507], server.port, STRANGER)
        with connection(server.port, STRANGER) as sock:
            send(sock, bomb[:65_535])
            assert receive(sock) == b""
    for bomb in SMALL_BOMBS.values():
        raw_answer(bomb, server.port, STRANGER)
        with connection(server.port, STRANGER) as sock:
            send(sock, bomb)
            assert receive(sock)
    assert udp(query("SOA"), server.port).rcode() == dns.rcode.NOERROR


def corpus() -> list[bytes]:
    """One of each kind of message that is usual here."""
    key = client_key()
    notify = query("SOA", key=key)
    notify.set_opcode(dns.opcode.NOTIFY)
    made = [
        query("SOA"),
        query("SOA", edns=True, options=(option(9, b""), option(11, b""), option(10, b"12345678"))),
        query("AXFR", key=key),
        query("IXFR", key=key, serial=10, edns=True),
        query("IXFR", serial=9),
        query("A", "x.old1.example.block.rpz."),
        notify,
    ]
    return [*(each.to_wire() for each in made), *SMALL_BOMBS.values()]


def mutated(wire: bytes, chance: random.Random) -> bytes:
    """Some octets changed, cut out, doubled or put in; the header often left whole."""
    octets = bytearray(wire)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        at = chance.randrange(chance.choice((0, 12, 12, 12)), max(13, len(octets)))
        size = chance.choice((1, 1, 2, 30))
        match chance.randrange(5):
            case 0 | 1:
                octets[at : at + size] = chance.randbytes(size)
            case 2:
                del octets[at : at + size]
            case 3:
                octets[at:at] = octets[at : at + 200] * chance.choice((1, 3))
            case _:
                octets[at:at] = pack("!H", 0xC000 | chance.randrange(len(octets) + 1))
    return bytes(octets)


def test_mutated_messages(record_property: Record) -> None:
    chance, feed, known, worst = random.Random(7), MadeFeed(), KnownAddresses(), Worst()
    notifier, every = Notifier(feed, system_clock), corpus()
    count = scaled(20_000)
    with no_collector():
        for number in range(count):
            wire = mutated(every[number % len(every)], chance)
            worst.of(answers, wire, PEERS[number % len(PEERS)], feed, known)
            worst.of(notifier.take, wire, ("127.0.0.1", 53))
            feed.sightings.clear()
    tell(record_property, mutated_messages=count, worst_microseconds=int(worst.ms * 1000))
    assert worst.ms <= LONGEST_MS


def test_mutated_messages_of_a_stranger_get_no_record(record_property: Record) -> None:
    chance, feed, known, every = random.Random(8), MadeFeed(), KnownAddresses(), corpus()
    count, answered = scaled(8000), 0
    for number in range(count):
        peer = TCP_STRANGER if number % 2 else UDP_STRANGER
        for answer in answers(mutated(every[number % len(every)], chance), peer, feed, known):
            answered += 1
            assert answer[6:10] == b"\0\0\0\0"
            assert len(answer) <= LONGEST_UDP
    tell(record_property, mutated_messages=count, answers_without_a_zone=answered)


def test_sizes_that_pass_are_what_they_are_said_to_be() -> None:
    feed, known = MadeFeed(), KnownAddresses()
    made = query("SOA", options=(option(65001, b""),))
    fits = query("SOA", options=(option(65001, bytes(LONGEST_TCP - len(made.to_wire()))),)).to_wire(max_size=65_535)
    assert len(fits) == LONGEST_TCP
    for wire, rcode in ((fits, dns.rcode.NOERROR), (fits + b"x", dns.rcode.FORMERR)):
        (answer,) = answers(wire, TCP_KNOWN, feed, known)
        assert answer[3] & 0xF == rcode
