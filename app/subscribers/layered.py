"""Which subscribers take zones in layers, and which must not: with an override every exception would be a block."""

import datetime as dt
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field
from sqlalchemy.orm import Session

from app.errors import Conflict
from app.journal.actor import Actor
from app.journal.append import Entry, append
from app.journal.events import EventType
from app.orders.schemas import Schema
from app.publication import zones
from app.subscribers.models import SubscriberRow
from app.subscribers.queries import live_by_name


class TakeLayers(Schema):
    """The same over HTTP; what is left out stays as it is."""

    layers: bool | None = None
    overrides: bool | None = None
    settling_seconds: Annotated[int, Field(ge=0, le=31 * 86_400)] | None = None


@dataclass(frozen=True, slots=True)
class ChangeSubscriber:
    """What to change of a subscriber; None leaves it as it is.

    `settling` is how long a base may be on its way from its servers to resolvers behind them; zero: as set for all.
    """

    name: str
    layers: bool | None = None
    overrides: bool | None = None
    settling: dt.timedelta | None = None


def change(session: Session, actor: Actor, command: ChangeSubscriber, now: dt.datetime) -> SubscriberRow:
    """Raises NotFound, and Conflict for layers where answers are overridden."""
    row = live_by_name(session, command.name, lock=True)
    if command.layers is not None:
        row.layered = command.layers
    if command.overrides is not None:
        row.overrides = command.overrides
    if command.settling is not None:
        row.settling = int(command.settling.total_seconds()) or None
    check(session, row, now)
    facts = {
        "subscriber": row.name,
        "layers": row.layered,
        "overrides": row.overrides,
        "settling_seconds": row.settling,
    }
    append(session, actor, Entry(EventType.SUBSCRIBER_CHANGED, facts), now)
    return row


def check(session: Session, row: SubscriberRow, now: dt.datetime) -> None:
    """Refuse layers (Conflict) to one that overrides; with the first that may have them zones begin to have some."""
    if not row.layered:
        return
    if row.overrides:
        raise Conflict(
            f"{row.name} says that it overrides what zones say (a landing page of its own, `policy cname`, "
            "`rpz-action-override`, `defpol`): in layers a lift is a record that passes, and an override would make a "
            "block of it. It takes the whole zone; or ask for a zone that redirects to its landing page"
        )
    zones.publish_layers(session, now)
