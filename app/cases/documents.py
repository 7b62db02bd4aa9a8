"""Applications as the interface shows them, to those who work on them."""

import datetime as dt
import json
from typing import Any

from sqlalchemy.orm import Session

from app.auth.models import Principal
from app.cases import concerned, papers
from app.cases.models import Application, ApplicationKind, ApplicationState
from app.cases.receive import CLOCKS
from app.journal import queries as journal
from app.regime import Regime
from resolver_policy import names


def summary(session: Session, application: Application, now: dt.datetime, *, regime: Regime) -> dict[str, Any]:
    """An application as lists show it; who applied is not among it."""
    appealed = None if application.appeal_of_id is None else session.get_one(Application, application.appeal_of_id)
    return {
        "id": application.uid,
        "version": application.version,
        "kind": application.kind,
        "standing": application.standing,
        "state": application.state,
        "appeal_of": None if appealed is None else appealed.uid,
        "orders": [
            {"id": order.uid, "number": order.number, "whole": whole, "state": order.state}
            for order, whole in concerned.orders(session, application)
        ],
        "names": [names.from_key(key) for key in concerned.keys(session, application)],
        "received_at": application.received_at,
        "entered_at": application.entered_at,
        "missing": json.loads(application.missing or "[]"),
        "clock": clock(application, now, regime=regime),
        "closed_at": application.closed_at,
        "ground": application.ground,
        "document": application.document,
        "reason": None if application.reason_id is None else {"id": application.reason_id, "en": application.reason_en},
    }


def document(
    session: Session, application: Application, now: dt.datetime, *, regime: Regime, with_applicant: bool
) -> dict[str, Any]:
    """An application with its papers, its checklist, and (`with_applicant`) who applied and how they are reached."""
    personal = journal.personal(session, application.entered_seq)
    checklist = papers.asked(regime, application.kind, application.standing)
    decider = None if application.decided_by_id is None else session.get_one(Principal, application.decided_by_id)
    return {
        **summary(session, application, now, regime=regime),
        "entered_by": session.get_one(Principal, application.entered_by_id).name,
        "decided_by": None if decider is None else decider.name,
        "applicant": {"name": personal.get("applicant"), "contact": personal.get("contact")}
        if with_applicant
        else None,
        "statement": personal.get("statement") if with_applicant else None,
        "papers": papers.brought(session, application),
        "checklist": [paper.model_dump() for paper in checklist],
    }


def clock(application: Application, now: dt.datetime, *, regime: Regime) -> dict[str, Any]:
    """The law's clock on an application; while it stands still it has no end, and so many seconds to go."""
    code = CLOCKS[ApplicationKind(application.kind)]
    due_at, ended_at = application.due_at, application.closed_at
    return {
        "clock": str(code),
        "hours": application.hours,
        "source": regime.clock(code).source,
        "began_at": application.received_at,
        "ended_at": ended_at,
        "due_at": due_at,
        "due_at_local": None if due_at is None else regime.shown(due_at),
        "left_seconds": application.left_seconds,
        "stopped": application.state == ApplicationState.INCOMPLETE,
        "overdue": due_at is not None and (now if ended_at is None else ended_at) > due_at,
    }
