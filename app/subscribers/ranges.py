"""Reading the address ranges and notify targets that a subscriber is registered with."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from app.errors import Fault, SettingInvalid, Unprocessable
from app.settings import Endpoint, parse_endpoint
from app.subscribers.directory import Address, Network


def parse_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Read CIDR ranges, or single addresses; raises Unprocessable for none, or naming the one that is wrong."""
    if not texts:
        raise Unprocessable("at least one address range is needed, as in 192.0.2.0/24")
    return tuple(dict.fromkeys(_network(text, f"/addresses/{index}") for index, text in enumerate(texts)))


def parse_targets(texts: Sequence[str]) -> tuple[Endpoint, ...]:
    """Read the HOST:PORT that NOTIFY goes to; raises Unprocessable, naming the one that is wrong."""
    return tuple(dict.fromkeys(_target(text, f"/notify/{index}") for index, text in enumerate(texts)))


def overlaps(one: Network, other: Network) -> bool:
    """Whether an address can belong to both."""
    if isinstance(one, IPv4Network) and isinstance(other, IPv4Network):
        return one.overlaps(other)
    if isinstance(one, IPv6Network) and isinstance(other, IPv6Network):
        return one.overlaps(other)
    return False


def address_of(text: str | None) -> Address | None:
    """Read the address of a client; an IPv4 client of an IPv6 socket is an IPv4 client. None for other text."""
    try:
        address = ip_address((text or "").partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def covers(networks: Sequence[Network], address: Address | None) -> bool:
    """Whether the address lies in one of the ranges."""
    return address is not None and any(address in network for network in networks)


def _network(text: str, pointer: str) -> Network:
    try:
        network = ip_network(text)
    except ValueError as error:
        hint = _hint(text)
        fault = Fault(rule="address_range", value=text[:200], pointer=pointer)
        raise Unprocessable(f"{text[:80]!r} is not an address range: {hint or error}", faults=(fault,)) from error
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped is not None:
        fault = Fault(rule="address_range", value=text[:200], pointer=pointer)
        raise Unprocessable(f"{text[:80]!r} is a range of IPv4 addresses: write it as such", faults=(fault,))
    return network


def _hint(text: str) -> str | None:
    """What was likely meant by a range whose host part is not zero."""
    try:
        return f"its host part is not zero, write {ip_network(text, strict=False)}"
    except ValueError:
        return None


def _target(text: str, pointer: str) -> Endpoint:
    fault = Fault(rule="host_port", value=text[:200], pointer=pointer)
    try:
        target = parse_endpoint(text)
    except SettingInvalid as error:
        raise Unprocessable(f"{error}: a notify target is IP-ADDRESS:PORT", faults=(fault,)) from error
    address = _ip(target.host)
    if address is None or address.is_multicast or address.is_unspecified or target.port == 0:
        raise Unprocessable(f"{text[:80]!r} is not the IP-ADDRESS:PORT of one server", faults=(fault,))
    return target


def _ip(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
