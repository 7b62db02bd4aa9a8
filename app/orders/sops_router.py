"""`/sops`: templates of conditions, their versions, and the two people who change them."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response

from app.auth.access import APPROVER, AUDITOR, OPERATOR, Allow
from app.auth.acting import ActDep, ActOnShownDep
from app.auth.idempotency import IdempotentRoute
from app.deps import SessionDep, tagged
from app.journal.actor import Actor
from app.orders import sops
from app.orders.schemas import DecideSop, PutSop

router = APIRouter(prefix="/api/v1/sops", tags=["sops"], route_class=IdempotentRoute)

Reader = Annotated[Actor, Depends(Allow(OPERATOR, APPROVER, AUDITOR))]
Approver = Annotated[Actor, Depends(Allow(APPROVER))]
Number = Annotated[int | None, Query(ge=1, le=2**31 - 1)]
Code = Annotated[str, Path(pattern=r"^[a-z0-9_-]{1,64}$")]


@router.get("", summary="SOP templates, every version that is in use or proposed")
def list_sops(actor: Reader, session: SessionDep) -> dict[str, Any]:
    return {"items": [sops.document(row) for row in sops.versions(session)], "next": None}


@router.get("/{code}", summary="One SOP template, every version or one")
def read_sop(
    code: str, actor: Reader, session: SessionDep, response: Response, version: Number = None
) -> dict[str, Any]:
    """`state` says whether a version is `confirmed`, or `proposed` and not used yet. `ETag` is that of the last one."""
    found = sops.versions(session, code, version)
    return {"items": [sops.document(tagged(row, response)) for row in found], "next": None}


@router.put(
    "/{code}", summary="Propose the next version of a template, or a new one; nobody uses it before it is confirmed"
)
def put_sop(code: Code, command: PutSop, actor: Approver, act: ActDep) -> dict[str, Any]:
    """It takes the place of a proposed version that nobody has confirmed."""
    done = sops.put(act.session, actor, code, command, act.now)
    return sops.document(act.tagged(done))


@router.post("/{code}/confirm", summary="Put the proposed version into use (not its proposer)")
def confirm_sop(code: str, command: DecideSop, actor: Approver, act: ActOnShownDep) -> dict[str, Any]:
    row = act.shown(sops.last_proposed(act.session, code))
    return sops.document(act.tagged(sops.confirm(act.session, actor, row, command, act.now)))


@router.post("/{code}/withdraw", summary="Take the proposed version back, or refuse it")
def withdraw_sop(code: str, command: DecideSop, actor: Approver, act: ActOnShownDep) -> dict[str, Any]:
    row = act.shown(sops.last_proposed(act.session, code))
    return sops.document(act.tagged(sops.withdraw(act.session, actor, row, command, act.now)))
