"""The follower: what a transfer process holds of the zones, brought forward release by release.

A large zone lies in a snapshot file, which another process writes; here are only the changes since. The file is
written anew when there are many, and that is also how a very large release comes in.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.publication import layering, zones
from app.publication.builder import Builder
from app.publication.files import ENDING, FOLDER, identity, is_small_step, opened, path_of, rules_of
from app.publication.increments import Increments
from app.publication.marks import Marks
from app.publication.models import Release, Zone, ZoneSerial
from app.publication.past import ZonePast
from app.publication.plan import Plan
from app.publication.snapshot import DamagedError, Identity, Snapshot, Stored
from app.publication.store import Reading, changes_between, rules_of_release, spans_of, table_of
from app.publication.zones import Layer
from app.settings import Settings
from resolver_policy import wire
from resolver_policy.actions import parse_action
from resolver_policy.errors import PolicyError
from resolver_policy.version import ZoneVersion

log = logging.getLogger(__name__)

SMALL = 20_000
"""Names of a zone that is rendered at the start, in a tenth of a second, and needs no file."""

FEWEST_DIRTY, DIRTY_SHARE = 64, 1 / 16
"""Ranges that are not as the file has them, and their share, over which it is written anew: a transfer then renders
one message in sixteen at most, and 400 KB are copied for each change (a range takes 24 KB)."""

CHECKED_AT_ONCE = 64
"""Chunks that are looked at in one step: some milliseconds."""


@dataclass(frozen=True, slots=True)
class Held:
    """A version, what it is, and the file in which its ranges lie, if any does."""

    version: ZoneVersion
    identity: Identity
    file: Snapshot | None = None

    @property
    def is_damaged(self) -> bool:
        """Whether the file is not as it was written."""
        return self.file is not None and self.file.is_damaged

    @property
    def wants_a_file(self) -> bool:
        """Whether the file is damaged, or too little of the zone lies in one."""
        ranges = self.version.ranges
        dirty = sum(not isinstance(part, Stored) for part in ranges)
        return self.is_damaged or dirty > max(FEWEST_DIRTY, DIRTY_SHARE * len(ranges))


class Follower:
    """Holds one immutable version of each zone; `refresh` makes newer ones, `zones` is what may be served.

    `reading` gives a view of the database for what versions need later, in other threads: differences from serials
    that are long past. A serial is written down as shown (`marks`) before it can be served. A zone whose database
    knows less than was shown (an old backup) is not served from it until the publisher has moved its serials forward.
    At the start what any process has shown counts: a follower's own marks may be lost.
    """

    def __init__(self, settings: Settings, marks: Marks, reading: Reading, builder: Builder | None = None) -> None:
        self._reading = reading
        self._soa = wire.Soa(settings.mname, settings.rname)
        self._marks = marks
        self._database = settings.database
        self._data_dir = settings.data_dir
        self._builder = builder or Builder()
        self._increments = Increments(settings.database, settings.data_dir / FOLDER / "increments")
        self._held: dict[str, Held] = {}
        self._written: set[str] = set()
        self.zones: Mapping[str, ZoneVersion] = {}

    def refresh(self, session: Session) -> tuple[str, ...]:
        """Bring every zone to the newest release; the names of those that have a new serial, marked as shown."""
        newest = zones.head(session)
        if newest is None:
            return ()
        self._written |= {name for name in (self._builder.ended(),) if name is not None}
        fresh: dict[str, Held] = {}
        for zone in zones.active(session):
            held = self._newer_or_held(session, zone, newest, has_new_file=zone.name in self._written)
            if held is not None:
                fresh[zone.name] = held
        changed = tuple(name for name, held in fresh.items() if self._serial(name) != held.version.serial)
        for name in changed:
            self._marks.raise_to(name, fresh[name].version.serial)
        if fresh.keys() - self._held.keys():
            self._drop_old_files(fresh)
        self._held = fresh
        self._written.clear()
        self.zones = {name: held.version for name, held in fresh.items()}
        return changed

    def tend(self) -> bool:
        """Look after files, a little in each call; True where `refresh` has something to do."""
        damaged = False
        for held in self._held.values():
            if held.file is not None:
                if not held.file.is_damaged:
                    held.file.check(CHECKED_AT_ONCE)
                damaged |= held.file.mend()
        return self._builder.has_ended or damaged

    def close(self) -> None:
        """End what is being written."""
        self._increments.close()
        self._builder.close()

    def _serial(self, name: str) -> int | None:
        return self._held[name].version.serial if name in self._held else None

    def _newer_or_held(self, session: Session, zone: Zone, newest: Release, *, has_new_file: bool) -> Held | None:
        """A zone that cannot be rendered keeps the version it had, and keeps no other zone waiting."""
        try:
            return self._newer(session, zone, newest, has_new_file=has_new_file)
        except (PolicyError, ValueError):
            log.exception("zone %s cannot be brought to release %d", zone.name, newest.id)
            return self._held.get(zone.name)

    def _newer(self, session: Session, zone: Zone, newest: Release, *, has_new_file: bool) -> Held | None:
        held = self._held.get(zone.name)
        rendered = wire.Zone(zone.name, parse_action(zone.action), self._soa)
        now = zones.at_release(session, zone, newest.id)
        wanted = None if now is None else identity(session, zone, rendered, now.release_id)
        shown = self._marks.highest(zone.name) if held is None else self._marks.own(zone.name)
        if wanted is None or wanted.serial < shown:
            return held
        tries = _Tries(zone)
        newer = None if held is None else tries.of(lambda: self._forward(session, zone, held, newest.id))
        if newer is None or has_new_file:
            newer = tries.of(lambda: self._from_file(session, zone, wanted, newer, shown)) or newer
        if newer is None and (
            _is_small(session, zone, newest) or (held is None and self._builder.has_failed(zone.name))
        ):
            newer = self._rendered(session, zone, wanted)
        if newer is None or newer.identity != wanted or newer.wants_a_file:
            anew = tries.have_failed or (newer is not None and newer.is_damaged)
            self._builder.start(Plan(self._database, path_of(self._data_dir, zone.name), zone.id, wanted, anew))
        return newer or held

    def _forward(self, session: Session, zone: Zone, held: Held, newest_id: int) -> Held | None:
        """One version a release, so that each serial in between has its increment, and no further than to a release
        that is very large. None where the database has another past than what is held: a restored one."""
        at = held.identity
        if identity(session, zone, at.zone, at.release_id) != at:
            return None
        steps = select(ZoneSerial.release_id).where(
            ZoneSerial.zone_id == zone.id, ZoneSerial.release_id > at.release_id, ZoneSerial.release_id <= newest_id
        )
        version = held.version
        for release_id in session.scalars(steps.order_by(ZoneSerial.release_id)).all():
            to = identity(session, zone, at.zone, release_id)
            if to is None or not is_small_step(session, zone, at.release_id, to.release_id):
                break
            changes = changes_between(session, at.release_id, release_id, table_of(zone.name))
            version, at = version.changed(changes, to.serial), to
            if isinstance(version.past, ZonePast):
                version.past.grow(release_id, to.serial, spans_of(changes))
        return Held(version, at, held.file)

    def _from_file(self, session: Session, zone: Zone, wanted: Identity, held: Held | None, shown: int) -> Held | None:
        """What the file of a zone and the changes since add up to, unless that is older than what is held or shown."""
        path = path_of(self._data_dir, zone.name)
        file = opened(session, zone, wanted.zone, path, rules_of(self._reading, zone))
        if file is None:
            return held
        past = ZonePast(zone, self._reading, file.serials, self._increments)
        past.catch_up(session, zone, wanted.release_id)
        at, version = file.identity, ZoneVersion.of(file.ranges(), wanted.zone, file.identity.serial, past)
        if at.release_id < wanted.release_id and is_small_step(session, zone, at.release_id, wanted.release_id):
            changes = changes_between(session, at.release_id, wanted.release_id, table_of(zone.name))
            at, version = wanted, version.changed(changes, wanted.serial)
        if version.serial < (shown if held is None else held.version.serial):
            return held
        if held is not None and held.version.serial == version.serial:
            version = replace(version, history=held.version.history)
        log.info("zone %s at serial %d: %d names, from its file", zone.name, version.serial, version.names)
        return Held(version, at, file)

    def _rendered(self, session: Session, zone: Zone, wanted: Identity) -> Held:
        """The whole zone from the database, in memory."""
        past = ZonePast(zone, self._reading, increments=self._increments)
        past.catch_up(session, zone, wanted.release_id)
        rules = rules_of_release(session, wanted.release_id, table=table_of(zone.name))
        version = ZoneVersion.from_rules(rules, wanted.zone, wanted.serial, past)
        log.info("zone %s at serial %d: %d names", zone.name, version.serial, version.names)
        return Held(version, wanted)

    def _drop_old_files(self, published: Iterable[str]) -> None:
        """Remove the files of zones that are not published any more."""
        known = {path_of(self._data_dir, name) for name in published}
        for path in (self._data_dir / FOLDER).glob(f"*{ENDING}"):
            if path not in known:
                path.unlink(missing_ok=True)


class _Tries:
    """Steps that may meet a damaged file, or one that is not what the database says: another way to the release is
    taken then, and a file written from nothing."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self.have_failed = False

    def of(self, step: Callable[[], Held | None]) -> Held | None:
        """Take a step; None where it fails."""
        try:
            return step()
        except (DamagedError, ValueError) as exc:
            log.warning("zone %s: what is there cannot be built on: %s", self._zone.name, exc)
            self.have_failed = True
            return None


def _is_small(session: Session, zone: Zone, newest: Release) -> bool:
    """Whether a zone is rendered here; an `urgent` one nearly always is, whatever the size of the others."""
    if zones.layer_of(zone.name) is Layer.URGENT:
        return layering.counts(session)[0] <= SMALL
    return newest.names <= SMALL
