"""The publisher: reads what was touched, recomputes the rules around it, and writes one release.

What is small is released at once, in one transaction. What is large is prepared first (`making`), so that nobody
waits for the writer's lock meanwhile, and small releases go out in between.
"""

import datetime as dt
import logging
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import accumulate

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db import Database
from app.journal import tree
from app.journal.models import JournalHead
from app.journal.moment import settled
from app.publication import acts, digest, explaining, layering, set_back, spans, stops, zones
from app.publication.acts import Act
from app.publication.layering import Progress
from app.publication.making import Making
from app.publication.marks import Marks
from app.publication.models import Release
from app.publication.spans import Totals
from app.publication.stops import Finding
from app.publication.store import PRESENT, DatabaseRules, Never, TooMuch, View
from app.settings import ZoneSetting
from resolver_policy.delta import Change
from resolver_policy.rules import recompute
from resolver_policy.targets import Match

log = logging.getLogger(__name__)

LARGE = 1_000
"""Acts on more names than this are prepared before they are released."""

MOST_READ = 10_000
"""Rows that the regions of a release may hold while it holds the writer's lock; what has more is prepared as well."""

Serials = dict[str, int]


@dataclass
class Written:
    """What one small release wrote: for whoever makes a large one meanwhile."""

    touched: list[tuple[str, Match]]
    changes: list[Change] = field(default_factory=list)
    taken_over: list[Change] = field(default_factory=list)
    in_urgent: list[str] = field(default_factory=list)
    serials: Serials = field(default_factory=dict)


class Unaccounted(Exception):
    """A release would block what nothing explains; it was not made."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.why)
        self.finding = finding


class Publisher:
    """Publishes releases, one at a time. What it does is decided by the database alone."""

    def __init__(self, database: Database, marks: Marks, settings: Sequence[ZoneSetting], never: Never) -> None:
        self._never = never
        self._database = database
        self._marks = marks
        self._settings = settings
        self._making: Making | None = None
        self._sweeping: Iterator[None] | None = None
        self._swept_number: int | None = None
        self._is_swept = False
        self._heavy: set[tuple[int, bool]] = set()
        self._found: list[Finding] = []
        self._marked = -1

    def start(self, now: dt.datetime) -> None:
        """Bring zones in line with the settings, serials above everything that was ever shown, and the marks in line
        with a release whose process ended before it wrote them."""
        with self._database.write() as session:
            now = settled(session, now)
            set_back.stop(session, self._marks, now)
            restored = set_back.is_recorded(session)
            if zones.configure(session, self._settings, self._marks, now, restored=restored):
                self._write_small(session, (), now, even_unchanged=True)
            serials = {zone.name: zones.last_serial(session, zone) for zone in zones.active(session)}
        self._raise_marks(serials)
        self.mark_journal()

    def mark_journal(self) -> None:
        """Remember beside the database how far the journal has come; called now and then, it costs a look at a row."""
        with self._database.read() as session:
            if tree.size(session) == self._marked:
                return
            shown = set_back.journal(session)
        self._marks.set_journal(shown)
        self._marked = shown.size

    def close(self) -> None:
        """Give up what is being prepared, with all that is open for it; what it wrote is swept before the next."""
        if self._making is not None:
            self._making.close()
        self._making = None

    def publish(self, now: dt.datetime) -> Serials:
        """Release everything that waits, however long it takes; the newest serial of each zone that has a new one."""
        serials: Serials = {}
        while self.work() or self.can_release():
            serials |= self.release(now)
        return serials

    def release(self, now: dt.datetime) -> Serials:
        """Make one release, of what is prepared or of what is small; the new serial of each zone, or nothing.

        Commit first, then the mark: no secondary can have seen a serial that the mark does not know.
        """
        if self._found:
            with self._database.write() as session:
                stops.stop(session, self._found, settled(session, now))
            self._found = []
        serials = self._release_prepared(now) if self.is_prepared else self._release_waiting(now)
        self._raise_marks(serials)
        self.mark_journal()
        return serials

    def work(self) -> bool:
        """Do a little of what a large release needs before it is made; False where nothing needs any."""
        if self._making is None and self._sweeping is None:
            self._find_work()
        # What fails in the middle of a step is given up, and what it wrote is swept.
        sweeping, self._sweeping = self._sweeping, None
        if sweeping is not None:
            self._is_swept = next(sweeping, self) is self
            self._sweeping = None if self._is_swept else sweeping
            self._swept_number = None if self._is_swept else self._swept_number
            return True
        if self._making is None or self._making.is_ready:
            return False
        making, self._making = self._making, None
        making.step()
        if making.is_wrong:
            why = f"order {making.act.order_id}: its targets are not those proposed"
            self._found.append(Finding(explaining.key_of(making.act), why))
        else:
            self._making = making
        return True

    @property
    def is_prepared(self) -> bool:
        """Whether the next release is a large one."""
        return self._making is not None and self._making.is_ready

    def can_release(self) -> bool:
        """Whether there is anything that a release could be made of now."""
        if self.is_prepared or self._found:
            return True
        with self._database.read() as session:
            return bool(self._small(session)) or self._layers_are_due(session) or bool(acts.astray(session))

    def _find_work(self) -> None:
        """Sweep what was written for a release that never came out, or begin the next large one: lifts come first."""
        with self._database.read() as session:
            newest = zones.head(session)
            if newest is None:
                return
            left_over = None if self._is_swept else spans.unreleased(session, newest.id)
            found = {finding.key for finding in self._found}
            free = [act for act in self._free(session, acts.waiting(session)) if explaining.key_of(act) not in found]
            large = [act for act in free if self._is_large(act)]
        self._is_swept = left_over is None
        if left_over is not None:
            self._sweeping, self._swept_number = spans.sweep(self._database, left_over), left_over
        elif large:
            act = min(large, key=lambda act: (not act.ends, act.notes))
            self._making, self._is_swept = Making(self._database, self._never, act, newest), False
            log.info("order %d: %d names are being prepared", act.order_id, act.size)

    def _is_large(self, act: Act) -> bool:
        is_heavy = act.place in self._heavy
        return act.turns and (act.size > LARGE or is_heavy) if act.whole else is_heavy

    def _small(self, session: Session) -> list[Act]:
        """Acts that wait and are small, besides what is being made."""
        seen_to = self._making.act.notes if self._making is not None else ()
        waiting = [act for act in acts.waiting(session, but=frozenset(seen_to)) if not self._is_large(act)]
        return self._free(session, waiting)

    def _free(self, session: Session, waiting: list[Act]) -> list[Act]:
        """Acts without those that a stop holds: what it found, and every block."""
        if not waiting or not stops.is_stopped(session):
            return waiting
        held = stops.held(session)
        return [act for act in waiting if not act.blocks and explaining.key_of(act) not in held]

    def _set_right(self, session: Session, now: dt.datetime) -> None:
        astray = acts.astray(session)
        if astray:
            why = "its row says that it is published as it is not, and no act of it waits"
            stops.stop(session, [Finding(f"order {each} astray", f"order {each}: {why}") for each in astray], now)
            acts.set_right(session, astray, now)

    def _stop(self, finding: Finding, now: dt.datetime) -> None:
        with self._database.write() as session:
            stops.stop(session, [finding], settled(session, now))

    def _explained(self, session: Session, waiting: Sequence[Act], now: dt.datetime) -> Sequence[Act]:
        """Acts as far as the journal explains them; for any other one publication stops, and lifts go on."""
        unexplained = explaining.unexplained(session, waiting)
        agreed = stops.released(session, [finding.key for finding in unexplained.values()])
        found = {act: finding for act, finding in unexplained.items() if finding.key not in agreed}
        if not found:
            return waiting
        stops.stop(session, list(found.values()), now)
        return [act for act in waiting if act not in found and not act.blocks]

    def _release_waiting(self, now: dt.datetime) -> Serials:
        """Release what is small: all of it, or as much as one transaction may take."""
        most = LARGE
        while True:
            small: Sequence[Act] = ()
            try:
                with self._database.write() as session:
                    now = settled(session, now)
                    self._give_up_if_void(session)
                    self._set_right(session, now)
                    small = self._explained(session, _share(self._small(session), most), now)
                    written = self._write_small(session, small, now, even_unchanged=self._layers_are_due(session))
                break
            except Unaccounted as unaccounted:
                self._stop(unaccounted.finding, now)
            except TooMuch:
                most = sum(act.size for act in small) // 2
                if len(small) == 1:
                    self._heavy.add(small[0].place)
        if self._making is not None and written.touched:
            self._making.note(written.touched, written.taken_over, written.in_urgent)
        return written.serials

    def _write_small(
        self, session: Session, small: Sequence[Act], now: dt.datetime, *, even_unchanged: bool = False
    ) -> Written:
        newest = zones.head(session)
        newest_id = 0 if newest is None else newest.id
        later = spans.unreleased(session, newest_id)
        self._check_planted(later)
        if newest_id + 1 in {later, self._swept_number}:  # no number is left beneath it
            self.close()
            return Written([])
        blocking = acts.targets_of(session, [act for act in small if act.blocks])
        held = stops.held_names(session)
        written = Written(acts.take(session, small))
        view = PRESENT if later is None else View(newest_id + 1)
        store = DatabaseRules(lambda: nullcontext(session), self._never, view, MOST_READ)
        for recomputed in recompute(written.touched, store):
            changes = explaining.held_back(recomputed, held) if held else recomputed
            written.changes += changes
            if later is None:
                spans.write(session, changes, newest_id + 1)
                written.taken_over += changes
            else:
                written.taken_over += spans.write_beneath(session, changes, newest_id + 1, later)
        if written.changes or even_unchanged:
            totals = Totals.of(newest)
            totals.count(written.changes)
            if newest is not None:
                _raise(explaining.unaccounted(session, written.changes, blocking, newest, newest_id + 1))
                _raise(explaining.miscounted(session, newest, newest_id + 1, totals.names))
            progress = Progress(later, free=self._making is None)
            written.in_urgent = layering.keep_up(session, newest_id + 1, progress)
            changed = bool(written.changes)
            written.serials = self._insert(session, newest_id + 1, totals, progress, now, small, changed=changed)
        return written

    def _check_planted(self, later: int | None) -> None:
        """Refuse to release anything with rules in sight that stand under a number of which nobody makes a release."""
        makes = None if self._making is None else self._making.release_id
        if later not in {None, makes, self._swept_number} and (self._is_swept or self._making is not None):
            self._is_swept, self._making = False, None
            raise Unaccounted(
                Finding(f"rules of release {later}", f"there are rules of a release {later} not made here")
            )

    def _layers_are_due(self, session: Session) -> bool:
        """Whether a release is to be made for layers alone; bases begin and end when nothing is in the making."""
        return self._making is None and layering.is_due(session)

    def _give_up_if_void(self, session: Session) -> None:
        """Make no release of an order that was acted on again since; what was written for it is swept."""
        if self._making is not None and self._making.is_void(acts.waiting(session)):
            log.info("order %d was acted on again: its release is given up", self._making.act.order_id)
            self.close()

    def _release_prepared(self, now: dt.datetime) -> Serials:
        """Make the large release, with what was touched meanwhile and with what is small and waits.

        Where that fails, it is made anew.
        """
        making = self._making
        assert making is not None
        try:
            with self._database.write() as session:
                now = settled(session, now)
                self._give_up_if_void(session)
                if self._making is None or not self._explained(session, self._free(session, [making.act]), now):
                    self._making = None
                    return {}
                self._making = None
                small = self._explained(session, _share(self._small(session), LARGE), now)
                touched = sorted({*making.touched, *acts.take(session, small)})
                acts.settle(session, making.act)
                serials = self._write_prepared(session, making, touched, now, small)
        except Unaccounted as unaccounted:
            self._stop(unaccounted.finding, now)
            return self._release_waiting(now)
        except TooMuch:
            making.again()
            self._making = making
            return self._release_waiting(now)
        self._is_swept = True
        self._heavy.discard(making.act.place)
        return serials

    def _write_prepared(
        self,
        session: Session,
        making: Making,
        touched: Sequence[tuple[str, Match]],
        now: dt.datetime,
        small: Sequence[Act],
    ) -> Serials:
        totals = replace(making.totals)
        store = DatabaseRules(lambda: nullcontext(session), self._never, most=MOST_READ)
        names = set(making.in_urgent)
        for changes in recompute(touched, store):
            spans.write(session, changes, making.release_id)
            totals.count(changes)
            names.update(change.key for change in changes)
        progress = Progress(names=names)
        newest = zones.head(session)
        assert newest is not None
        _raise(explaining.miscounted(session, newest, making.release_id - 1, newest.names))
        layering.keep_up(session, making.release_id, progress)
        return self._insert(session, making.release_id, totals, progress, now, (making.act, *small))

    def _insert(
        self,
        session: Session,
        release_id: int,
        totals: Totals,
        progress: Progress,
        now: dt.datetime,
        made_of: Sequence[Act],
        *,
        changed: bool = True,
    ) -> Serials:
        """Insert the row that makes what was written a release, with its serial in each zone."""
        rules_sum, before = digest.stored(totals.rules_sum), zones.head(session)
        release = Release(
            id=release_id,
            published_at=now if before is None else max(now, before.published_at),
            names=totals.names,
            rules=totals.records,
            digest=digest.of_sum(rules_sum),
            rules_sum=rules_sum,
            events_until=session.scalars(select(JournalHead.size)).one(),
        )
        session.add(release)
        session.flush()
        acts.keep(session, release_id, made_of)
        as_base, begins = progress.free and layering.is_asked(session), progress.free
        serials = zones.assign_serials(
            session, release, self._marks, now, as_base=as_base, begins=begins, changed=changed
        )
        layering.note(session, release, serials, progress, now)
        log.info("release %d: %d names, %d records, serials %s", release_id, totals.names, totals.records, serials)
        return serials

    def _raise_marks(self, serials: Serials) -> None:
        for zone, serial in serials.items():
            self._marks.raise_to(zone, serial)


def _raise(finding: Finding | None) -> None:
    if finding is not None:
        raise Unaccounted(finding)


def _share(waiting: Sequence[Act], most: int) -> Sequence[Act]:
    """The first acts that together touch at most so many names; the first one in any case."""
    sizes = accumulate(act.size for act in waiting)
    return waiting[: max(1, sum(size <= most for size in sizes))]
