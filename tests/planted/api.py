"""Bugs of the interface: what the tables of roles and tokens, the limits, the retries and the search for secrets must
find."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy.orm import Session

from app import deps, problems
from app.auth import access, four_eyes, idempotency, rates, tokens
from app.auth.access import Allow, Public
from app.deps import get_database
from app.errors import AppError, Fault, Unauthenticated
from app.journal.actor import Actor
from app.orders import decide, documents
from app.orders.models import Order
from tests.planted import replace

Method = Callable[..., Any]


def role_ignored() -> None:
    """Whoever has a token may do everything."""

    def careless(_before: Method) -> Method:
        def let_in(_self: Allow, request: Request) -> Actor:
            actor = access.identify(request)
            if actor is None:
                raise Unauthenticated("this needs a token", code="token_missing")
            return actor

        return let_in

    replace(Allow, "__call__", careless)


def route_undeclared() -> None:
    """A route that says nothing about who may use it is taken to be for everybody."""

    def careless(before: Method) -> Method:
        def found(dependant: object) -> Iterator[object]:
            yield from before(dependant)
            yield Public()

        return found

    replace(access, "declarations", careless)


def four_eyes_by_token() -> None:
    """Two tokens are two people."""

    def careless(_before: Method) -> Method:
        def check(actor: Actor, first_principal_id: int | None, **_said: str) -> None:
            if actor.token_id == first_principal_id:
                raise AppError("the same token")

        return check

    replace(four_eyes, "check", careless)


def guard_in_proposals_alone() -> None:
    """What the guard has learned since a proposal does not count when it is approved."""
    replace(decide, "_check_guard", lambda _before: lambda *_said: None)


def rate_not_counted() -> None:
    """A limit that lets everything through."""
    replace(rates.Meter, "take", lambda _before: lambda _self, _client, _now: 0)


def lifts_limited() -> None:
    """What an approver decides is counted as all else."""
    replace(access, "decides", lambda _before: lambda _route: False)


def failures_lock_out() -> None:
    """Whoever is tried too often from an address is refused there, and all others with it."""

    def careless(before: Method) -> Method:
        def look_up(request: Request) -> Actor | None:
            address = None if request.client is None else request.client.host
            access.rates_of(request).of_failure(address)
            found: Actor | None = before(request)
            return found

        return look_up

    replace(access, "_look_up", careless)


def token_in_clear() -> None:
    """A token is kept as it is."""
    replace(tokens, "digest", lambda _before: str.encode)


def answer_after_its_effect() -> None:
    """The answer to an idempotency key is kept in a transaction of its own, behind that of the effect."""

    def careless(before: Method) -> Method:
        def keep(request: Request, slot: tuple[int, str], fingerprint: bytes, response: Response) -> None:
            session = request.state.session
            assert isinstance(session, Session)
            session.commit()
            with get_database(request).write() as request.state.session:
                before(request, slot, fingerprint, response)

        return keep

    replace(idempotency, "_keep", careless)


def token_in_an_error() -> None:
    """An error says which token it was that is not good."""

    def careless(before: Method) -> Method:
        def authenticate(session: Session, text: str, *, now: dt.datetime, address: str | None = None) -> Actor:
            try:
                actor: Actor = before(session, text, now=now, address=address)
            except Unauthenticated as error:
                raise Unauthenticated(f"{error.detail}: {text}") from error
            return actor

        return authenticate

    replace(tokens, "authenticate", careless)


def version_not_checked() -> None:
    """The last one to write wins."""
    replace(deps.ExpectedVersion, "check", lambda _before: lambda _self, row: row)


def problem_not_as_described() -> None:
    """Problem documents lack what the description says that they have."""

    def careless(before: Method) -> Method:
        def made(
            code: str, detail: str, faults: Sequence[Fault] = (), headers: Mapping[str, str] | None = None
        ) -> JSONResponse:
            response: JSONResponse = before(code, detail, faults, headers)
            response.body = bytes(response.body).replace(b'"title_id"', b'"title_in"')  # of the same length
            return response

        return made

    replace(problems, "problem", careless)


def answer_not_as_described() -> None:
    """An order is answered without its version."""

    def careless(before: Method) -> Method:
        def made(session: Session, order: Order) -> dict[str, object]:
            return {key: value for key, value in before(session, order).items() if key != "version"}

        return made

    replace(documents, "order_document", careless)


PLANTS: Mapping[str, Callable[[], None]] = {
    "role-ignored": role_ignored,
    "route-undeclared": route_undeclared,
    "four-eyes-by-token": four_eyes_by_token,
    "guard-in-proposals-alone": guard_in_proposals_alone,
    "rate-not-counted": rate_not_counted,
    "lifts-limited": lifts_limited,
    "failures-lock-out": failures_lock_out,
    "token-in-clear": token_in_clear,
    "answer-after-its-effect": answer_after_its_effect,
    "token-in-an-error": token_in_an_error,
    "version-not-checked": version_not_checked,
    "problem-not-as-described": problem_not_as_described,
    "answer-not-as-described": answer_not_as_described,
}
