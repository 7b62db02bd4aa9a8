"""One query for a zone's own name in, the unsigned messages of its answer out (RFC 5936, RFC 1995).

What is rendered beforehand is only copied: a full answer is a message with SOA and NS, every body of the
zone, and the same SOA again. A difference is condensed to one (RFC 1995 section 5), rendered once for all
that ask from the same serial. Who may ask, EDNS and TSIG are the caller's business; what these add follows
what is here.
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import Enum, auto
from itertools import chain
from struct import pack
from typing import NamedTuple

from resolver_policy.delta import EMPTY_RULE, Change, Rule, condense
from resolver_policy.serial import compare
from resolver_policy.targets import Decision
from resolver_policy.version import MOST_CHANGES, Delta, ZoneVersion
from resolver_policy.wire import LONGEST_MESSAGE, TYPE_NS, TYPE_SOA, Body, Encoder, Zone

TYPE_IXFR, TYPE_AXFR, TYPE_ANY = 251, 252, 255
NOERROR, FORMERR = 0, 1
QR, AA, RD = 0x8000, 0x0400, 0x0100
LARGEST_DIFFERENCE = 0.3
SMALLEST_RECORD = 15
QUICKLY_RENDERED = 100
MOST_REMEMBERED = 16
MOST_OCTETS_REMEMBERED = 64 * 1024 * 1024


class Ask(NamedTuple):
    """A query whose question is the zone's name, class IN.

    `question` is as sent and holds no pointer. `serial` is what an IXFR client has. `room` is how many octets
    an answer over UDP may take without what the caller adds; None means TCP.
    """

    id: int
    question: bytes
    qtype: int
    serial: int | None = None
    room: int | None = None
    recursion_desired: bool = False


class Effort(Enum):
    """What the first message of an answer takes: a server does not stand still for it.

    AT_ONCE: nothing to speak of. RENDERED: milliseconds, much must be rendered or the past be read. WRITTEN: seconds,
    another process may have to write it first.
    """

    AT_ONCE = auto()
    RENDERED = auto()
    WRITTEN = auto()


class Reply(NamedTuple):
    """`outcome`: soa, current, too_big (ask over TCP), difference, full, records, nodata or formerr.

    `serial` is the one that the answer carries; whoever took a difference or a full answer has it.
    """

    rcode: int
    outcome: str
    serial: int | None
    messages: Iterator[bytes]
    effort: Effort = Effort.AT_ONCE


def head(ask: Ask, answers: int = 0, authorities: int = 0, *, rcode: int = NOERROR, flags: int = AA) -> bytes:
    """Give header and question of an answer."""
    flags |= QR | rcode | (RD if ask.recursion_desired else 0)
    return pack("!6H", ask.id, flags, 1, answers, authorities, 0) + ask.question


def answer(ask: Ask, version: ZoneVersion) -> Reply:
    """Answer one query; the messages of a long answer are made as they are asked for, all of this version."""
    if ask.qtype == TYPE_IXFR:
        return _incremental(ask, version)
    if ask.qtype == TYPE_AXFR:
        return _formerr(ask) if ask.room is not None else _full(ask, version)
    soa, ns = version.zone.soa.record(version.serial), version.zone.ns
    if ask.qtype == TYPE_SOA:
        return _single(ask, version, "soa")
    found = {TYPE_NS: (ns,), TYPE_ANY: (soa, ns)}.get(ask.qtype, ())
    if found:
        message = head(ask, len(found)) + b"".join(found)
        return Reply(NOERROR, "records", version.serial, iter((message,)))
    return Reply(NOERROR, "nodata", version.serial, iter((head(ask, 0, 1) + soa,)))


def _formerr(ask: Ask) -> Reply:
    return Reply(FORMERR, "formerr", None, iter((head(ask, rcode=FORMERR, flags=0),)))


def _single(ask: Ask, version: ZoneVersion, outcome: str) -> Reply:
    message = head(ask, 1) + version.zone.soa.record(version.serial)
    return Reply(NOERROR, outcome, version.serial, iter((message,)))


def _full(ask: Ask, version: ZoneVersion) -> Reply:
    return Reply(NOERROR, "full", version.serial, _zone_messages(ask, version))


def _zone_messages(ask: Ask, version: ZoneVersion) -> Iterator[bytes]:
    """Give the zone in full; each body is read or rendered when its turn comes, and only the last is waited for."""
    soa = version.zone.soa.record(version.serial)
    last = Body(2, soa + version.zone.ns)
    for body in version.bodies():
        yield head(ask, last.records) + last.octets
        last = body
    yield head(ask, last.records + 1) + last.octets + soa


def _incremental(ask: Ask, version: ZoneVersion) -> Reply:
    """Choose between the one SOA, the difference and the full zone, from counts alone (RFC 1995 section 4).

    A client with an equal or newer serial gets the one SOA: a server that lags never sends an older zone. A difference
    that was chosen before is chosen again.
    """
    if ask.serial is None:
        return _formerr(ask)
    known = version.memo.get(ask.serial)
    if known is not None and ask.room is None:
        return Reply(NOERROR, "difference", version.serial, _messages(ask, known))
    if compare(ask.serial, version.serial) in {0, 1}:
        return _single(ask, version, "current")
    deltas = _since(version, ask.serial)
    rows = _rows_since(version, ask.serial, deltas)
    if rows is None or rows > LARGEST_DIFFERENCE * version.names:
        return _full(ask, version) if ask.room is None else _single(ask, version, "too_big")
    if ask.room is not None and not _fits(ask, version, deltas):
        return _single(ask, version, "too_big")
    messages = _difference_messages(ask, version, ask.serial, deltas)
    return Reply(NOERROR, "difference", version.serial, messages, _effort(deltas, rows))


def _effort(deltas: tuple[Delta, ...], rows: int) -> Effort:
    if deltas and rows <= QUICKLY_RENDERED:
        return Effort.AT_ONCE
    return Effort.WRITTEN if not deltas and rows > MOST_CHANGES else Effort.RENDERED


def _rows_since(version: ZoneVersion, serial: int, deltas: tuple[Delta, ...]) -> int | None:
    """Say how many rows changed since a serial; None where the zone never had it, or before its epoch."""
    if deltas:
        return sum(len(delta.changes) for delta in deltas)
    return None if version.past is None else version.past.rows_between(serial, version.serial)


def _fits(ask: Ask, version: ZoneVersion, deltas: tuple[Delta, ...]) -> bool:
    """Say whether a difference fits the room there is; one that cannot is not rendered to find out, nor read."""
    room = (ask.room or 0) - len(head(ask))
    if not deltas or sum(len(delta.changes) for delta in deltas) * SMALLEST_RECORD > room:
        return False
    bodies = tuple(_difference(version, deltas[0].from_serial, deltas) or ())
    return len(bodies) == 1 and len(bodies[0].octets) <= room


def _difference_messages(ask: Ask, version: ZoneVersion, serial: int, deltas: tuple[Delta, ...]) -> Iterator[bytes]:
    """Render nothing before the first message is asked for: that may be done in another thread.

    Where the past cannot be read, the zone in full is as good an answer (RFC 1995 section 4).
    """
    bodies = _difference(version, serial, deltas)
    if bodies is None:
        yield from _zone_messages(ask, version)
    else:
        yield from _messages(ask, bodies)


def _messages(ask: Ask, bodies: Iterable[Body]) -> Iterator[bytes]:
    for body in bodies:
        yield head(ask, body.records) + body.octets


def _since(version: ZoneVersion, serial: int) -> tuple[Delta, ...]:
    """Give the deltas from this serial on; none where the history does not know it."""
    for place, delta in enumerate(version.history):
        if delta.from_serial == serial:
            return version.history[place:]
    return ()


def _difference(version: ZoneVersion, serial: int, deltas: tuple[Delta, ...]) -> Iterable[Body] | None:
    """Render the difference from a serial, or find it among those rendered lately; None where it cannot be had."""
    known = version.memo.get(serial)
    if known is not None:
        return known
    if not deltas and version.past is not None and (_rows_since(version, serial, ()) or 0) > MOST_CHANGES:
        return version.past.bodies(version.zone, serial, version.serial)
    changes = _changes_since(version, serial, deltas)
    if changes is None:
        return None
    bodies = tuple(difference(version.zone, serial, version.serial, changes))
    _remember(version.memo, serial, bodies)
    return bodies


def difference(zone: Zone, older: int, newer: int, changes: Iterable[Change]) -> Iterator[Body]:
    """Render what turns one serial into another; the changes, in key order, are gone through twice.

    The new SOA, the old one and what goes, the new one and what comes, and the new one again.
    """
    new, old = zone.soa.record(newer), zone.soa.record(older)
    gone = ((change.key, _only(change.old, change.new)) for change in changes)
    come = ((change.key, _only(change.new, change.old)) for change in changes)
    return _bodies(zone, chain((new, old), gone, (new,), come, (new,)))


def _changes_since(version: ZoneVersion, serial: int, deltas: tuple[Delta, ...]) -> Sequence[Change] | None:
    if deltas:
        return condense(delta.changes for delta in deltas)
    return None if version.past is None else version.past.changes(serial, version.serial)


def _remember(memo: dict[int, tuple[Body, ...]], serial: int, bodies: tuple[Body, ...]) -> None:
    """Keep a difference, and let the oldest go that are too many or too much."""
    memo[serial] = bodies
    kept = list(memo.items())
    while kept and (len(kept) > MOST_REMEMBERED or _size(kept) > MOST_OCTETS_REMEMBERED):
        memo.pop(kept.pop(0)[0], None)


def _size(kept: Iterable[tuple[int, tuple[Body, ...]]]) -> int:
    return sum(len(body.octets) for _, bodies in kept for body in bodies)


def _only(one: Rule, other: Rule) -> Rule:
    """Give the records of one rule that the other does not have."""
    own = one.own if one.own != other.own else Decision.NOTHING
    wild = one.wild if one.wild != other.wild else Decision.NOTHING
    return Rule(own, wild)


def _bodies(zone: Zone, items: Iterable[bytes | tuple[str, Rule]]) -> Iterator[Body]:
    """Pack SOAs and rules into bodies as long as pointers reach."""
    encoder, start = Encoder(zone), zone.start
    parts: list[str] = []
    at, records = start, 0
    for item in items:
        text, count = _written(encoder, item, at)
        if at + len(text) > LONGEST_MESSAGE:
            yield Body(records, "".join(parts).encode("latin-1"))
            at, records, parts = start, 0, []
            text, count = _written(encoder, item, at)
        at, records = at + len(text), records + count
        parts.append(text)
    yield Body(records, "".join(parts).encode("latin-1"))


def _written(encoder: Encoder, item: bytes | tuple[str, Rule], at: int) -> tuple[str, int]:
    if isinstance(item, bytes):
        return item.decode("latin-1"), 1
    key, rule = item
    if rule == EMPTY_RULE:
        return "", 0
    return encoder.records(encoder.owner(key), rule, at), bool(rule.own) + bool(rule.wild)
