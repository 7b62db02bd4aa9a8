"""`/metrics`."""

from fastapi import APIRouter, Depends, Request, Response

from app.auth.access import ADMIN, APPROVER, AUDITOR, OPERATOR, Allow
from app.deps import NowDep, SessionDep
from app.metrics import figures
from app.metrics.registry import CONTENT_TYPE, Process

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    dependencies=[Depends(Allow(OPERATOR, APPROVER, AUDITOR, ADMIN))],
    summary="Figures for a monitoring system, in the text format of Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}},
)
def metrics(request: Request, session: SessionDep, now: NowDep) -> Response:
    """They tell which ISP lacks what, so they need a token, as other answers that tell it."""
    process: Process = request.app.state.process
    found = figures.collect(session, now, request.app.state.settings.overdue)
    return Response(process.text(found), media_type=CONTENT_TYPE)
