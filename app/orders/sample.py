"""Past and fictional cases, replayed: their acts are done by the ordinary use cases, each at the moment that it had."""

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import resources
from itertools import chain
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.auth.models import Principal
from app.errors import Conflict
from app.journal.actor import Actor, Role
from app.journal.append import Entry, append
from app.journal.events import EventType
from app.orders import clock, decide, delegations, lift, marks, propose, suspend, trees
from app.orders.guarding import Guard
from app.orders.models import ConditionRow, Order
from app.orders.schemas import (
    Bilingual,
    Claim,
    Code,
    Decide,
    Lift,
    Mark,
    PlanLift,
    ProposeSample,
    Schema,
    ShortLine,
    Suspend,
    Waive,
)

CASES = ("telegram-2017", "ways-out")

MARK = {"sample": True}
"""In the facts of every event that only a sample has."""


NOTICE = dt.timedelta(hours=24)
"""Before the return of a suspended block, as the setting says unless it is changed."""


class Stage(StrEnum):
    """How far a case is replayed; later stages include the earlier ones."""

    BLOCKED = "blocked"
    SOLUTION_INDICATED = "solution-indicated"
    LIFTED = "lifted"


class Source(Schema):
    """Where a statement was read: a day, or an interval where the day is not known."""

    outlet: ShortLine
    date: Annotated[str, Field(pattern=r"^\d{4}-\d{2}(-\d{2}|/\d{4}-\d{2})$")]
    url: Annotated[str, Field(pattern=r"^https?://\S+$")] | None
    note: Bilingual | None = None


class Statement(Schema):
    """What somebody said, in our words. Roles only, never names; it may contradict another one, and both stay."""

    about: EventType | None
    statement: Bilingual
    attributed_to: Literal[
        "ministry",
        "ministry_spokesperson",
        "minister",
        "director_general",
        "platform_chief_executive",
        "news_outlet",
    ]
    relayed_by: Literal["minister"] | None = None
    source: Source


class Invented(Schema):
    """A part of the case that no source states."""

    what: Code
    why: Bilingual


class Inventions(Schema):
    """Everything in an order that is illustrative."""

    illustrative: Annotated[tuple[Invented, ...], Field(min_length=1)]


class Step(Schema):
    """One act. `order` is the case's own word for an order; `body` is what the act's use case takes."""

    at: AwareDatetime
    stage: Stage
    act: Code
    actor: ShortLine
    order: Code
    condition: Code | None = None
    body: dict[str, Any]


class Case(Schema):
    """A case as its file holds it: steps in the order of time, by principals without tokens."""

    code: Code
    note: Bilingual
    principals: dict[str, Role]
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay works with, and the orders it has made so far by the case's own words for them."""

    session: Session
    guard: Guard
    actors: Mapping[str, Actor]
    orders: dict[str, Order] = field(default_factory=dict)

    def actor(self, step: Step) -> Actor:
        """Whose act the step is."""
        return self.actors[step.actor]


Act = Callable[[Replay, Step], object]


def read(code: str) -> Case:
    """The case that ships under this name."""
    path = resources.files("app.orders") / "sample_data" / f"{code}.json"
    return Case.model_validate(json.loads(path.read_text("utf-8")))


def load(
    session: Session,
    actor: Actor,
    cases: Sequence[Case],
    until: Stage,
    now: dt.datetime,
    *,
    guard: Guard,
    acts: Mapping[str, Act],
) -> int:
    """Replay cases side by side up to a stage, in the order of time, and say how many acts that was.

    `acts` are those that other rooms do. Raises Conflict where the database holds an order: a past case never stands
    beside real ones. The last events alone are of `now`, and name who loaded it.
    """
    if holds_orders(session):
        raise Conflict("this database holds orders: the sample is loaded into one that holds none")
    steps = {case.code: steps_until(case, until) for case in cases}
    replay = Replay(session, guard, {name: who for case in cases for name, who in _principals(session, case).items()})
    everything = {**ACTS, **acts}
    for step in sorted(chain(*steps.values()), key=lambda step: step.at):
        everything[step.act](replay, step)
        session.flush()
    for case in cases:
        facts = {"case": case.code, "until": str(until), "acts": len(steps[case.code]), "note": case.note.model_dump()}
        append(session, actor, Entry(EventType.SAMPLE_LOADED, {**MARK, **facts}), now)
    return sum(map(len, steps.values()))


def holds_orders(session: Session) -> bool:
    """Whether there is any order, of whatever state."""
    return session.scalar(select(Order.id).limit(1)) is not None


def steps_until(case: Case, until: Stage) -> tuple[Step, ...]:
    """The steps of a stage and of all before it."""
    stages = list(Stage)
    return tuple(step for step in case.steps if stages.index(step.stage) <= stages.index(until))


def _principals(session: Session, case: Case) -> dict[str, Actor]:
    return {name: _principal(session, name, role, case.steps[0].at) for name, role in case.principals.items()}


def _principal(session: Session, name: str, role: Role, at: dt.datetime) -> Actor:
    row = session.scalars(select(Principal).where(Principal.name == name)).one_or_none()
    if row is None:
        row = Principal(name=name, role=str(role), created_at=at)
        session.add(row)
        session.flush()
    if row.role != role:
        raise Conflict(f"the sample needs {name} to be {role}, and here it is {row.role}: use another DATA_DIR")
    return Actor(name, row.role, row.id)


def _propose(replay: Replay, step: Step) -> None:
    command = ProposeSample.model_validate(step.body)
    replay.orders[step.order] = propose.propose(
        replay.session, replay.actor(step), command, step.at, guard=replay.guard
    )


def _approve(replay: Replay, step: Step) -> None:
    order, command = replay.orders[step.order], Decide.model_validate(step.body)
    decide.approve(replay.session, replay.actor(step), order, command, step.at, guard=replay.guard)


def _claim(replay: Replay, step: Step) -> None:
    command = Claim.model_validate(step.body)
    marks.claim(replay.session, replay.actor(step), _condition(replay, step), command, step.at)


def _verify(replay: Replay, step: Step) -> None:
    command = Mark.model_validate(step.body)
    marks.verify(replay.session, replay.actor(step), _condition(replay, step), command, step.at)


def _reject(replay: Replay, step: Step) -> None:
    command = Mark.model_validate(step.body)
    marks.reject(replay.session, replay.actor(step), _condition(replay, step), command, step.at)


def _waive(replay: Replay, step: Step) -> None:
    command = Waive.model_validate(step.body)
    marks.waive(replay.session, replay.actor(step), _condition(replay, step), command, step.at)


def _suspend(replay: Replay, step: Step) -> None:
    order, command = replay.orders[step.order], Suspend.model_validate(step.body)
    suspend.suspend(replay.session, replay.actor(step), order, command, step.at, notice=NOTICE)


def _tick(replay: Replay, step: Step) -> None:
    """What the clock does on an order at the moment of the step: whatever is due by then."""
    order = replay.orders[step.order]
    while clock.act(replay.session, order, step.at):
        replay.session.flush()
    delegations.run_out(replay.session, order, step.at)


def _plan_lift(replay: Replay, step: Step) -> None:
    order, command = replay.orders[step.order], PlanLift.model_validate(step.body)
    lift.plan_lift(replay.session, replay.actor(step), order, command, step.at)


def _lift(replay: Replay, step: Step) -> None:
    order, command = replay.orders[step.order], Lift.model_validate(step.body)
    lift.lift(replay.session, replay.actor(step), order, command, step.at)


def _state(replay: Replay, step: Step) -> None:
    note(replay, step, EventType.SAMPLE_NOTED, Statement.model_validate(step.body).model_dump(mode="json"))


def _mark_illustrative(replay: Replay, step: Step) -> None:
    note(replay, step, EventType.SAMPLE_NOTED, Inventions.model_validate(step.body).model_dump(mode="json"))


def note(replay: Replay, step: Step, type_: EventType, facts: Mapping[str, Any]) -> None:
    """Write what is no act on an order, marked as sample, into the history of the step's order."""
    order = replay.orders.get(step.order)
    known = {**MARK, "order": None if order is None else order.uid}
    entry = Entry(type_, {**known, **facts}, None if order is None else order.id)
    append(replay.session, replay.actor(step), entry, step.at)


def _condition(replay: Replay, step: Step) -> ConditionRow:
    rows = trees.rows_of(replay.session, replay.orders[step.order].id)
    return next(row for row in rows if row.code == step.condition)


ACTS: Mapping[str, Act] = {
    "propose": _propose,
    "approve": _approve,
    "claim": _claim,
    "verify": _verify,
    "reject": _reject,
    "waive": _waive,
    "suspend": _suspend,
    "tick": _tick,
    "plan_lift": _plan_lift,
    "lift": _lift,
    "state": _state,
    "mark_illustrative": _mark_illustrative,
}
"""What a step may be, of this room."""
