"""Lifting by hand: a whole order, some of its names, or at a moment to come."""

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import Conflict, Fault, NotFound, Unprocessable, faults_of
from app.journal.actor import Actor
from app.journal.append import Entry, append, timestamp
from app.journal.events import EventType
from app.orders import exceptions, grounds, incidents, states, targets, touched
from app.orders.models import Ground, Order, TargetRow
from app.orders.schemas import Lift, PlanLift, TargetIn
from resolver_policy import names
from resolver_policy.errors import PolicyError


def lift(session: Session, actor: Actor, order: Order, command: Lift, now: dt.datetime) -> Order:
    """End an order, or release the named targets; when none is left, the order ends. Of an exception this is a proposal
    until another approver asks for the same.

    Raises Conflict where the order has not been approved, has ended, or a target has been released before, NotFound
    for a target that the order does not have, and what the ground's own rules say (`grounds`).
    """
    states.require_state(order, *states.STANDING)
    ground = Ground(command.ground)
    grounds.check(session, actor, order, command)
    rows = None if command.targets is None else _rows(session, order, command.targets)
    if not exceptions.agreed(session, actor, order, ground, rows, command.reason, now):
        return order
    facts: dict[str, object] = {"reason": command.reason}
    if command.document is not None:
        facts["document"] = command.document
    released: list[dict[str, str]] = []
    if rows is not None:
        released = facts["targets"] = _release(session, rows, now)
    ends = not released or not _holds_anything(session, order)
    grounds.commit(session, actor, order, command, now, all_of_it=ends)
    if ends:
        order.lift_document = command.document
        states.end(session, actor, order, ground, now, facts=facts)
    else:
        _lift_in_part(session, actor, order, ground, facts, now)
    session.flush()
    return order


def _lift_in_part(
    session: Session, actor: Actor, order: Order, ground: Ground, facts: dict[str, object], now: dt.datetime
) -> None:
    states.revise(order)
    order.end_proposed = order.end_proposed_by_id = None
    released = facts["targets"]
    assert isinstance(released, list)
    if ground == Ground.WRONG_BLOCK:
        incidents.record(session, actor, order, len(released), facts["reason"], now)
    known = {"order": order.uid, "ground": str(ground)}
    append(session, actor, Entry(EventType.ORDER_LIFTED_IN_PART, {**known, **facts}, order.id), now)


def plan_lift(session: Session, actor: Actor, order: Order, command: PlanLift, now: dt.datetime) -> Order:
    """Plan a lift at a moment, or at one not chosen yet; planning again moves it, and the journal keeps the slip."""
    states.require_state(order, *states.STANDING)
    exceptions.refuse_alone(order, "plan the lift of")
    grounds.check(session, actor, order, command)
    if command.at is not None and command.at <= now:
        fault = Fault("planned_in_the_past", command.at.isoformat(), "/at")
        raise Unprocessable("that moment has passed: lift it now instead", faults=(fault,))
    states.revise(order)
    slipped_from = {"ground": order.lift_ground, "at": _written(order.lift_planned_at)}
    order.lift_ground = command.ground
    order.lift_planned_at = command.at
    order.lift_planned_by_id = actor.principal_id
    order.lift_document = command.document
    order.due_at = states.next_due(order)
    facts: dict[str, object] = {
        "order": order.uid,
        "ground": str(command.ground),
        "reason": command.reason,
        "at": _written(command.at),
        "before": slipped_from if slipped_from["ground"] else None,
    }
    if command.document is not None:
        facts["document"] = command.document
    append(session, actor, Entry(EventType.ORDER_LIFT_PLANNED, facts, order.id), now)
    grounds.commit(session, actor, order, command, now, all_of_it=command.at is not None)
    session.flush()
    return order


def _rows(session: Session, order: Order, wanted: Sequence[TargetIn]) -> list[TargetRow]:
    rows: list[TargetRow] = []
    for index, target in enumerate(wanted):
        pointer = f"/targets/{index}/name"
        try:
            name = names.canonical(target.name)
        except PolicyError as error:
            raise Unprocessable(error.detail, code=error.code, faults=faults_of(error, pointer=pointer)) from error
        row = _target(session, order, name, targets.match_code(target.match))
        if row is None:
            fault = Fault("not_a_target", name, pointer)
            raise NotFound(f"{name} ({target.match}) is not a target of this order", faults=(fault,))
        if row.released_at is not None:
            raise Conflict(f"{name} ({target.match}) was released at {timestamp(row.released_at)}")
        if row in rows:
            raise Conflict(f"{name} ({target.match}) stands there twice")
        rows.append(row)
    return rows


def _release(session: Session, rows: Sequence[TargetRow], now: dt.datetime) -> list[dict[str, str]]:
    released = []
    for row in rows:
        row.released_at = now
        touched.target(session, row, now)
        released.append({"name": names.from_key(row.key), "match": str(targets.MATCHES[row.match])})
    session.flush()
    return released


def _target(session: Session, order: Order, name: str, match: int) -> TargetRow | None:
    key = names.sort_key(name)
    query = select(TargetRow).where(TargetRow.key == key, TargetRow.match == match, TargetRow.order_id == order.id)
    return session.scalars(query).one_or_none()


def _holds_anything(session: Session, order: Order) -> bool:
    left = select(TargetRow.id).where(targets.of_order(order.id), TargetRow.released_at.is_(None)).limit(1)
    return session.scalar(left) is not None


def _written(moment: dt.datetime | None) -> str | None:
    return None if moment is None else timestamp(moment)
