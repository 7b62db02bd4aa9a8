"""Authorisation, declared on every route: `Allow(...)` for roles, `Public()` for everybody; and who is asking."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts

from app.auth import tokens
from app.auth.rates import Rates
from app.deps import get_database, get_now
from app.errors import Forbidden, Unauthenticated
from app.journal.actor import Actor, Role

OPERATOR, APPROVER, AUDITOR, ISP, PLATFORM, ADMIN = (
    Role.OPERATOR,
    Role.APPROVER,
    Role.AUDITOR,
    Role.ISP,
    Role.PLATFORM,
    Role.ADMIN,
)


class UndeclaredRoute(Exception):
    """A route says nothing about who may use it; the application does not start."""


def bearer(request: Request) -> str | None:
    """The token of `Authorization: Bearer TOKEN` (RFC 6750), or None without that header."""
    header = request.headers.get("authorization")
    if header is None:
        return None
    scheme, _, text = header.partition(" ")
    if scheme.lower() != "bearer" or not text.strip():
        raise Unauthenticated("write Authorization: Bearer TOKEN")
    return text.strip()


def identify(request: Request) -> Actor | None:
    """Whose request it is: looked up once, in a short transaction of its own, so that no lock is held for it."""
    if not hasattr(request.state, "actor"):
        request.state.actor = _look_up(request)
        _count(request, request.state.actor)
    actor = request.state.actor
    assert actor is None or isinstance(actor, Actor)
    return actor


def _look_up(request: Request) -> Actor | None:
    """Every token is looked up, also after many bad ones from the same address, so that nobody locks another out."""
    address = None if request.client is None else request.client.host
    try:
        text = bearer(request)
        if text is None:
            return None
        with get_database(request).read() as session:
            return tokens.authenticate(session, text, now=get_now(request), address=address)
    except Unauthenticated:
        rates_of(request).of_failure(address)
        raise


def _count(request: Request, actor: Actor | None) -> None:
    if actor is not None and not decides(request.scope.get("route")):
        rates_of(request).of_token(actor.token_id)


def rates_of(request: Request) -> Rates:
    """The application's limits on requests."""
    rates = request.app.state.rates
    assert isinstance(rates, Rates)
    return rates


class Allow:
    """A dependency that lets the given roles in, and tells the route who is asking."""

    def __init__(self, *roles: Role) -> None:
        self.roles = frozenset(roles)

    def __call__(self, request: Request) -> Actor:
        actor = identify(request)
        if actor is None:
            raise Unauthenticated("this needs a token", code="token_missing")
        if actor.role not in self.roles:
            raise Forbidden(f"this is for {', '.join(sorted(self.roles))}; {actor.name} is {actor.role}")
        return actor


class Public:
    """A dependency that lets everybody in; a token, where one is given, must still be good."""

    def __call__(self, request: Request) -> Actor | None:
        return identify(request)


Everybody = Annotated[Actor | None, Depends(Public())]


FILES = frozenset({"/api/openapi.json", "/api/static"})
"""What is served without any code of a route: the same for everybody, and known to hold no secret."""


def check_declared(app: FastAPI) -> None:
    """Raise UndeclaredRoute, naming them, where routes of `app` do not say who may use them.

    A route that takes no dependencies (a mount, a web socket, a plain Starlette route) cannot say it, and must stand
    in `FILES`. Routers are looked into, however deep they are included.
    """
    undeclared = [
        str(route.path)
        for route in iter_route_contexts(app.routes)
        if route.path not in FILES and not any(declarations(getattr(route, "dependant", None)))
    ]
    if undeclared:
        raise UndeclaredRoute(f"no authorisation declared on {', '.join(undeclared)}")


def decides(route: object) -> bool:
    """Whether a route is for approvers alone: a decision. Every lift is one, so no limit on requests holds it up."""
    declared = declarations(getattr(route, "dependant", None))
    return any(isinstance(each, Allow) and each.roles == {APPROVER} for each in declared)


def declarations(dependant: Dependant | None) -> Iterator[Allow | Public]:
    """What a route says of who may use it, however deep."""
    if dependant is not None:
        if isinstance(dependant.call, Allow | Public):
            yield dependant.call
        for each in dependant.dependencies:
            yield from declarations(each)
