"""Whether an application has its papers: while some lack the clock stands still, and goes on where it stood."""

import datetime as dt
import json

from sqlalchemy.orm import Session

from app.cases import concerned, papers
from app.cases.models import Application, ApplicationState
from app.cases.record import Record, append
from app.cases.schemas import Complete, Incomplete, WithdrawApplication
from app.errors import Conflict, Fault, Unprocessable
from app.journal.actor import Actor
from app.journal.append import timestamp
from app.journal.events import EventType
from app.regime import Regime

SECOND = dt.timedelta(seconds=1)
OPEN = (ApplicationState.RECEIVED, ApplicationState.INCOMPLETE)


def require_state(application: Application, *states: ApplicationState) -> None:
    """Raise Conflict unless the application is in one of these states."""
    if application.state not in states:
        raise Conflict(f"the application is {application.state}; this needs one that is {' or '.join(states)}")


def incomplete(
    session: Session, actor: Actor, application: Application, command: Incomplete, now: dt.datetime, *, regime: Regime
) -> Application:
    """Say what lacks; raises Unprocessable for a paper that nobody asks for."""
    require_state(application, ApplicationState.RECEIVED)
    papers.check_known(papers.asked(regime, application.kind, application.standing), command.missing, "/missing")
    assert application.due_at is not None
    application.version += 1
    application.state = ApplicationState.INCOMPLETE
    application.left_seconds = (application.due_at - now) // SECOND
    application.due_at = None
    application.missing = json.dumps(list(command.missing))
    facts = {"missing": list(command.missing), "reason": command.reason, "left_seconds": application.left_seconds}
    _write(session, actor, application, Record(EventType.APPLICATION_INCOMPLETE, facts), now)
    return application


def complete(
    session: Session, actor: Actor, application: Application, command: Complete, now: dt.datetime, *, regime: Regime
) -> Application:
    """Take the papers that lacked; raises Unprocessable, naming those that lack still."""
    require_state(application, ApplicationState.INCOMPLETE)
    checklist = papers.asked(regime, application.kind, application.standing)
    papers.check_known(checklist, [paper.code for paper in command.papers], "/papers")
    codes = {paper.code for paper in command.papers}
    left = [code for code in json.loads(application.missing or "[]") if code not in codes]
    if left:
        faults = [Fault("paper_missing", code, "/papers") for code in left]
        raise Unprocessable(f"{', '.join(left)}: still missing", faults=faults)
    application.version += 1
    application.state = ApplicationState.RECEIVED
    papers.bring(session, actor, application, command.papers, now)
    go_on(application, now)
    assert application.due_at is not None
    facts = {"papers": [papers.facts(paper) for paper in command.papers], "due_at": timestamp(application.due_at)}
    _write(session, actor, application, Record(EventType.APPLICATION_COMPLETED, facts), now)
    return application


def withdraw(
    session: Session, actor: Actor, application: Application, command: WithdrawApplication, now: dt.datetime
) -> Application:
    """Note that the applicant took it back."""
    require_state(application, *OPEN)
    application.version += 1
    application.state = ApplicationState.WITHDRAWN
    application.closed_at = now
    go_on(application, now)
    _write(session, actor, application, Record(EventType.APPLICATION_WITHDRAWN, {"reason": command.reason}), now)
    return application


def go_on(application: Application, now: dt.datetime) -> None:
    """Let a clock that stood still go on: it has as long to go as it had when it was stopped."""
    if application.left_seconds is not None:
        application.due_at = now + application.left_seconds * SECOND
        application.left_seconds = application.missing = None


def _write(session: Session, actor: Actor, application: Application, record: Record, now: dt.datetime) -> None:
    orders = [order for order, _ in concerned.orders(session, application)]
    append(session, actor, application, orders, record, now)
    session.flush()
