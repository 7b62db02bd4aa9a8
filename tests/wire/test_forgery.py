"""Forgeries of twelve kinds against a real server: none gets an octet of a zone, each is told what RFC 8945 says.

Every kind is tried with keys of all three algorithms; the signatures that forgeries begin with are dnspython's.
"""

import random
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import dns.message
import dns.rcode
import dns.tsig
import pytest

from app.subscribers.directory import Directory, KnownKey
from app.transfer.request import Tsig
from app.transfer.tsig import BADKEY, BADSIG, BADTIME, BADTRUNC
from tests.policy.scale import Record, scaled, seeded, tell
from tests.wire.clients import connection, query, receive, send
from tests.wire.feeds import KEYED, LONG_AGO, MadeFeed, client_key, directory, serving
from tests.wire.test_tsig import FULL, edited, tsig_of

FORMERR, REFUSED = -dns.rcode.FORMERR, -dns.rcode.REFUSED
"""An answer without a TSIG error: its rcode, below zero to tell the two apart."""

OF_EACH_KIND = 25
KEYS = [KnownKey(f"isp-one-{name}", name, bytes(range(FULL[name])), "isp-one", LONG_AGO, None) for name in FULL]
OVER = replace(KEYS[0], name="isp-one-over", valid_until=LONG_AGO + timedelta(days=1))
OTHERS = replace(KEYS[0], name="isp-two-key", subscriber="isp-two", secret=b"that of another subscriber")


@dataclass
class Clock:
    """The server's, which a test may set wrong."""

    off: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.off


@dataclass
class Target:
    """A server with keys of every algorithm, an ended one, and one of somebody else."""

    port: int
    clock: Clock

    def asked(self, wire: bytes) -> list[bytes]:
        """Everything that comes back."""
        with connection(self.port, KEYED) as sock:
            send(sock, wire)
            sock.shutdown(socket.SHUT_WR)
            return list(iter(lambda: receive(sock), b""))


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    clock, known = Clock(), directory(*KEYS, OVER, OTHERS)
    with serving(MadeFeed(known=Directory(known.subscribers, known.keys)), clock=clock) as server:
        yield Target(server.port, clock)


Forgery = Callable[[KnownKey, random.Random, Clock], tuple[bytes, int]]


def signed(
    key: KnownKey, qtype: str = "AXFR", name: str | None = None, secret: bytes = b"", algorithm: str | None = None
) -> bytes:
    made = dns.tsig.Key(name or key.name, secret or key.secret, algorithm or key.algorithm)
    return query(qtype, key=made, serial=10 if qtype == "IXFR" else None).to_wire()


def unsigned(_: KnownKey, chance: random.Random, __: Clock) -> tuple[bytes, int]:
    qtype = chance.choice(("AXFR", "IXFR"))
    return query(qtype, serial=10 if qtype == "IXFR" else None).to_wire(), REFUSED


def wrong_secret(key: KnownKey, chance: random.Random, _: Clock) -> tuple[bytes, int]:
    return signed(key, secret=chance.randbytes(chance.randint(1, 80))), BADSIG


def unknown_key(key: KnownKey, chance: random.Random, _: Clock) -> tuple[bytes, int]:
    names = (f"{key.name}x", key.name[:-1], f"{key.name}.example", f"x{chance.getrandbits(32)}", "*", "block.rpz")
    return signed(key, name=chance.choice(names)), BADKEY


def key_of_another(_: KnownKey, chance: random.Random, __: Clock) -> tuple[bytes, int]:
    return signed(OTHERS, chance.choice(("AXFR", "IXFR"))), REFUSED


def another_algorithm(key: KnownKey, chance: random.Random, _: Clock) -> tuple[bytes, int]:
    """The secret is right; only the client would choose what is done with it."""
    every = ("hmac-md5.sig-alg.reg.int", "hmac-sha1", "hmac-sha224", "hmac-sha256-128", *FULL)
    return signed(key, algorithm=chance.choice([name for name in every if name != key.algorithm])), BADKEY


def key_that_ended(_: KnownKey, chance: random.Random, __: Clock) -> tuple[bytes, int]:
    return signed(OVER, chance.choice(("AXFR", "IXFR"))), BADKEY


def cut(wire: bytes, length: int) -> bytes:
    return edited(wire, lambda old: old._replace(mac=old.mac[:length]))


def cut_mac(key: KnownKey, chance: random.Random, _: Clock) -> tuple[bytes, int]:
    length = chance.randrange(FULL[key.algorithm])
    return cut(signed(key), length), BADTRUNC if length >= FULL[key.algorithm] // 2 else FORMERR


def altered_mac(key: KnownKey, chance: random.Random, _: Clock) -> tuple[bytes, int]:
    bit = 1 << chance.randrange(8 * FULL[key.algorithm])

    def flipped(mac: bytes) -> bytes:
        return (int.from_bytes(mac, "big") ^ bit).to_bytes(len(mac), "big")

    return edited(signed(key), lambda old: old._replace(mac=flipped(old.mac))), BADSIG


def altered_message(key: KnownKey, chance: random.Random, _: Clock) -> tuple[bytes, int]:
    """A signed poll that is made a transfer, or a transfer of another zone, or one with another serial."""
    match chance.randrange(3):
        case 0:
            return signed(key, "SOA").replace(b"\0\6\0\1", chance.choice((b"\0\xfc\0\1", b"\0\xff\0\1")), 1), BADSIG
        case 1:
            return signed(key).replace(b"\3rpz", b"\3rpy"), BADSIG
        case _:
            serial = chance.randrange(9).to_bytes(4, "big")
            return signed(key, "IXFR").replace(b"\0\0\0\x0a", serial, 1), BADSIG


def altered_variables(key: KnownKey, chance: random.Random, _: Clock) -> tuple[bytes, int]:
    """What a TSIG record says beside the MAC, all of which the MAC is over."""
    changes: tuple[Callable[[Tsig], Tsig], ...] = (
        lambda old: old._replace(time=old.time + chance.choice((-60, -1, 1, 60))),
        lambda old: old._replace(fudge=old.fudge ^ 1 << chance.randrange(16)),
        lambda old: old._replace(original_id=old.original_id ^ 1 << chance.randrange(16)),
        lambda old: old._replace(error=chance.randint(1, 22)),
        lambda old: old._replace(other=chance.randbytes(chance.choice((1, 6, 100)))),
    )
    return edited(signed(key), chance.choice(changes)), BADSIG


def misplaced(key: KnownKey, chance: random.Random, _: Clock) -> tuple[bytes, int]:
    """Another class or TTL, two of them, OPT behind it, octets after it."""
    wire = signed(key)
    record, opt = wire[tsig_of(wire).at :], b"\0\0\x29\x04\xd0\0\0\0\0\0\0"
    two = wire[:10] + b"\0\2" + wire[12:]
    made = (
        wire.replace(b"\x00\xfa\x00\xff", b"\x00\xfa\x00\x01"),
        wire.replace(b"\x00\xfa\x00\xff\0\0\0\0", b"\x00\xfa\x00\xff\0\0\0\1"),
        two + record,
        two + opt,
        wire + chance.randbytes(3),
    )
    return chance.choice(made), FORMERR


def another_time(key: KnownKey, chance: random.Random, clock: Clock) -> tuple[bytes, int]:
    clock.off = timedelta(seconds=chance.choice((-1, 1)) * chance.choice((302, 400, 3600, 86_400, 10**7)))
    return signed(key, chance.choice(("AXFR", "IXFR"))), BADTIME


TWELVE: tuple[Forgery, ...] = (
    unsigned,
    wrong_secret,
    unknown_key,
    key_of_another,
    another_algorithm,
    key_that_ended,
    cut_mac,
    altered_mac,
    altered_message,
    altered_variables,
    misplaced,
    another_time,
)


@pytest.mark.parametrize("forgery", TWELVE, ids=lambda forgery: forgery.__name__)
def test_forgery_gets_no_zone_and_the_right_error(target: Target, forgery: Forgery, record_property: Record) -> None:
    chance, count, records = seeded(forgery.__name__), scaled(OF_EACH_KIND), 0
    for number in range(count):
        target.clock.off = timedelta(0)
        wire, error = forgery(KEYS[number % 3], chance, target.clock)
        messages = target.asked(wire)
        records += sum(int.from_bytes(message[6:8], "big") for message in messages)
        assert said(messages[0]) == error
        assert len(messages) == 1
    target.clock.off = timedelta(0)
    tell(record_property, forgeries=count, records_of_the_zone=records)
    assert records == 0


def said(answer: bytes) -> int:
    """The TSIG error of an answer; where it has none, its rcode below zero."""
    read = dns.message.from_wire(answer, keyring=False)
    assert not read.answer
    assert not read.authority
    error = tsig_of(answer).error if read.had_tsig else 0
    if error:
        assert read.rcode() == dns.rcode.NOTAUTH
    return error or -read.rcode()


@pytest.mark.parametrize("key", KEYS, ids=FULL)
def test_mac_cut_to_any_length_gets_no_zone(target: Target, key: KnownKey, record_property: Record) -> None:
    whole, full = signed(key), FULL[key.algorithm]
    for length in range(full):
        (answer,) = target.asked(cut(whole, length))
        assert said(answer) == (BADTRUNC if length >= full // 2 else FORMERR)
    (longer,) = target.asked(edited(whole, lambda old: old._replace(mac=old.mac + b"x")))
    assert said(longer) == FORMERR
    tell(record_property, lengths_refused=full + 1)


@pytest.mark.parametrize("key", KEYS, ids=FULL)
@pytest.mark.parametrize(("off", "error"), [(-301, BADTIME), (-299, 0), (0, 0), (299, 0), (301, BADTIME)])
def test_clock_may_be_off_by_the_fudge_and_no_more(target: Target, key: KnownKey, off: int, error: int) -> None:
    """Times are whole seconds, so a query is sent while most of one is left."""
    if time.time() % 1 > 0.7:
        time.sleep(0.4)
    target.clock.off = timedelta(seconds=off)
    wire = signed(key, "SOA")
    (answer,) = target.asked(wire)
    target.clock.off = timedelta(0)
    assert (tsig_of(answer).error, answer[7]) == (error, int(not error))
    if error:
        now = datetime.now(UTC) + timedelta(seconds=off)
        assert abs(int.from_bytes(tsig_of(answer).other, "big") - now.timestamp()) < 5
        assert len(tsig_of(answer).mac) == FULL[key.algorithm]
        with pytest.raises(dns.tsig.PeerBadTime):
            dns.message.from_wire(answer, keyring=client_key(key), request_mac=tsig_of(wire).mac)
