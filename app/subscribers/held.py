"""What each server of an ISP may have held at a past moment, by what was seen of it before that moment and after it.

A server does not say when it takes a zone into use. What it held is certain where it was seen with the same release
before and after, and nothing newer was sent to it meanwhile; from the moment at which something newer was sent until it
was seen with that, it may have held either. Where it came to another release and no transfer of that is in the ledger
(an ISP that fetches by HTTP and acknowledges; a row that was folded or lost), it may have held any release between the
two. Where it was not seen again, it may have taken any that was published since. Nothing is guessed.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.orders import targets
from app.publication.models import Release, Zone, ZoneSerial
from app.subscribers.deliveries import WHOLE
from app.subscribers.ledger import FORGOTTEN
from app.subscribers.models import Delivery, Exchange
from app.subscribers.sighting import SightingKind
from app.subscribers.standing import LIVE

ROWS = 40
"""Rows of the ledger that are read of one server before a moment, and after it; beyond that nothing is known."""

TRANSFERS = (SightingKind.AXFR, SightingKind.IXFR)
HALF_SAID = ("received", "partial", "failed")
"""Phases of an acknowledgement after which the old or the new may be in use."""


class Basis(StrEnum):
    """Why a server may have held what it may have held."""

    SEEN_WITH_IT = "seen_with_it"
    BEING_TAKEN = "being_taken"
    BETWEEN_TWO = "between_two"
    NOT_SEEN_SINCE = "not_seen_since"
    NOT_SEEN_BEFORE = "not_seen_before"
    FOREIGN = "foreign"


class Sight(NamedTuple):
    """What a server was known to have at a moment, and by what: no serial where it may have had nothing, no release
    where the zone never had that serial."""

    at: dt.datetime
    serial: int | None
    release: int | None
    by: str


class Sent(NamedTuple):
    """What was sent to a server (or acknowledged by halves), from when on it may have been in use."""

    at: dt.datetime
    serial: int
    release: int


@dataclass(frozen=True, slots=True)
class Held:
    """What one server may have held of a zone: the releases of any of these stretches, or (`nothing`) none at all.

    `until` is when something else may have come, where that is known; `showed`: it was ever seen with a release of
    ours.
    """

    zone: str
    address: str
    before: Sight | None
    after: Sight | None
    sent: tuple[Sent, ...]
    stretches: tuple[tuple[int, int], ...]
    nothing: bool
    basis: Basis
    until: dt.datetime | None
    showed: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """All that the ledger has of one server around a moment; `complete`: no transfer before it may be missing."""

    zone: str
    address: str
    sights: tuple[Sight, ...]
    sent: tuple[Sent, ...]
    complete: bool


def servers(session: Session, subscriber_id: int, zone: Zone, at: dt.datetime, head: int) -> Sequence[Held]:
    """What each server of an ISP that counts may have held of a zone at a moment; `head` is the newest release then.

    Those that showed a release of ours count; without any, what the ISP acknowledged for itself.
    """
    query = select(Delivery).where(Delivery.subscriber_id == subscriber_id, Delivery.zone == zone.name)
    around = [_seen(session, row, zone.id, at) for row in session.scalars(query.order_by(Delivery.address))]
    found = [judge(seen, at, head) for seen in around if seen.sights or seen.sent]
    own = [each for each in found if each.address != WHOLE and each.showed]
    return [each for each in own if each.before is not None] or own or [each for each in found if each.showed]


def judge(seen: Seen, at: dt.datetime, head: int) -> Held:
    """What a server may have held at a moment."""
    before = next((each for each in reversed(seen.sights) if each.at <= at), None)
    after = next((each for each in seen.sights if each.at > at), None)
    since = seen.sights[0].at if before is None else before.at
    sent = tuple(each for each in seen.sent if since <= each.at <= at) if before is not None else ()
    showed = any(each.release is not None for each in seen.sights)
    stretches, nothing, basis = _possible(seen, before, after, sent, at, head)
    coming = [each.at for each in seen.sent if each.at > at] + ([] if after is None else [after.at])
    until = min(coming) if basis is Basis.SEEN_WITH_IT and coming else None
    return Held(seen.zone, seen.address, before, after, sent, stretches, nothing, basis, until, showed)


def _possible(
    seen: Seen, before: Sight | None, after: Sight | None, sent: Sequence[Sent], at: dt.datetime, head: int
) -> tuple[tuple[tuple[int, int], ...], bool, Basis]:
    if before is None:
        return _between(1, head), True, Basis.NOT_SEEN_BEFORE
    if any(each is not None and each.release is None and each.serial is not None for each in (before, after)):
        return _between(1, head), True, Basis.FOREIGN
    known = [each.release for each in sent]
    if before.release is None:
        return _from_nothing(seen, before, after, known, head)
    silent, is_seen = at - before.at > LIVE, at == before.at
    if not is_seen and (after is None or after.release is None):
        return _between(before.release, head), silent or after is not None, Basis.NOT_SEEN_SINCE
    if (
        not is_seen
        and after is not None
        and after.release is not None
        and after.release != before.release
        and not _is_explained(seen, before, after)
    ):
        low, high = sorted((before.release, after.release))
        return _between(low, min(max([high, *known]), head)), silent, Basis.BETWEEN_TWO
    basis = Basis.BEING_TAKEN if known else Basis.SEEN_WITH_IT
    return _each([before.release, *known]), silent, basis


def _from_nothing(
    seen: Seen, before: Sight, after: Sight | None, known: Sequence[int], head: int
) -> tuple[tuple[tuple[int, int], ...], bool, Basis]:
    """After a request for the whole zone, which does not say what it has: nothing, what it was sent since, or, if it
    was seen with any before, that or any later one."""
    earlier = [each.release for each in seen.sights if each.at < before.at and each.release is not None]
    if not earlier and after is not None and after.release is not None and _arrived(seen, before, after):
        return _each(known), True, Basis.BEING_TAKEN
    return _between(min([*earlier[-1:], *known], default=1), head), True, Basis.NOT_SEEN_SINCE


def _is_explained(seen: Seen, before: Sight, after: Sight) -> bool:
    """Whether a transfer that is in the ledger brought a server from one release to a later one: from its row it is
    known when that began. Whoever fetches by HTTP leaves no such row."""
    newer = before.release is not None and after.release is not None and after.release > before.release
    return newer and _arrived(seen, before, after)


def _arrived(seen: Seen, before: Sight, after: Sight) -> bool:
    between = [each.release for each in seen.sent if before.at <= each.at <= after.at]
    return seen.complete and seen.address != WHOLE and after.release in between


def _each(releases: Iterable[int]) -> tuple[tuple[int, int], ...]:
    return tuple((each, each) for each in sorted(set(releases)))


def _between(low: int, high: int) -> tuple[tuple[int, int], ...]:
    return ((low, high),) if low <= high else ()


def _seen(session: Session, row: Delivery, zone_id: int, at: dt.datetime) -> Seen:
    """The rows around a moment, and what the server did last, which has no row where nothing was new."""
    mine = select(Exchange).where(
        Exchange.subscriber_id == row.subscriber_id, Exchange.zone == row.zone, Exchange.address == row.address
    )
    by_time = (Exchange.recorded_at, Exchange.id)
    older = mine.where(Exchange.recorded_at <= at).order_by(*(each.desc() for each in by_time)).limit(ROWS)
    newer = mine.where(Exchange.recorded_at > at).order_by(*by_time).limit(ROWS)
    before, after = list(session.scalars(older))[::-1], list(session.scalars(newer))
    gone = max((place for place, each in enumerate(before) if each.kind == FORGOTTEN), default=-1)
    rows = [*before[gone + 1 :], *after]
    forgotten = next((place for place, each in enumerate(rows) if each.kind == FORGOTTEN), len(rows))
    rows, is_last = rows[:forgotten], forgotten == len(rows) and len(after) < ROWS
    releases = _releases(session, zone_id, [row.sent_serial, *(_serial_sent(each) for each in rows)])
    sights = [sight for each in rows for sight in _sights(each)]
    sent = [made for each in rows for made in _sent(each.at, _serial_sent(each), releases)]
    if is_last:
        sights += _last_sight(session, row, zone_id)
        sent += _sent(row.sent_at, row.sent_serial, releases)
    sights.sort(key=lambda each: each.at)
    oldest = rows[0].at if len(before) == ROWS and rows else None
    complete = oldest is None or any(oldest <= each.at <= at for each in sights)
    return Seen(row.zone, row.address, tuple(sights), tuple(sorted(set(sent))), complete)


def _sights(row: Exchange) -> Iterable[Sight]:
    """When it came to have what it had by a row, and that it still had it then, where what it asked shows that."""
    if row.has_since is None:
        return
    yield Sight(row.has_since, row.has_serial, row.has_release, row.kind if row.has_since == row.at else "seen")
    told = row.sent_serial if row.kind == SightingKind.SOA else row.asked_serial
    if row.kind in {SightingKind.SOA, SightingKind.IXFR, "applied"} and told == row.has_serial:
        yield Sight(row.at, row.has_serial, row.has_release, row.kind)


def _last_sight(session: Session, row: Delivery, zone_id: int) -> Iterable[Sight]:
    """What a server had when it last asked: what it asked from, or what was published then, if it was known to have
    that and asked for nothing after its poll."""
    if row.asked_at is None or row.seen_at is None or row.asked_at < row.seen_at:
        return
    if row.asked_kind == SightingKind.SOA:
        published = select(ZoneSerial.serial).join(Release, Release.id == ZoneSerial.release_id)
        then = published.where(ZoneSerial.zone_id == zone_id, Release.published_at <= row.asked_at)
        is_current = session.scalar(then.order_by(Release.published_at.desc(), Release.id.desc()).limit(1))
        is_seen = is_current == row.seen_serial and row.sent_serial in {None, row.seen_serial}
    else:
        is_seen = row.asked_serial == row.seen_serial
    if is_seen:
        yield Sight(row.asked_at, row.seen_serial, row.seen_release, row.asked_kind or "seen")


def _serial_sent(row: Exchange) -> int | None:
    if row.kind in HALF_SAID:
        return row.asked_serial
    is_new = row.kind in TRANSFERS and row.sent_serial != row.asked_serial
    return row.sent_serial if is_new else None


def _sent(at: dt.datetime | None, serial: int | None, releases: Mapping[int, int]) -> Iterable[Sent]:
    if at is not None and serial in releases and serial is not None:
        yield Sent(at, serial, releases[serial])


def _releases(session: Session, zone_id: int, serials: Iterable[int | None]) -> Mapping[int, int]:
    found: dict[int, int] = {}
    for some in targets.batches(sorted({each for each in serials if each is not None})):
        query = select(ZoneSerial.serial, ZoneSerial.release_id)
        rows = session.execute(query.where(ZoneSerial.zone_id == zone_id, ZoneSerial.serial.in_(some)))
        found.update(dict(rows.all()))
    return found
