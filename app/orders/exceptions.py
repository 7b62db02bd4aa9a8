"""Ending an exception by hand blocks its names again, so it takes two approvers: one proposes the end, and another who
asks for the same one brings it about. Nothing that one person does alone closes what two decided to keep open."""

import datetime as dt
import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy.orm import Session

from app.auth import four_eyes
from app.auth.models import Principal
from app.errors import Conflict
from app.journal.actor import Actor
from app.journal.append import Entry, append
from app.journal.events import EventType
from app.orders import states, targets
from app.orders.models import Ground, Order, OrderKind, TargetRow
from resolver_policy import names


def agreed(
    session: Session,
    actor: Actor,
    order: Order,
    ground: Ground,
    rows: Iterable[TargetRow] | None,
    reason: str,
    now: dt.datetime,
) -> bool:
    """Whether an order, or some of its targets (`rows`), may end now: of an exception, once another approver has
    proposed exactly that; else that is what this act becomes, instead of whatever was proposed before.

    Raises Forbidden (`four_eyes`) for who proposed it already.
    """
    if order.kind != OrderKind.EXCEPTION:
        return True
    end = {"ground": str(ground), "targets": None if rows is None else sorted(map(_target, rows), key=str)}
    text = json.dumps(end, sort_keys=True)
    if order.end_proposed == text:
        four_eyes.check(actor, order.end_proposed_by_id, act="end", first_act="proposed to end")
        return True
    states.revise(order)
    order.end_proposed, order.end_proposed_by_id = text, actor.principal_id
    facts = {"order": order.uid, "reason": reason, **end}
    append(session, actor, Entry(EventType.ORDER_END_PROPOSED, facts, order.id), now)
    session.flush()
    return False


def refuse_alone(order: Order, act: str) -> None:
    """Raise Conflict for an exception: this act would block again on one person's word."""
    if order.kind == OrderKind.EXCEPTION:
        name = order.number or order.uid
        raise Conflict(f"order {name} is an exception: to {act} it would block again; two approvers lift it")


def document(session: Session, order: Order) -> dict[str, Any] | None:
    """The end of an exception that one approver has proposed, as the interface shows it."""
    if order.end_proposed is None or order.state not in states.STANDING:
        return None
    by = None if order.end_proposed_by_id is None else session.get_one(Principal, order.end_proposed_by_id).name
    return {"by": by, **json.loads(order.end_proposed)}


def _target(row: TargetRow) -> dict[str, str]:
    return {"name": names.from_key(row.key), "match": str(targets.MATCHES[row.match])}
