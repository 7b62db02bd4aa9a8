"""Counts of what subscribers did: a row for each kind of thing, however often it happens."""

from collections import defaultdict
from collections.abc import Iterable

from sqlalchemy import and_, update
from sqlalchemy.orm import Session

from app.db import rows_changed
from app.subscribers.models import ExchangeCount
from app.subscribers.sighting import DONE, Sighting, SightingKind

Place = tuple[int, str, str, str]


def result_of(sighting: Sighting) -> str:
    """How an exchange ended: `done`, `refused`, or `failed` for what was broken off or got no answer."""
    if sighting.kind is SightingKind.REFUSED:
        return "refused"
    return "done" if sighting.outcome == DONE else "failed"


def add(session: Session, exchanges: Iterable[tuple[int, Sighting]]) -> None:
    """Count exchanges of subscribers, by their ids, in the transaction that notes them down."""
    counts: defaultdict[Place, int] = defaultdict(int)
    octets: defaultdict[Place, int] = defaultdict(int)
    for subscriber_id, sighting in exchanges:
        place = (subscriber_id, sighting.zone, str(sighting.kind), result_of(sighting))
        counts[place] += 1
        octets[place] += sighting.octets
    for place in sorted(counts):
        _add(session, place, counts[place], octets[place])


def _add(session: Session, place: Place, count: int, octets: int) -> None:
    subscriber_id, zone, kind, result = place
    row = ExchangeCount
    found = and_(row.subscriber_id == subscriber_id, row.zone == zone, row.kind == kind, row.result == result)
    values = {row.count: row.count + count, row.octets: row.octets + octets}
    if rows_changed(session, update(row).where(found).values(values)) == 0:
        session.add(row(subscriber_id=subscriber_id, zone=zone, kind=kind, result=result, count=count, octets=octets))
        session.flush()
