"""`/subscribers` and `/acknowledgements`."""

import datetime as dt
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from sqlalchemy.orm import Session

from app.auth.access import ADMIN, APPROVER, AUDITOR, ISP, OPERATOR, Allow, Everybody
from app.auth.acting import ActDep
from app.auth.idempotency import IdempotentRoute
from app.deps import NowDep, PageDep, PageRequest, SessionDep
from app.errors import Forbidden
from app.journal.actor import Actor
from app.publication import zones
from app.subscribers import documents, layered, queries, rebasing, register
from app.subscribers.acknowledge import Acknowledge, acknowledge
from app.subscribers.lag import Lag
from app.subscribers.layered import ChangeSubscriber, TakeLayers
from app.subscribers.models import SubscriberRow
from app.subscribers.register import Readdress

router = APIRouter(prefix="/api/v1", tags=["subscribers"], route_class=IdempotentRoute)

READERS = (OPERATOR, APPROVER, AUDITOR, ADMIN)
Admin = Annotated[Actor, Depends(Allow(ADMIN))]
Isp = Annotated[Actor, Depends(Allow(ISP))]
ZoneQuery = Annotated[str | None, Query(max_length=255)]
AddressQuery = Annotated[str | None, Query(max_length=45)]
Kind = Literal["still_blocked", "not_yet_blocked"]


def get_lag(request: Request, session: SessionDep, now: NowDep) -> Lag:
    """What subscribers are compared with in this request."""
    return Lag(session, now, request.app.state.settings.overdue)


LagDep = Annotated[Lag, Depends(get_lag)]


def not_let_go(actor: Everybody, session: SessionDep) -> None:
    """A dependency for what ISPs may read: the token of one that was removed opens nothing, whenever it was made."""
    if actor is not None and actor.role == ISP and queries.was_removed(session, actor.name):
        raise Forbidden(f"{actor.name} was removed as a subscriber")


@router.get("/subscribers", dependencies=[Depends(Allow(*READERS))], summary="Who has which serial")
def list_subscribers(session: SessionDep, lag: LagDep, page: PageDep) -> dict[str, Any]:
    """Without those that were removed.

    A subscriber `has` what the one of its servers has that is furthest behind. `behind` counts from the head;
    `overdue`: it has lacked a serial for longer than `PULIH_OVERDUE_AFTER`.
    """
    rows = queries.page(session, after=page.after, limit=page.limit + 1)
    return page.answer(documents.subscribers(session, rows, lag), [row.id for row in rows])


@router.get("/rebase", dependencies=[Depends(Allow(*READERS))], summary="Layers: the bases in use, who waits for whom")
def read_rebase(request: Request, session: SessionDep, now: NowDep) -> dict[str, Any]:
    """`bases` are those that `urgent` makes up for, oldest first; `serials` theirs in each zone; `waits_for` the
    servers that keep all but the last from being let go of: until a moment, or (null) until they have the last one."""
    return rebasing.document(session, rebasing.state(session, request.app.state.settings.rebase, now))


@router.get("/subscribers/me", summary="Am I approved, by which address and key; what I have, what is newer")
def read_own(actor: Isp, session: SessionDep, lag: LagDep) -> dict[str, Any]:
    row = queries.find(session, actor.name)
    if row is None:
        return documents.unknown(actor.name, actor.address)
    return documents.own(session, row, actor.address, lag)


@router.get("/subscribers/me/transfers", summary="What my servers asked and were sent, newest first")
def read_own_transfers(
    actor: Isp, session: SessionDep, page: PageDep, zone: ZoneQuery = None, address: AddressQuery = None
) -> dict[str, Any]:
    return _transfers(session, queries.live_by_name(session, actor.name), page, zone, address)


@router.get("/subscribers/me/pending", summary="Names that I still block though lifted, or do not yet block")
def read_own_pending(
    actor: Isp, session: SessionDep, lag: LagDep, page: PageDep, zone: str, kind: Kind
) -> dict[str, Any]:
    return _pending(session, queries.live_by_name(session, actor.name), lag, page, zone, kind)


@router.get(
    "/subscribers/{id_or_name}", dependencies=[Depends(Allow(*READERS))], summary="One subscriber, removed or not"
)
def read_subscriber(id_or_name: str, session: SessionDep, lag: LagDep) -> dict[str, Any]:
    return documents.subscriber(session, queries.by_id_or_name(session, id_or_name), lag)


@router.get(
    "/subscribers/{id_or_name}/transfers",
    dependencies=[Depends(Allow(*READERS))],
    summary="The ledger: what its servers asked, were sent, and then had, newest first",
)
def read_transfers(
    id_or_name: str, session: SessionDep, page: PageDep, zone: ZoneQuery = None, address: AddressQuery = None
) -> dict[str, Any]:
    """Polls that showed nothing new have no row: `folded` counts those since the row before."""
    return _transfers(session, queries.by_id_or_name(session, id_or_name), page, zone, address)


@router.get(
    "/subscribers/{id_or_name}/pending",
    dependencies=[Depends(Allow(*READERS))],
    summary="Names that it still blocks though lifted, or does not yet block",
)
def read_pending(
    id_or_name: str, session: SessionDep, lag: LagDep, page: PageDep, zone: str, kind: Kind
) -> dict[str, Any]:
    """Between the serial that it has and the head. None are named above 10,000 rules: then `exact` is false."""
    return _pending(session, queries.by_id_or_name(session, id_or_name), lag, page, zone, kind)


@router.post(
    "/subscribers/{id_or_name}/layers", summary="Whether a subscriber takes zones in layers, and overrides them"
)
def post_layers(id_or_name: str, command: TakeLayers, actor: Admin, act: ActDep, lag: LagDep) -> dict[str, Any]:
    """What is left out stays as it is. 409 for layers where answers are overridden."""
    name = queries.by_id_or_name(act.session, id_or_name).name
    settling = None if command.settling_seconds is None else dt.timedelta(seconds=command.settling_seconds)
    change = ChangeSubscriber(name, command.layers, command.overrides, settling)
    row = layered.change(act.session, actor, change, act.now)
    return documents.subscriber(act.session, row, lag)


@router.post("/subscribers/{id_or_name}/addresses", summary="Where a subscriber asks from, and where it is notified")
def post_addresses(id_or_name: str, command: Readdress, actor: Admin, act: ActDep, lag: LagDep) -> dict[str, Any]:
    """Instead of before; what is left out stays as it is, and so do its keys and its token."""
    name = queries.by_id_or_name(act.session, id_or_name).name
    row = register.readdress(act.session, actor, name, command, act.now)
    return documents.subscriber(act.session, row, lag)


@router.post("/acknowledgements", responses={410: {}}, summary="Say what became of a serial at your resolvers")
def post_acknowledgement(command: Acknowledge, actor: Isp, act: ActDep) -> dict[str, Any]:
    """410 for a serial that this zone never had."""
    delivery = acknowledge(act.session, actor, command, act.now)
    zone = zones.by_name(act.session, delivery.zone)
    return documents.acknowledged(delivery, zones.last_serial(act.session, zone))


def _transfers(
    session: Session, row: SubscriberRow, page: PageRequest, zone: str | None, address: str | None
) -> dict[str, Any]:
    rows = queries.exchanges_of(session, row, before=page.after, limit=page.limit + 1, zone=zone, address=address)
    return page.answer([documents.exchange(each) for each in rows], [each.id for each in rows])


def _pending(
    session: Session, row: SubscriberRow, lag: Lag, page: PageRequest, zone: str, kind: Kind
) -> dict[str, Any]:
    published = zones.by_name(session, zone).name
    found = next((each for each in lag.standings([row])[row.id] if each.zone == published), None)
    names = None if found is None or found.pending is None else getattr(found.pending, kind)
    items = [] if names is None else names.items[page.after : page.after + page.limit + 1]
    return {
        "zone": published,
        "from": None if found is None or found.has is None else found.has.serial,
        "to": None if found is None else found.serial,
        "count": None if names is None else names.count,
        "exact": None if names is None else names.exact,
        **page.answer([documents.item(each) for each in items], [page.after + n for n in range(1, len(items) + 1)]),
    }
