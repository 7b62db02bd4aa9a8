"""What a zone was before: its serials in memory, what changed between two of them in the database.

A rule is kept as a span of releases for ever, so a difference can be made from every serial that a zone ever had
(RFC 1995); how large it would be is known before anything is read.
"""

import logging
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.publication.increments import Increments
from app.publication.models import Spans, Zone, ZoneSerial
from app.publication.snapshot import Identity, Serials
from app.publication.store import Reading, changes_between, table_of
from resolver_policy import wire
from resolver_policy.delta import Change
from resolver_policy.wire import Body

log = logging.getLogger(__name__)


class ZonePast:
    """The serials of one zone since its epoch, 24 octets each; as it only grows, all versions may hold the same one."""

    def __init__(
        self, zone: Zone, reading: Reading, known: Serials | None = None, increments: Increments | None = None
    ) -> None:
        self._zone_id = zone.id
        self._table = table_of(zone.name)
        self._reading = reading
        self._increments = increments
        self.known = known or Serials.none()

    def catch_up(self, session: Session, zone: Zone, newest_id: int) -> None:
        """Add every serial since the last that is known, or the epoch, up to a release; rows are counted, not read."""
        releases = self.known.releases
        first_id = releases[-1] + 1 if releases else zone.epoch_release_id
        counts = iter(_rows_of_releases(session, max(first_id - 1, zone.epoch_release_id), newest_id, self._table))
        rows, counted = next(counts, None), 0
        steps = select(ZoneSerial.release_id, ZoneSerial.serial).where(
            ZoneSerial.zone_id == zone.id,
            ZoneSerial.release_id >= first_id,
            ZoneSerial.release_id <= newest_id,
        )
        for release_id, serial in session.execute(steps.order_by(ZoneSerial.release_id)):
            while rows is not None and rows[0] <= release_id:  # a zone may have no serial in some releases
                counted += rows[1]
                rows = next(counts, None)
            self.grow(release_id, serial, counted)
            counted = 0

    def grow(self, release_id: int, serial: int, rows: int) -> None:
        """Add a release with so many spans that began or ended; one that is there already changes nothing."""
        releases, total, serials = self.known
        if serials and serial <= serials[-1]:
            return
        releases.append(release_id)
        total.append((total[-1] if total else 0) + rows)
        serials.append(serial)  # last: whoever finds a serial finds the rest of it

    def rows_between(self, older: int, newer: int) -> int | None:
        """How many spans began or ended from one serial to another; None where the zone never had one of them."""
        first, last = self._place(older), self._place(newer)
        return None if first is None or last is None else self.known.rows[last] - self.known.rows[first]

    def changes(self, older: int, newer: int) -> Sequence[Change] | None:
        """What differs between two serials, in key order; None where it cannot be read."""
        first, last = self._place(older), self._place(newer)
        if first is None or last is None:
            return None
        try:
            with self._reading() as session:
                if not self._is_still_so(session, (first, last)):
                    return None
                return changes_between(session, self.known.releases[first], self.known.releases[last], self._table)
        except SQLAlchemyError:
            log.exception("the changes from serial %d to %d cannot be read", older, newer)
            return None

    def bodies(self, zone: wire.Zone, older: int, newer: int) -> Iterable[Body] | None:
        """A large difference, from a file that another process writes; None where it cannot be had."""
        first, last = self._place(older), self._place(newer)
        if first is None or last is None or self._increments is None:
            return None
        try:
            with self._reading() as session:
                if not self._is_still_so(session, (first, last)):
                    return None
        except SQLAlchemyError:
            log.exception("the changes from serial %d to %d cannot be read", older, newer)
            return None
        since, to = self.known.releases[first], self.known.releases[last]
        return self._increments.of(self._zone_id, Identity(zone, 0, to, newer, "", since, older))

    def _is_still_so(self, session: Session, places: Iterable[int]) -> bool:
        """Whether the database has these serials under the same releases: one that was restored may not."""
        known = {self.known.releases[place]: self.known.serials[place] for place in places}
        query = select(ZoneSerial.release_id, ZoneSerial.serial).where(ZoneSerial.zone_id == self._zone_id)
        found = session.execute(query.where(ZoneSerial.release_id.in_(known)))
        return dict(found.all()) == known

    def _place(self, serial: int) -> int | None:
        serials = self.known.serials
        place = bisect_left(serials, serial)
        return place if place < len(serials) and serials[place] == serial else None


def _rows_of_releases(session: Session, after: int, newest_id: int, table: Spans) -> list[tuple[int, int]]:
    """How many rows each release changed, oldest first: spans that began with it and spans that ended."""
    counts: Counter[int] = Counter()
    for column in (table.from_release, table.to_release):
        query = select(column, func.count()).where(column > after, column <= newest_id).group_by(column)
        for release_id, rows in session.execute(query):
            assert release_id is not None
            counts[release_id] += rows
    return sorted(counts.items())
