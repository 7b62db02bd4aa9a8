"""Rules as DNS message bodies, rendered once and streamed to every secondary as they are.

A body follows a fixed head: 12 octets of header and the question for the zone's own name. So that name is at
offset 12 in every message, each owner is compressed against it, and each wildcard against the name it stands
for. The same body serves AXFR and a full answer to IXFR; it ends within what a pointer can reach (RFC 1035
section 4.1.4), so no message of a transfer is longer than 16 KiB before it is signed.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from struct import pack
from typing import NamedTuple, Protocol

import dns.name

from resolver_policy.actions import Action, target_of
from resolver_policy.delta import EMPTY_RULE, Change, Rule
from resolver_policy.errors import NameInvalid, NameTooLong
from resolver_policy.targets import Decision

LONGEST_MESSAGE = 0x4000
LONGEST_NAME = 255
HEADER_LENGTH = 12
TYPE_NS, TYPE_CNAME, TYPE_SOA, CLASS_IN = 2, 5, 6, 1
TO_ORIGIN = b"\xc0\x0c"
NS_TARGET = "localhost"

MOST_DELTAS = 256
MOST_CHANGES = 50_000
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
        for line in self.lines.decode("ascii").split("\n"):
            yield line[:-1], _RULES[line[-1]]


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


def _chunk(parts: Sequence[str], lines: Sequence[str]) -> Chunk:
    return Chunk(
        first_key=lines[0][:-1],
        last_key=lines[-1][:-1],
        body="".join(parts).encode("latin-1"),
        records=sum([_RECORDS[line[-1]] for line in lines]),
        names=len(lines),
        lines="\n".join(lines).encode("ascii"),
    )


class Body(NamedTuple):
    """What follows the fixed head of one message."""

    records: int
    octets: bytes


class Delta(NamedTuple):
    """What one release changed, in key order."""

    from_serial: int
    to_serial: int
    changes: tuple[Change, ...]


class Past(Protocol):
    """What a zone was before, kept elsewhere: for secondaries that are older than the history in memory."""

    def rows_between(self, older: int, newer: int) -> int | None:
        """Say how many rows changed from one serial to another; None where the zone never had one of them."""
        ...

    def changes(self, older: int, newer: int) -> Sequence[Change] | None:
        """Give what differs between two serials, in key order; None where it cannot be had."""
        ...


@dataclass(frozen=True, slots=True)
class ZoneVersion:
    """One zone at one serial. A change makes a new version that shares every chunk it did not touch.

    `names` and `records` count the rules, without the apex. `history` is contiguous and ends at `serial`; it
    is bounded, and what lies before it is asked of `past`. `memo` keeps differences once rendered, for the next
    secondary that asks.
    """

    zone: Zone
    serial: int
    chunks: tuple[Chunk, ...]
    history: tuple[Delta, ...] = ()
    past: Past | None = field(default=None, compare=False, repr=False)
    names: int = field(init=False)
    records: int = field(init=False)
    memo: dict[int, tuple[Body, ...]] = field(init=False, default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", sum(chunk.names for chunk in self.chunks))
        object.__setattr__(self, "records", sum(chunk.records for chunk in self.chunks))

    @classmethod
    def from_rules(
        cls,
        rules: Iterable[tuple[str, Rule]],
        zone: Zone,
        serial: int,
        history: tuple[Delta, ...] = (),
        past: Past | None = None,
    ) -> "ZoneVersion":
        """Render a zone from all of its rules, in key order; raises what `render` raises."""
        return cls(zone, serial, tuple(render(rules, zone)), _bounded(history), past)

    @property
    def origin(self) -> str:
        """The zone's canonical name."""
        return self.zone.origin

    def rules(self) -> Iterator[tuple[str, Rule]]:
        """Give every rule, in key order."""
        for chunk in self.chunks:
            yield from chunk.rules()

    def changed(self, changes: Sequence[Change], serial: int) -> "ZoneVersion":
        """Apply one release, in key order, and render only the chunks it touches.

        Raises ValueError for a serial that does not grow, and where `old` is not what this version holds.
        """
        if serial <= self.serial:
            raise ValueError(f"serial {serial} does not follow {self.serial}")
        chunks: list[Chunk] = []
        done = 0
        for place, group in _dirty(self.chunks, changes):
            _append(self.zone, chunks, self.chunks[done:place])
            _append(self.zone, chunks, _rerendered(self.zone, self.chunks[place : place + 1], group))
            done = place + 1
        _append(self.zone, chunks, self.chunks[done:])
        delta = Delta(self.serial, serial, tuple(changes))
        return replace(self, serial=serial, chunks=tuple(chunks), history=_bounded((*self.history, delta)))


def _dirty(chunks: Sequence[Chunk], changes: Iterable[Change]) -> Iterator[tuple[int, list[Change]]]:
    """Group changes by the place of the chunk that holds, or would hold, their key."""
    group: list[Change] = []
    group_place = 0
    for change in changes:
        if group and change.key <= group[-1].key:
            raise ValueError(f"changes out of order: {change.key!r} after {group[-1].key!r}")
        place = max(bisect_right(chunks, change.key, key=lambda chunk: chunk.first_key) - 1, 0)
        if group and place != group_place:
            yield group_place, group
            group = []
        group_place = place
        group.append(change)
    if group:
        yield group_place, group


def _rerendered(zone: Zone, chunks: Iterable[Chunk], changes: Iterable[Change]) -> list[Chunk]:
    rules = {key: rule for chunk in chunks for key, rule in chunk.rules()}
    for key, old, new in changes:
        if rules.get(key, EMPTY_RULE) != old:
            raise ValueError(f"change of {key!r} expects {old}, found {rules.get(key, EMPTY_RULE)}")
        rules[key] = new
    return _evenly(zone, sorted(rules.items()))


def _evenly(zone: Zone, rules: Sequence[tuple[str, Rule]]) -> list[Chunk]:
    """Render into as few chunks as it takes, of about one size, so that each has room to grow."""
    chunks = list(render(rules, zone))
    if len(chunks) <= 1:
        return chunks
    share = sum(len(chunk.body) for chunk in chunks) // len(chunks)
    return list(render(rules, zone, min(zone.start + share + _LONGEST_UNIT, LONGEST_MESSAGE)))


def _append(zone: Zone, chunks: list[Chunk], more: Sequence[Chunk]) -> None:
    """Append neighbours; where the seam has a small chunk and both fit in half a message, merge the two."""
    if chunks and more:
        sizes = len(chunks[-1].body), len(more[0].body)
        if min(sizes) < LONGEST_MESSAGE // 4 and sum(sizes) < LONGEST_MESSAGE // 2:
            seam = [*chunks.pop().rules(), *more[0].rules()]
            more = [*_evenly(zone, seam), *more[1:]]
    chunks += more


def _bounded(history: tuple[Delta, ...]) -> tuple[Delta, ...]:
    """Drop the oldest deltas that are too many."""
    kept, room = 0, MOST_CHANGES
    for delta in reversed(history[-MOST_DELTAS:]):
        room -= len(delta.changes)
        if room < 0:
            break
        kept += 1
    return history[len(history) - kept :]
