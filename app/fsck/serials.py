"""What the database knows and what is served against the high-water marks, which lie beside the database.

The marks are read before anything else is looked at: what is recorded and sent later may only be further on.
"""

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db import Database, streamed
from app.fsck.report import Check, Findings, found, not_checked
from app.journal import tree
from app.publication import set_back, zones
from app.publication.marks import Marks, Shown
from app.publication.models import Zone, ZoneSerial
from app.settings import Settings

HIGH_WATER = "mark"
REMEDY = (
    "an older copy of the database was put in its place, or an older one serves: the service publishes no new block "
    "from it until two approvers have released that (`pulih guard stops`) or the gap was recorded (`pulih restore`)"
)


class Marked(NamedTuple):
    """What was ever shown: how far the journal had come, and the highest serial of each zone."""

    journal: Shown | None
    serials: Mapping[str, int]


def marked(database: Database, settings: Settings) -> Marked:
    """The marks that lie on this host."""
    marks = Marks(settings.data_dir / "marks", "publisher")
    with database.read() as session:
        names = [zone.name for zone in zones.active(session)]
    return Marked(marks.journal(), {name: marks.highest(name) for name in names})


def check_journal(session: Session, shown: Shown | None) -> Check:
    """The journal still begins with the one that was there, unless a restore is recorded."""
    if shown is None:
        return not_checked(HIGH_WATER, "no mark of the journal lies on this host")
    findings, size = Findings(), tree.size(session)
    if not _holds(session, shown) and not set_back.is_recorded(session):
        findings.add("the journal", f"{shown.size:,} events were there, and the {size:,} of the database are others")
    return found(
        HIGH_WATER, findings, f"the {shown.size:,} events that were there are in the journal of {size:,}", REMEDY
    )


def check(session: Session, marked: Marked, zone: Zone, served: Mapping[str, int]) -> Check:
    """One zone: what was ever shown must be known to the database, and what is served must not be below it."""
    name, findings = f"serial {zone.name}", Findings()
    known, shown, sent = zones.last_serial(session, zone), marked.serials.get(zone.name, 0), served.get(zone.name)
    _look_at_order(session, zone, findings)
    if not shown and not findings.count:
        return not_checked(name, f"no mark of it lies on this host; the database says {known}")
    if shown > known:
        findings.add(f"zone {zone.name}", f"serial {shown} was shown, and the database knows none above {known}")
    if sent is not None and sent < shown:
        findings.add(f"zone {zone.name}", f"serial {sent} is served, and {shown} was shown before")
    was_served = "" if sent is None else f", served is {sent}"
    return found(name, findings, f"the database has {known}, the mark is {shown}{was_served}", REMEDY)


def _holds(session: Session, shown: Shown) -> bool:
    try:
        return set_back.holds(session, shown)
    except KeyError:  # nodes of the tree are gone
        return False


def _look_at_order(session: Session, zone: Zone, findings: Findings) -> None:
    """Each release has a larger serial than the ones before it."""
    query = select(ZoneSerial.release_id, ZoneSerial.serial).where(ZoneSerial.zone_id == zone.id)
    last = 0
    for release_id, serial in streamed(session, query.order_by(ZoneSerial.release_id)):
        if serial <= last:
            findings.add(f"zone {zone.name}", f"release {release_id} has serial {serial}, and one before it {last}")
        last = max(last, serial)
