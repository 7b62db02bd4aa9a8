"""The publisher's stop: a change of the zone that nothing explains is held, and with it every block, not one lift.

Each finding has a key. Two people release a stop after they have looked at it; what they released is explained by that,
so the same finding stops nothing again.
"""

import datetime as dt
import json
import logging
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from app.auth import four_eyes
from app.auth.models import Principal
from app.errors import Conflict, NotFound
from app.journal.actor import CLOCK, Actor
from app.journal.append import Entry, append
from app.journal.events import EventType
from app.orders import targets, touched
from app.orders.models import Order, TargetRow
from app.orders.schemas import Line, Schema
from app.publication.models import Stop
from resolver_policy import names

log = logging.getLogger(__name__)

NAMES_TOLD = 20


class Release(Schema):
    """Why somebody lets what was stopped go out."""

    reason: Line


class Finding(NamedTuple):
    """What was about to be published and is not: `key` tells one finding from another, `why` is for people.

    `keys` are names that would have been blocked anew and that no act accounts for.
    """

    key: str
    why: str
    keys: tuple[str, ...] = ()


def standing(session: Session) -> Sequence[Stop]:
    """The stops that nobody has released, oldest first."""
    return session.scalars(select(Stop).where(Stop.released_at.is_(None)).order_by(Stop.id)).all()


def is_stopped(session: Session) -> bool:
    """Whether no block is published now."""
    return bool(session.scalar(select(exists().where(Stop.released_at.is_(None)))))


def findings(stop: Stop) -> list[Finding]:
    """What a stop found."""
    return [Finding(key, why, tuple(keys)) for key, why, keys in json.loads(stop.findings)]


def held(session: Session) -> set[str]:
    """The keys of what is held by stops that stand."""
    return {finding.key for stop in standing(session) for finding in findings(stop)}


def held_names(session: Session) -> frozenset[str]:
    """The names that stops that stand keep from being blocked anew."""
    return frozenset(key for stop in standing(session) for finding in findings(stop) for key in finding.keys)


def released(session: Session, keys: Collection[str]) -> set[str]:
    """Those of some findings that two people have looked at and released."""
    if not keys:
        return set()
    stops = session.scalars(select(Stop).where(Stop.released_at.is_not(None)))
    return {finding.key for stop in stops for finding in findings(stop)} & set(keys)


def released_names(session: Session, since: dt.datetime) -> frozenset[str]:
    """The names of findings that were released at a moment or after it: the next release may block them."""
    stops = session.scalars(select(Stop).where(Stop.released_at >= since))
    return frozenset(key for stop in stops for finding in findings(stop) for key in finding.keys)


def stop(session: Session, found: Sequence[Finding], now: dt.datetime) -> Stop:
    """Let nothing that blocks out from now on, and say so loudly."""
    row = Stop(stopped_at=now, findings=json.dumps([list(each) for each in found]))
    session.add(row)
    session.flush()
    facts = {"stop": row.id, "findings": [told(each) for each in found]}
    append(session, CLOCK, Entry(EventType.PUBLICATION_STOPPED, facts), now)
    for each in found:
        log.error("stop %d: %s; no block is published until two people release it", row.id, each.why)
    return row


def release(session: Session, actor: Actor, stop_id: int, reason: str, now: dt.datetime) -> Stop:
    """The first of two people asks for it, the second one does it.

    Raises NotFound, Conflict where it is released already, Forbidden (`four_eyes`) for the same person again.
    """
    row = session.get(Stop, stop_id, with_for_update=True)
    if row is None:
        raise NotFound(f"there is no stop {stop_id}")
    if row.released_at is not None:
        raise Conflict(f"stop {stop_id} has been released")
    facts = {"stop": row.id, "reason": reason}
    if row.asked_by_id is None:
        row.asked_by_id, row.asked_at = actor.principal_id, now
        append(session, actor, Entry(EventType.PUBLICATION_RELEASE_ASKED, facts), now)
        session.flush()
        return row
    four_eyes.check(actor, row.asked_by_id, act="release", first_act="asked to release")
    row.released_by_id, row.released_at = actor.principal_id, now
    append(session, actor, Entry(EventType.PUBLICATION_RELEASED, facts), now)
    _look_again(session, row, now)
    session.flush()
    return row


def document(session: Session, row: Stop) -> dict[str, Any]:
    """A stop as the interface shows it."""
    return {
        "id": row.id,
        "stopped_at": row.stopped_at,
        "findings": [told(each) for each in findings(row)],
        "asked_by": _name(session, row.asked_by_id),
        "asked_at": row.asked_at,
        "released_by": _name(session, row.released_by_id),
        "released_at": row.released_at,
    }


def _look_again(session: Session, row: Stop, now: dt.datetime) -> None:
    """Let the publisher look at the names that were held once more."""
    keys = [key for finding in findings(row) for key in finding.keys]
    for some in targets.batches(keys):
        query = select(TargetRow).join(Order, Order.id == TargetRow.order_id)
        for target in session.scalars(query.where(TargetRow.key.in_(some), targets.is_active())):
            touched.target(session, target, now)


def told(finding: Finding) -> dict[str, Any]:
    """A finding as people and the journal are told of it; `pulih fsck` compares the two, so its shape stays."""
    shown = [names.from_key(key) for key in finding.keys[:NAMES_TOLD]]
    return {"key": finding.key, "why": finding.why, "names": shown, "count": len(finding.keys)}


def _name(session: Session, principal_id: int | None) -> str | None:
    return None if principal_id is None else session.get_one(Principal, principal_id).name
