"""Addresses as sockets and HTTP clients show them, and the ranges they fall into."""

from ipaddress import ip_address

import pytest

from app.subscribers.ranges import address_of, covers, parse_networks

RANGES = parse_networks(["192.0.2.0/24", "2001:db8::/32", "fe80::/10"])


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_an_address_in_its_own_family_and_without_its_scope(text: str, address: str) -> None:
    found = address_of(text)

    assert found == ip_address(address)
    assert covers(RANGES, found)


@pytest.mark.parametrize("text", [None, "", "testclient", "192.0.2.1:53", "192.0.2.0/24"])
def test_what_is_no_address_is_in_no_range(text: str | None) -> None:
    assert address_of(text) is None
    assert not covers(RANGES, address_of(text))


def test_an_address_outside_is_not_covered() -> None:
    assert not covers(RANGES, address_of("198.51.100.1"))
    assert not covers((), address_of("192.0.2.1"))
