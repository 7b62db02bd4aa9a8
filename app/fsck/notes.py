"""The journal against what was noted of names: of each order, all that its events say was seen of its targets.

Notes may be as many as names, so they are not held: of an order there is their number, and the sum of their digests,
which is the same in whatever order they come.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.auth.models import Principal
from app.db import streamed
from app.fsck.report import Check, Findings, Tick, found
from app.fsck.said import EVENTS_AT_ONCE, At, name_of
from app.journal.append import timestamp
from app.journal.events import EventType
from app.journal.models import Event
from app.orders import targets
from app.orders.models import Order, TargetRow
from app.orders.review_models import TargetNote
from resolver_policy import names

NOTES = "notes"
REMEDY = (
    "notes lift and block nothing; they say which orders are looked at first. The table was altered past the service, "
    "or the service has a fault: nothing here mends it"
)
SAYS = ("name", "match", "what", "seen_at", "source")
TOLD_EVERY = 2_000


@dataclass
class Noted:
    """How many notes, and the sum of their digests."""

    count: int = 0
    total: int = 0

    def add(self, *said: str) -> None:
        """One note more."""
        self.count += 1
        self.total += int.from_bytes(hashlib.sha256(json.dumps(said).encode()).digest(), "big")


def check(session: Session, tick: Tick) -> Check:
    """Orders whose notes are not those that were recorded."""
    findings = Findings()
    told, kept = _told(session, findings), _kept(session, tick)
    for uid in sorted({*told, *kept}):
        of_events, of_rows = told.get(uid, Noted()), kept.get(uid, Noted())
        if of_events != of_rows:
            findings.add(f"order with id {uid}", _why(of_rows.count, of_events.count))
    return found(NOTES, findings, f"{sum(each.count for each in kept.values()):,} of {len(kept):,} orders", REMEDY)


def rows(session: Session) -> int:
    """How many steps `check` takes."""
    return session.scalar(select(func.count()).select_from(TargetNote)) or 0


def _why(rows: int, told: int) -> str:
    if rows == told:
        return f"of its {rows:,} notes of names some are not as its events tell"
    return f"it has {rows:,} notes of names, and its events tell of {told:,}"


def _told(session: Session, findings: Findings) -> Mapping[str, Noted]:
    noted: defaultdict[str, Noted] = defaultdict(Noted)
    query = select(Event.seq, Event.type, Event.recorded_at, Event.actor, Event.body)
    query = query.where(Event.type == EventType.ORDER_NOTED).order_by(Event.seq)
    for seq, type_, recorded_at, actor, body in streamed(session, query, at_once=EVENTS_AT_ONCE):
        try:
            facts = json.loads(body)["facts"]
            notes = [[str(each[part]) for part in SAYS] for each in facts["notes"]]
            about = noted[str(facts["order"])]
        except (LookupError, TypeError, ValueError):
            findings.add(f"event {name_of(At(seq, type_, recorded_at))}", "it does not say what such an event says")
            continue
        for said in notes:
            about.add(*said, timestamp(recorded_at), actor)
    return noted


def _kept(session: Session, tick: Tick) -> Mapping[str, Noted]:
    noted: defaultdict[str, Noted] = defaultdict(Noted)
    for number, (uid, said) in enumerate(_rows(session), start=1):
        noted[uid].add(*said)
        if not number % TOLD_EVERY:
            tick(TOLD_EVERY)
    return noted


def _rows(session: Session) -> Iterator[tuple[str, tuple[str, ...]]]:
    query = select(TargetNote, Order.uid, TargetRow.key, TargetRow.match, Principal.name)
    query = query.join(Order, Order.id == TargetNote.order_id).join(TargetRow, TargetRow.id == TargetNote.target_id)
    query = query.join(Principal, Principal.id == TargetNote.recorded_by_id).order_by(TargetNote.id)
    for row, uid, key, match, by in streamed(session, query):
        about = (names.from_key(key), str(targets.MATCHES[match]))
        seen = (str(row.what), timestamp(row.seen_at), row.source, timestamp(row.recorded_at))
        yield uid, (*about, *seen, by)
