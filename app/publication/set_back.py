"""A database that knows less than was shown: an old copy that somebody put back.

What it holds is published all the same, under new serials, for secondaries must never be stuck, and lifts must go out.
But nobody decided on it yet: so no block that is new to it is published until two approvers have released that
(`app.publication.stops`), or the gap was recorded before the start (`pulih restore`).
"""

import datetime as dt

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.journal import tree
from app.journal.events import EventType
from app.journal.models import Event
from app.publication import stops, zones
from app.publication.marks import Marks, Shown
from app.publication.stops import Finding

KEY = "journal "
"""How the key of such a finding begins."""


def journal(session: Session) -> Shown:
    """The journal as it stands."""
    size = tree.size(session)
    return Shown(size, tree.root(session, size))


def holds(session: Session, shown: Shown) -> bool:
    """Whether the journal still begins with one that was there."""
    return shown.size <= tree.size(session) and tree.root(session, shown.size) == shown.root


def finding(session: Session, marks: Marks) -> Finding | None:
    """What was shown and is not in this database any more, unless the gap was recorded."""
    shown = marks.journal()
    lost = shown is not None and not holds(session, shown)
    behind = {
        zone.name: (marks.highest(zone.name), known)
        for zone in zones.active(session)
        if marks.highest(zone.name) > (known := zones.last_serial(session, zone))
    }
    if not (lost or behind) or is_recorded(session):
        return None
    why = [f"zone {name} was shown with serial {serial}, and is at {known}" for name, (serial, known) in behind.items()]
    key = f"{KEY}{' '.join(f'{name} {serial}' for name, (serial, _) in behind.items())}"
    if lost and shown is not None:
        why.insert(0, f"the journal had {shown.size} events, and {tree.size(session)} of another past are there")
        key = f"{KEY}{shown.size} {shown.root.hex()}"
    return Finding(key, "an older database was put back: " + "; ".join(why))


def is_recorded(session: Session) -> bool:
    """Whether a restore was recorded since the newest release, so that what is behind is known to be."""
    newest = zones.head(session)
    restored = select(func.max(Event.seq)).where(Event.type == EventType.LOG_RESTORED)
    last = session.scalar(restored) or 0
    return last > (0 if newest is None else newest.events_until)


def stop(session: Session, marks: Marks, now: dt.datetime) -> None:
    """Let no block out where this database knows less than was shown; said once for each gap."""
    found = finding(session, marks)
    known = set() if found is None else stops.held(session) | stops.released(session, [found.key])
    if found is not None and found.key not in known:
        stops.stop(session, [found], now)


def standing(session: Session) -> int | None:
    """The stop that stands for such a gap, by its number."""
    held = (row.id for row in stops.standing(session) for each in stops.findings(row) if each.key.startswith(KEY))
    return next(held, None)
