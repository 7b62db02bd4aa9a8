"""Who a client is, and what it may have."""

import random
import time
from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest

from app.subscribers.directory import Address, Directory, Network, Subscriber
from app.transfer.access import Caller, KnownAddresses, address_of, identify, refuse_soa, refuse_transfer
from tests.policy.scale import Record, scaled, tell
from tests.wire.feeds import ISP_ONE, KEYED, KEYLESS, STRANGER, directory

ALL = directory()
ONE, TWO = ALL.subscribers["isp-one"], ALL.subscribers["isp-two"]


def test_key_says_who_wherever_it_comes_from() -> None:
    assert identify(ALL, KEYLESS, ISP_ONE).subscriber is ONE


def test_address_says_who_only_where_there_is_no_key() -> None:
    assert identify(ALL, KEYLESS, None).subscriber is TWO
    assert identify(ALL, KEYED, None).subscriber is None


@pytest.mark.parametrize(
    ("caller", "names", "refused"),
    [
        (Caller(KEYED, ISP_ONE, ONE), ("isp-one",), None),
        (Caller(KEYLESS, None, TWO), ("isp-two",), None),
        (Caller(KEYLESS, ISP_ONE, ONE), ("isp-two",), "address: 127.0.0.2 is not one of 'isp-one'"),
        (Caller(KEYED, None, ONE), ("isp-one",), "key: 127.0.0.1 must sign its transfers"),
        (Caller(KEYED, None, None), ("isp-one",), "key: 127.0.0.1 must sign its transfers"),
        (Caller(STRANGER, None, None), (), "address: 127.0.0.3 is not registered"),
        (Caller(KEYED, ISP_ONE, None), (), "key: 'isp-one-key' belongs to no subscriber"),
    ],
)
def test_transfer_needs_the_address_and_the_key(caller: Caller, names: tuple[str, ...], refused: str | None) -> None:
    refusal = refuse_transfer(caller, names)
    assert (refusal and refusal.text) == refused


def test_soa_needs_the_address_or_the_key() -> None:
    stranger = STRANGER
    assert refuse_soa(Caller(stranger, ISP_ONE, ONE), ()) is None
    assert refuse_soa(Caller(stranger, None, None), ("isp-one",)) is None
    assert refuse_soa(Caller(stranger, None, None), ()) is not None


def test_addresses_are_those_of_the_directory_in_force() -> None:
    known = KnownAddresses()
    assert known.neighbour(ALL, KEYED).names == ("isp-one",)
    assert known.neighbour(ALL, STRANGER).names == ()
    wide = Subscriber("wide", (ip_network("127.0.0.0/8"),), (), keyed=True)
    other = Directory({"wide": wide, "isp-one": ONE}, {})
    assert known.neighbour(other, KEYED).names == ("wide", "isp-one")
    assert known.neighbour(other, STRANGER).names == ("wide",)


def test_addresses_are_found_as_the_ranges_say(record_property: Record) -> None:
    """The look by prefix against the plain reading of every range, IPv4 and IPv6, overlapping as they may."""
    chance = random.Random(5)
    subscribers = [Subscriber(f"isp-{number}", _networks(chance), (), keyed=True) for number in range(40)]
    known, all_of_them = KnownAddresses(), Directory({each.name: each for each in subscribers}, {})
    found = 0
    for _ in range(scaled(2000)):
        address = chance.choice((_v4, _v6))(chance)
        plainly = {each.name for each in subscribers if any(address in network for network in each.networks)}
        names = known.neighbour(all_of_them, str(address)).names
        assert (set(names), len(names)) == (plainly, len(plainly))
        found += bool(plainly)
    tell(record_property, addresses=scaled(2000), of_subscribers=found)


def _v4(chance: random.Random) -> Address:
    return IPv4Address(0x0A000000 + chance.getrandbits(12))


def _v6(chance: random.Random) -> Address:
    return IPv6Address((0x20010DB8 << 96) + chance.getrandbits(12))


def _networks(chance: random.Random) -> tuple[Network, ...]:
    v4 = [ip_network(f"{_v4(chance)}/{chance.randint(23, 32)}", strict=False) for _ in range(2)]
    v6 = [ip_network(f"{_v6(chance)}/{chance.randint(119, 128)}", strict=False) for _ in range(2)]
    return (*v4, *v6)


def test_stranger_costs_the_same_however_many_subscribers_there_are() -> None:
    """Anybody may send datagrams from addresses of their choice."""
    networks = (ip_network(f"10.{number // 256}.{number % 256}.0/24") for number in range(4000))
    subscribers = {f"isp-{n}": Subscriber(f"isp-{n}", (each,), (), keyed=True) for n, each in enumerate(networks)}
    known, many, stranger = KnownAddresses(), Directory(subscribers, {}), "192.0.2.1"
    assert known.neighbour(many, "10.1.2.3").names == ("isp-258",)
    began = time.thread_time()
    for _ in range(1000):
        known.neighbour(many, stranger)
    assert time.thread_time() - began < 0.1


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1", "127.0.0.1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("fe80::1%eth0", "fe80::1"), ("::1", "::1")],
)
def test_address_of_a_socket(text: str, address: str) -> None:
    assert str(address_of(text)) == address
