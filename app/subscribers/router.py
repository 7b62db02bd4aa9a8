"""`/subscribers` and `/acknowledgements`."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from app.auth.access import ADMIN, APPROVER, AUDITOR, ISP, OPERATOR, Allow
from app.auth.idempotency import IdempotentRoute
from app.deps import ClockDep, NowDep, PageDep, SessionDep
from app.journal.actor import Actor
from app.journal.moment import moment
from app.publication import zones
from app.subscribers import documents, queries
from app.subscribers.acknowledge import Acknowledge, acknowledge

router = APIRouter(prefix="/api/v1", tags=["subscribers"], route_class=IdempotentRoute)

READERS = (OPERATOR, APPROVER, AUDITOR, ADMIN)
Isp = Annotated[Actor, Depends(Allow(ISP))]


@router.get("/subscribers", dependencies=[Depends(Allow(*READERS))], summary="Who has which serial")
def list_subscribers(session: SessionDep, now: NowDep, page: PageDep) -> dict[str, Any]:
    """Without those that were removed. `behind` counts from the head; `overdue` is over 15 minutes behind."""
    rows = queries.page(session, after=page.after, limit=page.limit + 1)
    return page.answer([documents.subscriber(session, row, now) for row in rows], [row.id for row in rows])


@router.get("/subscribers/me", summary="Am I approved, by which address and key; what I have, what is newer")
def read_own(actor: Isp, session: SessionDep, now: NowDep) -> dict[str, Any]:
    row = queries.find(session, actor.name)
    if row is None:
        return documents.unknown(actor.name, actor.address)
    return documents.own(session, row, actor.address, now)


@router.get(
    "/subscribers/{id_or_name}", dependencies=[Depends(Allow(*READERS))], summary="One subscriber, removed or not"
)
def read_subscriber(id_or_name: str, session: SessionDep, now: NowDep) -> dict[str, Any]:
    return documents.subscriber(session, queries.by_id_or_name(session, id_or_name), now)


@router.post("/acknowledgements", summary="Say what became of a serial at your resolvers")
def post_acknowledgement(command: Acknowledge, actor: Isp, session: SessionDep, clock: ClockDep) -> dict[str, Any]:
    """410 for a serial that this zone never had."""
    delivery = acknowledge(session, actor, command, moment(session, clock))
    zone = zones.by_name(session, delivery.zone)
    return documents.acknowledged(delivery, zones.last_serial(session, zone))
