"""`Idempotency-Key`: the same POST twice has one effect and the same answer, also across a restart."""

import datetime as dt
import hashlib
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

import anyio.to_thread
from fastapi import Request, Response
from fastapi.routing import APIRoute
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.auth.access import identify
from app.auth.models import IdempotentAnswer
from app.deps import get_database, get_now
from app.errors import Conflict, Unprocessable

KEPT = dt.timedelta(hours=24)
MAX_KEY_CHARACTERS = 255

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class IdempotentRoute(APIRoute):
    """A route whose POST may carry `Idempotency-Key`; without the header it is an ordinary route."""

    def get_route_handler(self) -> Handler:
        original = super().get_route_handler()

        async def handle(request: Request) -> Response:
            if request.method != "POST" or "idempotency-key" not in request.headers:
                return await original(request)
            return await _once(request, original)

        return handle


async def _once(request: Request, original: Handler) -> Response:
    actor = await anyio.to_thread.run_sync(identify, request)
    if actor is None or actor.principal_id is None:
        return await original(request)
    slot = (actor.principal_id, _key(request))
    fingerprint = _fingerprint(request, await request.body())
    in_flight: set[tuple[int, str]] = request.app.state.idempotency_in_flight
    if slot in in_flight:
        raise Conflict("the first request with this key is still running", code="idempotency_in_flight")
    in_flight.add(slot)
    _after_commit(request, lambda: in_flight.discard(slot))
    kept = await anyio.to_thread.run_sync(_find, request, slot)
    if kept is not None:
        return _replay(kept, fingerprint)
    response = await original(request)
    await anyio.to_thread.run_sync(_keep, request, slot, fingerprint, response, limiter=anyio.CapacityLimiter(1))
    return response


def _fingerprint(request: Request, body: bytes) -> bytes:
    """What must be the same for a request to be the same one; the boundary of a multipart body is chance."""
    _, _, boundary = request.headers.get("content-type", "").partition("boundary=")
    if boundary:
        body = body.replace(boundary.strip('"').encode(), b"")
    target = f"{request.method} {request.url.path}?{request.url.query}\n"
    return hashlib.sha256(target.encode() + body).digest()


def _key(request: Request) -> str:
    key = request.headers["idempotency-key"].strip()
    if not 0 < len(key) <= MAX_KEY_CHARACTERS:
        raise Unprocessable(f"an Idempotency-Key has 1 to {MAX_KEY_CHARACTERS} characters")
    return key


def _after_commit(request: Request, callback: Callable[[], None]) -> None:
    """Run `callback` once the request's transaction has ended, however it ended.

    The stack closes last in, first out: what is pushed before the session dependency runs after it.
    """
    stack = request.scope["fastapi_function_astack"]
    assert isinstance(stack, AsyncExitStack)
    stack.callback(callback)


def _find(request: Request, slot: tuple[int, str]) -> IdempotentAnswer | None:
    with get_database(request).read() as session:
        kept = session.get(IdempotentAnswer, slot)
        return kept if kept is not None and kept.created_at > get_now(request) - KEPT else None


def _replay(kept: IdempotentAnswer, fingerprint: bytes) -> Response:
    if kept.fingerprint != fingerprint:
        raise Unprocessable("this Idempotency-Key was used with another request", code="idempotency_mismatch")
    headers = {"Idempotency-Replayed": "true"}
    if kept.etag is not None:
        headers["ETag"] = kept.etag
    return Response(kept.body, kept.status, headers, media_type="application/json")


def _keep(request: Request, slot: tuple[int, str], fingerprint: bytes, response: Response) -> None:
    """Write the answer into the transaction of its effect: both are kept, or neither."""
    session = request.state.session
    assert isinstance(session, Session)
    now = get_now(request)
    session.execute(delete(IdempotentAnswer).where(IdempotentAnswer.created_at <= now - KEPT))
    session.add(
        IdempotentAnswer(
            principal_id=slot[0],
            key=slot[1],
            fingerprint=fingerprint,
            status=response.status_code,
            etag=response.headers.get("etag"),
            body=bytes(response.body),
            created_at=now,
        )
    )
    try:
        session.flush()
    except IntegrityError as error:
        raise Conflict("another process is running this request", code="idempotency_in_flight") from error
