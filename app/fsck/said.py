"""What an event says that a column holds, and where a row says something else."""

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from app.journal.append import timestamp
from app.journal.models import Event

EVENTS_AT_ONCE = 100
"""In memory: one that notes a thousand names has hundreds of kilobytes."""


class At(NamedTuple):
    """Which event it was, without what it says."""

    seq: int
    type: str
    recorded_at: dt.datetime


class Said(NamedTuple):
    """What an event says a column holds. Times are as the database gives them."""

    value: Any
    event: Event | At


def moment(text: str | None) -> dt.datetime | None:
    """A moment as bodies write it."""
    return None if text is None else dt.datetime.fromisoformat(text)


def differences(row: Mapping[str, object], said: Mapping[str, Said], where: str = "") -> Iterator[str]:
    """Each column that an event says something else about; `where` stands before each."""
    for name, value in row.items():
        if name in said and said[name].value != value:
            other = said[name]
            yield f"{where}its row says {name} {shown(value)}; event {name_of(other.event)} says {shown(other.value)}"


def name_of(event: Event | At) -> str:
    """An event as findings name it."""
    return f"{event.seq} ({event.type}, {timestamp(event.recorded_at)})"


def shown(value: object) -> str:
    """A value as findings show it."""
    if isinstance(value, dt.datetime):
        return timestamp(value)
    return "nothing" if value is None else str(value)
