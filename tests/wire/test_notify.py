"""NOTIFY, received by plain sockets that answer as they are told."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_network

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.tsig
import pytest

from app.subscribers.directory import Directory, KnownKey, NotifyTarget, Subscriber
from app.subscribers.sighting import Sighting
from app.transfer.limits import Limits
from app.transfer.process import Transfer
from resolver_policy.version import ZoneVersion
from tests.wire.clients import query, udp
from tests.wire.feeds import ISP_ONE, LONG_AGO, MadeFeed, client_key, serving, small_zone

QUICK = Limits(notify_pauses=(0.2, 0.2, 0.2))
PATIENT = Limits(notify_pauses=(30,))


class Target:
    """A resolver's UDP port."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.place = NotifyTarget("127.0.0.1", sock.getsockname()[1])
        self.sender: tuple[str, int] = ("", 0)
        self.wires: list[bytes] = []

    def take(self, timeout: float = 5) -> bytes:
        self.sock.settimeout(timeout)
        wire, self.sender = self.sock.recvfrom(65535)
        self.wires.append(wire)
        return wire

    def all(self, until: float) -> Iterator[bytes]:
        """What comes until then."""
        while (left := until - time.monotonic()) > 0:
            with suppress(TimeoutError):
                yield self.take(left)

    def is_quiet(self, within: float = 0.5) -> bool:
        try:
            self.take(within)
        except TimeoutError:
            return True
        return False

    def answer(self, wire: bytes, key: dns.tsig.Key | None = None, rcode: dns.rcode.Rcode = dns.rcode.NOERROR) -> None:
        asked = dns.message.from_wire(wire, keyring=key)
        response = dns.message.make_response(asked)
        response.set_rcode(rcode)
        self.sock.sendto(response.to_wire(), self.sender)


@contextmanager
def target() -> Iterator[Target]:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield Target(sock)


def known(place: NotifyTarget, *keys: KnownKey) -> Directory:
    """One subscriber; it has keys or not."""
    subscriber = Subscriber("isp-one", (ip_network("127.0.0.1/32"),), (place,), keyed=bool(keys))
    return Directory({"isp-one": subscriber}, {key.name: key for key in keys})


@contextmanager
def notifying(*keys: KnownKey, limits: Limits = QUICK) -> Iterator[tuple[Transfer, MadeFeed, Target]]:
    with target() as place:
        feed = MadeFeed(known=known(place.place, *keys))
        with serving(feed, limits) as server:
            yield server, feed, place


def next_version(feed: MadeFeed) -> ZoneVersion:
    held = feed.zones["block.rpz"]
    feed.zones = {"block.rpz": held.changed([], held.serial + 1)}
    return feed.zones["block.rpz"]


def serial_in(wire: bytes) -> int:
    (soa,) = dns.message.from_wire(wire, keyring=False).answer[0]
    return int(soa.serial)


def test_targets_are_told_at_the_start_from_the_address_that_serves() -> None:
    with notifying() as (server, feed, place):
        wire = place.take()
        message = dns.message.from_wire(wire)
        assert message.opcode() == dns.opcode.NOTIFY
        assert message.flags & 0x87FF == dns.flags.AA
        assert [str(rrset) for rrset in message.question] == ["block.rpz. IN SOA"]
        assert [str(rrset) for rrset in message.answer] == [
            "block.rpz. 60 IN SOA ns.example. normalisation.example. 11 300 60 2592000 60"
        ]
        assert not message.had_tsig
        assert place.sender == ("127.0.0.1", server.port)
        place.answer(wire)
        seen = feed.wait_for(lambda sighting: sighting.kind == "notify")
        assert (seen.subscriber, seen.address, seen.zone) == ("isp-one", "127.0.0.1", "block.rpz")
        assert (seen.sent_serial, seen.outcome) == (11, "done")
        assert place.is_quiet()


def test_new_version_is_announced_from_another_thread() -> None:
    with notifying() as (server, feed, place):
        place.answer(place.take())
        feed.wait_for(lambda sighting: sighting.kind == "notify")
        next_version(feed)
        server.announce("block.rpz")
        assert serial_in(place.take()) == 12


def test_subscriber_with_a_key_gets_it_signed() -> None:
    with notifying(ISP_ONE) as (_, feed, place):
        wire = place.take()
        assert dns.message.from_wire(wire, keyring=client_key()).had_tsig
        place.answer(wire, client_key())
        assert feed.wait_for(lambda sighting: sighting.kind == "notify").outcome == "done"


def test_notify_is_repeated_and_given_up() -> None:
    with notifying() as (_, feed, place):
        assert [serial_in(place.take()) for _ in range(3)] == [11, 11, 11]
        assert feed.wait_for(lambda sighting: sighting.kind == "notify").outcome == "no answer"
        assert place.is_quiet()


def test_answer_to_a_repetition_counts() -> None:
    with notifying() as (_, feed, place):
        place.take()
        place.answer(place.take())
        assert feed.wait_for(lambda sighting: sighting.kind == "notify").outcome == "done"


def test_rcode_of_the_answer_is_noted() -> None:
    with notifying() as (_, feed, place):
        place.answer(place.take(), rcode=dns.rcode.REFUSED)
        assert feed.wait_for(lambda sighting: sighting.kind == "notify").outcome == "answered REFUSED"


def test_newer_serial_takes_the_place_of_the_older() -> None:
    with notifying(limits=Limits(notify_pauses=(0.6,) * 4)) as (server, feed, place):
        assert serial_in(place.take()) == 11
        next_version(feed)
        server.announce("block.rpz")
        assert [serial_in(place.take()) for _ in range(3)] == [12, 12, 12]
        assert not feed.sightings


def test_serial_under_way_is_not_sent_twice() -> None:
    with notifying(limits=PATIENT) as (server, _, place):
        place.take()
        for _ in range(5):
            server.announce("block.rpz")
        assert place.is_quiet()


def test_storm_reaches_a_target_that_does_not_answer_once_a_second_with_the_newest() -> None:
    """A hundred serials in a second and a half: the first, what is newest a second later, and the last."""
    with notifying(limits=PATIENT) as (server, feed, place):
        began = time.monotonic()
        assert serial_in(place.take()) == 11
        for _ in range(100):
            next_version(feed)
            server.announce("block.rpz")
            time.sleep(0.015)
        serials = [serial_in(wire) for wire in place.all(until=began + 2.5)]
        assert len(serials) == 2
        assert serials[-1] == 111
        place.answer(place.wires[-1])
        assert feed.wait_for(lambda sighting: sighting.kind == "notify").sent_serial == 111
        assert [seen.outcome for seen in feed.sightings] == ["done"]


def test_target_that_answers_is_told_each_serial_at_once() -> None:
    with notifying(limits=PATIENT) as (server, feed, place):
        place.answer(place.take())
        for serial in range(12, 15):
            feed.wait_for(_told(serial - 1))
            next_version(feed)
            began = time.monotonic()
            server.announce("block.rpz")
            wire = place.take()
            assert serial_in(wire) == serial
            assert time.monotonic() - began < 0.5
            place.answer(wire)


def _told(serial: int) -> Callable[[Sighting], bool]:
    return lambda sighting: sighting.sent_serial == serial


def test_older_version_never_takes_the_place_of_a_newer() -> None:
    with notifying(limits=QUICK) as (server, feed, place):
        place.take()
        next_version(feed)
        server.announce("block.rpz")
        time.sleep(0.1)
        feed.zones = {"block.rpz": small_zone()}
        server.announce("block.rpz")
        assert serial_in([*place.all(until=time.monotonic() + 1.5)][-1]) == 12


def test_each_of_a_thousand_targets_is_told_and_the_loop_goes_on() -> None:
    """One socket takes what is sent to any address of this network."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
        sock.bind(("0.0.0.0", 0))
        sock.settimeout(5)
        hosts = [f"127.21.{number // 250}.{number % 250 + 1}" for number in range(1000)]
        places = tuple(NotifyTarget(host, sock.getsockname()[1]) for host in hosts)
        subscriber = Subscriber("isp-one", (ip_network("127.0.0.1/32"),), places, keyed=True)
        feed = MadeFeed(known=Directory({"isp-one": subscriber}, {ISP_ONE.name: ISP_ONE}))
        sock.setsockopt(socket.IPPROTO_IP, 8, 1)
        with serving(feed, PATIENT) as server:
            longest, told = 0.0, set[str]()
            deadline = time.monotonic() + 10
            while len(told) < len(hosts) and time.monotonic() < deadline:
                began = time.monotonic()
                udp(query("SOA"), server.port)
                longest = max(longest, time.monotonic() - began)
                told |= set(_addressees(sock))
    assert told == set(hosts)
    assert longest < 0.5


def _addressees(sock: socket.socket) -> Iterator[str]:
    """The addresses that what waits in a socket was sent to (IP_PKTINFO)."""
    sock.settimeout(0.01)
    while True:
        try:
            _, ancillary, _, _ = sock.recvmsg(2048, 100)
        except TimeoutError:
            return
        yield socket.inet_ntoa(ancillary[0][2][8:12])


def test_subscriber_that_is_removed_is_told_nothing_more() -> None:
    with notifying(limits=Limits(notify_pauses=(0.3,) * 3)) as (_, feed, place):
        place.take()
        feed.directory = Directory({}, {})
        seen = feed.wait_for(lambda sighting: sighting.kind == "notify")
        assert seen.outcome == "the subscriber was removed"
        assert place.is_quiet()


def test_server_of_both_families_notifies_an_ipv4_target() -> None:
    with target() as place:
        feed = MadeFeed(known=known(place.place))
        with serving(feed, QUICK, host="::") as server:
            wire = place.take()
            assert place.sender == ("127.0.0.1", server.port)
            place.answer(wire)
            assert feed.wait_for(lambda sighting: sighting.kind == "notify").outcome == "done"


def test_zone_that_is_not_served_is_not_announced() -> None:
    with notifying(limits=PATIENT) as (server, _, place):
        place.take()
        server.announce("other.rpz")
        assert place.is_quiet()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda wire: bytes([wire[0] ^ 1]) + wire[1:],
        lambda wire: wire.replace(b"\x05block", b"\x05blogs"),
        lambda wire: wire + b"x",
        lambda wire: wire[:2] + b"\x00\x00" + wire[4:],
        lambda wire: wire[:12],
    ],
    ids=["another id", "another zone", "octets after it", "a query", "a header alone"],
)
def test_what_answers_something_else_does_not_count(spoil: Callable[[bytes], bytes]) -> None:
    with notifying(limits=Limits(notify_pauses=(0.5,))) as (_, feed, place):
        asked = dns.message.from_wire(place.take())
        place.sock.sendto(spoil(dns.message.make_response(asked).to_wire()), place.sender)
        assert feed.wait_for(lambda sighting: sighting.kind == "notify").outcome == "no answer"


def test_answer_from_another_address_does_not_count() -> None:
    with notifying(limits=Limits(notify_pauses=(0.5,))) as (_, feed, place), target() as other:
        wire = place.take()
        other.sender = place.sender
        other.answer(wire)
        assert feed.wait_for(lambda sighting: sighting.kind == "notify").outcome == "no answer"


@pytest.mark.parametrize("secret", [None, b"another secret of thirty-two byte"])
def test_answer_to_a_signed_notify_must_be_signed_by_its_key(secret: bytes | None) -> None:
    with notifying(ISP_ONE, limits=Limits(notify_pauses=(0.5,))) as (_, feed, place):
        asked = dns.message.from_wire(place.take(), keyring=client_key())
        response = dns.message.make_response(asked)
        if secret is None:
            response.tsig = None
            response.keyring = None
        else:
            response.use_tsig(client_key(secret=secret))
        place.sock.sendto(response.to_wire(), place.sender)
        assert feed.wait_for(lambda sighting: sighting.kind == "notify").outcome == "no answer"


def test_badkey_is_noted_although_it_is_not_signed() -> None:
    with notifying(ISP_ONE, limits=PATIENT) as (_, feed, place):
        wire = place.take()
        place.sock.sendto(_without_mac(wire[:2] + b"\xa0\x09" + wire[4:]), place.sender)
        assert feed.wait_for(lambda sighting: sighting.kind == "notify").outcome == "answered NOTAUTH"


def _without_mac(wire: bytes) -> bytes:
    """A TSIG record with an empty MAC and BADKEY in place of the last one, of 32 octets."""
    at = len(wire) - 32 - 2 - 6
    length_at = at - 8 - len(b"\x0bhmac-sha256\x00") - 2
    length = (int.from_bytes(wire[length_at : length_at + 2], "big") - 32).to_bytes(2, "big")
    return wire[:length_at] + length + wire[length_at + 2 : at] + b"\0\0" + wire[-6:-4] + b"\0\x11\0\0"


def test_keys_of_a_rotation_take_turns_the_newest_first() -> None:
    newer = replace(ISP_ONE, name="isp-one-key-2", secret=b"n" * 32, valid_from=datetime(2026, 1, 1, tzinfo=UTC))
    with notifying(ISP_ONE, newer) as (_, _, place):
        for key in (newer, ISP_ONE, newer):
            assert dns.message.from_wire(place.take(), keyring=client_key(key)).had_tsig


def test_without_a_valid_key_nothing_is_sent() -> None:
    over = replace(ISP_ONE, valid_until=LONG_AGO)
    with notifying(over) as (_, feed, place):
        assert feed.wait_for(lambda sighting: sighting.kind == "notify").outcome == "no key is valid"
        assert place.is_quiet()


def test_name_that_does_not_resolve_is_noted() -> None:
    feed = MadeFeed(known=known(NotifyTarget("no-such-host.invalid", 53)))
    with serving(feed, Limits(notify_pauses=(0.05,))):
        assert feed.wait_for(lambda sighting: sighting.kind == "notify").outcome not in {"done", "no answer"}
