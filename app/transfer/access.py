"""Who is asking, and what may be answered.

Signed: the key says who, and the address must be one of that subscriber's. Unsigned: only a subscriber
without a key, by its address. SOA is answered to a known address or key; a transfer needs the address, and
the key where the subscriber has one.
"""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

from app.subscribers.directory import Address, Directory, KnownKey, Subscriber
from app.transfer.edns import PROHIBITED, Ede

ADDRESSES_REMEMBERED = 4096


class Caller(NamedTuple):
    """Where a query comes from; `key` is what signed it, `subscriber` whom it is from."""

    address: Address
    key: KnownKey | None
    subscriber: Subscriber | None


@lru_cache(ADDRESSES_REMEMBERED)
def address_of(text: str) -> Address:
    """Read the address of a socket; an IPv4 client of an IPv6 socket is an IPv4 client."""
    address = ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def identify(directory: Directory, address: Address, key: KnownKey | None) -> Caller:
    """Say who asks; the key has been verified."""
    if key is not None:
        return Caller(address, key, directory.subscribers.get(key.subscriber))
    return Caller(address, None, directory.by_address(address))


def refuse_soa(caller: Caller, *, known_address: bool) -> Ede | None:
    """Say why the SOA is not for this caller, or None."""
    if caller.subscriber is not None or known_address:
        return None
    return _unknown(caller.address)


def refuse_transfer(caller: Caller, *, known_address: bool) -> Ede | None:
    """Say why the zone is not for this caller, or None."""
    if caller.subscriber is None and caller.key is not None:
        return Ede(PROHIBITED, f"key: {caller.key.name!r} belongs to no subscriber")
    if caller.subscriber is None and known_address:
        return Ede(PROHIBITED, f"key: {caller.address} must sign its transfers")
    if caller.subscriber is None:
        return _unknown(caller.address)
    if not _is_of(caller.subscriber, caller.address):
        return Ede(PROHIBITED, f"address: {caller.address} is not one of {caller.subscriber.name!r}")
    if caller.subscriber.keyed and caller.key is None:
        return Ede(PROHIBITED, f"key: {caller.address} must sign its transfers")
    return None


def _unknown(address: Address) -> Ede:
    return Ede(PROHIBITED, f"address: {address} is not registered")


def _is_of(subscriber: Subscriber, address: Address) -> bool:
    return any(address in network for network in subscriber.networks)


class KnownAddresses:
    """Which subscribers an address belongs to, with a key or without, by the directory in force.

    Anybody may ask from anywhere, so an address never seen before must cost little: one look for each length of
    prefix that is in use, however many subscribers there are.
    """

    def __init__(self) -> None:
        self._directory: Directory | None = None
        self._names: dict[tuple[int, int], dict[int, tuple[str, ...]]] = {}

    def names(self, directory: Directory, address: Address) -> tuple[str, ...]:
        """Give the names of the subscribers; ranges of those that have keys may overlap."""
        if directory is not self._directory:
            self._directory, self._names = directory, _by_prefix(directory)
        number = int(address)
        found: tuple[str, ...] = ()
        for (bits, shift), names in self._names.items():
            if bits == address.max_prefixlen:
                found += names.get(number >> shift, ())
        return tuple(dict.fromkeys(found)) if len(found) > 1 else found


def _by_prefix(directory: Directory) -> dict[tuple[int, int], dict[int, tuple[str, ...]]]:
    """Arrange ranges by the size of their addresses and how many of its bits they leave open, then by the rest."""
    names: dict[tuple[int, int], dict[int, tuple[str, ...]]] = {}
    for subscriber in directory.subscribers.values():
        for network in subscriber.networks:
            shift = network.max_prefixlen - network.prefixlen
            place = names.setdefault((network.max_prefixlen, shift), {})
            prefix = int(network.network_address) >> shift
            place[prefix] = (*place.get(prefix, ()), subscriber.name)
    return names
