"""Bodies of every act with something wrong in them: whatever is sent, the service has no fault of its own."""

import json
from random import Random

import pytest

from tests.cases.applying import an_application, apply, granted, papers
from tests.orders.test_sops import said
from tests.policy.scale import Record, scaled, tell
from tests.problem_documents import check_shape
from tests.service import HOUR, NOW, Json, Service, a_leaf, an_order, condition, text_of
from tests.test_problem_shape import OVERRIDE

pytestmark = pytest.mark.long

MUTATIONS = 400

VALUES: list[object] = [
    *(None, True, 0, -1, 2**63, 2**64, 1e308),
    *("", " ", "x" * 3000, "\u0000", "\ud800", "\u202e", "a\nb", "\uff0e", "☃.example", "xn--\u00fc", "exact"),
    *("9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+14:00", "2027-01-01", "' OR 1=1 --"),
    *([], {}, [[]], {"": ""}, ["x"] * 50, {"all_of": [{"any_of": []}]}),
]


def mutated(body: object, random: Random) -> object:
    """The same JSON with one value changed, dropped, doubled or put in elsewhere."""
    if isinstance(body, dict) and body and random.random() < 0.8:
        key = random.choice(sorted(body))
        kind = random.randrange(8)
        if kind == 0:
            return {name: value for name, value in body.items() if name != key}
        if kind == 1:
            return {**body, random.choice(["x", "~/", "\ud800", key.upper()]): random.choice(VALUES)}
        return {**body, key: mutated(body[key], random)}
    if isinstance(body, list) and body and random.random() < 0.8:
        place = random.randrange(len(body))
        return [*body[:place], mutated(body[place], random), *body[place + random.randrange(2) :]]
    return random.choice(VALUES)


OTHERS: dict[str, Json] = {
    "POST notes": {
        "notes": [{"name": "blocked.example", "what": "gone", "seen_at": "2026-11-01T00:00:00Z", "source": "x"}],
    },
    "POST applications": {**an_application("blocked.example"), "received_at": text_of(NOW)},
    "POST applications/{application}/incomplete": {"missing": ["screenshot"], "reason": "x"},
    "POST applications/{application}/complete": {"papers": papers("screenshot")},
    "POST applications/{application}/withdraw": {"reason": "x"},
    "POST applications/{application}/decide": granted(document="y", commitments=[]),
    "POST orders/{order}/review": {"outcome": "keep", "reason": "x", "next_review_at": "2027-06-01T00:00:00Z"},
    "PUT sops/{code}": said("one", "two"),
    "POST sops/{code}/confirm": {"reason": "x"},
    "POST sops/{code}/withdraw": {"reason": "x"},
}
"""Acts on what is neither an order nor a condition of one."""


def test_no_mutation_of_a_body_is_a_fault_of_the_service(service: Service, record_property: Record) -> None:
    random = Random(17)
    taken = 0
    for number in range(scaled(MUTATIONS)):
        body: object = an_order(
            override=OVERRIDE,
            platform="platform-1",
            effective_at=text_of(NOW),
            expires_at=text_of(NOW + HOUR),
            conditions={"all_of": [a_leaf("one"), {"any_of": [a_leaf("two"), a_leaf("three")]}]},
        )
        for _ in range(random.randint(1, 3)):
            body = mutated(body, random)
        key = {"Idempotency_Key": f"key-{number}"} if number % 3 == 0 else {}
        response = service.post("orders", body, by="operator-1", **key)
        if response.status_code == 201:
            taken += 1
        else:
            assert response.status_code < 500, body
            check_shape(response)
    tell(record_property, mutations=scaled(MUTATIONS), taken=taken)


ACTS: dict[str, Json] = {
    "approve": {"reason": "x", "plan_hash": None},
    "reject": {"reason": "x"},
    "withdraw": {"reason": "x"},
    "lift": {
        "ground": "court",
        "reason": "x",
        "document": "y",
        "targets": [{"name": "blocked.example", "match": "exact"}],
    },
    "plan-lift": {"ground": "court", "reason": "x", "document": "y", "at": "2027-01-01T00:00:00Z"},
    "suspend": {"reason": "x", "until": "2027-01-01T00:00:00Z"},
    "resume": {"reason": "x"},
    "undo": {"reason": "x", "review_due_at": "2027-01-01T00:00:00Z"},
}
MARKS: dict[str, Json] = {
    "claim": {
        "evidence": {"text": "x", "file": {"name": "y", "content": "eA=="}},
        "delegate": {"name": "x", "valid_from": "2026-01-01T00:00:00Z", "valid_until": "2027-01-01T00:00:00Z"},
    },
    "evidence": {"evidence": {"text": "x", "file": {"name": "y", "content": "eA=="}}},
    "verify": {"reason": "x"},
    "reject": {"reason": "x"},
    "waive": {"reason": "x", "authority": "y"},
    "breach": {"reason": "x", "authority": "y"},
    "commit": {"reason": "x", "due_at": "2027-01-01T00:00:00Z"},
}


def test_no_mutation_of_an_act_is_a_fault_of_the_service(service: Service) -> None:
    random = Random(23)
    for number in range(scaled(MUTATIONS)):
        if number % 20 == 0:
            order = service.propose() if number % 40 else service.block()
        on_order = random.random() < 0.5
        act, body = random.choice(sorted((ACTS if on_order else MARKS).items()))
        path = f"orders/{order['id']}/{act}" if on_order else f"conditions/{condition(order)['id']}/{act}"
        response = service.post(path, mutated(body, random), by="approver-2")
        assert response.status_code < 500, (path, body)
        if response.status_code >= 400:
            check_shape(response)


def test_no_mutation_of_another_act_is_a_fault_of_the_service(service: Service, record_property: Record) -> None:
    random, taken = Random(29), 0
    for number in range(scaled(MUTATIONS)):
        if number % 20 == 0:
            names = [f"n{number}.example"]
            order, application = service.block(*names)["id"], apply(service, *names)["id"]
        act, body = random.choice(sorted(OTHERS.items()))
        method, path = act.format(order=order, application=application, code=f"code-{number // 20}").split()
        content = json.dumps(body if random.random() < 0.2 else mutated(body, random))
        headers = {"Content-Type": "application/json", "If-Match": "*"}
        response = service.request(method, path, by="approver-2", headers=headers, content=content)
        assert response.status_code < 500, (act, content)
        if response.status_code >= 400:
            check_shape(response)
        else:
            taken += 1
    tell(record_property, mutations=scaled(MUTATIONS), taken=taken)
    assert taken > MUTATIONS / 20
