"""Undoing a release: each of the acts that it was made of, by the rules of undoing orders.

What the release blocked is lifted at once; what it lifted becomes proposals, each for another person to approve.
"""

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db import Clock, Database
from app.errors import AppError, NotFound
from app.journal.actor import Actor
from app.journal.events import EventType
from app.journal.models import Event
from app.orders import restore, targets
from app.orders import undo as orders
from app.orders.guarding import Guard
from app.orders.models import Order, OrderState
from app.orders.schemas import Undo
from app.publication import zones
from app.publication.models import Release, ReleaseAct
from resolver_policy import names
from resolver_policy.errors import PolicyError
from resolver_policy.targets import Match

UNCHANGED = "unchanged"
REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Item:
    """One act of a release, and what undoing it came to: `detail` says why nothing, where it was nothing."""

    order: Order
    act: str
    detail: str | None = None
    proposal: Order | None = None


def release_of(session: Session, zone: str, serial: int) -> Release:
    """The release that a zone published under a serial; raises NotFound for one that it never had."""
    found = zones.release_of(session, zones.by_name(session, zone), serial)
    if found is None:
        raise NotFound(f"{zone} never had serial {serial}")
    return session.get_one(Release, found)


def stage(
    database: Database, actor: Actor, zone: str, serial: int, command: Undo, *, guard: Guard, clock: Clock
) -> dict[int, int]:
    """Make ready what undoing a release will propose of large orders: order -> what `restore.stage` stored."""
    with database.read() as session:
        release = release_of(session, zone, serial)
        ended = select(ReleaseAct.order_id).where(
            ReleaseAct.release_id == release.id, ReleaseAct.whole, ReleaseAct.ends
        )
        order_ids = session.scalars(ended).all()
    staged = {}
    for order_id in order_ids:
        with suppress(AppError, PolicyError):  # told where the act itself is tried
            staged[order_id] = restore.stage(database, actor, order_id, command, guard=guard, clock=clock)
    return {order_id: found for order_id, found in staged.items() if found is not None}


def undo(
    session: Session,
    actor: Actor,
    release: Release,
    command: Undo,
    now: dt.datetime,
    *,
    guard: Guard,
    staged: Mapping[int, int],
) -> list[Item]:
    """Undo what a release did, act by act. What cannot be undone is told, and keeps nothing else from being undone."""
    rows = session.scalars(
        select(ReleaseAct).where(ReleaseAct.release_id == release.id).order_by(ReleaseAct.order_id, ReleaseAct.whole)
    ).all()
    return [
        _undo(session, actor, release, row, command, now, guard=guard, staged=staged.get(row.order_id)) for row in rows
    ]


def _undo(
    session: Session,
    actor: Actor,
    release: Release,
    row: ReleaseAct,
    command: Undo,
    now: dt.datetime,
    *,
    guard: Guard,
    staged: int | None,
) -> Item:
    order = session.get_one(Order, row.order_id, with_for_update=True)
    is_over = order.state == OrderState.ENDED
    if row.whole and row.ends != is_over:
        return Item(order, UNCHANGED, f"the order is {order.state} by now")
    try:
        with session.begin_nested():
            if row.whole:
                undone = orders.undo(session, actor, order, command, now, guard=guard, staged=staged)
                proposal = undone.order if undone.act is orders.Act.PROPOSED else None
                return Item(order, undone.act, proposal=proposal)
            again = iter(_released(session, release, order))
            proposal = restore.propose_again(session, actor, order, again, command, now, guard=guard)
            return Item(order, orders.Act.PROPOSED, proposal=proposal)
    except (AppError, PolicyError) as error:
        return Item(order, REFUSED, error.detail)


def _released(session: Session, release: Release, order: Order) -> Sequence[restore.Row]:
    """(key, match code) of the single names of an order that a release let go of, in key order.

    They are those of the events since the release before that let go of names of the order.
    """
    before = select(func.max(ReleaseAct.release_id)).where(
        ReleaseAct.order_id == order.id, ReleaseAct.whole.is_(False), ReleaseAct.release_id < release.id
    )
    earlier = session.get(Release, session.scalar(before) or 0)
    events = session.scalars(
        select(Event).where(
            Event.order_id == order.id,
            Event.type.in_((EventType.ORDER_LIFTED_IN_PART, EventType.ORDER_ENDED)),
            Event.seq > (0 if earlier is None else earlier.events_until),
            Event.seq <= release.events_until,
        )
    )
    return sorted(row for event in events for row in _rows(event))


def _rows(event: Event) -> Iterator[restore.Row]:
    for target in json.loads(event.body)["facts"].get("targets", ()):
        yield names.sort_key(target["name"]), targets.match_code(Match(target["match"]))
