"""`/conditions`: what must be so for a block to be lifted, and the marks on it."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from app.auth.access import APPROVER, AUDITOR, OPERATOR, PLATFORM, Allow
from app.auth.acting import ActOnShownDep
from app.auth.idempotency import IdempotentRoute
from app.deps import NowDep, PageDep, SessionDep, tagged
from app.journal.actor import Actor
from app.orders import commitments, evidence, marks, media, queries
from app.orders import condition_documents as documents
from app.orders.schemas import AddEvidence, Claim, Commit, Mark, Waive

router = APIRouter(prefix="/api/v1/conditions", tags=["conditions"], route_class=IdempotentRoute)

Reader = Annotated[Actor, Depends(Allow(OPERATOR, APPROVER, AUDITOR, PLATFORM))]
Claimant = Annotated[Actor, Depends(Allow(OPERATOR, APPROVER, PLATFORM))]
Approver = Annotated[Actor, Depends(Allow(APPROVER))]


@router.get("", summary="List conditions; a platform sees its own")
def list_conditions(
    actor: Reader,
    session: SessionDep,
    page: PageDep,
    now: NowDep,
    *,
    order: Annotated[str | None, Query(max_length=60)] = None,
    overdue: Annotated[
        bool, Query(description="only those whose date has passed: their own, or that of a commitment")
    ] = False,
) -> dict[str, Any]:
    overdue_at = now if overdue else None
    found = queries.conditions(
        session, actor, order_uid=order, overdue_at=overdue_at, after=page.after, limit=page.limit + 1
    )
    return page.answer(
        [documents.marked_document(session, actor, row, now) for row in found], [row.id for row in found]
    )


@router.get("/{uid}", summary="Read a condition; ETag is its version")
def read_condition(uid: str, actor: Reader, session: SessionDep, now: NowDep, response: Response) -> dict[str, Any]:
    row = queries.condition_by_uid(session, actor, uid)
    return documents.marked_document(session, actor, tagged(row, response), now)


@router.post("/{uid}/claim", summary="Say that it is fulfilled, with evidence")
def claim_condition(uid: str, command: Claim, actor: Claimant, act: ActOnShownDep) -> dict[str, Any]:
    row = act.shown(queries.condition_by_uid(act.session, actor, uid, lock=True))
    done = marks.claim(act.session, actor, row, command, act.now)
    return documents.marked_document(act.session, actor, act.tagged(done), act.now)


@router.post("/{uid}/evidence", summary="Add evidence to a claim (the claimant), until it is judged")
def add_evidence(uid: str, command: AddEvidence, actor: Claimant, act: ActOnShownDep) -> dict[str, Any]:
    row = act.shown(queries.condition_by_uid(act.session, actor, uid, lock=True))
    done = marks.add_evidence(act.session, actor, row, command, act.now)
    return documents.marked_document(act.session, actor, act.tagged(done), act.now)


@router.get(
    "/{uid}/evidence/{evidence_id}",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {}, "image/png": {}, "image/jpeg": {}, "text/plain": {}}}},
    summary="The file of a piece of evidence, as it came",
)
def read_evidence(uid: str, evidence_id: str, actor: Reader, session: SessionDep) -> Response:
    """To be saved, never shown: it is handed out as an attachment. `Repr-Digest` (RFC 9530) is of its octets."""
    item, content = evidence.file_of(session, actor, queries.condition_by_uid(session, actor, uid), evidence_id)
    assert item.file_name is not None
    assert item.file_type is not None
    return Response(content, media_type=item.file_type, headers=media.headers(item.file_name, item.file_type, content))


@router.post("/{uid}/verify", summary="Mark as met (not the claimant); the last mark lifts the block")
def verify_condition(uid: str, command: Mark, actor: Approver, act: ActOnShownDep) -> dict[str, Any]:
    row = act.shown(queries.condition_by_uid(act.session, actor, uid, lock=True))
    done = marks.verify(act.session, actor, row, command, act.now)
    return documents.marked_document(act.session, actor, act.tagged(done), act.now)


@router.post("/{uid}/reject", summary="Refuse a claim (not the claimant)")
def reject_condition(uid: str, command: Mark, actor: Approver, act: ActOnShownDep) -> dict[str, Any]:
    row = act.shown(queries.condition_by_uid(act.session, actor, uid, lock=True))
    done = marks.reject(act.session, actor, row, command, act.now)
    return documents.marked_document(act.session, actor, act.tagged(done), act.now)


@router.post("/{uid}/waive", summary="Set a condition aside, by an authority and for a reason")
def waive_condition(uid: str, command: Waive, actor: Approver, act: ActOnShownDep) -> dict[str, Any]:
    row = act.shown(queries.condition_by_uid(act.session, actor, uid, lock=True))
    done = marks.waive(act.session, actor, row, command, act.now)
    return documents.marked_document(act.session, actor, act.tagged(done), act.now)


@router.post("/{uid}/breach", summary="Say that what was met no longer is; after a lift it opens a review")
def breach_condition(uid: str, command: Waive, actor: Approver, act: ActOnShownDep) -> dict[str, Any]:
    row = act.shown(queries.condition_by_uid(act.session, actor, uid, lock=True))
    done = marks.breach(act.session, actor, row, command, act.now)
    return documents.marked_document(act.session, actor, act.tagged(done), act.now)


@router.post("/{uid}/commit", summary="Give a commitment of an early lift another date")
def move_commitment(uid: str, command: Commit, actor: Approver, act: ActOnShownDep) -> dict[str, Any]:
    row = act.shown(queries.condition_by_uid(act.session, actor, uid, lock=True))
    done = commitments.move(act.session, actor, row, command, act.now)
    return documents.marked_document(act.session, actor, act.tagged(done), act.now)
