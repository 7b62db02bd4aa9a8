"""`/orders`, `/blocks` and `/categories`."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from app.auth.access import APPROVER, AUDITOR, OPERATOR, Allow, Everybody
from app.auth.acting import ActDep, ActOnShownDep
from app.auth.idempotency import IdempotentRoute
from app.deps import DatabaseDep, NowDep, PageDep, SessionDep, tagged
from app.journal.actor import Actor
from app.orders import decide, documents, limits, past, plan, propose, queries, ranks, waiting
from app.orders.categories import CATEGORIES
from app.orders.guarding import Guard
from app.orders.models import OrderState
from app.orders.schemas import Decide, Moment, ProposeOrder, Withdraw
from app.settings import Settings

router = APIRouter(prefix="/api/v1", tags=["orders"], route_class=IdempotentRoute)

Proposer = Annotated[Actor, Depends(Allow(OPERATOR, APPROVER))]
Approver = Annotated[Actor, Depends(Allow(APPROVER))]
Reader = Annotated[Actor, Depends(Allow(OPERATOR, APPROVER, AUDITOR))]


def get_guard(request: Request) -> Guard:
    """The application's one guard, with the names of the rank file that counts."""
    state = request.app.state
    guard = ranks.up_to_date(state.database, state.guard)
    state.guard = guard
    return guard


GuardDep = Annotated[Guard, Depends(get_guard)]


def get_filter(
    state: OrderState | None = None,
    category: str | None = None,
    number: str | None = None,
    text: Annotated[str | None, Query(max_length=200)] = None,
    review_due_before: Moment | None = None,
) -> queries.OrderFilter:
    """Filters of lists of orders."""
    return queries.OrderFilter(state, category, number, text, review_due_before)


FilterDep = Annotated[queries.OrderFilter, Depends(get_filter)]


@router.post("/orders", status_code=201, summary="Propose an order")
def propose_order(command: ProposeOrder, actor: Proposer, act: ActDep, guard: GuardDep) -> dict[str, Any]:
    """At most 1,000 targets, `match` said for each; more go by `/imports`. Nothing is blocked before approval."""
    order = propose.propose(act.session, actor, command, act.now, guard=guard)
    return documents.order_document(act.session, act.tagged(order))


@router.get("/orders", summary="List orders, oldest first")
def list_orders(
    actor: Reader, session: SessionDep, narrowed: FilterDep, page: PageDep, now: NowDep, at: Moment | None = None
) -> dict[str, Any]:
    """With `at`, those that had been proposed by a moment, as each stood then: `state` narrows down by the state that
    it had (`state=active&at=` are the orders in force then). The other filters ask about what never changes, but for
    `review_due_before`, which asks about now."""
    if at is not None:
        at = past.moment_of(at, now)
        then = past.orders(session, narrowed, at, after=page.after, limit=page.limit + 1)
        items = [past.summary(session, order, state, at) for order, state in then]
        return page.answer(items, [order.id for order, _ in then])
    found = queries.orders(session, narrowed, after=page.after, limit=page.limit + 1)
    return page.answer([documents.order_summary(order) for order in found], [order.id for order in found])


@router.get("/orders/{uid}", summary="Read an order; ETag is its version")
def read_order(
    uid: str, actor: Reader, session: SessionDep, response: Response, now: NowDep, at: Moment | None = None
) -> dict[str, Any]:
    """With `at`, as it stood at a moment: state, names, marks, dates, by what had been recorded until then. 404 before
    it was proposed; without an `ETag`, for no act goes by what is past."""
    if at is not None:
        return past.document(session, uid, past.moment_of(at, now))
    return documents.order_document(session, tagged(queries.order_by_uid(session, uid), response))


@router.get("/orders/{uid}/clock", summary="Until when the law wants an order decided, or whether it was in time")
def read_clock(uid: str, actor: Reader, session: SessionDep, now: NowDep, request: Request) -> dict[str, Any]:
    """`clock` is null where none runs: a past case, an emergency order, a proposal that was withdrawn."""
    settings: Settings = request.app.state.settings
    return {"clock": waiting.clock(queries.order_by_uid(session, uid), settings.regime, now)}


@router.get("/orders/{uid}/plan", summary="What approval would do")
def read_plan(
    uid: str, request: Request, actor: Reader, session: SessionDep, now: NowDep, guard: GuardDep
) -> dict[str, Any]:
    order = queries.order_by_uid(session, uid)
    found = plan.make(session, order, guard=guard)
    sums = limits.sums(session, order, actor, now, guard.limits)
    zone = request.app.state.forecast(session, order, found, never=guard.never)
    return plan.document(order, found, now, sums=sums, limits=guard.limits, zone=zone)


@router.post("/orders/{uid}/approve", summary="Put a proposal in force (not the proposer)")
def approve_order(
    uid: str, command: Decide, actor: Approver, act: ActOnShownDep, guard: GuardDep, database: DatabaseDep
) -> dict[str, Any]:
    prepared = None
    if command.plan_hash is not None:
        prepared = decide.prepare(database, uid, guard=guard)
    order = act.shown(queries.order_by_uid(act.session, uid, lock=True))
    done = decide.approve(act.session, actor, order, command, act.now, guard=guard, prepared=prepared)
    return documents.order_document(act.session, act.tagged(done))


@router.post("/orders/{uid}/confirm", summary="Let an emergency order stand (not whoever issued it)")
def confirm_order(uid: str, command: Decide, actor: Approver, act: ActOnShownDep, guard: GuardDep) -> dict[str, Any]:
    order = act.shown(queries.order_by_uid(act.session, uid, lock=True))
    done = decide.confirm(act.session, actor, order, command, act.now, guard=guard)
    return documents.order_document(act.session, act.tagged(done))


@router.post("/orders/{uid}/reject", summary="Refuse a proposal (not the proposer)")
def reject_order(uid: str, command: Decide, actor: Approver, act: ActOnShownDep) -> dict[str, Any]:
    order = act.shown(queries.order_by_uid(act.session, uid, lock=True))
    done = decide.reject(act.session, actor, order, command, act.now)
    return documents.order_document(act.session, act.tagged(done))


@router.post("/orders/{uid}/withdraw", summary="Take a proposal back (the proposer)")
def withdraw_order(uid: str, command: Withdraw, actor: Proposer, act: ActOnShownDep) -> dict[str, Any]:
    order = act.shown(queries.order_by_uid(act.session, uid, lock=True))
    done = propose.withdraw(act.session, actor, order, command, act.now)
    return documents.order_document(act.session, act.tagged(done))


@router.get("/blocks", summary="List targets with the state of their order")
def list_blocks(
    actor: Reader, session: SessionDep, narrowed: FilterDep, page: PageDep, now: NowDep, at: Moment | None = None
) -> dict[str, Any]:
    """With `at`, as they stood at a moment: `state=active&at=` lists what was in force then (and, as `released`, what
    orders in force had let go of by itself)."""
    at = None if at is None else past.moment_of(at, now)
    found = past.blocks(session, narrowed, at, after=page.after, limit=page.limit + 1)
    items = [
        {
            **past.block(order, state, target, at),
            "order_id": order.uid,
            "order_number": order.number,
            "kind": order.kind,
        }
        for order, state, target in found
    ]
    return page.answer(items, [target.id for _, _, target in found])


@router.get("/guard", summary="The rank file that counts, and the limits of what one person may do")
def read_guard(actor: Reader, session: SessionDep, guard: GuardDep) -> dict[str, Any]:
    return {"rank_file": ranks.document(session), "limits": limits.document(guard.limits)}


@router.get("/categories", tags=["public"], summary="The reason codes")
def list_categories(actor: Everybody) -> dict[str, Any]:
    items = [{"code": each.code, "name": {"id": each.id, "en": each.en}} for each in CATEGORIES]
    return {"items": items, "next": None}
