"""Who has lacked a published serial for too long: written into the journal once, and once more when it is over."""

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.db import Clock, Database
from app.journal.actor import CLOCK
from app.journal.append import Entry, append, timestamp
from app.journal.events import EventType
from app.journal.moment import moment
from app.publication import zones
from app.subscribers import ledger, queries
from app.subscribers.lag import Lag, Standing
from app.subscribers.models import OverdueRow, SubscriberRow

PAGE = 500

Slot = tuple[int, str]


def watch(database: Database, clock: Clock, after: dt.timedelta) -> int:
    """Write down who became overdue and who recovered, and what the ledger held back; how many events that was.

    Whether there is anything to write is found out without the writer's lock, and looked at again under it.
    """
    with database.read() as session:
        now = clock()
        due = {slot for rows in _pages(session) for slot in _due(session, rows, now, after)}
        changed = due ^ _known(session)
        held_back = ledger.is_held_back(session, now)
    if not changed and not held_back:
        return 0
    with database.write() as session:
        now = moment(session, clock)
        ledger.settle(session, now)
        return _write(session, {subscriber_id for subscriber_id, _ in changed}, now, after)


def _write(session: Session, subscriber_ids: Collection[int], now: dt.datetime, after: dt.timedelta) -> int:
    """What of these subscribers is not as the journal has it."""
    rows = [session.get_one(SubscriberRow, id_) for id_ in sorted(subscriber_ids)]
    live = {row.id: row.name for row in rows if row.removed_at is None}
    due = _due(session, [row for row in rows if row.id in live], now, after)
    known = {slot for slot in _known(session) if slot[0] in subscriber_ids}
    published = {zone.name for zone in zones.active(session)}
    for slot in sorted(known - set(due)):
        session.execute(delete(OverdueRow).where(OverdueRow.subscriber_id == slot[0], OverdueRow.zone == slot[1]))
        if slot[0] in live and slot[1] in published:
            facts = {"subscriber": live[slot[0]], "zone": slot[1]}
            append(session, CLOCK, Entry(EventType.SUBSCRIBER_RECOVERED, facts), now)
    for slot in sorted(set(due) - known):
        session.add(OverdueRow(subscriber_id=slot[0], zone=slot[1], recorded_at=now))
        append(session, CLOCK, Entry(EventType.SUBSCRIBER_OVERDUE, _facts(live[slot[0]], due[slot])), now)
    return len(set(due) ^ known)


def _due(
    session: Session, rows: Sequence[SubscriberRow], now: dt.datetime, after: dt.timedelta
) -> Mapping[Slot, Standing]:
    found = Lag(session, now, after, with_names=False).standings(rows)
    return {
        (subscriber_id, each.zone): each
        for subscriber_id, standings in found.items()
        for each in standings
        if each.overdue_since is not None
    }


def _facts(name: str, standing: Standing) -> dict[str, object]:
    since = standing.overdue_since
    return {
        "subscriber": name,
        "zone": standing.zone,
        "serial": standing.serial,
        "has": None if standing.has is None else standing.has.serial,
        "lacks_since": None if since is None else timestamp(since),
    }


def _known(session: Session) -> set[Slot]:
    return {(row.subscriber_id, row.zone) for row in session.scalars(select(OverdueRow))}


def _pages(session: Session) -> Iterator[Sequence[SubscriberRow]]:
    after = 0
    while rows := queries.page(session, after=after, limit=PAGE):
        yield rows
        after = rows[-1].id
