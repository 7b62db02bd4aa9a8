"""Rules as DNS message bodies, rendered once and streamed to every secondary as they are.

A body follows a fixed head: 12 octets of header and the question for the zone's own name. So that name is at
offset 12 in every message, each owner is compressed against it, and each wildcard against the name it stands
for. The same body serves AXFR and a full answer to IXFR; it ends within what a pointer can reach (RFC 1035
section 4.1.4), so no message of a transfer is longer than 16 KiB before it is signed.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from struct import pack
from typing import NamedTuple

import dns.name

from resolver_policy.actions import Action, target_of
from resolver_policy.delta import EMPTY_RULE, Rule
from resolver_policy.errors import NameInvalid, NameTooLong
from resolver_policy.targets import Decision

LONGEST_MESSAGE = 0x4000
LONGEST_NAME = 255
HEADER_LENGTH = 12
TYPE_NS, TYPE_CNAME, TYPE_SOA, CLASS_IN = 2, 5, 6, 1
TO_ORIGIN = b"\xc0\x0c"
NS_TARGET = "localhost"

MOST_SUFFIXES = 4096
NAMES_REMEMBERED = 256

_OWNER = re.compile(r"(?!rpz-)(?:[a-z0-9_-]{1,63}\.){2,}").fullmatch
_RULES = {str(3 * own + wild): Rule(own, wild) for own in Decision for wild in Decision}
_CODES = {rule: code for code, rule in _RULES.items()}
_ABSENT = _CODES[EMPTY_RULE]
_RECORDS = {code: sum(map(bool, rule)) for code, rule in _RULES.items()}
# One more than pointers can reach: the place of a record that turns out not to fit.
_POINTER = [chr(0xC0 | at >> 8) + chr(at & 0xFF) for at in range(LONGEST_MESSAGE + 1)]
_LONGEST_UNIT = 3 * LONGEST_NAME + 2 * 10


@lru_cache(NAMES_REMEMBERED)
def wire_name(text: str) -> bytes:
    """Encode a name, lower case and uncompressed; a dot at its end may be left out."""
    return dns.name.from_text(text).to_digestable()


def record(rtype: int, ttl: int, data: bytes) -> bytes:
    """Give a record that the zone's own name owns."""
    return TO_ORIGIN + pack("!HHIH", rtype, CLASS_IN, ttl, len(data)) + data


def checked(key: str, longest: int) -> str:
    """Let a sort key pass that may own records; `longest` is how many octets its labels may take.

    The last guard before a zone, whatever was checked earlier: the last label must not make it an address
    trigger, a lone label would be a top-level domain, and `*.` in front of it must still fit.
    """
    if _OWNER(key) is None:
        raise NameInvalid(f"{key!r} (labels reversed) may not own records", value=key, rule="zone_contract")
    if len(key) > longest:
        raise NameTooLong(f"{key!r} (labels reversed) is too long for this zone", value=key, rule="zone_contract")
    return key


@dataclass(frozen=True, slots=True)
class Soa:
    """The SOA of a zone but for its serial; times in seconds."""

    mname: str
    rname: str
    refresh: int = 300
    retry: int = 60
    expire: int = 2_592_000
    minimum: int = 60
    ttl: int = 60

    def record(self, serial: int) -> bytes:
        """Give the record, owned by the zone's name; the names in it are not compressed."""
        numbers = pack("!5I", serial, self.refresh, self.retry, self.expire, self.minimum)
        return record(TYPE_SOA, self.ttl, wire_name(self.mname) + wire_name(self.rname) + numbers)


@dataclass(frozen=True, slots=True)
class Zone:
    """What a published zone is, whatever rules it carries. `origin` is its canonical name, without a dot."""

    origin: str
    action: Action
    soa: Soa
    ttl: int = 60

    @property
    def start(self) -> int:
        """Offset of the first record in every message about this zone."""
        return HEADER_LENGTH + len(wire_name(self.origin)) + 4

    @property
    def longest_key(self) -> int:
        """Octets that the labels of an owner may take, so that its wildcard fits too."""
        return LONGEST_NAME - len(wire_name(self.origin)) - 2

    @property
    def ns(self) -> bytes:
        """Give the apex NS record, which every zone must have and no resolver of policies reads."""
        return record(TYPE_NS, self.ttl, wire_name(NS_TARGET))


class Encoder:
    """Writes the records of single rules, as text of one character an octet (latin-1)."""

    def __init__(self, zone: Zone) -> None:
        self._longest = zone.longest_key
        self._tails = {decision: _tail(zone, decision) for decision in (Decision.BLOCK, Decision.PASS)}
        self._suffixes = {"": TO_ORIGIN.decode("latin-1")}

    def owner(self, key: str) -> str:
        """Encode the owner of a rule."""
        parent, _, label = checked(key, self._longest)[:-1].rpartition(".")
        return chr(len(label)) + label + (self._suffixes.get(parent) or self._suffix(parent))

    def _suffix(self, parent: str) -> str:
        """Encode what the owners below `parent` end in; neighbours share it."""
        if len(self._suffixes) > MOST_SUFFIXES:
            self._suffixes = {"": self._suffixes[""]}
        above, _, label = parent.rpartition(".")
        suffix = chr(len(label)) + label + (self._suffixes.get(above) or self._suffix(above))
        self._suffixes[parent] = suffix
        return suffix

    def records(self, owner: str, rule: Rule, at: int) -> str:
        """Write the one or two records of a rule, the first of which begins at offset `at`."""
        own, wild = rule
        if own and wild:
            return owner + self._tails[own] + "\x01*" + _POINTER[at] + self._tails[wild]
        return owner + self._tails[own] if own else "\x01*" + owner + self._tails[wild]


def _tail(zone: Zone, decision: Decision) -> str:
    return record(TYPE_CNAME, zone.ttl, wire_name(target_of(zone.action, decision)))[2:].decode("latin-1")


class Body(NamedTuple):
    """What follows the fixed head of one message."""

    records: int
    octets: bytes


def lines_of(rules: Iterable[tuple[str, Rule]]) -> bytes:
    """Write rules as lines, each a key and a digit; the keys may own records."""
    return "\n".join([key + _CODES[rule] for key, rule in rules]).encode("ascii")


def rules_in(lines: bytes) -> Iterator[tuple[str, Rule]]:
    """Read rules back from lines, in key order."""
    for line in lines.decode("ascii").split("\n") if lines else ():
        yield line[:-1], _RULES[line[-1]]


def rules_at(lines: bytes, keys: Iterable[str]) -> Iterator[Rule]:
    """Look some rules up in lines; EMPTY_RULE where there is none. A key sorts before all that begin with it."""
    lines = b"\n" + lines + b"\n"
    for key in keys:
        code = lines.find(b"\n" + key.encode("ascii")) + 1 + len(key)
        found = code > len(key) and lines[code + 1 : code + 2] == b"\n"
        yield _RULES[chr(lines[code])] if found else EMPTY_RULE


@dataclass(frozen=True, slots=True)
class Chunk:
    """Neighbouring rules and the message body made of them.

    `lines` holds the rules themselves, each a key and a digit, some 20 octets: enough to render the body anew
    after a change.
    """

    first_key: str
    last_key: str
    body: bytes
    records: int
    names: int
    lines: bytes

    def rules(self) -> Iterator[tuple[str, Rule]]:
        """Read the rules back, in key order."""
        return rules_in(self.lines)

    def rules_at(self, keys: Iterable[str]) -> Iterator[Rule]:
        """Look some of them up."""
        return rules_at(self.lines, keys)

    def bodies(self) -> tuple[Body, ...]:
        """Give the one body."""
        return (Body(self.records, self.body),)


def render(rules: Iterable[tuple[str, Rule]], zone: Zone, limit: int = LONGEST_MESSAGE) -> Iterator[Chunk]:
    """Render rules, in strictly ascending key order, into chunks whose messages are at most `limit` octets.

    Raises `NameInvalid` or `NameTooLong` for an owner that breaks the zone contract, ValueError for keys out
    of order: a second record at one owner would make secondaries refuse the whole zone.
    """
    encoder, start = Encoder(zone), zone.start
    owner_of, records_of = encoder.owner, encoder.records
    parts: list[str] = []
    lines: list[str] = []
    at, last = start, ""
    for key, rule in rules:
        if key <= last:
            raise ValueError(f"rules out of order: {key!r} after {last!r}")
        last = key
        code = _CODES[rule]
        if code == _ABSENT:
            continue
        owner = owner_of(key)
        text = records_of(owner, rule, at)
        if at + len(text) > limit and parts:
            yield _chunk(parts, lines)
            at, parts, lines = start, [], []
            text = records_of(owner, rule, at)
        at += len(text)
        parts.append(text)
        lines.append(key + code)
    if parts:
        yield _chunk(parts, lines)


def evenly(rules: Sequence[tuple[str, Rule]], zone: Zone) -> list[Chunk]:
    """Render into as few chunks as it takes, of about one size, so that each has room to grow."""
    chunks = list(render(rules, zone))
    if len(chunks) <= 1:
        return chunks
    share = sum(len(chunk.body) for chunk in chunks) // len(chunks)
    return list(render(rules, zone, min(zone.start + share + _LONGEST_UNIT, LONGEST_MESSAGE)))


def records_in(rule: Rule) -> int:
    """Count the records of a rule."""
    return (rule.own != Decision.NOTHING) + (rule.wild != Decision.NOTHING)


def _chunk(parts: Sequence[str], lines: Sequence[str]) -> Chunk:
    return Chunk(
        first_key=lines[0][:-1],
        last_key=lines[-1][:-1],
        body="".join(parts).encode("latin-1"),
        records=sum([_RECORDS[line[-1]] for line in lines]),
        names=len(lines),
        lines="\n".join(lines).encode("ascii"),
    )
