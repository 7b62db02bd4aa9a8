"""The publisher: reads what was touched, recomputes the rules around it, and writes one release."""

import datetime as dt
import logging
from collections.abc import Iterator, Sequence

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.db import Database
from app.journal.models import JournalHead
from app.orders import targets
from app.orders.models import TargetRow, Touched
from app.publication import zones
from app.publication.digest import ZoneDigest
from app.publication.marks import Marks
from app.publication.models import Release, RuleSpan
from app.publication.store import DatabaseRules, Never
from app.settings import ZoneSetting
from resolver_policy.rules import Counts, recompute
from resolver_policy.targets import Match

log = logging.getLogger(__name__)

NOTHING_CHANGED = Counts(0, 0, 0)


class Publisher:
    """Publishes releases, one at a time. What it does is decided by the database alone."""

    def __init__(self, database: Database, marks: Marks, settings: Sequence[ZoneSetting], never: Never) -> None:
        self._never = never
        self._database = database
        self._marks = marks
        self._settings = settings
        self._digest: tuple[bytes, ZoneDigest] | None = None

    def start(self, now: dt.datetime) -> None:
        """Bring zones in line with the settings, serials above everything that was ever shown, and the marks in line
        with a release whose process ended before it wrote them."""
        with self._database.write() as session:
            if zones.configure(session, self._settings, self._marks, now):
                self._release(session, now, even_unchanged=True)
            serials = {zone.name: zones.last_serial(session, zone) for zone in zones.active(session)}
        self._raise_marks(serials)

    def publish(self, now: dt.datetime) -> dict[str, int]:
        """Publish what was touched; the new serial of each zone, or nothing where no rule changed.

        Commit first, then the mark: no secondary can have seen a serial that the mark does not know.
        """
        with self._database.write() as session:
            serials = self._release(session, now, even_unchanged=False)
        self._raise_marks(serials)
        return serials

    def _release(self, session: Session, now: dt.datetime, *, even_unchanged: bool) -> dict[str, int]:
        newest = zones.head(session)
        release_id = 1 if newest is None else newest.id + 1
        store = DatabaseRules(session, release_id, self._never)
        counts = recompute(take_touched(session), store)
        if counts == NOTHING_CHANGED and not even_unchanged:
            return {}
        digest, self._digest = self._digest_of(session, newest), None
        release = Release(
            id=release_id,
            published_at=now,
            added=counts.added,
            removed=counts.removed,
            changed=counts.changed,
            names=(0 if newest is None else newest.names) + counts.added - counts.removed,
            rules=_rules_after(session, newest, release_id),
            digest=digest.update(session, store.buckets),
            events_until=session.scalars(select(JournalHead.size)).one(),
        )
        session.add(release)
        session.flush()
        serials = zones.assign_serials(session, release, self._marks, now)
        self._digest = (release.digest, digest)
        log.info("release %d: %d added, %d removed, %d changed, serials %s", release_id, *counts, serials)
        return serials

    def _digest_of(self, session: Session, newest: Release | None) -> ZoneDigest:
        """The bucket digests of the newest release, from memory if what is there is of that release.

        It is not where the last transaction failed after all, or where another process has published.
        """
        if self._digest is not None and newest is not None and self._digest[0] == newest.digest:
            return self._digest[1]
        return ZoneDigest(session)

    def _raise_marks(self, serials: dict[str, int]) -> None:
        for zone, serial in serials.items():
            self._marks.raise_to(zone, serial)


def take_touched(session: Session) -> Iterator[tuple[str, Match]]:
    """What was touched, as (key, match), each note deleted as it is read.

    Deleted by its own id: a note that commits later under a smaller id is never lost.
    """
    notes = session.scalars(select(Touched).order_by(Touched.id)).all()
    for note in notes:
        if note.key is not None and note.match is not None:
            yield note.key, targets.MATCHES[note.match]
        else:
            yield from _targets_of(session, note.order_id)
    for batch in targets.batches(note.id for note in notes):
        session.execute(delete(Touched).where(Touched.id.in_(batch)))


def anything_touched(session: Session) -> bool:
    """Whether there is something to publish."""
    return session.scalar(select(Touched.id).limit(1)) is not None


def _targets_of(session: Session, order_id: int) -> Iterator[tuple[str, Match]]:
    query = select(TargetRow.key, TargetRow.match).where(targets.of_order(order_id)).order_by(TargetRow.id)
    for key, match in session.execute(query.execution_options(yield_per=5_000)):
        yield key, targets.MATCHES[match]


def _rules_after(session: Session, newest: Release | None, release_id: int) -> int:
    """Records in the zone after this release: those of the newest one, less what ended, plus what began."""
    began = select(func.count().filter(RuleSpan.own > 0), func.count().filter(RuleSpan.wild > 0))
    own, wild = session.execute(began.where(RuleSpan.from_release == release_id)).one()
    own_gone, wild_gone = session.execute(began.where(RuleSpan.to_release == release_id)).one()
    return (0 if newest is None else newest.rules) + int(own + wild - own_gone - wild_gone)
