"""`/applications`: for normalisation, and appeals; entered by an operator as they came in."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from app.auth.access import APPROVER, AUDITOR, OPERATOR, Allow
from app.auth.acting import Act, ActDep, ActOnShownDep
from app.auth.idempotency import IdempotentRoute
from app.cases import completeness, decide, documents, queries, receive
from app.cases.models import Application, ApplicationKind, ApplicationState
from app.cases.schemas import Complete, DecideApplication, Incomplete, Receive, WithdrawApplication
from app.deps import NowDep, PageDep, SessionDep, tagged
from app.journal.actor import Actor
from app.regime import Regime
from app.settings import Settings

router = APIRouter(prefix="/api/v1/applications", tags=["applications"], route_class=IdempotentRoute)

Clerk = Annotated[Actor, Depends(Allow(OPERATOR, APPROVER))]
Approver = Annotated[Actor, Depends(Allow(APPROVER))]
Reader = Annotated[Actor, Depends(Allow(OPERATOR, APPROVER, AUDITOR))]


def get_regime(request: Request) -> Regime:
    """The law's clocks and papers, as this installation has them."""
    settings: Settings = request.app.state.settings
    return settings.regime


RegimeDep = Annotated[Regime, Depends(get_regime)]


def answer(act: Act, application: Application, regime: Regime) -> dict[str, Any]:
    """What an act answers with: the application as it then stands, and its version."""
    return documents.document(act.session, act.tagged(application), act.now, regime=regime, with_applicant=True)


@router.post("", status_code=201, summary="Enter an application or an appeal, as it came in")
def receive_application(command: Receive, actor: Clerk, act: ActDep, regime: RegimeDep) -> dict[str, Any]:
    """About an order, names, or names of one order; an appeal also `appeal_of` a refused application.

    Where papers of the checklist lack it is `incomplete`, and its clock stands still.
    """
    done = receive.receive(act.session, actor, command, act.now, regime=regime)
    return answer(act, done, regime)


@router.get("", summary="List applications, oldest first")
def list_applications(
    actor: Reader,
    session: SessionDep,
    page: PageDep,
    now: NowDep,
    regime: RegimeDep,
    *,
    state: ApplicationState | None = None,
    kind: ApplicationKind | None = None,
    order: Annotated[str | None, Query(max_length=60)] = None,
    name: Annotated[str | None, Query(max_length=2000)] = None,
    overdue: bool = False,
) -> dict[str, Any]:
    narrowed = queries.ApplicationFilter(state, kind, order, name, now if overdue else None)
    found = queries.page(session, narrowed, after=page.after, limit=page.limit + 1)
    return page.answer(
        [documents.summary(session, each, now, regime=regime) for each in found], [each.id for each in found]
    )


@router.get("/{uid}", summary="Read an application; ETag is its version")
def read_application(
    uid: str, actor: Reader, session: SessionDep, now: NowDep, regime: RegimeDep, response: Response
) -> dict[str, Any]:
    """Who applied is for operators and approvers."""
    application = tagged(queries.by_uid(session, uid), response)
    with_applicant = actor.role != AUDITOR
    return documents.document(session, application, now, regime=regime, with_applicant=with_applicant)


@router.post("/{uid}/incomplete", summary="Say which papers lack: the clock stops")
def stop_application(
    uid: str, command: Incomplete, actor: Clerk, act: ActOnShownDep, regime: RegimeDep
) -> dict[str, Any]:
    application = act.shown(queries.by_uid(act.session, uid, lock=True))
    done = completeness.incomplete(act.session, actor, application, command, act.now, regime=regime)
    return answer(act, done, regime)


@router.post("/{uid}/complete", summary="Take the papers that lacked: the clock goes on")
def complete_application(
    uid: str, command: Complete, actor: Clerk, act: ActOnShownDep, regime: RegimeDep
) -> dict[str, Any]:
    application = act.shown(queries.by_uid(act.session, uid, lock=True))
    done = completeness.complete(act.session, actor, application, command, act.now, regime=regime)
    return answer(act, done, regime)


@router.post("/{uid}/withdraw", summary="Note that the applicant took it back")
def withdraw_application(
    uid: str, command: WithdrawApplication, actor: Clerk, act: ActOnShownDep, regime: RegimeDep
) -> dict[str, Any]:
    application = act.shown(queries.by_uid(act.session, uid, lock=True))
    done = completeness.withdraw(act.session, actor, application, command, act.now)
    return answer(act, done, regime)


@router.post("/{uid}/decide", summary="Grant or refuse (nobody who had a part in the block, or entered it)")
def decide_application(
    uid: str, command: DecideApplication, actor: Approver, act: ActOnShownDep, regime: RegimeDep
) -> dict[str, Any]:
    """`granted` lifts at once, on a `ground` with what that needs; `refused` says why in both languages; `overtaken`
    is for what nothing holds any more. An appeal is granted as `appeal_upheld`, with its `document`."""
    application = act.shown(queries.by_uid(act.session, uid, lock=True))
    done = decide.decide(act.session, actor, application, command, act.now)
    return answer(act, done, regime)
