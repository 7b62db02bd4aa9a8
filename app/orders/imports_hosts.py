"""A hosts file: `ADDRESS NAME...` a line, where the address leads nowhere; `#` begins a comment."""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, ip_address

from app.orders.imports_lines import BLANKS, Line, Octets, decoded, shown
from resolver_policy.errors import NameInvalid, PolicyError, printable

LOCAL = frozenset(
    {
        "localhost",
        "localhost.localdomain",
        "localhost4",
        "localhost6",
        "local",
        "broadcasthost",
        "ip6-localhost",
        "ip6-loopback",
        "ip6-localnet",
        "ip6-mcastprefix",
        "ip6-allnodes",
        "ip6-allrouters",
        "ip6-allhosts",
        str(IPv4Address(0)),
    }
)
"""What hosts files say of the machine itself, with any address: no part of a list."""

_words = re.compile(r"[^ \t]+").findall


def read(octets: Octets, reach: int) -> Iterator[Line]:
    """Every name of every line; at least one line for each of the list."""
    for number, line in enumerate(octets(), 1):
        try:
            yield from _names(number, decoded(number, line, b"#").strip(BLANKS), reach)
        except PolicyError as fault:
            yield Line(number, "", fault, shown(line.partition(b"#")[0]).strip(BLANKS))


def is_entry(text: str) -> bool:
    """Whether a line looks like one of a hosts file."""
    words = _words(text)
    return len(words) > 1 and _leads(words[0]) is not None


def _names(number: int, text: str, reach: int) -> Iterator[Line]:
    words = _words(text)
    if not words:
        yield Line(number, "")
        return
    address, *names = words
    leads = _leads(address)
    if leads is None or not names:
        why = f"'{printable(text)}' is not a line of a hosts file: an address, then names"
        raise NameInvalid(why, value=text, rule="hosts_line")
    named = [name for name in names if name.lower() not in LOCAL]
    if named and leads:
        why = f"'{printable(text)}' leads somewhere; a block has 0.0.0.0, 127.0.0.1, :: or ::1"
        raise NameInvalid(why, value=text, rule="hosts_address")
    yield from [Line(number, name, None, f"{address} {name}", reach) for name in named] or [Line(number, "")]


def _leads(address: str) -> bool | None:
    """Whether an address leads anywhere; None where it is none."""
    try:
        known = ip_address(address)
    except ValueError:
        return None
    return not (known.is_loopback or known.is_unspecified)
