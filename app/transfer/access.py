"""Who is asking, and what may be answered.

Signed: the key says who, and the address must be one of that subscriber's. Unsigned: only a subscriber
without a key, by its address. SOA is answered to a known address or key; a transfer needs the address, and
the key where the subscriber has one.
"""

from collections.abc import Collection
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

from app.subscribers.directory import Address, Directory, KnownKey, Subscriber
from app.transfer.edns import PROHIBITED, Ede
from app.transfer.form import Forms

ADDRESSES_REMEMBERED = 4096
NEIGHBOURS_REMEMBERED = 2048


class Caller(NamedTuple):
    """Where a query comes from; `key` is what signed it, `subscriber` whom it is from."""

    address: str
    key: KnownKey | None
    subscriber: Subscriber | None


@lru_cache(ADDRESSES_REMEMBERED)
def address_of(text: str) -> str:
    """Give the address of a socket as it is written; an IPv4 client of an IPv6 socket is an IPv4 client."""
    address = ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


@lru_cache(ADDRESSES_REMEMBERED)
def _read(address: str) -> Address:
    return ip_address(address)


def identify(directory: Directory, address: str, key: KnownKey | None) -> Caller:
    """Say who asks; the key has been verified."""
    if key is not None:
        return Caller(address, key, directory.subscribers.get(key.subscriber))
    return Caller(address, None, directory.by_address(_read(address)))


def refuse_soa(caller: Caller, names: Collection[str]) -> Ede | None:
    """Say why the SOA is not for this caller, or None; the address belongs to the subscribers of these names."""
    if caller.subscriber is not None or names:
        return None
    return _unknown(caller.address)


def refuse_transfer(caller: Caller, names: Collection[str]) -> Ede | None:
    """Say why the zone is not for this caller, or None; the address belongs to the subscribers of these names."""
    if caller.subscriber is None and caller.key is not None:
        return Ede(PROHIBITED, f"key: {caller.key.name!r} belongs to no subscriber")
    if caller.subscriber is None and names:
        return Ede(PROHIBITED, f"key: {caller.address} must sign its transfers")
    if caller.subscriber is None:
        return _unknown(caller.address)
    if caller.subscriber.name not in names:
        return Ede(PROHIBITED, f"address: {caller.address} is not one of {caller.subscriber.name!r}")
    if caller.subscriber.keyed and caller.key is None:
        return Ede(PROHIBITED, f"key: {caller.address} must sign its transfers")
    return None


def _unknown(address: str) -> Ede:
    return Ede(PROHIBITED, f"address: {address} is not registered")


class Neighbour(NamedTuple):
    """What is known of an address: the names of the subscribers that it belongs to, and the forms of what it asks."""

    names: tuple[str, ...]
    forms: Forms


STRANGER = Neighbour((), Forms(0))


class KnownAddresses:
    """Which subscribers an address belongs to, with a key or without, by the directory in force.

    Anybody may ask from anywhere, so an address never seen before must cost little: one look for each length of
    prefix that is in use, however many subscribers there are. Only what belongs to one is remembered.
    """

    def __init__(self) -> None:
        self._directory: Directory | None = None
        self._names: dict[tuple[int, int], dict[int, tuple[str, ...]]] = {}
        self._met: dict[str, Neighbour] = {}

    def neighbour(self, directory: Directory, address: str) -> Neighbour:
        """Give what is known of an address; ranges of subscribers that have keys may overlap."""
        if directory is not self._directory:
            self._directory, self._names, self._met = directory, _by_prefix(directory), {}
        met = self._met.get(address)
        return self._meet(address) if met is None else met

    def _meet(self, text: str) -> Neighbour:
        address = _read(text)
        number = int(address)
        found: tuple[str, ...] = ()
        for (bits, shift), names in self._names.items():
            if bits == address.max_prefixlen:
                found += names.get(number >> shift, ())
        if not found:
            return STRANGER
        if len(self._met) >= NEIGHBOURS_REMEMBERED:
            self._met.clear()
        self._met[text] = met = Neighbour(tuple(dict.fromkeys(found)), Forms())
        return met


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
