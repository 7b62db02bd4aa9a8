"""`/review-queue`, `/reviews`, `/notes` and `/incidents`: what is to be looked at, or was."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from app.auth.access import APPROVER, AUDITOR, OPERATOR, Allow
from app.auth.acting import ActDep, ActOnShownDep
from app.auth.idempotency import IdempotentRoute
from app.deps import NowDep, PageDep, PlaceDep, SessionDep, tagged
from app.journal.actor import Actor
from app.orders import documents, incidents, notes, past, queries, review_queue, reviewing, reviews
from app.orders.review_queue import QueueFilter, QueueKind
from app.orders.review_schemas import Notes, ReviewOrder
from app.orders.schemas import CloseReview, Moment

router = APIRouter(prefix="/api/v1", tags=["reviews"], route_class=IdempotentRoute)

Reader = Annotated[Actor, Depends(Allow(OPERATOR, APPROVER, AUDITOR))]
Approver = Annotated[Actor, Depends(Allow(APPROVER))]
Clerk = Annotated[Actor, Depends(Allow(OPERATOR, APPROVER))]
OrderId = Annotated[str | None, Query(max_length=60)]


def get_queue_filter(
    *,
    kind: QueueKind | None = None,
    category: Annotated[str | None, Query(max_length=64)] = None,
    overdue: bool = False,
    before: Moment | None = None,
) -> QueueFilter:
    """Filters of the queue; without `before`, what is due within 30 days."""
    return QueueFilter(kind, category, overdue, before)


@router.get("/review-queue", summary="What is to be looked at, the longest overdue first")
def list_queue(
    actor: Reader,
    session: SessionDep,
    page: PlaceDep,
    now: NowDep,
    narrowed: Annotated[QueueFilter, Depends(get_queue_filter)],
) -> dict[str, Any]:
    """Orders whose review is due (`review`) or of whose names something was noted (`stale`), and open reviews of lifts
    (`breach`, `commitment_overdue`)."""
    return page.answer(review_queue.page(session, narrowed, now, after=page.after, limit=page.limit + 1))


@router.post("/orders/{uid}/review", summary="Review an order (not who proposed it), and say when the next is due")
def review_order(uid: str, command: ReviewOrder, actor: Approver, act: ActOnShownDep) -> dict[str, Any]:
    """`keep` it until `next_review_at`, `lift` it now on a ground, or `plan` its lift; what a lift needs is given."""
    order = act.shown(queries.order_by_uid(act.session, uid, lock=True))
    done = reviewing.review(act.session, actor, order, command, act.now)
    return documents.order_document(act.session, act.tagged(done))


@router.get("/orders/{uid}/reviews", summary="Every review of an order, oldest first")
def list_reviews_of_order(uid: str, actor: Reader, session: SessionDep) -> dict[str, Any]:
    return {"items": reviewing.history(session, queries.order_by_uid(session, uid)), "next": None}


@router.post("/notes", summary="Note that names changed owner or are gone: the review of their orders is due at once")
def note_names(command: Notes, actor: Clerk, act: ActDep) -> dict[str, Any]:
    """At most 1,000; each has a verdict: `noted`, `unchanged`, `not_held` (by no order that stands). Nothing is lifted
    by it, and no name is ever looked up for it."""
    return {"items": notes.note(act.session, actor, command.notes, act.now)}


@router.get("/notes", summary="What was noted of names, oldest first")
def list_notes(
    actor: Reader,
    session: SessionDep,
    page: PageDep,
    *,
    order: Annotated[str | None, Query(max_length=200)] = None,
    name: Annotated[str | None, Query(max_length=2000)] = None,
) -> dict[str, Any]:
    found = notes.page(session, order=order, name=name, after=page.after, limit=page.limit + 1)
    return page.answer([document for _, document in found], [id_ for id_, _ in found])


@router.get("/reviews", summary="Breaches after a lift and commitments that were not kept, oldest first")
def list_reviews(
    actor: Reader,
    session: SessionDep,
    page: PageDep,
    *,
    now: NowDep,
    order: OrderId = None,
    open_only: Annotated[bool, Query(alias="open")] = False,
    at: Moment | None = None,
) -> dict[str, Any]:
    """With `at`, those that had been opened by a moment, as they stood then; `open`: those that were open then."""
    if at is not None:
        then = past.reviews_at(
            session,
            past.moment_of(at, now),
            open_only=open_only,
            order_uid=order,
            after=page.after,
            limit=page.limit + 1,
        )
        return page.answer([item for _, item in then], [place for place, _ in then])
    found = reviews.page(session, open_only=open_only, order_uid=order, after=page.after, limit=page.limit + 1)
    return page.answer([reviews.document(session, row) for row in found], [row.id for row in found])


@router.get("/reviews/{uid}", summary="Read a review; ETag is its version")
def read_review(uid: str, actor: Reader, session: SessionDep, response: Response) -> dict[str, Any]:
    return reviews.document(session, tagged(reviews.by_uid(session, uid), response))


@router.post("/reviews/{uid}/close", summary="Decide a review (not who opened it)")
def close_review(uid: str, command: CloseReview, actor: Approver, act: ActOnShownDep) -> dict[str, Any]:
    """No decision blocks: `new_order` names a proposal, which takes the way of every order."""
    review = act.shown(reviews.by_uid(act.session, uid, lock=True))
    done = reviews.close(act.session, actor, review, command, act.now)
    return reviews.document(act.session, act.tagged(done))


@router.get("/incidents", summary="Blocks that were wrong, oldest first")
def list_incidents(actor: Reader, session: SessionDep, page: PageDep, order: OrderId = None) -> dict[str, Any]:
    found = incidents.page(session, order_uid=order, after=page.after, limit=page.limit + 1)
    return page.answer([incidents.document(*row) for row in found], [row.id for row, _ in found])
