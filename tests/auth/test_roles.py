"""Every route against every role and against nobody: who is let in, who is not, and that a new route must say it."""

import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from fastapi.routing import iter_route_contexts
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from app.auth.access import Everybody, UndeclaredRoute, check_declared
from tests.conftest import Application
from tests.service import PEOPLE, Service, problem

People = frozenset[str | None]
"""Who may use a route; None is everybody who has no token."""

OP, AP, AU, ISP, PL, AD = "operator-1", "approver-1", "auditor-1", "isp-1", "platform-1", "admin-1"
STAFF = {OP, AP, AU}
ALL = {*STAFF, ISP, PL, AD, None}

TABLE: dict[str, set[str] | set[str | None]] = {
    "POST /api/v1/orders": {OP, AP},
    "GET /api/v1/orders": STAFF,
    "GET /api/v1/orders/{uid}": STAFF,
    "GET /api/v1/orders/{uid}/plan": STAFF,
    "GET /api/v1/orders/{uid}/clock": STAFF,
    "POST /api/v1/orders/{uid}/approve": {AP},
    "POST /api/v1/orders/{uid}/confirm": {AP},
    "POST /api/v1/orders/{uid}/reject": {AP},
    "POST /api/v1/orders/{uid}/withdraw": {OP, AP},
    "POST /api/v1/orders/{uid}/lift": {AP},
    "POST /api/v1/orders/{uid}/plan-lift": {AP},
    "POST /api/v1/orders/{uid}/suspend": {AP},
    "POST /api/v1/orders/{uid}/resume": {AP},
    "GET /api/v1/orders/{uid}/undo": STAFF,
    "POST /api/v1/orders/{uid}/undo": {AP},
    "POST /api/v1/zones/{zone}/releases/{serial}/undo": {AP},
    "GET /api/v1/review-queue": STAFF,
    "POST /api/v1/orders/{uid}/review": {AP},
    "GET /api/v1/orders/{uid}/reviews": STAFF,
    "POST /api/v1/notes": {OP, AP},
    "GET /api/v1/notes": STAFF,
    "GET /api/v1/reviews": STAFF,
    "GET /api/v1/reviews/{uid}": STAFF,
    "POST /api/v1/reviews/{uid}/close": {AP},
    "GET /api/v1/incidents": STAFF,
    "POST /api/v1/applications": {OP, AP},
    "GET /api/v1/applications": STAFF,
    "GET /api/v1/applications/{uid}": STAFF,
    "POST /api/v1/applications/{uid}/incomplete": {OP, AP},
    "POST /api/v1/applications/{uid}/complete": {OP, AP},
    "POST /api/v1/applications/{uid}/withdraw": {OP, AP},
    "POST /api/v1/applications/{uid}/decide": {AP},
    "GET /api/v1/clocks": STAFF,
    "GET /api/v1/guard": STAFF,
    "GET /api/v1/guard/stops": STAFF,
    "POST /api/v1/guard/stops/{stop_id}/release": {AP},
    "POST /api/v1/imports": {OP, AP},
    "GET /api/v1/blocks": STAFF,
    "GET /api/v1/categories": ALL,
    "GET /api/v1/sops": STAFF,
    "GET /api/v1/sops/{code}": STAFF,
    "PUT /api/v1/sops/{code}": {AP},
    "POST /api/v1/sops/{code}/confirm": {AP},
    "POST /api/v1/sops/{code}/withdraw": {AP},
    "GET /api/v1/conditions": {OP, AP, AU, PL},
    "GET /api/v1/conditions/{uid}": {OP, AP, AU, PL},
    "POST /api/v1/conditions/{uid}/claim": {OP, AP, PL},
    "POST /api/v1/conditions/{uid}/evidence": {OP, AP, PL},
    "GET /api/v1/conditions/{uid}/evidence/{evidence_id}": {OP, AP, AU, PL},
    "POST /api/v1/conditions/{uid}/verify": {AP},
    "POST /api/v1/conditions/{uid}/reject": {AP},
    "POST /api/v1/conditions/{uid}/waive": {AP},
    "POST /api/v1/conditions/{uid}/breach": {AP},
    "POST /api/v1/conditions/{uid}/commit": {AP},
    "GET /api/v1/names/{name}": ALL,
    "GET /api/v1/names/{name}/history": STAFF,
    "GET /api/v1/names/{name}/proof": {AU},
    "GET /api/v1/differences": STAFF,
    "GET /api/v1/zones/{zone}/differences": STAFF,
    "GET /api/v1/subscribers/{isp}/differences": STAFF,
    "GET /api/v1/audit/events": {AU},
    "GET /api/v1/audit/checkpoint": ALL,
    "GET /api/v1/audit/keys": ALL,
    "GET /api/v1/audit/proofs/inclusion": {AU},
    "GET /api/v1/audit/proofs/consistency": ALL,
    "GET /api/v1/audit/export": {AU},
    "GET /api/v1/audit/figures.{format_}": STAFF,
    "GET /api/v1/zones/{zone}/export.{format_}.sig": {AU, ISP},
    "GET /api/v1/zones": {OP, AP, AU, ISP, AD},
    "GET /api/v1/zones/{zone}": {OP, AP, AU, ISP, AD},
    "GET /api/v1/zones/{zone}/changes": {AU, ISP},
    "GET /api/v1/zones/{zone}/export.{format_}": {AU, ISP},
    "HEAD /api/v1/zones/{zone}/export.{format_}": {AU, ISP},
    "GET /api/v1/rebase": {OP, AP, AU, AD},
    "GET /api/v1/subscribers": {OP, AP, AU, AD},
    "GET /api/v1/subscribers/me": {ISP},
    "GET /api/v1/subscribers/me/transfers": {ISP},
    "GET /api/v1/subscribers/me/pending": {ISP},
    "GET /api/v1/subscribers/{id_or_name}": {OP, AP, AU, AD},
    "GET /api/v1/subscribers/{id_or_name}/transfers": {OP, AP, AU, AD},
    "GET /api/v1/subscribers/{id_or_name}/pending": {OP, AP, AU, AD},
    "POST /api/v1/subscribers/{id_or_name}/addresses": {AD},
    "POST /api/v1/subscribers/{id_or_name}/layers": {AD},
    "POST /api/v1/acknowledgements": {ISP},
    "GET /api/docs": ALL,
    "GET /healthz": ALL,
    "GET /metrics": {OP, AP, AU, AD},
    "GET /readyz": ALL,
    "GET /api/openapi.json": ALL,
    "HEAD /api/openapi.json": ALL,
    "GET /api/static": ALL,
}
ROUTES: dict[str, People] = {route: frozenset(people) for route, people in TABLE.items()}
"""Who may do what. A route without a row here fails the first test below."""

REFUSALS = {401, 403}


def routes_of(app: FastAPI) -> set[str]:
    """Every method and path that the application answers, mounts as `GET PATH`."""
    return {
        f"{method} {route.path}"
        for route in iter_route_contexts(app.routes)
        for method in (getattr(route, "methods", None) or {"GET"})
    }


def path_of(route: str) -> tuple[str, str]:
    """A method and a path to call a route by; what it is about need not exist."""
    method, path = route.split()
    for placeholder in ("{uid}", "{name}", "{code}", "{id_or_name}", "{evidence_id}"):
        path = path.replace(placeholder, "x.example")
    path = path.replace("{zone}", "block.rpz").replace("{format_}", "rpz").replace("{serial}", "7")
    path = path.replace("{stop_id}", "7")
    return method, f"{path}/swagger-ui/VERSION" if path == "/api/static" else path


def test_every_route_has_a_row(application: Application) -> None:
    assert routes_of(application.app) - set(ROUTES) == set()


def test_every_row_has_a_route(application: Application) -> None:
    assert set(ROUTES) - routes_of(application.app) == set()


@pytest.mark.parametrize("route", ROUTES)
def test_a_route_lets_its_roles_in_and_nobody_else(service: Service, route: str) -> None:
    method, path = path_of(route)
    let_in = set()
    for person in (*PEOPLE, None):
        response = service.request(method, path, by=person, headers={"Content-Type": "application/json"})
        if response.status_code not in REFUSALS:
            let_in.add(person)
        elif method != "HEAD":
            code = "token_missing" if person is None else "role_forbidden"
            problem(response, 401 if person is None else 403, code)
        assert response.status_code < 500

    second = {"operator-1": "operator-2", "approver-1": "approver-2"}
    assert let_in == ROUTES[route] | {second[person] for person in ROUTES[route] if person in second}


@pytest.mark.parametrize("route", [route for route, allowed in ROUTES.items() if allowed != ALL])
def test_a_refused_request_is_refused_before_its_body_is_judged(service: Service, route: str) -> None:
    method, path = path_of(route)
    for person in (*PEOPLE, None):
        if person not in ROUTES[route] and person not in {"operator-2", "approver-2"}:
            response = service.request(method, path, by=person, content='{"nonsense": 1}')
            assert response.status_code in REFUSALS


@pytest.mark.parametrize("route", [route for route in ROUTES if "/api/openapi" not in route and "static" not in route])
def test_a_bad_token_is_refused_even_where_none_is_needed(service: Service, route: str) -> None:
    method, path = path_of(route)
    response = service.request(method, path, by=None, headers={"Authorization": "Bearer pulih_nonsense"})

    assert response.status_code == 401


def undeclared() -> PlainTextResponse:
    return PlainTextResponse("secret")


def declared(actor: Everybody) -> PlainTextResponse:
    return PlainTextResponse(actor.name if actor else "")


def with_route(app: FastAPI) -> None:
    app.get("/planted")(undeclared)


def with_router(app: FastAPI) -> None:
    router = APIRouter(prefix="/api/v1")
    router.get("/planted")(undeclared)
    app.include_router(router)


def with_nested_router(app: FastAPI) -> None:
    inner, outer = APIRouter(), APIRouter()
    inner.post("/planted")(undeclared)
    outer.include_router(inner, prefix="/inner")
    app.include_router(outer, prefix="/outer")


def with_mount(app: FastAPI) -> None:
    app.mount("/planted", FastAPI())


def with_mount_in_router(app: FastAPI) -> None:
    router = APIRouter()
    router.routes.append(Mount("/planted", FastAPI()))
    app.include_router(router)


def with_starlette_route(app: FastAPI) -> None:
    def endpoint(_request: Request) -> PlainTextResponse:
        return PlainTextResponse("secret")

    app.router.routes.append(Route("/planted", endpoint))


def with_web_socket(app: FastAPI) -> None:
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()

    app.add_api_websocket_route("/planted", endpoint)


@pytest.mark.parametrize(
    "plant",
    [
        with_route,
        with_router,
        with_nested_router,
        with_mount,
        with_mount_in_router,
        with_starlette_route,
        with_web_socket,
    ],
)
def test_an_application_with_an_undeclared_route_does_not_start(plant: object) -> None:
    app = FastAPI(openapi_url="/api/openapi.json", docs_url=None, redoc_url=None)
    app.get("/declared")(declared)
    check_declared(app)
    assert callable(plant)
    plant(app)

    with pytest.raises(UndeclaredRoute, match="planted"):
        check_declared(app)


def test_a_router_whose_dependency_declares_for_all_its_routes_is_enough() -> None:
    app = FastAPI(openapi_url="/api/openapi.json", docs_url=None, redoc_url=None)
    router = APIRouter(prefix="/api/v1")
    router.get("/declared")(declared)
    app.include_router(router)

    check_declared(app)
