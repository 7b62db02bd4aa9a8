"""`/reviews` and `/incidents`: what lifts and wrong blocks leave to be looked at."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from app.auth.access import APPROVER, AUDITOR, OPERATOR, Allow
from app.auth.idempotency import IdempotentRoute
from app.deps import ClockDep, PageDep, SessionDep, VersionDep, tagged
from app.journal.actor import Actor
from app.journal.moment import moment
from app.orders import incidents, reviews
from app.orders.schemas import CloseReview

router = APIRouter(prefix="/api/v1", tags=["reviews"], route_class=IdempotentRoute)

Reader = Annotated[Actor, Depends(Allow(OPERATOR, APPROVER, AUDITOR))]
Approver = Annotated[Actor, Depends(Allow(APPROVER))]
OrderId = Annotated[str | None, Query(max_length=60)]


@router.get("/reviews", summary="Breaches after a lift and commitments that were not kept, oldest first")
def list_reviews(
    actor: Reader,
    session: SessionDep,
    page: PageDep,
    *,
    order: OrderId = None,
    open_only: Annotated[bool, Query(alias="open")] = False,
) -> dict[str, Any]:
    found = reviews.page(session, open_only=open_only, order_uid=order, after=page.after, limit=page.limit + 1)
    return page.answer([reviews.document(session, row) for row in found], [row.id for row in found])


@router.get("/reviews/{uid}", summary="Read a review; ETag is its version")
def read_review(uid: str, actor: Reader, session: SessionDep, response: Response) -> dict[str, Any]:
    return reviews.document(session, tagged(reviews.by_uid(session, uid), response))


@router.post("/reviews/{uid}/close", summary="Decide a review (not who opened it)")
def close_review(
    uid: str,
    command: CloseReview,
    actor: Approver,
    session: SessionDep,
    clock: ClockDep,
    version: VersionDep,
    response: Response,
) -> dict[str, Any]:
    """No decision blocks: `new_order` names a proposal, which takes the way of every order."""
    review = version.check(reviews.by_uid(session, uid, lock=True))
    done = reviews.close(session, actor, review, command, moment(session, clock))
    return reviews.document(session, tagged(done, response))


@router.get("/incidents", summary="Blocks that were wrong, oldest first")
def list_incidents(actor: Reader, session: SessionDep, page: PageDep, order: OrderId = None) -> dict[str, Any]:
    found = incidents.page(session, order_uid=order, after=page.after, limit=page.limit + 1)
    return page.answer([incidents.document(*row) for row in found], [row.id for row, _ in found])
