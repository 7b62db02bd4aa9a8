"""How far subscribers are behind what is published: in serials, in seconds, in names; and who is overdue."""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.publication import zones
from app.publication.models import Release, Zone, ZoneSerial
from app.publication.zones import Layer
from app.subscribers import queries, standing
from app.subscribers.models import Delivery, SubscriberRow
from app.subscribers.pending import Pending, pending
from app.subscribers.standing import Has


@dataclass(frozen=True, slots=True)
class Behind:
    """Releases that are lacking, when the first of them was published, and the seconds since."""

    serials: int
    since: dt.datetime | None
    seconds: int


class _Published(NamedTuple):
    """A zone, the serial that it now has, and since when."""

    row: Zone
    serial: int
    published_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """One zone as one subscriber has it.

    `has` is None where nothing is known; `behind` and `pending` where no serial is known that this zone ever had.
    """

    zone: str
    serial: int
    published_at: dt.datetime
    deliveries: tuple[Delivery, ...]
    has: Has | None
    behind: Behind | None
    pending: Pending | None
    overdue_since: dt.datetime | None


class Lag:
    """Compares subscribers with the head. What many of them share is looked up once; made anew for each question."""

    def __init__(
        self, session: Session, now: dt.datetime, overdue_after: dt.timedelta, *, with_names: bool = True
    ) -> None:
        self.now = now
        self._session = session
        self._after = overdue_after
        self._with_names = with_names
        self._head = zones.head(session)
        self._zones = {} if self._head is None else _published(session, self._head)
        self._behind: dict[tuple[str, int], Behind] = {}
        self._pending: dict[int, Pending] = {}

    @property
    def zones(self) -> Collection[str]:
        """The zones that are published; none before the first release."""
        return self._zones

    def standings(self, rows: Sequence[SubscriberRow]) -> Mapping[int, Sequence[Standing]]:
        """Every published zone as each of these subscribers has it, by the subscriber's id."""
        deliveries = queries.deliveries_of(self._session, [row.id for row in rows])
        keyed = queries.with_a_key(self._session, [row.id for row in rows])
        mine: dict[int, list[Delivery]] = {row.id: [] for row in rows}
        for each in deliveries:
            mine[each.subscriber_id].append(each)
        return {row.id: self._of(row, mine[row.id], may_take=not row.keyed or row.id in keyed) for row in rows}

    def _of(self, row: SubscriberRow, deliveries: Sequence[Delivery], *, may_take: bool) -> Sequence[Standing]:
        """A zone that it never took, where it takes another, is not overdue; who may take nothing owes nothing.

        Whoever has come to take layers owes those, both of them, and no longer the zone that they stand for.
        """
        took = {each.zone for each in deliveries if each.sent_serial is not None or each.seen_serial is not None}
        in_layers = row.layered and any(zones.layer_of(zone) is not Layer.FULL for zone in took)
        relied_on = [zone for zone in took if (zones.layer_of(zone) is not Layer.FULL) == in_layers]
        families = {zones.without_layer(zone) for zone in relied_on}
        return [
            self._standing(
                row,
                zone,
                [each for each in deliveries if each.zone == zone],
                owed=may_take
                and (zones.layer_of(zone) is not Layer.FULL) == in_layers
                and (not families or zones.without_layer(zone) in families),
            )
            for zone in self._zones
            if row.layered or zone in took or zones.layer_of(zone) is Layer.FULL
        ]

    def _standing(self, row: SubscriberRow, zone: str, deliveries: Sequence[Delivery], *, owed: bool) -> Standing:
        has = standing.has_of([standing.server_of(each) for each in deliveries], self.now)
        release = None if has is None else has.release
        behind = None if release is None else self._distance(zone, release)
        lacks_since = _lacks_since(row, has, behind)
        late = owed and lacks_since is not None and self.now - lacks_since > self._after
        return Standing(
            zone,
            self._zones[zone].serial,
            self._zones[zone].published_at,
            tuple(deliveries),
            has,
            behind,
            self.pending(release) if release is not None and self._names_matter(zone) else None,
            lacks_since if late else None,
        )

    def _names_matter(self, zone: str) -> bool:
        """What a base lacks stands in front of it: whoever has `urgent` of a release answers by that release."""
        return self._with_names and zones.layer_of(zone) is not Layer.BASE

    def pending(self, release: int) -> Pending:
        """What whoever has a release still blocks, and does not yet block."""
        if release not in self._pending:
            newest = 0 if self._head is None else self._head.id
            self._pending[release] = pending(self._session, release, newest)
        return self._pending[release]

    def _distance(self, zone: str, release: int) -> Behind:
        if (zone, release) not in self._behind:
            self._behind[zone, release] = self._measured(self._zones[zone].row, release)
        return self._behind[zone, release]

    def _measured(self, zone: Zone, release: int) -> Behind:
        query = (
            select(func.count(), func.min(Release.published_at))
            .select_from(ZoneSerial)
            .join(Release, Release.id == ZoneSerial.release_id)
            .where(ZoneSerial.zone_id == zone.id, ZoneSerial.release_id > release)
        )
        count, since = self._session.execute(query).one()
        return Behind(count, since, 0 if since is None else max(0, int((self.now - since).total_seconds())))


def _published(session: Session, head: Release) -> dict[str, _Published]:
    found = ((zone, zones.at_release(session, zone, head.id)) for zone in zones.active(session))
    return {
        zone.name: _Published(zone, at.serial, session.get_one(Release, at.release_id).published_at)
        for zone, at in found
        if at is not None
    }


def _lacks_since(row: SubscriberRow, has: Has | None, behind: Behind | None) -> dt.datetime | None:
    """Since when a subscriber has lacked something: the first release it has not, or its loss of all of it."""
    if behind is not None:
        return behind.since
    return (None if has is None else has.since) or row.created_at
