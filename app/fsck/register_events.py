"""What the events of everything beside orders add up to: tokens, subscribers and their keys, SOPs, reviews, incidents,
stops, applications."""

import datetime as dt
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from app.cases.models import ApplicationState
from app.fsck.said import At, Said, moment
from app.journal.events import EventType
from app.journal.models import Event
from app.orders.sop_models import SopState

HOUR, SECOND = dt.timedelta(hours=1), dt.timedelta(seconds=1)
SOP_SAYS = ("title", "source", "conditions", "profiles")
SUBSCRIBER_SAYS = {"addresses": "addresses", "notify": "notify", "layers": "layered", "overrides": "overrides"}

Columns = dict[str, Said]
"""By the names of a row's columns, or by what stands for some of them (`app.fsck.registers`)."""


class Told:
    """What was said of each thing so far; a thing goes by its kind and whatever its events call it."""

    def __init__(self) -> None:
        self.things: dict[str, Columns] = {}
        self.unreadable: list[At] = []
        self.expected: dict[str, list[str]] = {}
        self._last: tuple[object, ...] = ()

    def take(self, event: Event) -> None:
        """Go on by one event; one that does not say what such an event says, of a thing that there is, is noted.

        An act on several orders stands in the record of each: only the first of its events counts.
        """
        at = At(event.seq, event.type, event.recorded_at)
        try:
            facts = dict(json.loads(event.body)["facts"])
            last, self._last = self._last, (event.type, event.recorded_at, facts)
            if self._last != last:
                person = None if event.principal_id is None else event.actor
                ACTS[event.type](_Step(self, at, event.actor, person, facts))
        except (LookupError, TypeError, ValueError, ArithmeticError):
            self.unreadable.append(at)


@dataclass
class _Step:
    """One event, and what it says."""

    _told: Told
    at: At
    actor: str
    person: str | None
    facts: dict[str, Any]

    def make(self, thing: str, **columns: object) -> None:
        """A thing is there from here on, which may have been before."""
        self._told.things.setdefault(thing, {})
        self.say(thing, **columns)

    def say(self, thing: str, **columns: object) -> None:
        """What columns of a thing hold from here on; raises LookupError where nothing has begun it."""
        self._told.things[thing].update({name: Said(value, self.at) for name, value in columns.items()})

    def moment(self, name: str) -> dt.datetime:
        """A moment that it must say."""
        found = moment(self.facts[name])
        if found is None:
            raise ValueError(f"{name} is no moment")
        return found

    def known(self, thing: str, column: str) -> Said:
        """What was said of a column by then; raises LookupError where nothing was."""
        return self._told.things[thing][column]

    def keys_of(self, subscriber: str) -> tuple[str, ...]:
        """The keys that a subscriber ever had."""
        said = self._told.things[subscriber].get("keys")
        return () if said is None else said.value

    def expect(self, order: str, thing: str) -> None:
        """The next act on an order says more about a thing."""
        self._told.expected.setdefault(order, []).append(thing)

    def expected(self, order: str) -> list[str]:
        """What this act on an order says more about."""
        return self._told.expected.pop(order, [])

    def revise(self, thing: str) -> None:
        """Another version of it."""
        self.say(thing, version=self.known(thing, "version").value + 1)


_Act = Callable[[_Step], None]


def _make_token(step: _Step) -> None:
    facts, thing = step.facts, f"token {step.facts['token']}"
    addresses = " ".join(facts.get("addresses", ())) or None
    expires_at = moment(facts["expires_at"])
    step.make(thing, principal=facts["principal"], role=facts["role"], expires_at=expires_at, addresses=addresses)
    step.say(thing, created_at=step.at.recorded_at, revoked_at=None)


def _revoke_token(step: _Step) -> None:
    step.say(f"token {step.facts['token']}", revoked_at=step.at.recorded_at)


def _add_subscriber(step: _Step) -> None:
    facts, thing = step.facts, f"subscriber {step.facts['subscriber']}"
    is_sample = "illustrative" in facts  # it has to sign, and nobody has its key
    step.make(thing, keyed=is_sample or facts["key"] is not None, removed_at=None, settling=None)
    step.say(thing, **{"layered": False, "overrides": False} | _of_subscriber(facts))
    if facts["key"] is not None:
        _make_key(step, thing)


def _change_subscriber(step: _Step) -> None:
    thing = f"subscriber {step.facts['subscriber']}"
    step.say(thing, **_of_subscriber(step.facts))
    if "settling_seconds" in step.facts:
        step.say(thing, settling=step.facts["settling_seconds"])


def _remove_subscriber(step: _Step) -> None:
    thing = f"subscriber {step.facts['subscriber']}"
    step.say(thing, removed_at=step.at.recorded_at)
    _end_keys(step, thing, step.at.recorded_at)


def _rotate_key(step: _Step) -> None:
    thing = f"subscriber {step.facts['subscriber']}"
    _end_keys(step, thing, step.moment("others_until"))
    _make_key(step, thing)


def _make_key(step: _Step, subscriber: str) -> None:
    thing, facts = f"key {step.facts['key']}", step.facts
    step.make(thing, subscriber=facts["subscriber"], algorithm=facts["algorithm"])
    step.say(thing, valid_from=step.at.recorded_at, valid_until=None)
    step.say(subscriber, keys=(*step.keys_of(subscriber), thing))


def _end_keys(step: _Step, subscriber: str, until: dt.datetime) -> None:
    for key in step.keys_of(subscriber):
        ends = step.known(key, "valid_until").value
        if ends is None or ends > until:
            step.say(key, valid_until=until)


def _of_subscriber(facts: Mapping[str, Any]) -> dict[str, object]:
    return {column: facts[name] for name, column in SUBSCRIBER_SAYS.items() if name in facts}


def _propose_sop(step: _Step) -> None:
    facts, thing = step.facts, _sop(step.facts["sop"], step.facts["revision"])
    if facts["replaces"] is not None:
        _decide_sop(step, _sop(facts["sop"], facts["replaces"]), SopState.WITHDRAWN)
    step.make(thing, number=facts["version"], digest=facts["digest"], said={part: facts[part] for part in SOP_SAYS})
    step.say(thing, state=SopState.PROPOSED, decided_at=None, decided_by=None)
    step.say(thing, proposed_at=step.at.recorded_at, proposed_by=step.actor)


def _confirm_sop(step: _Step) -> None:
    thing = _sop(step.facts["sop"], step.facts["revision"])
    step.say(thing, number=step.facts["version"], digest=step.facts["digest"])
    _decide_sop(step, thing, SopState.CONFIRMED)


def _withdraw_sop(step: _Step) -> None:
    _decide_sop(step, _sop(step.facts["sop"], step.facts["revision"]), SopState.WITHDRAWN)


def _decide_sop(step: _Step, thing: str, state: SopState) -> None:
    step.say(thing, state=state, decided_at=step.at.recorded_at, decided_by=step.actor)


def _sop(code: str, revision: int) -> str:
    return f"SOP {code} revision {revision}"


def _open_review(step: _Step) -> None:
    facts, thing = step.facts, f"review {step.facts['review']}"
    step.make(
        thing,
        version=1,
        opened_by=step.person,
        order=facts["order"],
        condition=facts["condition"],
        cause=facts["cause"],
    )
    step.say(thing, missed_at=moment(facts.get("due_at")), opened_at=step.at.recorded_at)
    step.say(thing, closed_at=None, closed_by=None, decision=None, decision_reason=None, new_order=None)


def _close_review(step: _Step) -> None:
    facts, thing = step.facts, f"review {step.facts['review']}"
    step.revise(thing)
    step.say(thing, closed_at=step.at.recorded_at, closed_by=step.actor)
    step.say(thing, decision=facts["decision"], decision_reason=facts["reason"], new_order=facts["new_order"])


def _record_incident(step: _Step) -> None:
    facts = step.facts
    step.make(f"incident {facts['incident']}", order=facts["order"], names=facts["names"], recorded_by=step.person)
    since = moment(facts["blocked_since"])
    step.say(f"incident {facts['incident']}", recorded_at=step.at.recorded_at, blocked_since=since)
    step.expect(facts["order"], f"incident {facts['incident']}")


def _give_reason(step: _Step) -> None:
    """The lift that an incident was recorded for, which comes behind it, says why."""
    for incident in step.expected(step.facts["order"]):
        step.say(incident, reason=step.facts.get("reason"))


def _stop(step: _Step) -> None:
    thing = f"stop {step.facts['stop']}"
    step.make(thing, stopped_at=step.at.recorded_at, findings=step.facts["findings"])
    step.say(thing, asked_at=None, asked_by=None, released_at=None, released_by=None)


def _ask_release(step: _Step) -> None:
    step.say(f"stop {step.facts['stop']}", asked_at=step.at.recorded_at, asked_by=step.actor)


def _release(step: _Step) -> None:
    step.say(f"stop {step.facts['stop']}", released_at=step.at.recorded_at, released_by=step.actor)


def _receive(step: _Step) -> None:
    facts, received_at = step.facts, step.moment("received_at")
    length, lacking = facts["hours"] * HOUR, facts["missing"]
    step.make(f"application {facts['application']}", whole=not facts["names"])
    thing = _application(step)
    step.say(thing, version=1, kind=facts["kind"], standing=facts["standing"], hours=facts["hours"])
    step.say(thing, names=sorted(facts["names"]), appeal_of=facts["appeal_of"], received_at=received_at)
    step.say(thing, entered_at=step.at.recorded_at, entered_by=step.actor, entered_seq=step.at.seq)
    step.say(thing, closed_at=None, decided_by=None, ground=None, document=None, reason=None)
    step.say(thing, state=ApplicationState.INCOMPLETE if lacking else ApplicationState.RECEIVED)
    step.say(thing, missing=lacking or None, left_seconds=length // SECOND if lacking else None)
    step.say(thing, due_at=None if lacking else received_at + length, papers=[])
    _bring(step, thing)


def _ask_for_papers(step: _Step) -> None:
    thing = _application(step)
    step.revise(thing)
    step.say(thing, state=ApplicationState.INCOMPLETE, due_at=None)
    step.say(thing, missing=step.facts["missing"], left_seconds=step.facts["left_seconds"])


def _complete(step: _Step) -> None:
    thing = _application(step)
    step.revise(thing)
    _bring(step, thing)
    step.say(thing, state=ApplicationState.RECEIVED, due_at=moment(step.facts["due_at"]))
    step.say(thing, missing=None, left_seconds=None)


def _withdraw(step: _Step) -> None:
    _close(step, _application(step), ApplicationState.WITHDRAWN)


def _decide(step: _Step) -> None:
    facts, thing = step.facts, _application(step)
    _close(step, thing, ApplicationState(facts["outcome"]))
    step.say(thing, decided_by=step.actor, ground=facts["ground"], document=facts["document"], reason=facts["reason"])


def _close(step: _Step, thing: str, state: ApplicationState) -> None:
    step.revise(thing)
    left = step.known(thing, "left_seconds").value
    if left is not None:
        step.say(thing, due_at=step.at.recorded_at + left * SECOND, left_seconds=None, missing=None)
    step.say(thing, state=state, closed_at=step.at.recorded_at)


def _bring(step: _Step, thing: str) -> None:
    by = {"brought_at": step.at.recorded_at, "brought_by": step.actor}
    step.say(thing, papers=[*step.known(thing, "papers").value, *({**paper, **by} for paper in step.facts["papers"])])


def _application(step: _Step) -> str:
    thing = f"application {step.facts['application']}"
    whole = step.known(thing, "whole").value
    step.say(thing, orders=sorted((uid, whole) for uid in step.facts["orders"]))
    return thing


ACTS: Mapping[str, _Act] = {
    EventType.TOKEN_CREATED: _make_token,
    EventType.TOKEN_REVOKED: _revoke_token,
    EventType.SUBSCRIBER_ADDED: _add_subscriber,
    EventType.SUBSCRIBER_CHANGED: _change_subscriber,
    EventType.SUBSCRIBER_REMOVED: _remove_subscriber,
    EventType.SUBSCRIBER_KEY_ROTATED: _rotate_key,
    EventType.SOP_PROPOSED: _propose_sop,
    EventType.SOP_CONFIRMED: _confirm_sop,
    EventType.SOP_WITHDRAWN: _withdraw_sop,
    EventType.REVIEW_OPENED: _open_review,
    EventType.REVIEW_CLOSED: _close_review,
    EventType.INCIDENT_RECORDED: _record_incident,
    EventType.ORDER_ENDED: _give_reason,
    EventType.ORDER_LIFTED_IN_PART: _give_reason,
    EventType.PUBLICATION_STOPPED: _stop,
    EventType.PUBLICATION_RELEASE_ASKED: _ask_release,
    EventType.PUBLICATION_RELEASED: _release,
    EventType.APPLICATION_RECEIVED: _receive,
    EventType.APPLICATION_INCOMPLETE: _ask_for_papers,
    EventType.APPLICATION_COMPLETED: _complete,
    EventType.APPLICATION_WITHDRAWN: _withdraw,
    EventType.APPLICATION_DECIDED: _decide,
}


def replay(events: Iterable[Event]) -> Told:
    """Go through events of these kinds, oldest first."""
    told = Told()
    for event in events:
        told.take(event)
    return told
