"""Who a client is, and what it may have."""

from ipaddress import ip_address, ip_network

import pytest

from app.subscribers.directory import Directory, Subscriber
from app.transfer import access
from app.transfer.access import Caller, KnownAddresses, address_of, identify, refuse_soa, refuse_transfer
from tests.wire.feeds import ISP_ONE, KEYED, KEYLESS, STRANGER, directory

ALL = directory()
ONE, TWO = ALL.subscribers["isp-one"], ALL.subscribers["isp-two"]


def test_key_says_who_wherever_it_comes_from() -> None:
    assert identify(ALL, ip_address(KEYLESS), ISP_ONE).subscriber is ONE


def test_address_says_who_only_where_there_is_no_key() -> None:
    assert identify(ALL, ip_address(KEYLESS), None).subscriber is TWO
    assert identify(ALL, ip_address(KEYED), None).subscriber is None


@pytest.mark.parametrize(
    ("caller", "known_address", "refused"),
    [
        (Caller(ip_address(KEYED), ISP_ONE, ONE), True, None),
        (Caller(ip_address(KEYLESS), None, TWO), True, None),
        (Caller(ip_address(KEYLESS), ISP_ONE, ONE), True, "address: 127.0.0.2 is not one of 'isp-one'"),
        (Caller(ip_address(KEYED), None, ONE), True, "key: 127.0.0.1 must sign its transfers"),
        (Caller(ip_address(KEYED), None, None), True, "key: 127.0.0.1 must sign its transfers"),
        (Caller(ip_address(STRANGER), None, None), False, "address: 127.0.0.3 is not registered"),
        (Caller(ip_address(KEYED), ISP_ONE, None), False, "key: 'isp-one-key' belongs to no subscriber"),
    ],
)
def test_transfer_needs_the_address_and_the_key(caller: Caller, known_address: object, refused: str | None) -> None:
    refusal = refuse_transfer(caller, known_address=bool(known_address))
    assert (refusal and refusal.text) == refused


def test_soa_needs_the_address_or_the_key() -> None:
    stranger = ip_address(STRANGER)
    assert refuse_soa(Caller(stranger, ISP_ONE, ONE), known_address=False) is None
    assert refuse_soa(Caller(stranger, None, None), known_address=True) is None
    assert refuse_soa(Caller(stranger, None, None), known_address=False) is not None


def test_addresses_are_those_of_the_directory_in_force() -> None:
    known = KnownAddresses()
    assert known.names(ALL, ip_address(KEYED)) == ("isp-one",)
    assert known.names(ALL, ip_address(STRANGER)) == ()
    wide = Subscriber("wide", (ip_network("127.0.0.0/8"),), (), keyed=True)
    other = Directory({"wide": wide, "isp-one": ONE}, {})
    assert known.names(other, ip_address(KEYED)) == ("wide", "isp-one")
    assert known.names(other, ip_address(STRANGER)) == ("wide",)


def test_addresses_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "MOST_REMEMBERED", 10)
    known = KnownAddresses()
    for number in range(100):
        known.names(ALL, ip_address(0x7F000100 + number))
        assert len(vars(known)["_names"]) <= 10


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1", "127.0.0.1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("fe80::1%eth0", "fe80::1"), ("::1", "::1")],
)
def test_address_of_a_socket(text: str, address: str) -> None:
    assert str(address_of(text)) == address
