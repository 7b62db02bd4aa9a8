"""The layers of the published zones: `base.ZONE` and `urgent.ZONE` beside ZONE, kept up release by release.

All zones carry the same names, so they share the bases and what `urgent` holds. A base is cut at a release and has its
rules and serials; it is live, and `urgent` makes up for what changed since, until it was found spent (by whoever knows
what servers have: `app.subscribers.rebasing`). This room writes it all, in the transaction of a release.
"""

import datetime as dt
import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import NamedTuple

from sqlalchemy import CompoundSelect, Select, and_, exists, func, or_, select, union
from sqlalchemy.orm import Session

from app.db import Database
from app.journal.actor import CLOCK
from app.journal.append import Entry, append
from app.journal.events import EventType
from app.orders import targets
from app.publication import digest, spans, zones
from app.publication.layer_store import CANARY_KEY, WRITTEN_LAST, DatabaseLayers
from app.publication.models import BaseRow, Release, RuleSpan, UrgentSpan, Zone, ZoneSerial
from app.publication.store import STORED, TooMuch, rules_written_last
from app.publication.zones import Layer, layer_of
from resolver_policy import layers, names
from resolver_policy.delta import EMPTY_RULE, Change, Rule
from resolver_policy.targets import Decision

log = logging.getLogger(__name__)

BEGAN = "zones"
"""The reason of a base that a zone begins with."""

CANARY_RECORDS = 2
NAMES_AT_ONCE = 400
WRITTEN_AT_ONCE = 2_000
PAGE = 10_000

LET_GO_AT_ONCE = 800
"""Names that one release looks at, of those that `urgent` holds for a base that is dropped."""

MOST_TOUCHED, MOST_READ = 2_000, 10_000
"""Names that may change while a release holds the writer's lock, and rows that their regions may have."""
CANARY_CHANGE = Change(CANARY_KEY, EMPTY_RULE, Rule(Decision.PASS, Decision.PASS))


def published(session: Session) -> Sequence[Zone]:
    """The zones that are layers of others."""
    return [zone for zone in zones.active(session) if layer_of(zone.name) is not Layer.FULL]


def ask(session: Session, reason: str, now: dt.datetime) -> BaseRow:
    """Ask for a new base; the next release is cut as one. One that was asked for already is enough."""
    waiting = session.scalars(select(BaseRow).where(BaseRow.release_id.is_(None))).first()
    if waiting is None:
        waiting = BaseRow(asked_at=now, reason=reason)
        session.add(waiting)
        session.flush()
    return waiting


def live(session: Session) -> Sequence[BaseRow]:
    """The bases that `urgent` makes up for, oldest first."""
    query = select(BaseRow).where(BaseRow.release_id.is_not(None), BaseRow.dropped_release_id.is_(None))
    return session.scalars(query.order_by(BaseRow.release_id)).all()


def records(session: Session) -> int:
    """How many records an `urgent` zone has."""
    return counts(session)[1]


def counts(session: Session) -> tuple[int, int]:
    """Names and records of an `urgent` zone as it was written last."""
    own, wild = (func.count().filter(column > 0) for column in (UrgentSpan.own, UrgentSpan.wild))
    query = select(func.count(), own, wild).where(UrgentSpan.to_release.is_(None))
    found, owns, wilds = session.execute(query).one()
    return found, owns + wilds


def contents(session: Session) -> tuple[int, int, bytes]:
    """Names, records and zone digest of an `urgent` zone as it was written last."""
    query = select(UrgentSpan.key, UrgentSpan.own, UrgentSpan.wild).where(UrgentSpan.to_release.is_(None))
    total = sum(digest.rule_number(key, STORED[own][wild]) for key, own, wild in session.execute(query))
    return *counts(session), digest.of_sum(digest.stored(total))


def is_due(session: Session) -> bool:
    """Whether a release must be made for the sake of the layers alone."""
    asked_or_spent = or_(
        BaseRow.release_id.is_(None), and_(BaseRow.spent_at.is_not(None), BaseRow.dropped_release_id.is_(None))
    )
    has_one = exists().where(ZoneSerial.zone_id == Zone.id, ZoneSerial.release_id >= Zone.epoch_release_id)
    waits = and_(Zone.retired_at.is_(None), ~has_one)
    return bool(session.scalar(select(or_(exists().where(asked_or_spent), exists().where(waits)))))


def keep_up(session: Session, release_id: int, making: "Progress") -> list[str]:
    """Bring `urgent` in line with a release whose rules are written, before the release itself is.

    Nothing where no layers are published. Its cost follows what the release changes; of what `urgent` holds for a base
    that is let go a portion is looked at in each release. Gives the names at which a release in the making may be wrong
    now. Raises TooMuch where that is more than others may wait for.
    """
    if not published(session):
        return []
    if making.drops:
        _begin_to_drop(session)
    kept = live_releases(session)
    if not kept:
        if session.scalar(select(UrgentSpan.key).limit(1)) is None:
            spans.write(session, [CANARY_CHANGE], release_id, UrgentSpan)
        return []
    own = making.names
    touched = _touched(session, release_id) if own is None else sorted(own)
    at = WRITTEN_LAST if making.later is None else release_id - 1
    store = DatabaseLayers(lambda: nullcontext(session), release_id, kept, at)
    changed = set(touched)
    with store.reading_at_most(MOST_READ):
        for changes in layers.recompute(touched, store, anew=own is not None):
            _write(session, changes, release_id, making)
            changed.update(change.key for change in changes)
    if making.drops:
        changes = _let_go(session, store)
        _write(session, changes, release_id, making)
        changed.update(change.key for change in changes)
    return sorted(changed)


def _write(session: Session, changes: Sequence[Change], release_id: int, making: "Progress") -> None:
    if making.later is None:
        spans.write(session, changes, release_id, UrgentSpan)
    else:
        spans.write_beneath(session, changes, release_id, making.later, UrgentSpan)


def _begin_to_drop(session: Session) -> None:
    """Make up for spent bases no longer; what `urgent` holds is looked at from the first name on for each new one."""
    spent = [base for base in live(session) if base.spent_at is not None]
    if any(base.dropped_until is None for base in spent):
        for base in spent:
            base.dropped_until = ""
    session.flush()


def _let_go(session: Session, store: DatabaseLayers) -> list[Change]:
    """Look at the next names that `urgent` holds, where a base is being dropped; what they become.

    A region that is too large to be looked at stays, as it does no harm, until another base is dropped.
    """
    dropping = [base for base in live(session) if base.dropped_until is not None]
    if not dropping:
        return []
    keys = session.scalars(_held(dropping[0].dropped_until or "").limit(LET_GO_AT_ONCE)).all()
    changes: list[Change] = []
    until = keys[-1] if keys else None
    while keys:
        try:
            with store.reading_at_most(MOST_READ):
                changes = [change for some in layers.recompute(keys, store, len(keys)) for change in some]
            break
        except TooMuch:
            until = keys[len(keys) // 2 - 1] if len(keys) > 1 else names.subtree_end(keys[0])
            keys = keys[: len(keys) // 2]
    for base in dropping if until is not None else ():
        base.dropped_until = until
    return changes


class Progress(NamedTuple):
    """What a release meets of a large one in the making: its number, if it has written anything.

    Until that is released no base begins or ends (`free` is False). `names` are those of the large one itself at which
    `urgent` is still to be brought in line; None for any other release.
    """

    later: int | None = None
    free: bool = True
    names: Collection[str] | None = None

    @property
    def drops(self) -> bool:
        """Whether bases are let go with it: some of what `urgent` holds is looked at then."""
        return self.free and self.names is None and self.later is None


def prepare(database: Database, release_id: int, touched: Iterable[str], *, anew: bool) -> Iterator[None]:
    """Bring `urgent` in line with a release in the making, a little in each step, so that nobody waits for the lock."""
    with database.read() as session:
        bases = live_releases(session) if published(session) else []
    if not bases:
        return
    store = DatabaseLayers(database.read, release_id, bases)
    for changes in layers.recompute(touched, store, NAMES_AT_ONCE, anew=anew):
        for some in targets.batches(changes, WRITTEN_AT_ONCE):
            with database.write() as session:
                before = rules_written_last(session, [change.key for change in some], UrgentSpan)
                real = [Change(key, before.get(key, EMPTY_RULE), new) for key, _, new in some]
                spans.write(session, [each for each in real if each.old != each.new], release_id, UrgentSpan)
        yield


def changed_by(database: Database, release_id: int) -> Iterator[str]:
    """The names whose rule a release changes, in key order, a page at a time, each from a view of its own."""
    last = ""
    while True:
        with database.read() as session:
            page = session.scalars(_changed(release_id, last).limit(PAGE)).all()
        if not page:
            return
        last = page[-1]
        yield from page


def live_releases(session: Session) -> list[int]:
    """The releases of the live bases, without those that are being dropped."""
    return [base.release_id for base in live(session) if base.release_id and base.dropped_until is None]


def note(session: Session, release: Release, serials: dict[str, int], making: "Progress", now: dt.datetime) -> None:
    """Write down which base a release is, where it gave `base` zones a serial, and which ones it drops."""
    for base in live(session) if making.drops else ():
        if base.dropped_until is not None and session.scalar(_held(base.dropped_until).limit(1)) is None:
            base.dropped_release_id = release.id
            _tell(session, EventType.BASE_DROPPED, base, now)
    if any(layer_of(name) is Layer.BASE for name in serials):
        base = ask(session, BEGAN, now)
        base.release_id, base.cut_at = release.id, now
        _tell(session, EventType.BASE_CUT, base, now)
    session.flush()


def is_asked(session: Session) -> bool:
    """Whether the next release is to be a base."""
    return bool(session.scalar(select(exists().where(BaseRow.release_id.is_(None)))))


def _tell(session: Session, kind: EventType, base: BaseRow, now: dt.datetime) -> None:
    facts: dict[str, object] = {"release": base.release_id, "reason": base.reason, "urgent": records(session)}
    append(session, CLOCK, Entry(kind, facts), now)
    log.info("%s: release %s, asked for by %s; urgent has %d records", kind, *facts.values())


def _touched(session: Session, release_id: int) -> Sequence[str]:
    """The names whose rule a release changes."""
    changed = session.scalars(_changed(release_id).limit(MOST_TOUCHED + 1)).all()
    if len(changed) > MOST_TOUCHED:
        raise TooMuch
    return changed


def _held(after: str) -> Select[str]:
    """The names that `urgent` holds as it was written last, behind one, in key order."""
    held = select(UrgentSpan.key).where(UrgentSpan.to_release.is_(None), UrgentSpan.key > after)
    return held.where(UrgentSpan.key != CANARY_KEY).order_by(UrgentSpan.key)


def _changed(release_id: int, after: str = "") -> CompoundSelect[str]:
    begun = select(RuleSpan.key).where(RuleSpan.from_release == release_id, RuleSpan.key > after)
    ended = select(RuleSpan.key).where(RuleSpan.to_release == release_id, RuleSpan.key > after)
    return union(begun, ended).order_by("key")
