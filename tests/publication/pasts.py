"""Random pasts of zones, written straight into the tables as a publisher would have, and what each serial meant."""

from collections.abc import Mapping
from random import Random
from typing import NamedTuple

import dns.rdatatype
import dns.versioned
import dns.xfr
from sqlalchemy import insert
from sqlalchemy.orm import Session

from app.db import Database
from app.publication import zones
from app.publication.models import Release, RuleSpan, ZoneSerial
from resolver_policy import xfr
from resolver_policy.delta import Rule
from resolver_policy.version import ZoneVersion
from resolver_policy.wire import Zone
from resolver_policy.xfr import Reply
from tests.policy.test_xfr import ask
from tests.policy.zones import EVERY_RULE, Rules, many_rules, parsed, question
from tests.service import NOW

Span = tuple[str, int, int | None, Rule]
FIRST = 2
"""The first release that is made up; the one before is the empty one of every database."""


class Past(NamedTuple):
    """`held` is what stood in each release, `rows` how many changed with it, `serials` what each zone called it."""

    held: Mapping[int, Rules]
    rows: Mapping[int, int]
    serials: Mapping[str, Mapping[int, int]]

    def rows_since(self, release: int) -> int:
        return sum(rows for number, rows in self.rows.items() if number > release)

    def under_serials(self, zone: str) -> dict[int, Rules]:
        return {self.serials[zone][release]: rules for release, rules in self.held.items()}


def write_past(database: Database, releases: int, names: int, random: Random) -> Past:
    """The same rules in every zone, some `names` of them all along; the steps between serials differ."""
    spans, held, rows = _random_past(releases, names, random)
    with database.write() as session:
        _insert(session, spans, held)
        serials = {}
        for place, zone in enumerate(zones.active(session)):
            first = zones.last_serial(session, zone)
            serials[zone.name] = {release: first + (3 + place % 5) * release for release in held}
            lines = [
                {"zone_id": zone.id, "release_id": release, "serial": serial}
                for release, serial in serials[zone.name].items()
            ]
            session.execute(insert(ZoneSerial), lines)
    return Past(held, rows, serials)


def _random_past(releases: int, names: int, random: Random) -> tuple[list[Span], dict[int, Rules], dict[int, int]]:
    rules = many_rules(names, random.getrandbits(40))
    since = dict.fromkeys(rules, FIRST)
    spans: list[Span] = []
    held, rows = {FIRST: dict(rules)}, {FIRST: len(rules)}
    for release in range(FIRST + 1, FIRST + releases):
        ended = len(spans)
        few = random.choice((0, 1, 1, 2)) + (len(rules) > names)
        gone = random.sample(sorted(rules), min(few, len(rules)))
        spans += [(key, since.pop(key), release, rules.pop(key)) for key in gone]
        for key, rule in many_rules(random.choice((0, 1, 1, 2)), random.getrandbits(40)).items():
            if key not in rules:
                rules[key], since[key] = rule, release
        if rules and random.random() < 0.3:
            key = random.choice(sorted(rules))
            if since[key] != release:
                spans.append((key, since[key], release, rules[key]))
                rules[key], since[key] = random.choice(EVERY_RULE), release
        held[release] = dict(rules)
        rows[release] = len(spans) - ended + sum(began == release for began in since.values())
    spans += [(key, since[key], None, rule) for key, rule in rules.items()]
    return spans, held, rows


def _insert(session: Session, spans: list[Span], releases: Mapping[int, Rules]) -> None:
    lines = [
        {"key": key, "from_release": begins, "to_release": ends, "own": rule.own, "wild": rule.wild}
        for key, begins, ends, rule in spans
    ]
    if lines:
        session.execute(insert(RuleSpan), lines)
    common = {"published_at": NOW, "names": 0, "rules": 0, "digest": bytes(32), "events_until": 0}
    session.execute(insert(Release), [{"id": release, **common} for release in releases])


def secondary_at(rules: Rules, zone: Zone, serial: int) -> dns.versioned.Zone:
    """What a secondary has that took the zone at an old serial; dnspython's."""
    made = ZoneVersion.from_rules(sorted(rules.items()), zone, serial)
    asked = ask("AXFR")._replace(question=question("AXFR", zone.origin))
    return take(dns.versioned.Zone(f"{zone.origin}.", relativize=False), xfr.answer(asked, made), None)


def take(secondary: dns.versioned.Zone, reply: Reply, serial: int | None) -> dns.versioned.Zone:
    """Let dnspython's client apply an answer: to AXFR, or to IXFR from a serial."""
    qtype = dns.rdatatype.AXFR if serial is None else dns.rdatatype.IXFR
    with dns.xfr.Inbound(secondary, qtype, serial) as inbound:
        done = [inbound.process_message(parsed(message)) for message in reply.messages]
    assert done[-1]
    return secondary


def records(zone: dns.versioned.Zone) -> set[str]:
    return {f"{name} {ttl} IN CNAME {rdata}" for name, ttl, rdata in zone.iterate_rdatas("CNAME")}
