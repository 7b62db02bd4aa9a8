"""Approval and rejection: by another person than the proposer, and of the plan that was shown."""

import datetime as dt
from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.auth import four_eyes
from app.db import Database
from app.errors import Conflict, Unprocessable, faults_of
from app.journal.actor import Actor
from app.journal.append import Entry, append
from app.journal.events import EventType
from app.orders import emergency, grounds, limits, meanwhile, plan, propose, queries, states, targets, undo
from app.orders.guarding import Guard
from app.orders.limits import SEND_HASH
from app.orders.models import Order, OrderState
from app.orders.plan import Plan
from app.orders.schemas import MAX_TARGETS, Decide
from resolver_policy.errors import PolicyError

PLAN_CHANGED = "what approval would do has changed: read the plan again"

PREPARED_AT_MOST = 3


def approve(
    session: Session,
    actor: Actor,
    order: Order,
    command: Decide,
    now: dt.datetime,
    *,
    guard: Guard,
    prepared: "Prepared | None" = None,
) -> Order:
    """Put a proposal in force, now or (state `scheduled`) at its date.

    Raises Forbidden (`four_eyes`) for the proposer, Conflict for another state or a changed plan, Unprocessable
    where the plan must be seen and was not, or where a name has become protected.
    """
    four_eyes.check(actor, order.proposed_by_id, act="approve", first_act="proposed")
    states.require_state(order, OrderState.PROPOSED)
    undo.refuse_if_overtaken(session, order)
    grounds.refuse_who_heard_the_appeal(session, actor, order)
    _check_limits(session, actor, order, command, now, guard)
    _check_plan(session, order, command, guard, prepared)
    states.revise(order)
    order.decided_at = now
    order.approved_by_id = actor.principal_id
    order.plan_seen = command.plan_hash is not None
    facts = {"order": order.uid, "reason": command.reason, "plan_hash": command.plan_hash}
    append(session, actor, Entry(EventType.ORDER_APPROVED, facts, order.id), now)
    expires_at = states.expiry(order)
    if expires_at is not None and expires_at <= now:
        raise Conflict("the order has expired before anybody approved it")
    if order.effective_at is not None and order.effective_at > now:
        order.state = OrderState.SCHEDULED
        order.due_at = states.next_due(order)
    else:
        states.begin(session, order, now)
    session.flush()
    return order


def confirm(session: Session, actor: Actor, order: Order, command: Decide, now: dt.datetime, *, guard: Guard) -> Order:
    """Let an emergency order stand; by another person than the one who issued it, in the way of an approval."""
    four_eyes.check(actor, order.proposed_by_id, act="confirm", first_act="issued")
    emergency.require_unconfirmed(order, now)
    grounds.refuse_who_heard_the_appeal(session, actor, order)
    _check_limits(session, actor, order, command, now, guard)
    _check_plan(session, order, command, guard, None)
    emergency.record_confirmation(session, actor, order, command.reason, command.plan_hash, now)
    return order


def reject(session: Session, actor: Actor, order: Order, command: Decide, now: dt.datetime) -> Order:
    """Refuse a proposal, for good; raises Forbidden (`four_eyes`) for the proposer, who withdraws instead."""
    four_eyes.check(actor, order.proposed_by_id, act="reject", first_act="proposed")
    states.require_state(order, OrderState.PROPOSED)
    states.revise(order)
    order.state = OrderState.REJECTED
    order.decided_at = now
    order.rejected_by_id = actor.principal_id
    append(
        session,
        actor,
        Entry(EventType.ORDER_REJECTED, {"order": order.uid, "reason": command.reason}, order.id),
        now,
    )
    session.flush()
    return order


@dataclass(frozen=True, slots=True)
class Prepared:
    """A plan made, and its names guarded, while nobody was kept waiting; `events` is how many there were by then."""

    plan: Plan
    events: int


def prepare(database: Database, uid: str, *, guard: Guard) -> Prepared:
    """Do the long part of an approval before the transaction that holds the writer's lock.

    It is done anew where something happened to the order's names meanwhile, a few times at most.
    """
    for _ in range(PREPARED_AT_MOST):
        with database.read() as session:
            prepared = _prepare(session, queries.order_by_uid(session, uid), guard)
        with database.read() as session:
            if meanwhile.untouched(session, queries.order_by_uid(session, uid).id, prepared.events):
                break
    return prepared


def _prepare(session: Session, order: Order, guard: Guard) -> Prepared:
    events = meanwhile.events(session)
    plan.refuse_useless_exception(session, order)
    _check_guard(session, order, guard)
    return Prepared(plan.make(session, order, guard=guard), events)


def _check_limits(
    session: Session, actor: Actor, order: Order, command: Decide, now: dt.datetime, guard: Guard
) -> None:
    if command.plan_hash is None and order.targets_count <= MAX_TARGETS:
        limits.check(session, order, actor, now, guard.limits)


def _check_plan(session: Session, order: Order, command: Decide, guard: Guard, prepared: Prepared | None) -> None:
    is_large = order.targets_count > MAX_TARGETS
    if command.plan_hash is None:
        if is_large:
            raise Unprocessable(SEND_HASH, code="mass_change")
        if order.override is None:
            plan.refuse_useless_exception(session, order)
            _check_guard(session, order, guard)
            return
    if prepared is None or not meanwhile.untouched(session, order.id, prepared.events):
        if prepared is not None and is_large:
            raise Conflict(PLAN_CHANGED, code="plan_changed")
        prepared = _prepare(session, order, guard)
    if command.plan_hash is None and prepared.plan.must_be_seen:
        raise Unprocessable(SEND_HASH, code="mass_change")
    if command.plan_hash is not None and command.plan_hash != prepared.plan.plan_hash:
        raise Conflict(PLAN_CHANGED, code="plan_changed")


def _check_guard(session: Session, order: Order, guard: Guard) -> None:
    """Ask the guard again: the lists may have grown since the proposal."""
    overridden = propose.is_lenient(order.kind, order.override)
    for key, match in targets.of_order_in_pages(session, order.id):
        try:
            guard.check_again(key, targets.MATCHES[match], overridden=overridden)
        except PolicyError as error:
            raise Unprocessable(error.detail, code=error.code, faults=faults_of(error, pointer="/targets")) from error
