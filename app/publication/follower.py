"""The follower: what a transfer process holds of the zones, brought forward release by release."""

import logging
from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.publication import zones
from app.publication.marks import Marks
from app.publication.models import Zone, ZoneSerial
from app.publication.past import ZonePast
from app.publication.store import Reading, changes_between, rules_of_release, spans_of
from app.settings import Settings
from resolver_policy import wire
from resolver_policy.actions import parse_action
from resolver_policy.errors import PolicyError
from resolver_policy.wire import ZoneVersion

log = logging.getLogger(__name__)


class Follower:
    """Holds one immutable version of each zone; `refresh` makes newer ones, `zones` is what may be served.

    `reading` gives a view of the database for what versions need later, in other threads: differences from serials
    that are long past. A serial is written down as shown (`marks`) before it can be served. A zone whose database
    knows less than was shown (an old backup) is not served from it until the publisher has moved its serials forward.
    At the start what any process has shown counts: a follower's own marks may be lost.
    """

    def __init__(self, settings: Settings, marks: Marks, reading: Reading) -> None:
        self._reading = reading
        self._soa = wire.Soa(settings.mname, settings.rname)
        self._marks = marks
        self._release_id = 0
        self.zones: Mapping[str, ZoneVersion] = {}

    def refresh(self, session: Session) -> tuple[str, ...]:
        """Bring every zone to the newest release; the names of those that have a new version, marked as shown."""
        newest = zones.head(session)
        if newest is None:
            return ()
        fresh: dict[str, ZoneVersion] = {}
        for zone in zones.active(session):
            version = self._version_or_held(session, zone, newest.id)
            if version is not None:
                fresh[zone.name] = version
        changed = tuple(name for name, version in fresh.items() if self.zones.get(name) is not version)
        for name in changed:
            self._marks.raise_to(name, fresh[name].serial)
        self.zones = fresh
        self._release_id = newest.id
        return changed

    def _version_or_held(self, session: Session, zone: Zone, newest_id: int) -> ZoneVersion | None:
        """A zone that cannot be rendered keeps the version it had, and keeps no other zone waiting."""
        try:
            return self._version(session, zone, newest_id)
        except (PolicyError, ValueError):
            log.exception("zone %s cannot be brought to release %d", zone.name, newest_id)
            return self.zones.get(zone.name)

    def _version(self, session: Session, zone: Zone, newest_id: int) -> ZoneVersion | None:
        held = self.zones.get(zone.name)
        serial = _serial_of(session, zone, newest_id)
        shown = self._marks.highest(zone.name) if held is None else self._marks.own(zone.name)
        if serial is None or serial < shown:
            return held
        if held is not None and held.serial == serial:
            return held
        if held is None or not self._release_id < newest_id or zone.epoch_release_id > self._release_id:
            return self._whole(session, zone, newest_id, serial)
        if _serial_of(session, zone, self._release_id) != held.serial:  # the database has another past: a restored one
            return self._whole(session, zone, newest_id, serial)
        return self._forward(session, zone, held, newest_id)

    def _whole(self, session: Session, zone: Zone, release_id: int, serial: int) -> ZoneVersion:
        origin = wire.Zone(zone.name, parse_action(zone.action), self._soa)
        past = ZonePast.read(session, zone, release_id, self._reading)
        version = ZoneVersion.from_rules(rules_of_release(session, release_id), origin, serial, past=past)
        log.info("zone %s at serial %d: %d names", zone.name, serial, version.names)
        return version

    def _forward(self, session: Session, zone: Zone, held: ZoneVersion, newest_id: int) -> ZoneVersion:
        """One version a release, so that each serial in between has its increment."""
        steps = select(ZoneSerial.release_id, ZoneSerial.serial).where(
            ZoneSerial.zone_id == zone.id,
            ZoneSerial.release_id > self._release_id,
            ZoneSerial.release_id <= newest_id,
        )
        version, at = held, self._release_id
        for release_id, serial in session.execute(steps.order_by(ZoneSerial.release_id)).all():
            changes = changes_between(session, at, release_id)
            version = version.changed(changes, serial)
            if isinstance(version.past, ZonePast):
                version.past.grow(release_id, serial, spans_of(changes))
            at = release_id
        return version


def _serial_of(session: Session, zone: Zone, release_id: int) -> int | None:
    query = select(ZoneSerial.serial).where(ZoneSerial.zone_id == zone.id, ZoneSerial.release_id == release_id)
    return session.scalar(query)
