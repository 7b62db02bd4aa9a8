"""Zones for tests, and dnspython's reading of what is rendered."""

import random
from collections.abc import Iterable, Sequence

import dns.flags
import dns.message
import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from resolver_policy.actions import parse_action
from resolver_policy.delta import Change, Rule
from resolver_policy.targets import Decision
from resolver_policy.version import ZoneVersion
from resolver_policy.wire import Body, Chunk, Soa, Zone, wire_name

NOTHING, BLOCK, PASS = Decision.NOTHING, Decision.BLOCK, Decision.PASS
EXACT, SUBTREE, OPEN = Rule(BLOCK, NOTHING), Rule(BLOCK, BLOCK), Rule(PASS, PASS)
EVERY_RULE = [Rule(own, wild) for own in Decision for wild in Decision if own or wild]

SOA = Soa("ns.example.", "normalisation.example.")
ORIGIN = "block.rpz"

Rules = dict[str, Rule]


def zone(action: str = "nxdomain", origin: str = ORIGIN) -> Zone:
    return Zone(origin, parse_action(action), SOA)


def key(name: str) -> str:
    """The sort key of a name; written out here, apart from the one under test."""
    return "".join(f"{label}." for label in reversed(name.split(".")))


def rules_of(names: dict[str, Rule]) -> Rules:
    return {key(name): rule for name, rule in names.items()}


def version(rules: Rules, serial: int = 1, of: Zone | None = None) -> ZoneVersion:
    return ZoneVersion.from_rules(sorted(rules.items()), of or zone(), serial)


def many_rules(count: int, seed: int = 1) -> Rules:
    """Random names of two to four labels, some below others, with every kind of rule."""
    chance = random.Random(seed)
    rules: Rules = {}
    last: list[str] = []
    while len(rules) < count:
        labels = [f"{chance.choice('abcdwxyz')}{chance.getrandbits(20):x}" for _ in range(chance.choice((1, 1, 2, 3)))]
        parent = chance.choice(("com.", "id.co.", "example.", *last))
        name = (parent + ".".join(labels) + ".")[:200]
        last = last if name in rules else [*last[-2:], name]
        rules[name] = chance.choice(EVERY_RULE)
    return rules


def question(qtype: str, origin: str = ORIGIN) -> bytes:
    return wire_name(origin) + int(dns.rdatatype.from_text(qtype)).to_bytes(2, "big") + b"\x00\x01"


def message_of(part: Chunk | Body, origin: str = ORIGIN) -> bytes:
    """A whole AXFR message around a chunk's body."""
    octets = part.body if isinstance(part, Chunk) else part.octets
    head = (1).to_bytes(2, "big") + b"\x84\x00\x00\x01" + part.records.to_bytes(2, "big") + bytes(4)
    return head + question("AXFR", origin) + octets


def parsed(message: bytes) -> dns.message.QueryMessage:
    read = dns.message.from_wire(message, xfr=True, one_rr_per_rrset=True)
    assert isinstance(read, dns.message.QueryMessage)
    return read


def lines(rrsets: Iterable[dns.rrset.RRset]) -> list[str]:
    return [str(rrset) for rrset in rrsets]


def records_of(rules: Rules, of: Zone) -> set[str]:
    """The records that rules mean, spelled out one by one."""
    block = {"nxdomain": ".", "nodata": "*."}.get(of.action.kind, f"{of.action.target}.")
    found = set()
    for each, rule in rules.items():
        name = ".".join(reversed(each.rstrip(".").split(".")))
        for prefix, decision in (("", rule.own), ("*.", rule.wild)):
            if decision:
                target = block if decision == BLOCK else "rpz-passthru."
                found.add(f"{prefix}{name}.{of.origin}. 60 IN CNAME {target}")
    return found


def changes_to(old: Rules, new: Rules) -> Sequence[Change]:
    empty = Rule(NOTHING, NOTHING)
    keys = sorted(old.keys() | new.keys())
    pairs = ((each, old.get(each, empty), new.get(each, empty)) for each in keys)
    return [Change(*each) for each in pairs if each[1] != each[2]]
