"""The ways out of a block, under `/orders/{id}`: lift, planned lift, suspension, and undo."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from app.auth.access import APPROVER, AUDITOR, OPERATOR, Allow
from app.auth.acting import ActOnShownDep
from app.auth.idempotency import IdempotentRoute
from app.deps import DatabaseDep, NowDep, SessionDep
from app.journal.actor import Actor
from app.orders import documents, lift, queries, restore, suspend, undo
from app.orders.guarding import Guard
from app.orders.schemas import Lift, PlanLift, Resume, Suspend, Undo
from app.settings import Settings

router = APIRouter(prefix="/api/v1/orders", tags=["orders"], route_class=IdempotentRoute)

Approver = Annotated[Actor, Depends(Allow(APPROVER))]
Reader = Annotated[Actor, Depends(Allow(OPERATOR, APPROVER, AUDITOR))]


@router.post("/{uid}/lift", summary="Lift all or some of an order's targets, now")
def lift_order(uid: str, command: Lift, actor: Approver, act: ActOnShownDep) -> dict[str, Any]:
    """`court` and `appeal_upheld` need a `document`; `solution_indicated` needs `commitments`: a date for each
    condition that is not met."""
    order = act.shown(queries.order_by_uid(act.session, uid, lock=True))
    done = lift.lift(act.session, actor, order, command, act.now)
    return documents.order_document(act.session, act.tagged(done))


@router.post("/{uid}/plan-lift", summary="Plan a lift, or move a planned one")
def plan_order_lift(uid: str, command: PlanLift, actor: Approver, act: ActOnShownDep) -> dict[str, Any]:
    """At a moment, or (`at` null) at one not chosen yet. Every date that it had is kept (`slips`)."""
    order = act.shown(queries.order_by_uid(act.session, uid, lock=True))
    done = lift.plan_lift(act.session, actor, order, command, act.now)
    return documents.order_document(act.session, act.tagged(done))


@router.post("/{uid}/suspend", summary="Open an order's names until a moment, or move that moment")
def suspend_order(uid: str, command: Suspend, actor: Approver, act: ActOnShownDep, request: Request) -> dict[str, Any]:
    """The block returns at that moment, after notice, if its order is still in force."""
    settings: Settings = request.app.state.settings
    order = act.shown(queries.order_by_uid(act.session, uid, lock=True))
    done = suspend.suspend(act.session, actor, order, command, act.now, notice=settings.notice_of_return)
    return documents.order_document(act.session, act.tagged(done))


@router.post("/{uid}/resume", summary="End an opening early: the order holds its names again")
def resume_order(uid: str, command: Resume, actor: Approver, act: ActOnShownDep) -> dict[str, Any]:
    order = act.shown(queries.order_by_uid(act.session, uid, lock=True))
    done = suspend.resume(act.session, actor, order, command, act.now)
    return documents.order_document(act.session, act.tagged(done))


@router.get("/{uid}/undo", summary="What undoing an order would do, and what other orders still hold")
def read_undo_plan(uid: str, actor: Reader, session: SessionDep, now: NowDep) -> dict[str, Any]:
    return undo.plan(session, queries.order_by_uid(session, uid), now)


@router.post("/{uid}/undo", summary="Undo an order, or the lift that ended it")
def undo_order(
    uid: str, command: Undo, actor: Approver, act: ActOnShownDep, request: Request, database: DatabaseDep
) -> dict[str, Any]:
    """`undo` says what was done: `lifted` at once; `proposed`, and the answer is the proposal, which another person
    approves; `end_proposed` of an exception, which another approver undoes too."""
    guard: Guard = request.app.state.guard
    with database.read() as reading:
        found = queries.order_by_uid(reading, uid).id
    staged = restore.stage(database, actor, found, command, guard=guard, clock=act.clock)
    order = act.shown(queries.order_by_uid(act.session, uid, lock=True))
    undone = undo.undo(act.session, actor, order, command, act.now, guard=guard, staged=staged)
    return {"undo": undone.act, **documents.order_document(act.session, act.tagged(undone.order))}
