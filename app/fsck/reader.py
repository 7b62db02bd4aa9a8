"""Reads the messages of a zone transfer, a record at a time: what a secondary would take from them, and nothing is
passed over.

It shares no line with what writes them. Names are sort keys (`resolver_policy.names`): the zone's own is a prefix of
all owners.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from struct import unpack_from
from typing import NamedTuple

from resolver_policy.actions import Action, target_of
from resolver_policy.delta import Rule
from resolver_policy.names import sort_key
from resolver_policy.targets import Decision

HEADER, POINTER, LONGEST_LABEL = 12, 0xC0, 63
RECORD_HEAD = 10
"""Octets between the owner of a record and its data."""

MOST_POINTERS = 128
NS, CNAME, SOA, OPT, TSIG, IN = 2, 5, 6, 41, 250, 1
SERIAL_FROM_END, SHORTEST_SOA = 20, 22
"""Octets of the five numbers that an SOA ends with, and with the shortest names before them."""

WILD = ".*."
"""How the key of a wildcard ends."""

Part = tuple[str, bool, Decision]
"""The key of a name, whether the record is its wildcard's, and what the record makes of it."""


class UnreadableError(Exception):
    """A message, or a record, that is none of a policy zone's; says which."""


class Head(NamedTuple):
    """The numbers that a message begins with (RFC 1035 section 4.1.1)."""

    id: int
    flags: int
    questions: int
    answers: int
    authorities: int
    additionals: int


class Record(NamedTuple):
    """A record; its data begin at `at` and are `length` octets."""

    owner: str
    type: int
    at: int
    length: int


class Reader:
    """Reads one message after the other of one zone with one action."""

    def __init__(self, zone: str, action: Action) -> None:
        self._origin = sort_key(zone)
        self._decisions = {_target_key(action, each): each for each in (Decision.BLOCK, Decision.PASS)}
        self.serials: list[int] = []
        self.apex: list[int] = []

    def read(self, message: bytes, at: int, answers: int) -> tuple[list[Part], int]:
        """What the records of one message make of names, and where they end; raises UnreadableError."""
        names: dict[int, str] = {}
        parts: list[Part] = []
        origin, length = self._origin, len(self._origin)
        for _ in range(answers):
            record, at = self._record(message, at, names)
            if record.type != CNAME:
                self._take_apex(message, record)
                continue
            if not record.owner.startswith(origin) or record.owner == origin:
                raise UnreadableError(f"a CNAME at {shown(record.owner)}, outside of the zone")
            key, wild = record.owner[length:], record.owner.endswith(WILD)
            target, _ = _name(message, record.at, names)
            if target not in self._decisions:
                raise UnreadableError(f"{shown(key)} has the target {shown(target)}, which this zone does not use")
            parts.append((key[: -len(WILD)] + "." if wild else key, wild, self._decisions[target]))
        return parts, at

    def _take_apex(self, message: bytes, record: Record) -> None:
        if record.owner != self._origin or record.type not in {SOA, NS}:
            raise UnreadableError(f"a record of type {record.type} at {shown(record.owner)}")
        self.apex.append(record.type)
        if record.type == SOA:
            if record.length < SHORTEST_SOA:
                raise UnreadableError("an SOA that is none")
            (serial,) = unpack_from("!I", message, record.at + record.length - SERIAL_FROM_END)
            self.serials.append(serial)

    def _record(self, message: bytes, at: int, names: dict[int, str]) -> tuple[Record, int]:
        owner, at = _name(message, at, names)
        if at + RECORD_HEAD > len(message):
            raise UnreadableError("a message that ends within a record")
        rtype, rclass, _, length = unpack_from("!HHIH", message, at)
        if rclass != IN:
            raise UnreadableError(f"a record of class {rclass} at {shown(owner)}")
        at += RECORD_HEAD
        if at + length > len(message):
            raise UnreadableError("a message that ends within a record")
        return Record(owner, rtype, at, length), at + length


def head(message: bytes) -> Head:
    """Raises UnreadableError for what is shorter than one."""
    if len(message) < HEADER:
        raise UnreadableError("a message without a head")
    return Head(*unpack_from("!6H", message))


def past_question(message: bytes, questions: int) -> int:
    """Where the first record begins."""
    at, names = HEADER, dict[int, str]()
    for _ in range(questions):
        _, at = _name(message, at, names)
        at += 4
    return at


def past_records(message: bytes, at: int, records: int) -> int:
    """Where so many records of any kind end."""
    names: dict[int, str] = {}
    for _ in range(records):
        _, at = _name(message, at, names)
        at += RECORD_HEAD + int.from_bytes(message[at + 8 : at + 10], "big")
    return at


def rules(parts: Iterable[Part]) -> Iterator[tuple[str, Rule]]:
    """Fold the records of one name, which follow each other, into its rule; raises UnreadableError for two that say
    the same of it: secondaries refuse such a zone."""
    for key, same in groupby(parts, key=itemgetter(0)):
        said = {False: Decision.NOTHING, True: Decision.NOTHING}
        for _, wild, decision in same:
            if said[wild]:
                raise UnreadableError(f"{shown(key)} has two records")
            said[wild] = decision
        yield key, Rule(said[False], said[True])


def shown(key: str) -> str:
    """A name for people, whatever octets it has."""
    return ".".join(reversed(key.rstrip(".").split("."))).encode("unicode_escape").decode() or "the root"


def _target_key(action: Action, decision: Decision) -> str:
    target = target_of(action, decision).rstrip(".")
    return sort_key(target) if target else ""


def _name(message: bytes, at: int, names: dict[int, str]) -> tuple[str, int]:
    """The key of the name at an offset, and where what follows it begins. `names` are those read before."""
    begin, labels, jumps, end = at, list[str](), 0, 0
    try:
        while True:
            length = message[at]
            if length >= POINTER:
                end = end or at + 2
                at = (length - POINTER) << 8 | message[at + 1]
                jumps += 1
                if at in names:
                    parent = names[at]
                    break
                if jumps > MOST_POINTERS:
                    raise UnreadableError("a name that points round in a circle")
                continue
            if length > LONGEST_LABEL:
                raise UnreadableError("a label that is none")
            at += 1
            if not length:
                parent, end = "", end or at
                break
            label = message[at : at + length].decode("latin-1").lower()
            labels.append(label.replace(".", "\\.") if "." in label else label)
            at += length
    except IndexError:
        raise UnreadableError("a message that ends within a name") from None
    key = parent + "".join(f"{label}." for label in reversed(labels))
    names[begin] = key
    return key, end
