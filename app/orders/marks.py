"""Marks on conditions: claimed, shown by more evidence, met, rejected, waived, breached.

The mark that completes a tree lifts the block at once, also one that is suspended. After a lift that rests on
conditions marks go on: commitments are still to be kept, and a breach opens a review.
"""

import datetime as dt

from sqlalchemy.orm import Session

from app.auth import four_eyes
from app.errors import Conflict
from app.journal.actor import Actor
from app.journal.append import Entry, Facts, append
from app.journal.events import EventType
from app.orders import commitments, delegations, evidence, exceptions, reviews, states, trees
from app.orders.grounds import RESTS_ON_CONDITIONS
from app.orders.models import ConditionRow, Ground, Order, OrderState, ReviewCause
from app.orders.schemas import AddEvidence, Claim, Mark, Waive
from resolver_policy import conditions
from resolver_policy.conditions import State


def claim(session: Session, actor: Actor, condition: ConditionRow, command: Claim, now: dt.datetime) -> ConditionRow:
    """Say that a condition is fulfilled, by whom, and keep what shows it. A claim never counts as met."""
    order = _order(session, condition, State.PENDING, State.REJECTED, State.BREACHED)
    facts = delegations.set_by_claim(condition, command.delegate, now)
    facts |= evidence.keep(session, actor, condition, command.evidence, now)
    condition.state = State.CLAIMED
    condition.claimed_by_id = actor.principal_id
    condition.verified_by_id = None
    _record(session, actor, EventType.CONDITION_CLAIMED, order, condition, facts, now)
    return condition


def add_evidence(
    session: Session, actor: Actor, condition: ConditionRow, command: AddEvidence, now: dt.datetime
) -> ConditionRow:
    """Show more for a claim that nobody has judged yet; raises Forbidden for anybody but who made it."""
    order = _order(session, condition, State.CLAIMED)
    evidence.check_adder(actor, condition)
    delegations.require_valid(condition, now)
    facts = evidence.keep(session, actor, condition, command.evidence, now)
    _record(session, actor, EventType.CONDITION_EVIDENCE_ADDED, order, condition, facts, now)
    return condition


def verify(session: Session, actor: Actor, condition: ConditionRow, command: Mark, now: dt.datetime) -> ConditionRow:
    """Mark a claimed condition as met, which seals its evidence.

    Raises Forbidden (`four_eyes`) for whoever claimed it, Conflict where it was delegated and that has ended.
    """
    order = _order(session, condition, State.CLAIMED)
    four_eyes.check(actor, condition.claimed_by_id, act="verify", first_act="claimed")
    delegations.require_valid(condition, now)
    facts = {"reason": command.reason, "evidence": evidence.digests(session, condition)}
    condition.state = State.MET
    condition.verified_by_id = actor.principal_id
    _record(session, actor, EventType.CONDITION_MET, order, condition, facts, now)
    _lift_when_satisfied(session, actor, order, now)
    return condition


def reject(session: Session, actor: Actor, condition: ConditionRow, command: Mark, now: dt.datetime) -> ConditionRow:
    """Refuse a claim; it may be made again, with other evidence."""
    order = _order(session, condition, State.CLAIMED)
    four_eyes.check(actor, condition.claimed_by_id, act="reject", first_act="claimed")
    condition.state = State.REJECTED
    _record(session, actor, EventType.CONDITION_REJECTED, order, condition, {"reason": command.reason}, now)
    return condition


def waive(session: Session, actor: Actor, condition: ConditionRow, command: Waive, now: dt.datetime) -> ConditionRow:
    """Set a condition aside, by an authority and for a reason. It counts as satisfied, and never looks met."""
    order = _order(session, condition, State.PENDING, State.CLAIMED, State.REJECTED, State.BREACHED)
    exceptions.refuse_alone(order, "waive a condition of")
    condition.state = State.WAIVED
    facts = {"reason": command.reason, "authority": command.authority}
    _record(session, actor, EventType.CONDITION_WAIVED, order, condition, facts, now)
    _lift_when_satisfied(session, actor, order, now)
    return condition


def breach(session: Session, actor: Actor, condition: ConditionRow, command: Waive, now: dt.datetime) -> ConditionRow:
    """Say that a condition which was met no longer is. It blocks nothing again: after a lift it opens a review."""
    order = _order(session, condition, State.MET)
    condition.state = State.BREACHED
    facts = {"reason": command.reason, "authority": command.authority}
    _record(session, actor, EventType.CONDITION_BREACHED, order, condition, facts, now)
    if order.state == OrderState.ENDED:
        opening = reviews.Opening(ReviewCause.BREACH, reason=command.reason)
        reviews.open_review(session, actor, order, condition, opening, now)
        commitments.look(session, order)
    return condition


def _lift_when_satisfied(session: Session, actor: Actor, order: Order, now: dt.datetime) -> None:
    if order.state == OrderState.ENDED:
        commitments.look(session, order)
        return
    session.flush()
    delegations.run_out(session, order, now)
    rows = trees.rows_of(session, order.id)
    marked = trees.leaf_states(rows)
    verdict = conditions.judge(trees.tree_of(rows), marked)
    if verdict.satisfied:
        facts: dict[str, object] = {"because": list(verdict.because)}
        waived = [code for code in verdict.because if marked[code] == State.WAIVED]
        if waived:
            facts["waived"] = waived
        states.end(session, actor, order, Ground.CONDITIONS_MET, now, facts=facts)
        session.flush()


def _order(session: Session, condition: ConditionRow, *allowed: State) -> Order:
    """The order of a condition, locked; raises Conflict where neither the order nor the condition takes the mark."""
    order = session.get_one(Order, condition.order_id, with_for_update=True)
    if order.state != OrderState.ENDED or order.ground not in RESTS_ON_CONDITIONS:
        states.require_state(order, *states.STANDING)
    if condition.state not in allowed:
        wanted = " or ".join(allowed)
        raise Conflict(f"condition {condition.code} is {condition.state}; this needs one that is {wanted}")
    return order


def _record(
    session: Session,
    actor: Actor,
    type_: EventType,
    order: Order,
    condition: ConditionRow,
    facts: Facts,
    now: dt.datetime,
) -> None:
    condition.version += 1
    known = {"order": order.uid, "condition": condition.uid, "code": condition.code, "state": condition.state}
    append(session, actor, Entry(type_, {**known, **facts}, order.id), now)
    session.flush()
