"""Rebase: when zones in layers get a new base, and when the bases before it are spent.

A new base is published first, and `urgent` goes on making up for the older ones. They are spent when every server that
takes a `base` zone is known to have the new one, has had the time to answer by it (`settling`), and the new one is old
enough (`keep`) for a server that restarts from old files to have it again. An entry too many in `urgent` does no harm;
one too few would block again what was lifted. A rebase that servers hold up is written down once, and stays under way.
"""

import datetime as dt
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from app.db import Clock, Database
from app.errors import Conflict
from app.journal.actor import CLOCK, Actor
from app.journal.append import Entry, append, timestamp
from app.journal.events import EventType
from app.journal.moment import moment
from app.publication import layering, zones
from app.publication.models import BaseRow
from app.publication.zones import Layer
from app.settings import RebaseSetting
from app.subscribers import standing
from app.subscribers.models import SubscriberRow

log = logging.getLogger(__name__)

ASKED, HOUR, SIZE = "hand", "quiet hour", "size"
"""Why a base is cut."""

NOT_TOLD_APART = "more servers than are told apart"
"""In place of an address, where nobody knows what some servers of a subscriber have."""


@dataclass(frozen=True, slots=True)
class Wait:
    """A server that a base waits for: until a moment, or (None) until it is known to have that base."""

    subscriber: str
    zone: str
    address: str
    serial: int | None
    until: dt.datetime | None


@dataclass(frozen=True, slots=True)
class State:
    """The live bases, oldest first, and what keeps all before the last one from being spent.

    `until` is the earliest moment at which they may be, by the age of the last one alone.
    """

    records: int
    bases: Sequence[BaseRow]
    asked: bool
    waits: Sequence[Wait]
    until: dt.datetime | None

    @property
    def under_way(self) -> bool:
        return len(self.bases) > 1


def ask(session: Session, actor: Actor, now: dt.datetime, reason: str = ASKED) -> BaseRow:
    """Ask the publisher for a new base. Raises Conflict where no zone has layers."""
    if not layering.published(session):
        raise Conflict("no zone has layers: they begin with `pulih subscriber change NAME --layers`")
    if not layering.is_asked(session):
        facts = {"reason": reason, "urgent": layering.records(session)}
        append(session, actor, Entry(EventType.BASE_ASKED, facts), now)
    return layering.ask(session, reason, now)


def state(session: Session, rules: RebaseSetting, now: dt.datetime) -> State:
    """How it stands; for the newest base."""
    bases = layering.live(session)
    waits = _waits(session, bases[-1], rules, now) if len(bases) > 1 else []
    until = _old_enough_at(bases[-1], rules) if len(bases) > 1 else None
    return State(layering.records(session), bases, layering.is_asked(session), waits, until)


def document(session: Session, found: State) -> dict[str, Any]:
    """The same for programs: `rebase` is true as long as older bases are made up for."""
    newest = [base.release_id for base in found.bases]
    serials = {
        zone.name: [
            at.serial for release in newest if (at := zones.at_release(session, zone, release or 0)) is not None
        ]
        for zone in zones.active(session)
        if zones.layer_of(zone.name) is Layer.BASE
    }
    return {
        "layers": bool(serials),
        "urgent_records": found.records,
        "asked": found.asked,
        "under_way": found.under_way,
        "bases": [
            {"release": base.release_id, "reason": base.reason, "cut_at": base.cut_at, "late_at": base.late_at}
            for base in found.bases
        ],
        "serials": serials,
        "not_before": found.until,
        "waits_for": [
            {"subscriber": w.subscriber, "zone": w.zone, "address": w.address, "serial": w.serial, "until": w.until}
            for w in found.waits
        ],
    }


def watch(database: Database, clock: Clock, rules: RebaseSetting) -> None:
    """Ask for a base that is due, let go of those that are spent, and tell of what is held up.

    Whether there is anything to do is found out without the writer's lock, and looked at again under it.
    """
    with database.read() as session:
        if not _Due(session, rules, clock()).anything:
            return
    with database.write() as session:
        now = moment(session, clock)
        _do(session, _Due(session, rules, now), now)


class _Due:
    """What is to be done at a moment."""

    def __init__(self, session: Session, rules: RebaseSetting, now: dt.datetime) -> None:
        self.begins = _layers_lack(session)
        self.bases = [base for base in layering.live(session) if base.spent_at is None]
        self.reason = self._reason(session, rules, now)
        self.spent: Sequence[BaseRow] = ()
        self.late: tuple[BaseRow, Sequence[Wait]] | None = None
        for place in range(len(self.bases) - 1, 0, -1):
            base = self.bases[place]
            waits = _waits(session, base, rules, now)
            is_old = _old_enough_at(base, rules) <= now
            if is_old and not waits:
                self.spent = self.bases[:place]
                self.late = None
                break
            lacking = [wait for wait in waits if wait.until is None]
            if self.late is None and is_old and lacking and base.late_at is None:
                self.late = base, lacking

    @property
    def anything(self) -> bool:
        return bool(self.begins or self.reason or self.spent or self.late)

    def _reason(self, session: Session, rules: RebaseSetting, now: dt.datetime) -> str | None:
        """A base is due where none is under way, and `urgent` holds anything that a new one would spare."""
        if len(self.bases) != 1 or layering.is_asked(session):
            return None
        [base] = self.bases
        records = layering.records(session) - layering.CANARY_RECORDS
        if records > rules.above:
            return SIZE
        if rules.at is None or base.cut_at is None or not records:
            return None
        hour = dt.datetime.combine(now.astimezone(dt.UTC).date(), rules.at)
        return HOUR if base.cut_at < hour <= now else None


def _do(session: Session, due: _Due, now: dt.datetime) -> None:
    if due.begins:
        zones.publish_layers(session, now)
    if due.reason is not None:
        ask(session, CLOCK, now, due.reason)
    for base in due.spent:
        base.spent_at = now
    if due.late is not None:
        base, waits = due.late
        base.late_at = now
        append(session, CLOCK, Entry(EventType.BASE_LATE, _facts(base, waits)), now)
        log.error("a rebase cannot finish: %s", "; ".join(f"{w.subscriber} {w.address} lacks {w.zone}" for w in waits))


def _facts(base: BaseRow, waits: Sequence[Wait]) -> dict[str, object]:
    servers = [{"subscriber": w.subscriber, "zone": w.zone, "address": w.address, "has": w.serial} for w in waits]
    return {"release": base.release_id, "cut_at": base.cut_at and timestamp(base.cut_at), "waits_for": servers}


def _waits(session: Session, base: BaseRow, rules: RebaseSetting, now: dt.datetime) -> list[Wait]:
    """Every server that takes a `base` zone and does not have this one, or has not had it for long enough.

    Those of one that was removed as well, for as long as an old base is made up for at least: it may come back.
    """
    found = []
    assert base.release_id is not None
    for zone in zones.active(session):
        if zones.layer_of(zone.name) is not Layer.BASE:
            continue
        servers = standing.live(session, zone.name, now)
        untold = standing.not_told_apart(session, zone.name, now)
        rows = _subscribers(session, {*untold, *(server.subscriber_id for server in servers)}, now - rules.keep)
        found += [Wait(rows[id_].name, zone.name, NOT_TOLD_APART, None, None) for id_ in untold if id_ in rows]
        for server in servers:
            row = rows.get(server.subscriber_id)
            if row is None:
                continue
            until = None
            if server.release is not None and server.release >= base.release_id and server.since is not None:
                until = server.since + (dt.timedelta(seconds=row.settling) if row.settling else rules.settling)
                if until <= now:
                    continue
            found.append(Wait(row.name, zone.name, server.address, server.serial, until))
    return sorted(found, key=lambda wait: (wait.subscriber, wait.zone, wait.address))


def _subscribers(session: Session, ids: Collection[int], removed_since: dt.datetime) -> dict[int, SubscriberRow]:
    rows = (session.get(SubscriberRow, id_) for id_ in ids)
    return {row.id: row for row in rows if row and (row.removed_at is None or row.removed_at > removed_since)}


def _old_enough_at(base: BaseRow, rules: RebaseSetting) -> dt.datetime:
    assert base.cut_at is not None
    return base.cut_at + rules.keep


def _layers_lack(session: Session) -> bool:
    """Whether somebody takes layers and there are none: he was registered before there were zones."""
    layered = exists().where(SubscriberRow.layered, SubscriberRow.removed_at.is_(None))
    return bool(session.scalar(select(layered))) and not layering.published(session)
