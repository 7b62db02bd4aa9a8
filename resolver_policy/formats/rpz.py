"""Response policy zone as a master file (RFC 1035 section 5), as BIND, Unbound and Knot Resolver read it.

The SOA is the first line and every name is absolute, since Unbound drops the old zone once a file's first
record does not parse. SOA, NS and targets are printed by dnspython from their wire form; an owner is a key
that has passed `wire.checked`, so no character of it can mean anything but itself. The last line is the only
comment.
"""

from collections.abc import Iterator

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype

from resolver_policy.actions import target_of
from resolver_policy.delta import EMPTY_RULE
from resolver_policy.formats.format import Contents, Format, with_end_line
from resolver_policy.names import from_key
from resolver_policy.targets import Decision
from resolver_policy.wire import checked, wire_name

FIXED_PART = 12


def render(contents: Contents) -> Iterator[bytes]:
    """Give the zone; raises what `wire.render` raises for an owner that must not be in a zone."""
    return with_end_line(_lines(contents), ";", contents.serial)


def _lines(contents: Contents) -> Iterator[str]:
    zone = contents.zone
    origin = dns.name.from_wire(wire_name(zone.origin), 0)[0].to_text()
    yield _apex(origin, zone.soa.record(contents.serial), zone.soa.ttl)
    yield _apex(origin, zone.ns, zone.ttl)
    longest, below = zone.longest_key, "." + origin
    tails = {
        decision: f"{below} {zone.ttl} IN CNAME {dns.name.from_text(target_of(zone.action, decision))}\n"
        for decision in (Decision.BLOCK, Decision.PASS)
    }
    last = ""
    for key, rule in contents.rules:
        if key <= last:
            raise ValueError(f"rules out of order: {key!r} after {last!r}")
        last = key
        if rule == EMPTY_RULE:
            continue
        name = from_key(checked(key, longest))
        if rule.own:
            yield name + tails[rule.own]
        if rule.wild:
            yield "*." + name + tails[rule.wild]


def _apex(origin: str, record: bytes, ttl: int) -> str:
    """Print a record that the zone's own name owns, from its wire form."""
    rtype = dns.rdatatype.RdataType.make(int.from_bytes(record[2:4], "big"))
    data = dns.rdata.from_wire(dns.rdataclass.IN, rtype, record, FIXED_PART, len(record) - FIXED_PART)
    return f"{origin} {ttl} IN {dns.rdatatype.to_text(rtype)} {data}\n"


FORMAT = Format(
    name="rpz",
    media_type="text/dns",
    limits="none: this is the zone itself",
    render=render,
)
