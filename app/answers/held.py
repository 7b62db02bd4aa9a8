"""Was a name blocked at one ISP at a moment: yes, no, partly, or not known; with what was published then, and what that
ISP was seen with before and after.

Three things are told apart: what was decided (`app.answers.names`), what was published, and what the ISP held. It is
certain where all releases that a server may have held say the same of the name.
"""

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.answers.names import Answer, Holder
from app.answers.said import Said
from app.publication import zones
from app.publication.models import BaseRow, Release, ReleaseAct, UrgentSpan, Zone, ZoneSerial
from app.publication.zones import Layer, layer_of
from app.subscribers import held
from app.subscribers.held import Held
from app.subscribers.models import SubscriberRow
from app.subscribers.verdicts import Course
from resolver_policy import layers, names

TTL = dt.timedelta(seconds=60)
"""For so long a resolver, and whoever asked it, may go on with an answer from before: the TTL of a
zone's records (`resolver_policy.wire`)."""


class Known(StrEnum):
    """An answer about the past."""

    YES = "yes"
    NO = "no"
    PARTLY = "partly"
    NOT_KNOWN = "not_known"


class Why(StrEnum):
    """Why nothing more is known of an ISP."""

    NOT_REGISTERED = "not_registered"
    NEVER_SEEN = "never_seen"
    REMOVED = "removed"
    REPLAYED = "replayed"


@dataclass(frozen=True, slots=True)
class Published:
    """A release: its number, its moment, what it makes of the name, and its serial in each whole zone."""

    release: int
    at: dt.datetime
    blocks: bool
    serials: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class AtServer:
    """One server; `held` is what it may have held of the zone, or of its two layers (the urgent one first)."""

    address: str
    answer: Known
    held: tuple[Held, ...]


@dataclass(frozen=True, slots=True)
class AtZone:
    """One zone, whole or in its layers, at all servers of an ISP."""

    zone: str
    layered: bool
    answer: Known
    servers: tuple[AtServer, ...]


@dataclass(frozen=True, slots=True)
class AtMoment:
    """All of it for one ISP."""

    isp: str
    answer: Known
    why: Why | None
    zones: tuple[AtZone, ...]


def published(session: Session, name: str, at: dt.datetime) -> tuple[Published | None, Published | None]:
    """What was published of a name at a moment, and the release since which it was so (None where none is about it)."""
    head = zones.head_at(session, at)
    if head is None:
        return None, None
    course = Course(session, names.sort_key(name))
    since = course.since(head.id)
    first = None if since is None else _published(session, session.get_one(Release, since), course)
    return _published(session, head, course), first


def carried_by(session: Session, holder: Holder, name: str, at: dt.datetime) -> Published | None:
    """The release that first carried an order since it came into force; None where it was not published by a moment, or
    nothing of it had to be."""
    query = (
        select(Release)
        .join(ReleaseAct, ReleaseAct.release_id == Release.id)
        .where(ReleaseAct.order_id == holder.order.id, ReleaseAct.ends.is_(False))
        .where(Release.published_at >= holder.since, Release.published_at <= at)
    )
    release = session.scalars(query.order_by(Release.id).limit(1)).one_or_none()
    return None if release is None else _published(session, release, Course(session, names.sort_key(name)))


def at_isp(session: Session, answer: Answer, row: SubscriberRow, told: Said | None = None) -> AtMoment:
    """Whether the name of an answer was blocked at an ISP at the moment of the answer.

    Of a replayed case nothing was published then: it is known by what the ISP had `told` of the act.
    """
    at, key = answer.at, names.sort_key(answer.name)
    if row.created_at > at:
        return AtMoment(row.name, Known.NOT_KNOWN, Why.NOT_REGISTERED, ())
    removed = row.removed_at is not None and row.removed_at <= at
    newest = zones.head_at(session, at)
    if newest is None and is_replayed(answer):
        return AtMoment(row.name, _as_told(answer, told), Why.REPLAYED, ())
    asking = _Asking(session, Course(session, key), key, row.id, at, 0 if newest is None else newest.id, removed)
    found = tuple(asking.zones(zones.active_at(session, at)))
    if found:
        return AtMoment(row.name, together(each.answer for each in found), Why.REMOVED if removed else None, found)
    never = asking.says({asking.course.at(0), *asking.course.over(0, asking.head)})
    return AtMoment(row.name, never, Why.REMOVED if removed else Why.NEVER_SEEN, ())


def is_replayed(answer: Answer) -> bool:
    """Whether it is about orders of a past case, whose acts are older than any release."""
    return any(each.order.sample for rows in (answer.holders, answer.suspended, answer.lifted) for each in rows)


def _as_told(answer: Answer, told: Said | None) -> Known:
    if told is None:
        return Known.NOT_KNOWN
    return Known.YES if answer.blocked != told.pending else Known.NO


def together(answers: Iterable[Known]) -> Known:
    """What several add up to: where some do and others do not it is `partly`, whatever is not known of the rest."""
    said = set(answers)
    if {Known.YES, Known.NO} <= said or Known.PARTLY in said:
        return Known.PARTLY
    return said.pop() if len(said) == 1 else Known.NOT_KNOWN


@dataclass(frozen=True, slots=True)
class _Asking:
    """One question: a name, an ISP, a moment, and the newest release then."""

    session: Session
    course: Course
    key: str
    isp: int
    at: dt.datetime
    head: int
    removed: bool

    def zones(self, published: Collection[Zone]) -> Iterator[AtZone]:
        """Every whole zone, and every pair of layers, that the ISP is known to take."""
        by_name = {zone.name: zone for zone in published}
        for zone in published:
            if layer_of(zone.name) is not Layer.FULL:
                continue
            whole = [AtServer(each.address, self._answer(each), (each,)) for each in self._servers(zone)]
            if whole:
                yield AtZone(
                    zone.name, layered=False, answer=together(each.answer for each in whole), servers=tuple(whole)
                )
            urgent, base = (by_name.get(prefix + zone.name) for prefix in (layers.URGENT, layers.BASE))
            if urgent is not None and base is not None:
                both = list(self._layered(urgent, base))
                if both:
                    yield AtZone(
                        zone.name, layered=True, answer=together(each.answer for each in both), servers=tuple(both)
                    )

    def says(self, blocks: Collection[bool]) -> Known:
        """Certain where everything possible says the same."""
        if len(set(blocks)) != 1:
            return Known.NOT_KNOWN
        return Known.YES if True in blocks else Known.NO

    def _servers(self, zone: Zone) -> Sequence[Held]:
        return held.servers(self.session, self.isp, zone, self.at, self.head)

    def may_have_none(self, one: Held) -> bool:
        """Whether a server may have had none at all; one that may no longer fetch loses it some day."""
        return one.nothing or self.removed

    def _answer(self, one: Held) -> Known:
        blocks = {False} if self.may_have_none(one) or not one.stretches else set()
        for first, last in one.stretches:
            blocks |= self.course.over(first, last)
        foreign = one.basis is held.Basis.FOREIGN
        return Known.NOT_KNOWN if foreign else self.says(blocks)

    def _layered(self, urgent: Zone, base: Zone) -> Iterator[AtServer]:
        """What lies in front answers by its release, as long as the base behind it is one that it makes up for."""
        behind = {each.address: each for each in self._servers(base)}
        pairs = _Pairs(self, Course(self.session, self.key, UrgentSpan), base.id)
        for front in self._servers(urgent):
            below = behind.pop(front.address, None)
            yield AtServer(front.address, pairs.answer(front, below), (front, *filter(None, (below,))))
        for address, below in behind.items():
            yield AtServer(address, pairs.answer(None, below), (below,))


class _Pairs:
    """What a pair of layers makes of the name (the table of layers in the design: urgent i, base j)."""

    def __init__(self, asking: _Asking, in_front: Course, base_id: int) -> None:
        self._asking = asking
        self._in_front = in_front
        query = select(ZoneSerial.release_id).where(ZoneSerial.zone_id == base_id)
        self._cuts = list(asking.session.scalars(query.order_by(ZoneSerial.release_id)))
        self._dropped = {row.release_id: row.dropped_release_id for row in asking.session.scalars(select(BaseRow))}

    def answer(self, front: Held | None, below: Held | None) -> Known:
        """An `urgent` or a `base` of which nothing is known may be any, or none."""
        if any(each is not None and each.basis is held.Basis.FOREIGN for each in (front, below)):
            return Known.NOT_KNOWN
        blocks: set[bool | None] = set()
        for first, last in self._stretches(front):
            for base in self._bases(below):
                blocks |= self._pair(first, last, base)
        return Known.NOT_KNOWN if None in blocks else self._asking.says({each is True for each in blocks})

    def _stretches(self, front: Held | None) -> Sequence[tuple[int, int]]:
        """Those of `urgent`; (0, 0) stands for none."""
        if front is None:
            return (0, 0), (1, self._asking.head)
        return (*front.stretches, *([(0, 0)] if self._asking.may_have_none(front) or not front.stretches else []))

    def _bases(self, below: Held | None) -> Sequence[int]:
        """The releases that the base may have been cut at; 0 stands for none."""
        if below is None:
            return [0, *(each for each in self._cuts if each <= self._asking.head)]
        cut = {each for first, last in below.stretches for each in self._cuts if first <= each <= last}
        return [*sorted(cut), *([0] if self._asking.may_have_none(below) or not cut else [])]

    def _pair(self, first: int, last: int, base: int) -> set[bool | None]:
        course = self._asking.course
        if last == 0:
            return {base > 0 and course.at(base)}
        if base == 0:
            return set(self._in_front.over(first, last))
        found: set[bool | None] = set()
        if last >= base:
            dropped = self._dropped.get(base)
            found |= {None} if dropped is not None and dropped <= last else set()
            found |= course.over(max(first, base), last)
        if first < base:
            found |= course.over(first, min(last, base - 1)) | {course.at(base)}
        return found


def _published(session: Session, release: Release, course: Course) -> Published:
    whole = (zone for zone in session.scalars(select(Zone).order_by(Zone.name)) if layer_of(zone.name) is Layer.FULL)
    found = ((zone.name, zones.at_release(session, zone, release.id)) for zone in whole)
    serials = {name: each.serial for name, each in found if each is not None}
    return Published(release.id, release.published_at, course.at(release.id), serials)
