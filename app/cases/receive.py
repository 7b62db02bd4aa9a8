"""Entering an application as it came in, until there is a public page for it: what it is about and which papers came.

Where papers lack it begins incomplete, and the clock stands still from the start.
"""

import datetime as dt
import json
import uuid
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.cases import concerned, papers
from app.cases.models import Application, ApplicationKind, ApplicationState, ConcernedName, ConcernedOrder
from app.cases.queries import by_uid
from app.cases.record import Record, append
from app.cases.schemas import Receive
from app.errors import Conflict, Fault, Unprocessable
from app.journal.actor import Actor
from app.journal.append import timestamp
from app.journal.events import EventType
from app.orders import states
from app.orders.models import Order
from app.regime import ClockCode, Regime
from resolver_policy import names

CLOCKS = {
    ApplicationKind.APPLICATION: ClockCode.APPLICATION_DECIDED,
    ApplicationKind.APPEAL: ClockCode.APPEAL_DECIDED,
}


def receive(session: Session, actor: Actor, command: Receive, now: dt.datetime, *, regime: Regime) -> Application:
    """Enter an application; raises Unprocessable, naming the field, or Conflict where there is nothing to lift.

    Its clock begins when it was received, which may be before it is entered.
    """
    received_at = command.received_at or now
    if received_at > now:
        fault = Fault("received_later", received_at.isoformat(), "/received_at")
        raise Unprocessable("an application is entered after it was received", faults=(fault,))
    appealed = None if command.appeal_of is None else _appealed(session, command.appeal_of)
    keys, orders = _about(session, command, appealed)
    kind, standing = command.kind, command.applicant.standing
    lacking = papers.lacking(papers.asked(regime, kind, standing), command.papers)
    length = regime.clock(CLOCKS[kind]).length
    assert actor.principal_id is not None
    application = Application(
        uid=str(uuid.uuid4()),
        version=1,
        kind=kind,
        standing=standing,
        about_one=command.about.order is not None if appealed is None else appealed.about_one,
        appeal_of_id=None if appealed is None else appealed.id,
        received_at=received_at,
        entered_at=now,
        entered_by_id=actor.principal_id,
        hours=length // dt.timedelta(hours=1),
        state=ApplicationState.INCOMPLETE if lacking else ApplicationState.RECEIVED,
        due_at=None if lacking else received_at + length,
        left_seconds=int(length.total_seconds()) if lacking else None,
        missing=json.dumps(lacking) if lacking else None,
    )
    facts = {
        "kind": str(kind),
        "standing": str(standing),
        "names": [names.from_key(key) for key in keys],
        "appeal_of": None if appealed is None else appealed.uid,
        "received_at": timestamp(received_at),
        "papers": [papers.facts(paper) for paper in command.papers],
        "missing": lacking,
        "hours": application.hours,
    }
    personal = {
        "applicant": command.applicant.name,
        "contact": command.applicant.contact,
        "statement": command.statement,
    }
    record = Record(EventType.APPLICATION_RECEIVED, facts, occurred_at=received_at, personal=personal)
    application.entered_seq = append(session, actor, application, [order for order, _ in orders], record, now)
    session.add(application)
    session.flush()
    session.add_all(
        ConcernedOrder(application_id=application.id, order_id=order.id, whole=whole) for order, whole in orders
    )
    session.add_all(ConcernedName(application_id=application.id, key=key) for key in keys)
    papers.bring(session, actor, application, command.papers, now)
    session.flush()
    return application


def _about(
    session: Session, command: Receive, appealed: Application | None
) -> tuple[Sequence[str], Sequence[tuple[Order, bool]]]:
    """The names and the orders, each with whether it is meant as a whole."""
    if appealed is None:
        keys = concerned.keys_of(command.about)
        return keys, [(order, not keys) for order in concerned.orders_of(session, command.about, keys)]
    standing = [row for row in concerned.orders(session, appealed) if row[0].state in states.STANDING]
    if not standing:
        raise Conflict("nothing that the refused application was about is held any more")
    return concerned.keys(session, appealed), standing


def _appealed(session: Session, uid: str) -> Application:
    """The refused application that an appeal is against; one appeal each."""
    appealed = by_uid(session, uid)
    if appealed.state != ApplicationState.REFUSED:
        raise Conflict(f"application {uid} is {appealed.state}: an appeal is against one that was refused")
    pending = select(Application.uid).where(
        Application.appeal_of_id == appealed.id, Application.state != ApplicationState.WITHDRAWN
    )
    before = session.scalar(pending)
    if before is not None:
        raise Conflict(f"appeal {before} is against that refusal already")
    return appealed
