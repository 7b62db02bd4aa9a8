"""What the interface says of itself (OpenAPI), beyond what the web framework sees: who may ask, and how it refuses.

It is taken from what each route declares, so that nobody writes it down a second time.
"""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import RouteContext, iter_route_contexts

from app.auth.access import Allow, declarations
from app.deps import get_expected_version, get_page, get_place, get_session
from app.described_answers import ANSWERS, page_of
from app.journal.actor import Role
from app.problems import PROBLEMS

Json = dict[str, Any]

EVERYWHERE = frozenset({401, 421, 422, 429})
CHANGING = frozenset({409, 507})
WITH_VERSION = frozenset({412, 428})
WITH_BODY = frozenset({413, 415})
TOKEN = {"type": "http", "scheme": "bearer"}
TEXT: Json = {"type": "string", "minLength": 1}
FAULT: Json = {
    "type": "object",
    "required": ["rule"],
    "properties": {
        "rule": TEXT,
        "pointer": {"type": "string"},
        "line": {"type": "integer"},
        "value": {"type": "string"},
    },
    "additionalProperties": False,
}


class Described(FastAPI):
    """An application whose description is complete."""

    def openapi(self) -> Json:
        """Made once, when it is first asked for."""
        if self.openapi_schema is None:
            self.openapi_schema = _completed(self, super().openapi())
        return self.openapi_schema


def _completed(app: FastAPI, described: Json) -> Json:
    components = described.setdefault("components", {})
    components["securitySchemes"] = {"token": TOKEN}
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    components["responses"] = {f"Problem{status}": _problem(status) for status in sorted(_statuses())}
    for key, operation, dependant in _operations(app, described):
        _complete(operation, dependant)
        if key in ANSWERS or _asks_for(dependant, get_page) or _asks_for(dependant, get_place):
            success = next(status for status in operation["responses"] if int(status) < HTTPStatus.MULTIPLE_CHOICES)
            schema = ANSWERS.get(key, page_of({"type": "object"}))
            operation["responses"][success]["content"]["application/json"]["schema"] = schema
    return described


def declared_routes(app: FastAPI) -> Iterator[RouteContext]:
    """Every route, however deep its router is included."""
    return iter_route_contexts(app.routes)


def _operations(app: FastAPI, described: Json) -> Iterator[tuple[str, Json, Dependant]]:
    for route in declared_routes(app):
        dependant = getattr(route, "dependant", None)
        for method in getattr(route, "methods", None) or ():
            operation = described["paths"].get(route.path, {}).get(method.lower())
            if operation is not None and dependant is not None:
                yield f"{method} {route.path}", operation, dependant


def _complete(operation: Json, dependant: Dependant) -> None:
    roles = sorted({role for each in declarations(dependant) if isinstance(each, Allow) for role in each.roles})
    operation["security"] = [{"token": []}] if roles else [{"token": []}, {}]
    operation["x-roles"] = [str(role) for role in roles or Role]
    answers: Json = operation["responses"]
    for status in _refusals(operation, dependant, restricted=bool(roles)):
        if answers.get(str(status), {}).get("content") and status != HTTPStatus.UNPROCESSABLE_ENTITY:
            continue  # it says itself how it refuses
        answers[str(status)] = {"$ref": f"#/components/responses/Problem{status}"}


def _refusals(operation: Json, dependant: Dependant, *, restricted: bool) -> set[int]:
    """The statuses of errors that a route may answer with: of what it takes, and those that it names itself."""
    found = {int(status) for status in operation["responses"] if int(status) >= HTTPStatus.BAD_REQUEST}
    found |= EVERYWHERE
    found |= {403} if restricted else set()
    found |= {404} if dependant.path_params or dependant.query_params or _asks_for(dependant, get_session) else set()
    found |= {503} if restricted or _asks_for(dependant, get_session) else set()
    found |= CHANGING | WITH_BODY if "requestBody" in operation else set()
    found |= WITH_VERSION if _asks_for(dependant, get_expected_version) else set()
    return found


def _asks_for(dependant: Dependant, dependency: object) -> bool:
    return dependant.call is dependency or any(_asks_for(each, dependency) for each in dependant.dependencies)


def _statuses() -> set[int]:
    return {known.status for known in PROBLEMS.values()}


def _problem(status: int) -> Json:
    codes = sorted(code for code, known in PROBLEMS.items() if known.status == status)
    schema: Json = {
        "type": "object",
        "required": ["type", "title", "title_id", "status", "detail", "code"],
        "properties": {
            "type": {"enum": [f"urn:pulih:problem:{code}" for code in codes]},
            "title": {"enum": [PROBLEMS[code].en for code in codes]},
            "title_id": {"enum": [PROBLEMS[code].id for code in codes]},
            "status": {"const": status},
            "detail": TEXT,
            "code": {"enum": codes},
            "errors": {"type": "array", "items": FAULT, "minItems": 1},
        },
        "additionalProperties": False,
    }
    answer: Json = {"description": ", ".join(codes), "content": {"application/problem+json": {"schema": schema}}}
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        answer["headers"] = {"Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}}}
    if status == HTTPStatus.UNAUTHORIZED:
        answer["headers"] = {"WWW-Authenticate": {"required": True, "schema": {"const": "Bearer"}}}
    return answer
