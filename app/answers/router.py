"""`/names` and `/audit/events`."""

import datetime as dt
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from app.answers import documents
from app.answers.names import explain, history
from app.auth.access import APPROVER, AUDITOR, OPERATOR, Allow, Everybody
from app.deps import NowDep, PageDep, SessionDep
from app.errors import Fault, Unprocessable
from app.journal import queries as journal
from app.journal.actor import Actor
from app.journal.events import EventType
from app.orders.schemas import Moment

router = APIRouter(prefix="/api/v1")

Reader = Annotated[Actor, Depends(Allow(OPERATOR, APPROVER, AUDITOR))]
Auditor = Annotated[Actor, Depends(Allow(AUDITOR))]


@router.get("/names/{name}", tags=["public"], summary="Is it blocked, by what, since when, what lifts it")
def read_name(
    name: str,
    actor: Everybody,
    session: SessionDep,
    now: NowDep,
    request: Request,
    at: Moment | None = None,
) -> dict[str, Any]:
    """`at` asks about a past moment: what had been recorded and decided then. Without a token, a redacted answer."""
    answer = explain(session, name, _past(at, now))
    if actor is None:
        return documents.redacted(answer, request.app.state.settings.public_url)
    return documents.whole(answer)


@router.get("/names/{name}/history", tags=["audit"], summary="Everything that happened to a name, oldest first")
def read_history(name: str, actor: Reader, session: SessionDep) -> dict[str, Any]:
    return {"items": [journal.document(event) for event in history(session, name)], "next": None}


@router.get("/audit/events", tags=["audit"], summary="The journal, oldest first")
def list_events(
    actor: Auditor,
    session: SessionDep,
    page: PageDep,
    type_: Annotated[EventType | None, Query(alias="type")] = None,
    by: Annotated[str | None, Query(max_length=63)] = None,
    until: Moment | None = None,
) -> dict[str, Any]:
    events = journal.page(session, after=page.after, limit=page.limit + 1, type_=type_, actor=by, until=until)
    return page.answer([journal.document(event) for event in events], [event.seq for event in events])


def _past(at: dt.datetime | None, now: dt.datetime) -> dt.datetime:
    if at is None:
        return now
    if at > now:
        raise Unprocessable("that moment is still to come", faults=(Fault("future", at.isoformat(), "/at"),))
    return at
