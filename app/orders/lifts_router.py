"""The ways out of a block, under `/orders/{id}`: lift, planned lift, suspension, and undo."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from app.auth.access import APPROVER, AUDITOR, OPERATOR, Allow
from app.auth.idempotency import IdempotentRoute
from app.deps import ClockDep, DatabaseDep, NowDep, SessionDep, VersionDep, tagged
from app.journal.actor import Actor
from app.journal.moment import moment
from app.orders import documents, lift, queries, restore, suspend, undo
from app.orders.guarding import Guard
from app.orders.schemas import Lift, PlanLift, Resume, Suspend, Undo
from app.settings import Settings

router = APIRouter(prefix="/api/v1/orders", tags=["orders"], route_class=IdempotentRoute)

Approver = Annotated[Actor, Depends(Allow(APPROVER))]
Reader = Annotated[Actor, Depends(Allow(OPERATOR, APPROVER, AUDITOR))]


@router.post("/{uid}/lift", summary="Lift all or some of an order's targets, now")
def lift_order(
    uid: str,
    command: Lift,
    actor: Approver,
    session: SessionDep,
    clock: ClockDep,
    version: VersionDep,
    response: Response,
) -> dict[str, Any]:
    """`court` and `appeal_upheld` need a `document`; `solution_indicated` needs `commitments`: a date for each
    condition that is not met."""
    order = version.check(queries.order_by_uid(session, uid, lock=True))
    done = lift.lift(session, actor, order, command, moment(session, clock))
    return documents.order_document(session, tagged(done, response))


@router.post("/{uid}/plan-lift", summary="Plan a lift, or move a planned one")
def plan_order_lift(
    uid: str,
    command: PlanLift,
    actor: Approver,
    session: SessionDep,
    clock: ClockDep,
    version: VersionDep,
    response: Response,
) -> dict[str, Any]:
    """At a moment, or (`at` null) at one not chosen yet. Every date that it had is kept (`slips`)."""
    order = version.check(queries.order_by_uid(session, uid, lock=True))
    done = lift.plan_lift(session, actor, order, command, moment(session, clock))
    return documents.order_document(session, tagged(done, response))


@router.post("/{uid}/suspend", summary="Open an order's names until a moment, or move that moment")
def suspend_order(
    uid: str,
    command: Suspend,
    actor: Approver,
    session: SessionDep,
    clock: ClockDep,
    version: VersionDep,
    response: Response,
    request: Request,
) -> dict[str, Any]:
    """The block returns at that moment, after notice, if its order is still in force."""
    settings: Settings = request.app.state.settings
    order, now = version.check(queries.order_by_uid(session, uid, lock=True)), moment(session, clock)
    done = suspend.suspend(session, actor, order, command, now, notice=settings.notice_of_return)
    return documents.order_document(session, tagged(done, response))


@router.post("/{uid}/resume", summary="End an opening early: the order holds its names again")
def resume_order(
    uid: str,
    command: Resume,
    actor: Approver,
    session: SessionDep,
    clock: ClockDep,
    version: VersionDep,
    response: Response,
) -> dict[str, Any]:
    order = version.check(queries.order_by_uid(session, uid, lock=True))
    done = suspend.resume(session, actor, order, command, moment(session, clock))
    return documents.order_document(session, tagged(done, response))


@router.get("/{uid}/undo", summary="What undoing an order would do, and what other orders still hold")
def read_undo_plan(uid: str, actor: Reader, session: SessionDep, now: NowDep) -> dict[str, Any]:
    return undo.plan(session, queries.order_by_uid(session, uid), now)


@router.post("/{uid}/undo", summary="Undo an order, or the lift that ended it")
def undo_order(
    uid: str,
    command: Undo,
    actor: Approver,
    session: SessionDep,
    clock: ClockDep,
    version: VersionDep,
    response: Response,
    request: Request,
    database: DatabaseDep,
) -> dict[str, Any]:
    """`undo` says what was done: `lifted` at once; `proposed`, and the answer is the proposal, which another person
    approves; `end_proposed` of an exception, which another approver undoes too."""
    guard: Guard = request.app.state.guard
    with database.read() as reading:
        found = queries.order_by_uid(reading, uid).id
    staged = restore.stage(database, actor, found, command, guard=guard, clock=clock)
    order, now = version.check(queries.order_by_uid(session, uid, lock=True)), moment(session, clock)
    undone = undo.undo(session, actor, order, command, now, guard=guard, staged=staged)
    return {"undo": undone.act, **documents.order_document(session, tagged(undone.order, response))}
