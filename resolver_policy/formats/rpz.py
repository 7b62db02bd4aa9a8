"""Response policy zone as a master file (RFC 1035 section 5), as BIND, Unbound and Knot Resolver read it.

The SOA is the first line and every name is absolute, since Unbound drops the old zone once a file's first
record does not parse. SOA, NS and targets are printed by dnspython from their wire form; an owner is a key
that has passed `wire.checked`, so no character of it can mean anything but itself. The last line is the only
comment.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype

from resolver_policy.actions import target_of
from resolver_policy.formats.lines import Lines
from resolver_policy.formats.walk import Entry, Path
from resolver_policy.targets import Decision
from resolver_policy.wire import NAMES_REMEMBERED, Zone, wire_name

FIXED_PART = 12


def header(zone: Zone, serial: int) -> str:
    """Give SOA and NS."""
    return _apex(zone, zone.soa.record(serial), zone.soa.ttl) + _apex(zone, zone.ns, zone.ttl)


def fold(zone: Zone, entries: Iterable[Entry], _path: Path) -> Iterator[str]:
    """Give the records of some entries."""
    tails = _tails(zone)
    for _, name, _, _, (own, wild) in entries:
        line = name + tails[own] if own else ""
        yield f"{line}*.{name}{tails[wild]}" if wild else line


@lru_cache(NAMES_REMEMBERED)
def _tails(zone: Zone) -> Mapping[Decision, str]:
    """What follows an owner's name, by what is decided."""
    return {
        decision: f".{_origin(zone)} {zone.ttl} IN CNAME {dns.name.from_text(target_of(zone.action, decision))}\n"
        for decision in (Decision.BLOCK, Decision.PASS)
    }


def _origin(zone: Zone) -> str:
    return dns.name.from_wire(wire_name(zone.origin), 0)[0].to_text()


def _apex(zone: Zone, record: bytes, ttl: int) -> str:
    """Print a record that the zone's own name owns, from its wire form."""
    rtype = dns.rdatatype.RdataType.make(int.from_bytes(record[2:4], "big"))
    data = dns.rdata.from_wire(dns.rdataclass.IN, rtype, record, FIXED_PART, len(record) - FIXED_PART)
    return f"{_origin(zone)} {ttl} IN {dns.rdatatype.to_text(rtype)} {data}\n"


FORMAT = Lines(
    name="rpz",
    media_type="text/dns",
    limits="none: this is the zone itself",
    comment=";",
    header=header,
    fold=fold,
)
