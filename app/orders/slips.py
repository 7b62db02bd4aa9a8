"""Dates that were moved: of a planned lift, of the end of an opening, of a commitment. The journal keeps them all."""

import json
from typing import Any

from sqlalchemy.orm import Session

from app.journal import queries as journal
from app.journal.events import EventType
from app.orders.models import Order

MOVES = {
    EventType.ORDER_LIFT_PLANNED: ("lift", "at"),
    EventType.ORDER_SUSPENSION_MOVED: ("return", "until"),
    EventType.CONDITION_COMMITTED: ("commitment", "due_at"),
}
"""What a move is of, and the fact that says where to."""


def of(session: Session, order: Order) -> list[dict[str, Any]]:
    """Every move of a date of an order, oldest first: from where, to where, why, by whom, when."""
    found = []
    for event in journal.of_orders(session, [order.id], types=[str(kind) for kind in MOVES]):
        facts = json.loads(event.body)["facts"]
        what, to = MOVES[EventType(event.type)]
        if facts["before"] is not None:
            found.append(
                {
                    "what": what,
                    "condition": facts.get("code"),
                    "from": facts["before"]["at"] if what == "lift" else facts["before"],
                    "to": facts[to],
                    "reason": facts["reason"],
                    "by": event.actor,
                    "recorded_at": event.recorded_at,
                }
            )
    return found
