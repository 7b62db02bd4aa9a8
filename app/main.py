"""The application: the only module that knows every room."""

import datetime as dt
import logging
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from importlib import resources
from typing import Any

import uvicorn
from fastapi import Depends, FastAPI
from fastapi.responses import HTMLResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles

from app import garbage, http_connection, lifeline, logs, problems, schema
from app.answers.router import router as answers_router
from app.audit.router import router as audit_router
from app.auth.access import Everybody, check_declared
from app.auth.rates import Rates
from app.cases.router import router as applications_router
from app.db import Clock, Database
from app.deps import SessionDep
from app.description import Described
from app.errors import SettingInvalid
from app.front_door import BodyLimit, KnownHosts, NoNul, NoRanges, RateLimit
from app.journal import signing
from app.metrics.registry import Process
from app.metrics.router import router as metrics_router
from app.orders import categories, guarding, imports_staging
from app.orders.conditions_router import router as conditions_router
from app.orders.imports_router import router as imports_router
from app.orders.lifts_router import router as lifts_router
from app.orders.reviews_router import router as reviews_router
from app.orders.router import router as orders_router
from app.orders.sops_router import router as sops_router
from app.publication import forecast, stops, zones
from app.publication.loop import Publishing
from app.publication.marks import Marks
from app.publication.publisher import Publisher
from app.publication.router import router as zones_router
from app.publication.stops_router import router as stops_router
from app.request_log import RequestLog
from app.settings import Settings
from app.subscribers import overdue, pulse, rebasing
from app.subscribers.router import not_let_go
from app.subscribers.router import router as subscribers_router

log = logging.getLogger(__name__)

DESCRIPTION = """Blocking and DNS-normalisation control: orders, conditions, lifts, zones, and the record of it all.

Every answer that is not a success is `application/problem+json` with a `code` that never changes."""

DOCS_POLICY = (
    "default-src 'none'; connect-src 'self'; img-src data: 'self'; style-src 'self' 'unsafe-inline'; "
    "script-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""Swagger UI writes inline styles; it gets no inline script, and nothing from anywhere else."""

ROUTERS = (
    orders_router,
    lifts_router,
    conditions_router,
    reviews_router,
    sops_router,
    imports_router,
    applications_router,
    answers_router,
    audit_router,
    subscribers_router,
    stops_router,
    metrics_router,
)
UNREADY: dict[int | str, dict[str, Any]] = {
    503: {"description": "Not ready: why, in words", "content": {"text/plain": {}}}
}
REFUSED = 2
SWEEP_SECONDS = 300.0
"""How often the sweeper goes round; who became overdue is in the journal that much later at most."""


def utc_now() -> dt.datetime:
    """The one clock; everything below takes `now` as an argument."""
    return dt.datetime.now(dt.UTC)


def create_app(
    settings: Settings, database: Database, *, clock: Clock = utc_now, with_publisher: bool = True
) -> FastAPI:
    """The application on a migrated database; raises where a route does not say who may use it."""
    schema.check(database)
    categories.check_known(settings.regime.urgent_categories)
    app = Described(
        title="Pulih",
        version="1",
        description=DESCRIPTION,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan if with_publisher else None,
    )
    app.state.settings = settings
    app.state.database = database
    app.state.clock = clock
    app.state.guard = guarding.load(settings.zone_settings, settings.limits)
    app.state.forecast = forecast.document
    app.state.idempotency_in_flight = set()
    app.state.publishing = None
    app.state.process = Process()
    app.state.rates = Rates(settings.rates, time.monotonic, app.state.process.limited)
    problems.install(app)
    for router in ROUTERS:
        app.include_router(router)
    app.include_router(zones_router, dependencies=[Depends(not_let_go)])
    _mount_pages(app)
    check_declared(app)
    app.add_middleware(BodyLimit)
    app.add_middleware(NoNul)
    app.add_middleware(NoRanges)
    app.add_middleware(KnownHosts, hosts=settings.known_hosts)
    app.add_middleware(RateLimit)
    app.add_middleware(RequestLog, observe=app.state.process.answered)
    return app


def make_publisher(settings: Settings, database: Database) -> Publisher:
    """The publisher of this installation."""
    marks = Marks(settings.data_dir / "marks", "publisher")
    return Publisher(database, marks, settings.zone_settings, guarding.load(settings.zone_settings).never)


@contextmanager
def publishing(settings: Settings, database: Database, clock: Clock) -> Iterator[Publishing]:
    """The publisher in a thread for as long as the block runs, and beside it the sweeper."""
    publisher = Publishing(database, partial(make_publisher, settings), clock)
    stop = threading.Event()
    sweeper = threading.Thread(
        target=_sweep, args=(settings, database, clock, publisher, stop), name="sweeper", daemon=True
    )
    with publisher.running(stop):
        sweeper.start()
        try:
            yield publisher
        finally:
            stop.set()
            sweeper.join()


def _sweep(settings: Settings, database: Database, clock: Clock, publisher: Publishing, stop: threading.Event) -> None:
    """What is done now and then by the one that publishes, each with a failure of its own: a database that is busy is
    asked again."""
    chores: tuple[tuple[str, Callable[[], object]], ...] = (
        ("broken-off imports could not be swept away", lambda: imports_staging.sweep(database, clock())),
        ("who is overdue could not be written down", lambda: overdue.watch(database, clock, settings.overdue)),
        ("a rebase could not be looked after", lambda: rebasing.watch(database, clock, settings.rebase)),
    )
    while not stop.is_set():
        for failure, chore in chores if publisher.has_lease else ():
            try:
                chore()
            except Exception:
                log.exception("%s; it will be tried again", failure)
        stop.wait(SWEEP_SECONDS)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    state = app.state
    with publishing(state.settings, state.database, state.clock) as state.publishing:
        yield


def _mount_pages(app: FastAPI) -> None:
    static = resources.files("app") / "static"
    app.mount("/api/static", StaticFiles(directory=str(static)), name="static")

    @app.get("/api/docs", include_in_schema=False)
    def docs(actor: Everybody) -> HTMLResponse:
        page = (static / "docs.html").read_text("utf-8")
        return HTMLResponse(page, headers={"Content-Security-Policy": DOCS_POLICY})

    @app.get("/healthz", response_class=PlainTextResponse, tags=["health"], summary="The process answers")
    def healthz(actor: Everybody) -> PlainTextResponse:
        return PlainTextResponse("ok\n")

    @app.get(
        "/readyz",
        response_class=PlainTextResponse,
        responses=UNREADY,
        tags=["health"],
        summary="Something is published, and who publishes and transfers is well",
    )
    def readyz(actor: Everybody, session: SessionDep) -> PlainTextResponse:
        if zones.head(session) is None:
            return PlainTextResponse("nothing has been published yet\n", 503)
        publisher: Publishing | None = app.state.publishing
        ailment = (None if publisher is None else publisher.ailment()) or pulse.ailment(session, app.state.clock())
        if ailment is not None:
            return PlainTextResponse(f"{ailment}\n", 503)
        standing = stops.standing(session)
        if standing:
            why = stops.findings(standing[0])[0].why
            return PlainTextResponse(f"ok, but blocks are stopped: {why} (pulih guard stops)\n")
        return PlainTextResponse("ok\n")


def serve(settings: Settings, database: Database, *, with_publisher: bool) -> None:
    """Answer HTTP until told to stop."""
    schema.check(database)
    signing.start(database, settings, utc_now)
    app = create_app(settings, database, with_publisher=with_publisher)
    uvicorn.Server(http_connection.config(app, settings)).run()


def publish(settings: Settings, database: Database) -> None:
    """Publish until told to stop, without answering anybody."""
    schema.check(database)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    with publishing(settings, database, utc_now):
        stop.wait()


def main(arguments: Sequence[str]) -> int:
    """`python -m app.main`, started by `pulih serve`; 2 where the settings do not allow a start.

    `--without-publisher` answers HTTP only, `--only-publisher` publishes only.
    """
    logs.to_stderr()
    lifeline.follow()
    try:
        settings = Settings()
        database = Database(settings.database)
        garbage.settle()
        if "--only-publisher" in arguments:
            publish(settings, database)
        else:
            serve(settings, database, with_publisher="--without-publisher" not in arguments)
    except SettingInvalid as error:
        log.error("%s", error)  # noqa: TRY400 - the message is all there is to say
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
