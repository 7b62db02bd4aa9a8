"""Marks on conditions: claimed, met, rejected, waived, breached.

The mark that completes a tree lifts the block at once, also one that is suspended. After a lift that rests on
conditions marks go on: commitments are still to be kept, and a breach opens a review.
"""

import base64
import datetime as dt
import hashlib

from sqlalchemy.orm import Session

from app.auth import four_eyes
from app.errors import Conflict, Fault, TooLarge, Unprocessable
from app.journal.actor import Actor
from app.journal.append import Entry, Facts, append
from app.journal.events import EventType
from app.orders import commitments, exceptions, reviews, states, trees
from app.orders.models import ConditionRow, Evidence, Ground, Order, OrderState, ReviewCause
from app.orders.schemas import MAX_EVIDENCE_OCTETS, Claim, EvidenceIn, Mark, Waive
from resolver_policy import conditions
from resolver_policy.conditions import State

RESTS_ON_CONDITIONS = (Ground.CONDITIONS_MET, Ground.SOLUTION_INDICATED)
"""Grounds of a lift after which its conditions still matter."""


def claim(session: Session, actor: Actor, condition: ConditionRow, command: Claim, now: dt.datetime) -> ConditionRow:
    """Say that a condition is fulfilled, and keep what shows it. A claim never counts as met."""
    order = _order(session, condition, State.PENDING, State.REJECTED, State.BREACHED)
    digest = _keep_evidence(session, actor, condition, command.evidence, now)
    condition.state = State.CLAIMED
    condition.claimed_by_id = actor.principal_id
    condition.verified_by_id = None
    _record(session, actor, EventType.CONDITION_CLAIMED, order, condition, {"evidence": digest}, now)
    return condition


def verify(session: Session, actor: Actor, condition: ConditionRow, command: Mark, now: dt.datetime) -> ConditionRow:
    """Mark a claimed condition as met; raises Forbidden (`four_eyes`) for whoever claimed it."""
    order = _order(session, condition, State.CLAIMED)
    four_eyes.check(actor, condition.claimed_by_id, act="verify", first_act="claimed")
    condition.state = State.MET
    condition.verified_by_id = actor.principal_id
    _record(session, actor, EventType.CONDITION_MET, order, condition, {"reason": command.reason}, now)
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
    rows = trees.rows_of(session, order.id)
    verdict = conditions.judge(trees.tree_of(rows), trees.leaf_states(rows))
    if verdict.satisfied:
        states.end(session, actor, order, Ground.CONDITIONS_MET, now, facts={"because": list(verdict.because)})
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


def _keep_evidence(
    session: Session, actor: Actor, condition: ConditionRow, evidence: EvidenceIn, now: dt.datetime
) -> str:
    if evidence.text is None and evidence.file is None:
        raise Unprocessable("evidence is a text, a file, or both", faults=(Fault("evidence", pointer="/evidence"),))
    content = None if evidence.file is None else base64.b64decode(evidence.file.content)
    if content is not None and len(content) > MAX_EVIDENCE_OCTETS:
        raise TooLarge(f"the file has {len(content)} octets, {MAX_EVIDENCE_OCTETS} are allowed")
    digest = evidence_digest(evidence.text, content)
    assert actor.principal_id is not None
    session.add(
        Evidence(
            condition_id=condition.id,
            submitted_at=now,
            submitted_by_id=actor.principal_id,
            sha256=digest,
            text=evidence.text,
            file_name=None if evidence.file is None else evidence.file.name,
            file_content=content,
        )
    )
    return "sha256:" + digest.hex()


def evidence_digest(text: str | None, content: bytes | None) -> bytes:
    """SHA-256 of the text's UTF-8 octets; of the file's octets, where there is only a file; of both hashes else."""
    parts = [part for part in (None if text is None else text.encode(), content) if part is not None]
    digests = [hashlib.sha256(part).digest() for part in parts]
    return digests[0] if len(digests) == 1 else hashlib.sha256(b"".join(digests)).digest()


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
