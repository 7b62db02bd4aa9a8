"""What an ISP said of an act itself, as it was known at a moment: whether it carried it out, and what is left there.

Only a replayed case has that, whose acts are older than any serial; of a release, what the ISP has says more.
"""

import datetime as dt
import json
from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.answers.names import Answer
from app.journal import queries as journal
from app.journal.events import EventType


@dataclass(frozen=True, slots=True)
class Said:
    """The last that an ISP had said: `pending` is whether it had yet to act on the name, until `due_at`."""

    at: dt.datetime
    phase: str
    pending: bool
    names_pending: int
    due_at: dt.datetime | None
    overdue: bool
    note: str
    illustrative: bool


def of(session: Session, answer: Answer, isp: str) -> Said | None:
    """What an ISP said last of the orders that hold or held a name; None where it said nothing."""
    orders = {row.order.id for rows in (answer.holders, answer.suspended, answer.lifted) for row in rows}
    kinds = [str(EventType.SUBSCRIBER_ACKNOWLEDGED)]
    for event in reversed(journal.of_orders(session, orders, until=answer.at, types=kinds)):
        facts = json.loads(event.body)["facts"]
        if facts["subscriber"] == isp:
            due_at = None if facts["due_at"] is None else dt.datetime.fromisoformat(facts["due_at"])
            return Said(
                event.recorded_at,
                facts["phase"],
                answer.name in facts["pending"],
                facts["names_pending"],
                due_at,
                due_at is not None and due_at <= answer.at and facts["names_pending"] > 0,
                facts["note"],
                facts.get("illustrative", False),
            )
    return None
