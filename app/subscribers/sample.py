"""The illustrative ISPs of a replayed case: they may take nothing, and the journal says what they made of it."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field
from sqlalchemy.orm import Session

from app.errors import Conflict
from app.journal.append import timestamp
from app.journal.events import EventType
from app.orders.sample import Act, Replay, Step, note
from app.orders.schemas import Line, Schema, ShortLine
from app.subscribers import deliveries, queries, register
from app.subscribers.models import SubscriberRow
from app.subscribers.ranges import parse_networks

ILLUSTRATIVE = {"illustrative": True}


class Subscribe(Schema):
    """An invented ISP."""

    name: ShortLine
    addresses: Annotated[tuple[ShortLine, ...], Field(min_length=1)]


class SampleAcknowledgement(Schema):
    """What became of an act at an invented ISP; `pending` are the names it has yet to act on, `due_at` until when."""

    phase: Literal["applied", "partial"]
    note: Line
    pending: tuple[ShortLine, ...]
    due_at: AwareDatetime | None


def acts(zones: Sequence[str]) -> Mapping[str, Act]:
    """The steps of a case that this room does; `zones` are those that the ISPs' acknowledgements are about."""
    return {"subscribe": _subscribe, "acknowledge": partial(_acknowledge, zones)}


def refuse_beside_others(session: Session) -> None:
    """Raise Conflict where a subscriber outside this machine could take a replayed case for a real one."""
    outside = register.outside_loopback(session)
    if outside:
        raise Conflict(f"{outside[0]} is a subscriber outside this machine: load the sample into another DATA_DIR")


def _subscribe(replay: Replay, step: Step) -> None:
    command = Subscribe.model_validate(step.body)
    if queries.find(replay.session, command.name) is not None:
        raise Conflict(f"there is a subscriber {command.name} already: load the sample into another DATA_DIR")
    replay.session.add(_row(command, step))
    facts = {"subscriber": command.name, "addresses": list(command.addresses), "notify": [], "key": None}
    note(replay, step, EventType.SUBSCRIBER_ADDED, {**ILLUSTRATIVE, **facts, "algorithm": None})


def _row(command: Subscribe, step: Step) -> SubscriberRow:
    """It has to sign and has no key: nobody can ask in its place, and it keeps no address from a real subscriber."""
    addresses = json.dumps([str(network) for network in parse_networks(command.addresses)])
    return SubscriberRow(
        name=command.name, addresses=addresses, notify="[]", keyed=True, created_at=step.at, removed_at=None
    )


def _acknowledge(zones: Sequence[str], replay: Replay, step: Step) -> None:
    """Like an acknowledgement, but of an act: no serial of these zones is as old as the case."""
    command = SampleAcknowledgement.model_validate(step.body)
    row = queries.live_by_name(replay.session, step.actor)
    for zone in zones:
        delivery = deliveries.whole(replay.session, row.id, zone)
        delivery.acknowledged_phase, delivery.acknowledged_at = command.phase, step.at
        delivery.acknowledged_pending, delivery.acknowledged_note = len(command.pending), command.note
    note(replay, step, EventType.SUBSCRIBER_ACKNOWLEDGED, {**ILLUSTRATIVE, "subscriber": row.name, **_facts(command)})


def _facts(command: SampleAcknowledgement) -> dict[str, Any]:
    return {
        "zone": None,
        "serial": None,
        "phase": command.phase,
        "names_pending": len(command.pending),
        "pending": list(command.pending),
        "due_at": None if command.due_at is None else timestamp(command.due_at),
        "note": command.note,
    }
