"""A POST under an idempotency key, tried again over connections that break anywhere, has one effect.

`PULIH_TEST_SCALE=10` makes it a thousand tries.
"""

from collections import Counter
from random import Random

import httpx

from tests.fault_proxy import FaultProxy, fault_proxy
from tests.policy.scale import Record, scaled, seeded, tell
from tests.service import Json, Service, an_order, answered, condition

TRIES = 100
"""Connections that are cut, times PULIH_TEST_SCALE."""

Act = tuple[str, Json, str]
AGAIN = {409}
"""The first try may still be running: `idempotency_in_flight`."""


def tried(proxy: FaultProxy, service: Service, act: Act, key: str, random: Random, cuts: int) -> httpx.Response:
    """Send the same request over so many broken connections, and then over whole ones until it is answered."""
    path, body, by = act
    headers = {"Authorization": f"Bearer {service.tokens[by]}", "If-Match": "*", "Idempotency-Key": key}
    headers["Connection"] = "close"
    answer, client = None, httpx.Client(verify=False, timeout=20)
    for _ in range(cuts):
        whole = random.random() < 0.7  # most requests arrive, and it is their answer that is lost
        proxy.cut = ("answer", random.randrange(200)) if whole else ("request", random.randrange(900))
        try:
            answer = client.post(f"{proxy.address}/api/v1/{path}", json=body, headers=headers)
        except httpx.TransportError:
            continue
    proxy.cut = None
    for _ in range(100):
        answer = client.post(f"{proxy.address}/api/v1/{path}", json=body, headers=headers)
        if answer.status_code not in AGAIN:
            break
    client.close()
    assert answer is not None
    return answer


def acts(service: Service, number: int) -> list[Act]:
    """One of each kind, on things of their own."""
    block = service.block(f"b{number}.example")
    return [
        ("orders", an_order(), "operator-1"),
        (f"orders/{service.propose()['id']}/approve", {"reason": "x"}, "approver-1"),
        (f"conditions/{condition(block)['id']}/claim", {"evidence": {"text": "x"}}, "operator-1"),
        (
            f"orders/{service.block(f'c{number}.example')['id']}/lift",
            {"ground": "wrong_block", "reason": "x"},
            "approver-1",
        ),
    ]


def test_a_request_that_is_sent_again_and_again_has_one_effect(service: Service, record_property: Record) -> None:
    random, outcomes = seeded("cut"), Counter[str]()
    cuts = 5
    with fault_proxy(service.address) as proxy:
        for number in range(max(1, scaled(TRIES) // cuts // 4)):
            for act in acts(service, number):
                before = len(service.events())
                answer = tried(proxy, service, act, f"key-{number}-{act[0]}", random, cuts)
                body = answered(answer, 201 if act[0] == "orders" else 200)
                recorded = Counter(event["type"] for event in service.events()[before:])
                assert set(recorded.values()) == {1}, (act, body)
                outcomes["replayed" if "Idempotency-Replayed" in answer.headers else "first"] += 1
        assert proxy.cuts >= scaled(TRIES) * 0.5
        tell(record_property, cut=proxy.cuts, **outcomes)
    assert outcomes["replayed"] > outcomes["first"]
