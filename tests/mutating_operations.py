"""Every operation that changes something, each with a request that the service takes: what it is done to is made first.

A row is what `{}` in the path stands for, who asks, and the body.
"""

import json
from collections.abc import Callable
from typing import NamedTuple

import httpx

from app.publication import stops
from app.publication.stops import Finding
from tests.cases.applying import PAPERS, an_application, apply, granted, papers
from tests.orders.importing import order_data
from tests.orders.test_sops import said
from tests.service import DAY, NOW, ZONE, Json, Service, a_leaf, an_order, condition, text_of
from tests.subscribers.worlds import registered

LATER = text_of(NOW + 30 * DAY)
REASON: Json = {"reason": "x"}


class Asked(NamedTuple):
    """A request: what the path names, the body, and who sends it: a person of the tests, or by a token."""

    place: str
    body: Json
    by: str
    token: str | None = None


Make = Callable[[Service], Asked]


def send(service: Service, operation: str, asked: Asked) -> httpx.Response:
    """Send the request of an operation (`METHOD /path/{}`)."""
    method, path = operation.split()
    headers = {"Content-Type": "application/json", "If-Match": "*"}
    if asked.token is not None:
        headers["Authorization"] = f"Bearer {asked.token}"
    by = asked.by if asked.token is None else None
    return service.request(
        method, path.replace("{}", asked.place), by=by, headers=headers, content=json.dumps(asked.body)
    )


def _proposed(body: Json, by: str = "approver-1", kind: str = "block") -> Make:
    return lambda service: Asked(service.propose(kind=kind)["id"], body, by)


def _blocked(body: Json, by: str = "approver-1") -> Make:
    return lambda service: Asked(service.block()["id"], body, by)


def _suspended(service: Service) -> Asked:
    order = service.block()
    service.act(order, "suspend", {**REASON, "until": LATER})
    return Asked(order["id"], REASON, "approver-1")


def _leaf(body: Json, by: str, *marks: str) -> Make:
    """One condition of two, after some marks on it."""

    def make(service: Service) -> Asked:
        leaf = condition(service.block(conditions={"all_of": [a_leaf("one"), a_leaf("two")]}), "one")
        for mark in marks:
            service.mark(leaf, mark, by="operator-1" if mark == "claim" else "approver-1")
        return Asked(leaf["id"], body, by)

    return make


def _promised(service: Service) -> Json:
    """A condition that was left open by an early lift."""
    order = service.block()
    promise = {"condition": "content_removed", "due_at": LATER}
    return condition(service.lift(order, ground="solution_indicated", commitments=[promise]))


def _committed(service: Service) -> Asked:
    return Asked(_promised(service)["id"], {**REASON, "due_at": text_of(NOW + 60 * DAY)}, "approver-1")


def _reviewed(service: Service) -> Asked:
    leaf = _promised(service)
    service.meet(leaf)
    service.mark(leaf, "breach", by="approver-1", reason="x", authority="y")
    (review,) = service.read("reviews?open=true")["items"]
    return Asked(review["id"], {**REASON, "decision": "no_action"}, "approver-2")


def _noted(service: Service) -> Asked:
    service.block()
    seen = {"name": "blocked.example", "what": "gone", "seen_at": "2026-11-01T00:00:00Z", "source": "x"}
    return Asked("", {"notes": [seen]}, "operator-1")


def _version(code: str) -> Make:
    """A new template, which waits for another approver."""

    def make(service: Service) -> Asked:
        send(service, "PUT sops/{}", Asked(code, said("one", "two"), "approver-1"))
        return Asked(code, REASON, "approver-2")

    return make


def _applied(body: Json, by: str = "operator-2", *, lacks: bool = False) -> Make:
    def make(service: Service) -> Asked:
        service.block()
        brought = papers(*PAPERS["owner"][: 1 if lacks else None])
        return Asked(apply(service, "blocked.example", papers=brought)["id"], body, by)

    return make


def _application(service: Service) -> Asked:
    service.block()
    return Asked("", an_application("blocked.example"), "operator-2")


def _subscriber(name: str, addresses: str, body: Json) -> Make:
    def make(service: Service) -> Asked:
        registered(service.database, name, addresses, now=NOW)
        return Asked(name, body, "admin-1")

    return make


def _acknowledged(service: Service) -> Asked:
    added = registered(service.database, "isp-four", "192.0.2.128/26", now=NOW)
    serial = service.read(f"zones/{ZONE}")["serial"]
    return Asked("", {"zone": ZONE, "serial": serial, "phase": "applied"}, "isp-four", added.token)


def _stopped(service: Service) -> Asked:
    with service.database.write() as session:
        stop = stops.stop(session, [Finding("planted", "planted")], NOW)
        return Asked(str(stop.id), REASON, "approver-1")


def _released(service: Service) -> Asked:
    service.block("released.example")
    serial = service.publish()[ZONE]
    return Asked(f"{ZONE}/releases/{serial}", REASON, "approver-1")


OPERATIONS: dict[str, Make] = {
    "POST orders": lambda _: Asked("", an_order(), "operator-1"),
    "POST orders/{}/approve": _proposed(REASON),
    "POST orders/{}/confirm": _proposed(REASON, kind="emergency"),
    "POST orders/{}/reject": _proposed(REASON),
    "POST orders/{}/withdraw": _proposed(REASON, "operator-1"),
    "POST orders/{}/lift": _blocked({**REASON, "ground": "wrong_block"}),
    "POST orders/{}/plan-lift": _blocked({**REASON, "ground": "wrong_block", "at": LATER}),
    "POST orders/{}/suspend": _blocked({**REASON, "until": LATER}),
    "POST orders/{}/resume": _suspended,
    "POST orders/{}/undo": _blocked(REASON),
    "POST orders/{}/review": _blocked({**REASON, "outcome": "keep", "next_review_at": LATER}, "approver-2"),
    "POST conditions/{}/claim": _leaf({"evidence": {"text": "x"}}, "operator-1"),
    "POST conditions/{}/evidence": _leaf({"evidence": {"text": "y"}}, "operator-1", "claim"),
    "POST conditions/{}/verify": _leaf(REASON, "approver-1", "claim"),
    "POST conditions/{}/reject": _leaf(REASON, "approver-1", "claim"),
    "POST conditions/{}/waive": _leaf({**REASON, "authority": "y"}, "approver-1"),
    "POST conditions/{}/breach": _leaf({**REASON, "authority": "y"}, "approver-1", "claim", "verify"),
    "POST conditions/{}/commit": _committed,
    "POST notes": _noted,
    "POST reviews/{}/close": _reviewed,
    "PUT sops/{}": lambda _: Asked("proposed", said("one", "two"), "approver-1"),
    "POST sops/{}/confirm": _version("confirmed"),
    "POST sops/{}/withdraw": _version("withdrawn"),
    "POST imports": lambda _: Asked("", {"order": order_data(), "lines": ["a.example", "b.example"]}, "operator-1"),
    "POST applications": _application,
    "POST applications/{}/incomplete": _applied({**REASON, "missing": ["screenshot"]}),
    "POST applications/{}/complete": _applied({"papers": papers(*PAPERS["owner"][1:])}, lacks=True),
    "POST applications/{}/withdraw": _applied(REASON),
    "POST applications/{}/decide": _applied(granted(), "approver-2"),
    "POST subscribers/{}/layers": _subscriber("isp-two", "192.0.2.0/26", {"settling_seconds": 60}),
    "POST subscribers/{}/addresses": _subscriber("isp-three", "192.0.2.64/26", {"addresses": ["198.51.100.0/24"]}),
    "POST acknowledgements": _acknowledged,
    "POST zones/{}/undo": _released,
    "POST guard/stops/{}/release": _stopped,
}
"""By method and path below /api/v1/; what the path names is made by the row. The last
one leaves blocks stopped."""
