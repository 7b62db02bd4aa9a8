"""What a request must pass before any route sees it: whom it is for, how long it is, how often it comes.

Each is an ASGI layer that answers with a problem document itself, without a thread, a session or the body.
"""

import re
from collections.abc import Collection

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import problems
from app.auth.rates import Rates
from app.errors import RateLimited

MAX_BODY_OCTETS = 8 * 1024 * 1024
MAX_IMPORT_OCTETS = 64 * 1024 * 1024
NAMES = "/api/v1/names/"
IMPORTS = "/api/v1/imports"
PROBES = frozenset({"/healthz", "/readyz"})
"""Asked by what keeps the service running, so that nobody else's requests stand in their way."""

RANGE_HEADERS = frozenset({b"range", b"if-range"})


class RateLimit:
    """Answers 429 to requests without a token from an address that has made too many of them.

    Those with a token are counted where the token is looked up (`app.auth.access`).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in PROBES and b"authorization" not in dict(scope["headers"]):
            rates = scope["app"].state.rates
            assert isinstance(rates, Rates)
            client = scope["client"]
            try:
                rates.of_address(None if client is None else client[0])
            except RateLimited as error:
                await problems.problem(error.code, error.detail, headers=error.headers)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class KnownHosts:
    """Answers 421 to requests for other hosts than the service goes by (all, where `hosts` is empty)."""

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self._app = app
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http" and self._hosts:
            named = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
            if host_of(named) not in self._hosts:
                app = problems.problem("host_unknown", f"{named[:80]!r} is none of the hosts in PULIH_HOSTS")
        await app(scope, receive, send)


def host_of(header: str) -> str:
    """The host of a `Host` header, in lower case, without its port."""
    return re.sub(r":[0-9]*$", "", header).lower()


class BodyLimit:
    """Answers 413 before more of a request's body is read than its route can need."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = MAX_IMPORT_OCTETS if scope["path"] == IMPORTS else MAX_BODY_OCTETS
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > limit:
            answer = problems.problem("too_large", f"a body has at most {limit} octets")
            await answer(scope, receive, send)
            return
        await self._app(scope, _counted(receive, limit), send)


class NoRanges:
    """Every answer is whole (RFC 9110 14.2 lets a server pass over `Range`): parts of a zone are no zone, and many
    overlapping ones are much work for one request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["headers"] = [pair for pair in scope["headers"] if pair[0] not in RANGE_HEADERS]
        await self._app(scope, receive, _without_ranges(send))


def _without_ranges(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [pair for pair in message.get("headers", ()) if pair[0] != b"accept-ranges"]
        await send(message)

    return sent


class NoNul:
    """Nothing has a name with a NUL in it, which text of PostgreSQL cannot hold: it is not there, nor asked for.

    What is no domain name is said where domain names are read.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http" and "\0" in scope["path"] and not scope["path"].startswith(NAMES):
            app = problems.problem("not_found", "there is nothing whose name has a NUL in it")
        elif scope["type"] == "http" and b"%00" in scope["query_string"]:
            app = problems.problem("body_invalid", "no value has a NUL in it")
        await app(scope, receive, send)


def _counted(receive: Receive, limit: int) -> Receive:
    """The same for a body that does not say how long it is: it is cut off where it has become too long."""
    left = limit

    async def counted() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise HTTPException(413, f"a body has at most {limit} octets")
        return message

    return counted
