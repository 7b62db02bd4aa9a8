"""What the events of an order add up to: every column that they set, its times in force, the names that it let go."""

import datetime as dt
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from app.fsck.said import Said, moment
from app.journal.events import EventType
from app.journal.models import Event
from app.orders import states
from app.orders.models import Ground, OrderKind, OrderState

STANDING = frozenset(states.STANDING)
PROPOSED, ACTIVE, SUSPENDED = frozenset({OrderState.PROPOSED}), frozenset({OrderState.ACTIVE}), OrderState.SUSPENDED
RELEASED = "targets"


@dataclass
class Replayed:
    """What the journal says of one order: columns by name, of the order and of each condition (by its id).

    `now` has the values alone, as they are after the events so far.
    """

    columns: dict[str, Said] = field(default_factory=dict)
    now: dict[str, Any] = field(default_factory=dict)
    conditions: dict[str, dict[str, Said]] = field(default_factory=dict)
    evidence: dict[str, list[str]] = field(default_factory=dict)
    in_force: list[tuple[dt.datetime, dt.datetime | None]] = field(default_factory=list)
    released: dict[tuple[str, str], Said] = field(default_factory=dict)
    proposed: dict[str, Any] | None = None
    against_the_rules: list[tuple[Event, str]] = field(default_factory=list)


def replay(events: Iterable[Event]) -> Replayed:
    """Go through the events of one order, oldest first."""
    order = Replayed()
    for event in events:
        act, states_before = ACTS.get(str(event.type), (_nothing, None))
        now = order.now.get("state")
        if act is not _propose and order.proposed is None:
            order.against_the_rules.append((event, "nobody had proposed the order"))
        elif states_before is not None and now not in states_before:
            order.against_the_rules.append((event, f"the order was {now} by then"))
        try:
            act(_Step(order, event, json.loads(event.body)["facts"]))
        except (LookupError, TypeError, ValueError):
            order.against_the_rules.append((event, "it does not say what such an event says"))
    return order


@dataclass
class _Step:
    """One event, and what it says."""

    order: Replayed
    event: Event
    facts: dict[str, Any]

    def say(self, **columns: object) -> None:
        self.order.columns.update({name: Said(value, self.event) for name, value in columns.items()})
        self.order.now.update(columns)

    def revise(self) -> None:
        self.say(version=(self.order.now.get("version") or 0) + 1)

    def enter_force(self) -> None:
        self.say(state=OrderState.ACTIVE, suspended_until=None, notice_due_at=None)
        self.order.in_force.append((self.event.recorded_at, None))

    def leave_force(self) -> None:
        if self.order.in_force and self.order.in_force[-1][1] is None:
            self.order.in_force[-1] = (self.order.in_force[-1][0], self.event.recorded_at)

    def release(self) -> None:
        for target in self.facts.get(RELEASED) or ():
            name = (target["name"], target["match"])
            if name in self.order.released:
                self.wrong(f"{name[0]} ({name[1]}) had been released before")
            self.order.released[name] = Said(self.event.recorded_at, self.event)

    def four_eyes(self, first: str, who: object) -> None:
        if who == self.event.actor:
            self.wrong(f"{self.event.actor} did it, who {first}")

    def wrong(self, why: str) -> None:
        self.order.against_the_rules.append((self.event, why))


_Act = Callable[[_Step], None]


def _nothing(_step: _Step) -> None:
    """An event that changes no row of an order."""


def _propose(step: _Step) -> None:
    facts = step.facts
    if step.order.proposed is not None:
        step.wrong("the order had been proposed before")
    step.order.proposed = facts
    step.say(
        state=OrderState.PROPOSED,
        version=1,
        proposed_at=step.event.recorded_at,
        proposed_by=step.event.actor,
        undoes=facts.get("undoes"),
        review_at=moment(facts["review_due_at"]),
        plan_seen=False,
    )
    nothing_yet = ("decided_at", "approved_by", "rejected_by", "lift_ground", "lift_planned_at", "lift_planned_by")
    none = ("lift_document", "suspended_until", "notice_due_at", "end_proposed", "end_proposed_by", "ended_at")
    step.say(**dict.fromkeys((*nothing_yet, *none, "ended_by", "ground", "stale_since"), None))


def _approve(step: _Step) -> None:
    step.revise()
    step.four_eyes("proposed it", step.order.now.get("proposed_by"))
    step.say(decided_at=step.event.recorded_at, approved_by=step.event.actor)
    step.say(plan_seen=step.facts["plan_hash"] is not None)
    effective_at = moment((step.order.proposed or {}).get("effective_at"))
    if effective_at is not None and effective_at > step.event.recorded_at:
        step.say(state=OrderState.SCHEDULED)
    else:
        step.enter_force()


def _confirm(step: _Step) -> None:
    step.revise()
    step.four_eyes("issued it", step.order.now.get("proposed_by"))
    step.say(decided_at=step.event.recorded_at, approved_by=step.event.actor)
    step.say(plan_seen=step.facts["plan_hash"] is not None)


def _reject(step: _Step) -> None:
    step.revise()
    step.four_eyes("proposed it", step.order.now.get("proposed_by"))
    step.say(state=OrderState.REJECTED, decided_at=step.event.recorded_at, rejected_by=step.event.actor)


def _withdraw(step: _Step) -> None:
    step.revise()
    step.say(state=OrderState.WITHDRAWN)


def _activate(step: _Step) -> None:
    step.revise()
    is_emergency = (step.order.proposed or {}).get("kind") == OrderKind.EMERGENCY
    if step.order.now.get("state") == OrderState.PROPOSED and not is_emergency:
        step.wrong("nobody had approved the order")
    step.enter_force()


def _end(step: _Step) -> None:
    step.revise()
    if step.order.now.get("state") == OrderState.ACTIVE:
        step.leave_force()
    step.release()
    step.say(state=OrderState.ENDED, ended_at=step.event.recorded_at, ground=step.facts["ground"])
    step.say(suspended_until=None, notice_due_at=None)
    if "document" in step.facts:
        step.say(lift_document=step.facts["document"])
    if "with" in step.facts:  # of what brought back a part of another order: that one's row says who ended it
        for column in ("ended_by", "lift_document", "end_proposed_by"):
            step.order.columns.pop(column, None)
    elif step.facts["ground"] != Ground.EMERGENCY_LAPSED:
        is_planned = moment(step.facts.get("due_at")) == step.order.now.get("lift_planned_at")
        planned_by = step.order.now.get("lift_planned_by") if is_planned else None
        step.say(ended_by=planned_by if step.event.principal_id is None else step.event.actor)


def _lift_in_part(step: _Step) -> None:
    step.revise()
    step.say(end_proposed=None, end_proposed_by=None)
    step.release()


def _plan_lift(step: _Step) -> None:
    step.revise()
    step.say(lift_ground=step.facts["ground"], lift_planned_at=moment(step.facts["at"]))
    step.say(lift_planned_by=step.event.actor, lift_document=step.facts.get("document"))


def _suspend(step: _Step) -> None:
    step.revise()
    if step.event.type == EventType.ORDER_SUSPENDED:
        step.leave_force()
    step.say(state=OrderState.SUSPENDED, suspended_until=moment(step.facts["until"]))
    step.say(notice_due_at=moment(step.facts["notice_at"]))


def _notice(step: _Step) -> None:
    step.say(notice_due_at=None)


def _resume(step: _Step) -> None:
    step.revise()
    step.enter_force()


def _propose_end(step: _Step) -> None:
    step.revise()
    end = {"ground": step.facts["ground"], "targets": step.facts["targets"]}
    step.say(end_proposed=json.dumps(end, sort_keys=True), end_proposed_by=step.event.actor)


def _review(step: _Step) -> None:
    step.revise()
    step.four_eyes("proposed it", step.order.now.get("proposed_by"))
    step.say(stale_since=None)
    next_at = moment(step.facts["next_review_at"])
    if next_at is not None:
        step.say(review_at=next_at)


def _note(step: _Step) -> None:
    now = step.event.recorded_at
    if step.order.now.get("stale_since") is None:
        step.say(stale_since=now)
    if now < step.order.now["review_at"]:
        step.say(review_at=now)


def _mark(step: _Step) -> None:
    """A mark on a condition; what was copied from another order is not known before it is set again."""
    columns = step.order.conditions.setdefault(step.facts["condition"], {})
    said: dict[str, object] = {"version": _revised(columns)}
    if step.event.type == EventType.CONDITION_COMMITTED:
        said["commitment_due_at"] = moment(step.facts["due_at"])
    else:
        said["state"] = step.facts["state"]
    if step.event.type == EventType.CONDITION_CLAIMED:
        delegate = step.facts.get("delegate")
        said |= {"claimed_by": step.event.actor, "verified_by": None, "delegate": delegate and delegate["name"]}
        said |= {"delegated_until": moment(delegate and delegate["valid_until"])}
    if step.event.type == EventType.CONDITION_MET:
        claimed = columns.get("claimed_by")
        if claimed is not None:
            step.four_eyes("claimed it", claimed.value)
        said["verified_by"] = step.event.actor
    if step.event.type in {EventType.CONDITION_CLAIMED, EventType.CONDITION_EVIDENCE_ADDED}:
        step.order.evidence.setdefault(step.facts["condition"], []).append(step.facts["evidence"])
    columns.update({name: Said(value, step.event) for name, value in said.items()})


def _revised(columns: dict[str, Said]) -> int:
    version = columns["version"].value if "version" in columns else 1
    assert isinstance(version, int)
    return version + 1


ACTS: dict[str, tuple[_Act, frozenset[OrderState] | None]] = {
    EventType.ORDER_PROPOSED: (_propose, None),
    EventType.ORDER_APPROVED: (_approve, PROPOSED),
    EventType.ORDER_REJECTED: (_reject, PROPOSED),
    EventType.ORDER_WITHDRAWN: (_withdraw, PROPOSED),
    EventType.ORDER_ACTIVATED: (_activate, frozenset({OrderState.PROPOSED, OrderState.SCHEDULED})),
    EventType.ORDER_CONFIRMED: (_confirm, ACTIVE),
    EventType.ORDER_ENDED: (_end, STANDING),
    EventType.ORDER_LIFTED_IN_PART: (_lift_in_part, STANDING),
    EventType.ORDER_LIFT_PLANNED: (_plan_lift, STANDING),
    EventType.ORDER_SUSPENDED: (_suspend, ACTIVE),
    EventType.ORDER_SUSPENSION_MOVED: (_suspend, frozenset({SUSPENDED})),
    EventType.ORDER_RETURN_NOTICED: (_notice, frozenset({SUSPENDED})),
    EventType.ORDER_RESUMED: (_resume, frozenset({SUSPENDED})),
    EventType.ORDER_END_PROPOSED: (_propose_end, STANDING),
    EventType.ORDER_REVIEWED: (_review, STANDING),
    EventType.ORDER_NOTED: (_note, STANDING),
    EventType.CONDITION_CLAIMED: (_mark, None),
    EventType.CONDITION_EVIDENCE_ADDED: (_mark, None),
    EventType.CONDITION_MET: (_mark, None),
    EventType.CONDITION_REJECTED: (_mark, None),
    EventType.CONDITION_WAIVED: (_mark, None),
    EventType.CONDITION_BREACHED: (_mark, None),
    EventType.CONDITION_COMMITTED: (_mark, None),
}
"""What each event does to an order, and the states in which it may: None where that is for its condition to say."""
