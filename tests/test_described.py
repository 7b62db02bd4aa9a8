"""The interface does what it says of itself: requests made up from its description, each sent by every role and nobody.

Nothing that is sent makes it fail, every answer is one that is described, and a role that may not is refused. Every
second request is about things that there are: ids are taken from answers to earlier ones. `PULIH_TEST_SCALE=14` makes
it fifty thousand requests.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as hypothesis_settings
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.auth.test_roles import ROUTES
from tests.policy.scale import Record, scaled, seeded, tell
from tests.service import ZONE, Json, Service, an_order, condition

REQUESTS = 1_200
"""Requests of the whole run, about: times PULIH_TEST_SCALE."""

PARTS = 4

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
SENDERS = ("operator-1", "approver-1", "auditor-1", "isp-1", "platform-1", "admin-1", None)
JSON = "application/json"
REFUSED = 400
SAID: Json = {
    "reason": "checked",
    "ground": "wrong_block",
    "document": "judgment",
    "evidence": {"text": "seen"},
    "authority": "x",
}
"""What is said in bodies of acts, so that they are not refused for it."""

Operation = APIOperation[Any, Any, Any, Any]
MadeUp = Case[Any]


@dataclass
class World:
    """A service with something in it, and the ids that its answers have shown."""

    service: Service
    random: Random
    ids: dict[str, list[str]] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    session: requests.Session = field(default_factory=requests.Session)

    def populate(self) -> None:
        """Orders in several states, a claim, an application, a published zone."""
        service = self.service
        service.propose()
        service.lift(service.block("lifted.example"))
        service.mark(condition(service.block("*.held.example")), "claim", by="operator-1")
        service.publish()

    def learn(self, kind: str, body: object) -> None:
        """Keep the ids of things in an answer, by the first part of the path that gave them."""
        items = body.get("items", [body]) if isinstance(body, dict) else []
        for item in items if isinstance(items, list) else []:
            for key in ("id", "code", "name"):
                if isinstance(item, dict) and isinstance(item.get(key), str | int):
                    known = self.ids.setdefault(kind, [])
                    known.append(str(item[key]))
                    del known[:-50]

    def real(self, case: MadeUp) -> None:
        """Put what there is into the path, and into the body what is said everywhere."""
        case.headers["If-Match"] = self.random.choice(("*", "*", '"1"', '"99"'))
        if isinstance(case.body, dict):
            case.body = {key: SAID.get(key, value) for key, value in case.body.items()}
            if case.path == "/api/v1/orders":
                made_up = self.random.choice([*case.body, "number"])
                case.body = an_order(**{made_up: case.body.get(made_up)} if made_up != "number" else {})
        known = self.ids.get(kind_of(case.path), [])
        for name in case.path_parameters or {}:
            if name == "zone":
                case.path_parameters[name] = ZONE
            elif name == "format_":
                case.path_parameters[name] = self.random.choice(("rpz", "csv", "json", "domains"))
            elif known and name != "evidence_id":
                case.path_parameters[name] = self.random.choice(known)

    def send(self, case: MadeUp, by: str | None) -> None:
        case.headers.pop("Authorization", None)
        headers = {} if by is None else {"Authorization": f"Bearer {self.service.tokens[by]}"}
        response = case.call(base_url=self.service.address, session=self.session, headers=headers, timeout=60)
        self.statuses[response.status_code] += 1
        may = by in ROUTES[f"{case.method} {case.path}"]
        if not may and response.status_code < REFUSED:
            self.wrong.append(f"{case.method} {case.path} by {by}: {response.status_code}")
        try:
            case.validate_response(response, checks=CHECKS)
        except FailureGroup as failures:
            for failure in failures.exceptions:
                told = f"{case.method} {case.path} by {by}: {response.status_code} {failure} {response.text[:300]!r}"
                self.wrong.append(told)
        if response.status_code < REFUSED and response.headers["content-type"] == [JSON]:
            self.learn(kind_of(case.path), response.json())


def kind_of(path: str) -> str:
    """`orders` of `/api/v1/orders/{uid}/lift`."""
    return path.removeprefix("/api/v1/").partition("/")[0]


def operations(service: Service) -> Iterator[Operation]:
    described = schemathesis.openapi.from_dict(service.read("/api/openapi.json", by=None))
    for found in described.get_all_operations():
        assert isinstance(found, Ok)
        yield found.ok()


def try_out(world: World, operation: Operation, mode: GenerationMode, cases: int) -> None:
    """Send so many requests made up for one operation, each by everybody."""
    number = iter(range(cases))

    @seed(world.random.getrandbits(32))
    @hypothesis_settings(
        max_examples=cases, phases=[Phase.generate], database=None, suppress_health_check=list(HealthCheck)
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def each(case: MadeUp) -> None:
        if next(number, 0) % 2:
            world.real(case)
        for by in SENDERS:
            world.send(case, by)

    each()


def all_tried_out(service: Service, part: int) -> World:
    """One part of the operations, each tried out as often as it is its turn."""
    world = World(service, seeded(f"described {part}"))
    world.populate()
    found = list(operations(service))
    cases = max(1, round(scaled(REQUESTS) / len(found) / len(SENDERS) / 2))
    for operation in found[part::PARTS]:
        try_out(world, operation, GenerationMode.POSITIVE, cases)
        if list(operation.iter_parameters()) or operation.body:
            try_out(world, operation, GenerationMode.NEGATIVE, cases)
    return world


@pytest.mark.long
@pytest.mark.parametrize("part", range(PARTS))
def test_every_answer_is_one_that_is_described(service: Service, part: int, record_property: Record) -> None:
    world = all_tried_out(service, part)

    assert world.wrong == []
    assert {200, 401, 403, 404, 422} <= set(world.statuses)
    counts = {f"answers_{status}": times for status, times in sorted(world.statuses.items())}
    tell(record_property, requests=world.statuses.total(), **counts)


def test_what_acts_answer_is_as_it_is_described(service: Service) -> None:
    """Made-up requests are refused more often than not; these are not."""
    world = World(service, seeded("acts"))
    by_label = {operation.label: operation for operation in operations(service)}
    order, other = service.propose(), service.propose()
    leaf = condition(service.block("leaf.example"))
    steps: tuple[tuple[str, Json, str, Json], ...] = (
        ("POST /api/v1/orders", an_order(), "operator-1", {}),
        ("POST /api/v1/orders/{uid}/approve", {"reason": "x"}, "approver-1", order),
        ("POST /api/v1/orders/{uid}/reject", {"reason": "x"}, "approver-1", other),
        ("POST /api/v1/orders/{uid}/suspend", {"reason": "x", "until": "2026-12-01T00:00:00Z"}, "approver-1", order),
        ("POST /api/v1/orders/{uid}/resume", {"reason": "x"}, "approver-1", order),
        ("POST /api/v1/orders/{uid}/plan-lift", {"reason": "x", "ground": "wrong_block"}, "approver-1", order),
        ("POST /api/v1/orders/{uid}/lift", {"reason": "x", "ground": "wrong_block"}, "approver-1", order),
        ("POST /api/v1/conditions/{uid}/claim", {"evidence": {"text": "x"}}, "operator-1", leaf),
        ("POST /api/v1/conditions/{uid}/evidence", {"evidence": {"text": "y"}}, "operator-1", leaf),
        ("POST /api/v1/conditions/{uid}/verify", {"reason": "x"}, "approver-1", leaf),
    )
    for label, body, by, thing in steps:
        parameters = {"uid": thing["id"]} if thing else {}
        case = by_label[label].Case(
            path_parameters=parameters, headers={"If-Match": "*"}, body=body, media_type="application/json"
        )
        world.send(case, by)

    assert world.wrong == []
    assert world.statuses == {201: 1, 200: len(steps) - 1}
