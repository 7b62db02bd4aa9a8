"""`/guard/stops`: what the publisher found that nothing explains, and its release by two people."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path

from app.auth.access import APPROVER, AUDITOR, OPERATOR, Allow
from app.auth.acting import ActDep
from app.auth.idempotency import IdempotentRoute
from app.deps import SessionDep
from app.journal.actor import Actor
from app.publication import stops

router = APIRouter(prefix="/api/v1/guard/stops", tags=["zones"], route_class=IdempotentRoute)

Approver = Annotated[Actor, Depends(Allow(APPROVER))]
Reader = Annotated[Actor, Depends(Allow(OPERATOR, APPROVER, AUDITOR))]
StopId = Annotated[int, Path(ge=1, lt=2**63)]


@router.get("", summary="Stops that stand: until they are released, no block is published")
def list_stops(actor: Reader, session: SessionDep) -> dict[str, Any]:
    return {"items": [stops.document(session, each) for each in stops.standing(session)], "next": None}


@router.post("/{stop_id}/release", summary="Ask to release a stop; another approver releases it in the same way")
def release_stop(stop_id: StopId, command: stops.Release, actor: Approver, act: ActDep) -> dict[str, Any]:
    row = stops.release(act.session, actor, stop_id, command.reason, act.now)
    return stops.document(act.session, row)
