"""The layers of the published zones: `base.ZONE` and `urgent.ZONE` beside ZONE, kept up release by release.

All zones carry the same names, so they share the bases and what `urgent` holds. A base is cut at a release and has its
rules and serials; it is live, and `urgent` makes up for what changed since, until it was found spent (by whoever knows
what servers have: `app.subscribers.rebasing`). This room writes it all, in the transaction of a release.
"""

import datetime as dt
import logging
from collections.abc import Iterator, Sequence

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, union
from sqlalchemy.orm import Session

from app.journal.actor import CLOCK
from app.journal.append import Entry, append
from app.journal.events import EventType
from app.publication import digest, spans, zones
from app.publication.layer_store import CANARY_KEY, DatabaseLayers
from app.publication.models import BaseRow, Release, RuleSpan, UrgentSpan, Zone, ZoneSerial
from app.publication.store import STORED
from app.publication.zones import Layer, layer_of
from resolver_policy import layers
from resolver_policy.delta import EMPTY_RULE, Change, Rule
from resolver_policy.targets import Decision

log = logging.getLogger(__name__)

BEGAN = "zones"
"""The reason of a base that a zone begins with."""

CANARY_RECORDS = 2
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


def keep_up(session: Session, release_id: int) -> None:
    """Bring `urgent` in line with a release whose rules are written, before the release itself is; note its base.

    Nothing where no layers are published. Its cost follows what the release changes, or, where a base is let go, what
    `urgent` holds.
    """
    if not published(session):
        return
    standing = live(session)
    spent = [base for base in standing if base.spent_at is not None]
    kept = [base.release_id for base in standing if base.spent_at is None and base.release_id is not None]
    if kept:
        store = DatabaseLayers(session, release_id, kept)
        for changes in layers.recompute(_touched(session, release_id, everything=bool(spent)), store):
            spans.write(session, changes, release_id, UrgentSpan)
    elif session.scalar(select(UrgentSpan.key).limit(1)) is None:
        spans.write(session, [CANARY_CHANGE], release_id, UrgentSpan)


def note(session: Session, release: Release, serials: dict[str, int], now: dt.datetime) -> None:
    """Write down which base a release is, where it gave `base` zones a serial, and which ones it drops."""
    for base in live(session):
        if base.spent_at is not None:
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


def _touched(session: Session, release_id: int, *, everything: bool) -> Iterator[str]:
    """The names whose rule a release changes; or all that `urgent` holds besides, where a base is let go."""
    parts = [
        select(RuleSpan.key).where(RuleSpan.from_release == release_id),
        select(RuleSpan.key).where(RuleSpan.to_release == release_id),
    ]
    if everything:
        parts.append(select(UrgentSpan.key).where(_held()))
    return iter(session.scalars(union(*parts).order_by("key")).all())


def _held() -> ColumnElement[bool]:
    return and_(UrgentSpan.to_release.is_(None), UrgentSpan.key != CANARY_KEY)
