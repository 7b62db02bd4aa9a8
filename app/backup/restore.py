"""Putting a backup in the place of the database: checked first, recorded in its journal, and nothing is thrown away."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from app import migrate
from app.backup import archive
from app.backup import gap as gaps
from app.backup.gap import Gap
from app.backup.manifest import Manifest
from app.backup.take import Begin, Place, place_of, unpacked
from app.db import Clock, Database
from app.errors import Conflict, Refused
from app.journal.actor import Actor
from app.journal.append import Entry, append
from app.journal.events import EventType
from app.journal.moment import moment
from app.orders.schemas import Line, Schema
from app.publication import set_back, zones
from app.publication.marks import Marks, Shown
from app.settings import Settings

STAMP = "%Y%m%dT%H%M%SZ"


class Restore(Schema):
    """Why somebody puts an older database back."""

    reason: Line


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put back, where the one before and what is lost of it are kept, and what was shown of it.

    `aside` and `gap_file` are None where there was nothing, and `gap` where it could not be read.
    """

    manifest: Manifest
    shown: Shown | None
    gap: Gap | None
    gap_file: Path | None
    aside: str | None


def restore(settings: Settings, path: Path, actor: Actor, reason: str, clock: Clock, begin: Begin) -> Restored:
    """Restore a backup; raises Refused where it is not right, or the service runs, and then nothing has changed.

    The journal says so before the database is in its place, so it is never served without.
    """
    place, marks = place_of(settings, clock), Marks(settings.data_dir / "marks", "publisher")
    place.check_unused()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with archive.workplace(settings.data_dir / "restore") as folder:
        copy = folder / archive.COPY
        manifest = unpacked(path, copy, begin)
        if manifest.database != place.kind:
            raise Refused(f"{path} is a backup of {manifest.database}, and DATABASE_URL names {place.kind}")
        stamp = clock().strftime(STAMP)
        after = Database(place.beside(copy))
        try:
            migrate.upgrade(after)
            gap, gap_file = _gap(place, after, settings.data_dir / f"lost-{stamp}.jsonl")
            shown = _further(marks.journal(), gap)
            now_shown = _record(after, marks, actor, reason, clock, manifest, shown, gap)
        except BaseException:
            after.close()
            place.abandon()
            raise
        after.close()
        aside = place.swap(stamp)
    for zone, serial in {} if gap is None else gap.serials.items():
        marks.raise_to(zone, serial)
    marks.set_journal(now_shown)
    return Restored(manifest, shown, gap, gap_file, aside)


def record(settings: Settings, database: Database, actor: Actor, reason: str, clock: Clock) -> None:
    """Record that an older database was put back by hand; raises Conflict where there is nothing to be recorded."""
    marks = Marks(settings.data_dir / "marks", "publisher")
    with database.write() as session:
        stop = set_back.standing(session)
        if stop is not None:
            raise Conflict(f"the publisher found it: two approvers release it (pulih guard release {stop})")
        if set_back.finding(session, marks) is None:
            raise Conflict("this database holds all that was ever shown: there is no gap to record")
        shown, here = marks.journal(), set_back.journal(session)
        facts = {"reason": reason, "restored": _told(here), "shown": _told(shown), "zones": _serials(session, marks)}
        append(session, actor, Entry(EventType.LOG_RESTORED, facts), moment(session, clock))
        here = set_back.journal(session)
    marks.set_journal(here)


def _gap(place: Place, after: Database, file: Path) -> tuple[Gap | None, Path | None]:
    before = place.before()
    if before is None:
        return None, None
    try:
        gap = gaps.found(before, after, file)
    finally:
        before.close()
    return gap, None if gap is None else file


def _further(shown: Shown | None, gap: Gap | None) -> Shown | None:
    """The longer of the journal that was shown and the one that was replaced."""
    known = [each for each in (shown, None if gap is None else gap.before) if each is not None]
    return max(known, key=lambda each: each.size, default=None)


def _record(
    after: Database,
    marks: Marks,
    actor: Actor,
    reason: str,
    clock: Clock,
    manifest: Manifest,
    shown: Shown | None,
    gap: Gap | None,
) -> Shown:
    """Write down what was restored, and what of the journal that was shown is lost; the journal with that event."""
    facts: dict[str, object] = {
        "reason": reason,
        "backup": {"made_at": manifest.made_at, "sha256": manifest.sha256},
        "restored": {"size": manifest.size, "root": manifest.root},
        "shown": _told(shown),
        "common": None if gap is None else gap.common,
        "lost": None if gap is None else {"events": gap.lost, "sha256": gap.sha256},
    }
    with after.write() as session:
        facts["zones"] = _serials(session, marks, {} if gap is None else gap.serials)
        append(session, actor, Entry(EventType.LOG_RESTORED, facts), moment(session, clock))
        return set_back.journal(session)


def _serials(session: Session, marks: Marks, known: Mapping[str, int] | None = None) -> dict[str, dict[str, int]]:
    """Of each zone, the serial that was restored, and the highest that was shown."""
    before = known or {}
    return {
        zone.name: {
            "restored": zones.last_serial(session, zone),
            "shown": max(marks.highest(zone.name), before.get(zone.name, 0)),
        }
        for zone in zones.active(session)
    }


def _told(shown: Shown | None) -> dict[str, object] | None:
    return None if shown is None else {"size": shown.size, "root": shown.root.hex()}
