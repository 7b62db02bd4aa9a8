"""Undoing an order, or the lift that ended it: by a new change, also months later; nothing that happened is taken away.

What only opens happens at once: an order that stands is lifted as a wrong block. What would block again is for two
people: the lift of an order is undone by a proposal under the same legal order, as long as that stands; an exception
ends once a second approver undoes it too.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.errors import Conflict
from app.journal.actor import Actor
from app.journal.append import timestamp
from app.journal.events import EventType
from app.journal.models import Event
from app.orders import exceptions, holders, restore, states, targets
from app.orders.guarding import Guard
from app.orders.models import ORDINAL_BITS, Ground, Order, OrderKind, OrderState, TargetRow
from app.orders.schemas import Undo
from resolver_policy import names

SHOWN = 1_000


class Act(StrEnum):
    """What undoing an order comes to."""

    LIFTED = "lifted"
    PROPOSED = "proposed"
    END_PROPOSED = "end_proposed"


class Undone(NamedTuple):
    """What was done, and the order that it was done to: the proposal, where it became one."""

    act: Act
    order: Order


@dataclass(frozen=True, slots=True)
class Target:
    """A name of an order that is to be undone, and who else holds it, at it or above it."""

    name: str
    match: str
    held_by: list[str]
    held_above_by: list[str]


def undo(
    session: Session,
    actor: Actor,
    order: Order,
    command: Undo,
    now: dt.datetime,
    *,
    guard: Guard,
    staged: int | None = None,
) -> Undone:
    """Undo an order, or the lift that ended it; `staged` is what `restore.stage` made ready of a large one.

    Raises Conflict where there is nothing to undo or the legal order no longer stands, Forbidden (`four_eyes`) for
    who has proposed the end of an exception, and what a proposal may raise.
    """
    act = what(session, order, now)
    if act is Act.PROPOSED:
        return Undone(act, restore.whole(session, actor, order, command, now, guard=guard, staged=staged))
    if not exceptions.agreed(session, actor, order, Ground.WRONG_BLOCK, None, command.reason, now):
        return Undone(act, order)
    states.end(session, actor, order, Ground.WRONG_BLOCK, now, facts={"reason": command.reason, "undo": True})
    session.flush()
    return Undone(Act.LIFTED, order)


def what(session: Session, order: Order, now: dt.datetime) -> Act:
    """What undoing an order would come to; raises Conflict where it cannot be undone."""
    if order.state == OrderState.ENDED:
        restore.check(session, order, now)
        return Act.PROPOSED
    states.require_state(order, *states.STANDING, OrderState.ENDED)
    return Act.LIFTED if order.kind != OrderKind.EXCEPTION else Act.END_PROPOSED


def plan(session: Session, order: Order, now: dt.datetime) -> dict[str, Any]:
    """What undoing an order would do, as the interface shows it: the act, and what other orders still hold.

    The first 1,000 names are shown; the counts are of all.
    """
    act: Act | None = None
    refused = None
    try:
        act = what(session, order, now)
    except Conflict as error:
        refused = error.detail
    count = held = 0
    shown: list[Target] = []
    for target in _targets(session, order):
        count += 1
        held += bool(target.held_by or target.held_above_by)
        if len(shown) < SHOWN:
            shown.append(target)
    return {
        "at": now,
        "act": act,
        "refused": refused,
        "needs": "nobody else" if act is Act.LIFTED else None if act is None else "another approver",
        "counts": {"names": count, "still_held": held},
        "items": [
            {"name": each.name, "match": each.match, "held_by": each.held_by, "held_above_by": each.held_above_by}
            for each in shown
        ],
        "items_left_out": count - len(shown),
    }


def _targets(session: Session, order: Order) -> Iterator[Target]:
    """Every target of an order, in key order, with its other holders."""
    overhead = holders.Overhead()
    own = order.number or order.uid
    first = order.id << ORDINAL_BITS
    while rows := targets.page(session, first, targets.ROWS_IN_ONE_INSERT):
        page = select(TargetRow.key).where(TargetRow.id >= first, TargetRow.id < first + targets.ROWS_IN_ONE_INSERT)
        at = holders.of(session, TargetRow.key.in_(page))
        overhead.look(session, (key for key, _ in rows))
        for key, match in rows:
            here = [each.label for each in at.get(key, ()) if each.label != own and each.match >= match]
            above = [each.label for each in overhead.above(key).holders if each.label != own]
            yield Target(names.from_key(key), str(targets.MATCHES[match]), here, above)
        first += targets.ROWS_IN_ONE_INSERT


def refuse_if_overtaken(session: Session, proposal: Order) -> None:
    """Raise Conflict where a proposal would undo what, since it was made, is no longer to be undone."""
    if proposal.undoes_id is None:
        return
    undone = session.get_one(Order, proposal.undoes_id)
    if undone.ended_at is not None and _last(session, undone, EventType.ORDER_ENDED) > _last(
        session, proposal, EventType.ORDER_PROPOSED
    ):
        raise Conflict(f"order {undone.number} has ended since ({undone.ground}, {timestamp(undone.ended_at)})")
    restore.refuse_if_met(session, undone)


def _last(session: Session, order: Order, type_: EventType) -> int:
    """The number of the last event of a kind: acts of one moment have an order too."""
    query = select(func.max(Event.seq)).where(Event.order_id == order.id, Event.type == type_)
    return session.scalar(query) or 0
