"""Importing, as the tests of this room do it."""

import io
import json
from collections.abc import Iterable
from functools import partial
from typing import Any

import httpx

from app.auth import tokens
from app.db import Database
from app.journal.actor import Actor
from app.orders import guarding, imports_formats, imports_lines
from app.orders.guarding import Guard
from app.orders.imports_formats import Format, Given
from app.settings import Settings
from tests.service import NOW, Json, Service, Template, an_order, answered


def order_data(**fields: object) -> Json:
    """The data of an order, without targets."""
    return {key: value for key, value in an_order(**fields).items() if key != "targets"}


def send_file(
    service: Service,
    content: str | bytes,
    *,
    order: Json | None = None,
    query: str = "",
    by: str = "operator-1",
    **headers: str,
) -> httpx.Response:
    """`POST /imports` with a file."""
    octets = content.encode() if isinstance(content, str) else content
    parts: dict[str, Any] = {
        "order": (None, json.dumps(order_data() if order is None else order)),
        "file": ("list.txt", octets, "text/plain"),
    }
    sent = {"Authorization": f"Bearer {service.tokens[by]}"} | {k.replace("_", "-"): v for k, v in headers.items()}
    return service.client.post(f"/api/v1/imports{query}", files=parts, headers=sent)


def import_json(
    service: Service, lines: Iterable[str], *, order: Json | None = None, query: str = "", by: str = "operator-1"
) -> httpx.Response:
    """`POST /imports` with a JSON body."""
    body = {"order": order_data() if order is None else order, "lines": list(lines)}
    return service.post(f"imports{query}", body, by=by, version=None)


def judged(service: Service, lines: Iterable[str], *, query: str = "", order: Json | None = None) -> Json:
    """The answer to a dry run."""
    separator = "&" if query else "?"
    return answered(import_json(service, lines, query=f"{query}{separator}dry_run=true", order=order))


def verdicts(answer: Json) -> dict[str, str]:
    """What was given -> its verdict."""
    return {item["input"]: item["verdict"] for item in answer["items"]}


def a_guard(settings: Settings) -> Guard:
    return guarding.load(settings.zone_settings)


def actor_of(database: Database, template: Template, name: str = "operator-1") -> Actor:
    """Somebody, by the token that the template gave them."""
    with database.read() as session:
        return tokens.authenticate(session, template.tokens[name], now=NOW)


def listed(*names: str) -> Given:
    """A plain file with these lines."""
    octets = "".join(f"{name}\n" for name in names).encode()
    return imports_formats.given(partial(imports_lines.of_file, io.BytesIO(octets)), Format.PLAIN)
