"""Each HTTP request: an id, a line in the log, and how long it took.

A line names the route, not the path: what names people look up is nobody's business. Nor does it carry a query, a body
or a header.
"""

import logging
import re
import time
import uuid
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.logs import OURS, request_id

log = logging.getLogger("pulih.http")

HEADER = b"x-request-id"
USABLE = re.compile(rb"[A-Za-z0-9._-]{8,64}")
UNROUTED = "none"
SERVER_FAULT = 500

Observe = Callable[[str, str, int, float], None]
"""Takes method, route, status and seconds of an answered request."""


class RequestLog:
    """Gives each request an id (`X-Request-Id`: the one it came with, where that is 8 to 64 of `A-Za-z0-9._-`), which
    stands in every line that is logged for it and in its answer."""

    def __init__(self, app: ASGIApp, observe: Observe) -> None:
        self._app = app
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = dict(scope["headers"]).get(HEADER, b"")
        own = asked if USABLE.fullmatch(asked) else uuid.uuid4().hex.encode()
        status = SERVER_FAULT
        began = time.perf_counter()

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (HEADER, own)]
            await send(message)

        before = request_id.set(own.decode())
        try:
            await self._app(scope, receive, named)
        finally:
            self._tell(scope, status, time.perf_counter() - began)
            request_id.reset(before)

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        """Actors are told by name: whoever acted stands in the journal under the same one."""
        route = getattr(scope.get("route"), "path", UNROUTED)
        actor = getattr(scope.get("state", {}).get("actor"), "name", None)
        fields = {"method": scope["method"], "route": route, "status": status, "ms": round(seconds * 1000, 1)}
        line = " ".join(str(value) for value in fields.values())
        log.info("%s %s", line, actor or "-", extra={OURS: {**fields, "actor": actor}})
        self._observe(scope["method"], route, status, seconds)
