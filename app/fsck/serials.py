"""The serials that are served and recorded against the high-water marks, which lie beside the database."""

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db import streamed
from app.fsck.report import Check, Findings, found, not_checked
from app.publication import zones
from app.publication.marks import Marks
from app.publication.models import Zone, ZoneSerial

TODO = (
    "an older copy of the database was put in its place, or an older one serves. Bring it back by a restore, which "
    "moves serials above what was shown; until then secondaries that have the higher serial take nothing"
)


def check(session: Session, marks: Marks, zone: Zone, served: Mapping[str, int]) -> Check:
    """One zone: what was ever shown must be known to the database, and what is served must not be below it."""
    name, findings = f"serial {zone.name}", Findings()
    known, shown = zones.last_serial(session, zone), marks.highest(zone.name)
    _look_at_order(session, zone, findings)
    if not shown and not findings.count:
        return not_checked(name, f"no mark of it lies on this host; the database says {known}")
    if shown > known:
        findings.add(f"zone {zone.name}", f"serial {shown} was shown, and the database knows none above {known}")
    sent = served.get(zone.name)
    if sent is not None and sent < shown:
        findings.add(f"zone {zone.name}", f"serial {sent} is served, and {shown} was shown before")
    was_served = "" if sent is None else f", served is {sent}"
    return found(name, findings, f"the database has {known}, the mark is {shown}{was_served}", TODO)


def _look_at_order(session: Session, zone: Zone, findings: Findings) -> None:
    """Each release has a larger serial than the ones before it."""
    query = select(ZoneSerial.release_id, ZoneSerial.serial).where(ZoneSerial.zone_id == zone.id)
    last = 0
    for release_id, serial in streamed(session, query.order_by(ZoneSerial.release_id)):
        if serial <= last:
            findings.add(f"zone {zone.name}", f"release {release_id} has serial {serial}, and one before it {last}")
        last = max(last, serial)
