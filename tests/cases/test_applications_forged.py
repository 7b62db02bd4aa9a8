"""Nobody decides on their own block by a race, a second token or a statement of their own."""

from collections.abc import Iterator

import pytest

from app.auth import tokens
from app.journal.actor import Role
from tests.cases.applying import an_application, apply, decide, granted, refused
from tests.orders.test_direct_sql import refused as refused_by_the_database
from tests.orders.test_races import Racers
from tests.policy.scale import scaled
from tests.service import HOST, Json, Service, problem

RACES = 3

DECIDE = (
    "UPDATE applications SET state = 'refused', reason_id = 'x', reason_en = 'x', closed_at = entered_at,"
    " decided_by_id = (SELECT id FROM principals WHERE name = '{}')"
)


@pytest.fixture
def racers(service: Service) -> Iterator[Racers]:
    racers = Racers(service)
    yield racers
    racers.close()


def events(service: Service, kind: str) -> int:
    return sum(event["type"] == kind for event in service.events())


@pytest.mark.parametrize("shown", [True, False])
def test_two_who_decide_at_once_decide_once(service: Service, racers: Racers, *, shown: bool) -> None:
    """One grants and one refuses, by whatever tokens: the order is lifted if and only if it was granted."""
    with service.database.write() as session:
        text = tokens.create(session, HOST, role=Role.APPROVER, name="approver-3", expires_at=None, now=service.clock())
    service.tokens = {**service.tokens, "approver-3": text}
    for _ in range(scaled(RACES)):
        order = service.block("a.example")
        application = apply(service, about={"order": order["id"]})
        path = f"applications/{application['id']}/decide"

        statuses = racers.run('"1"' if shown else "*", ("approver-2", path, granted()), ("approver-3", path, refused()))

        assert statuses in ([200, 409], [200, 412])
        done, after = service.read(f"applications/{application['id']}"), service.read(f"orders/{order['id']}")
        assert (done["state"], after["state"]) in [("granted", "ended"), ("refused", "active")]
        if after["state"] == "active":
            service.lift(after)
    assert events(service, "application.decided") == scaled(RACES)


@pytest.mark.parametrize("name", ["approver-1", "approver-2"])
def test_a_second_token_is_the_same_person(service: Service, name: str) -> None:
    order = service.approve(service.propose(by="approver-2"))
    application = apply(service, about={"order": order["id"]})
    with service.database.write() as session:
        text = tokens.create(session, HOST, role=Role.APPROVER, name=name, expires_at=None, now=service.clock())
    service.tokens = {**service.tokens, "second": text}

    for body in (granted(), refused()):
        problem(service.post(f"applications/{application['id']}/decide", body, by="second"), 403, "four_eyes")


def test_whoever_undid_a_lift_and_whoever_decided_before_had_a_part(service: Service) -> None:
    order = service.lift(service.block("a.example"), by="approver-1")
    proposal = service.act(order, "undo", {"reason": "it was right"}, by="approver-2")
    with service.database.write() as session:
        text = tokens.create(session, HOST, role=Role.APPROVER, name="approver-3", expires_at=None, now=service.clock())
    service.tokens = {**service.tokens, "approver-3": text}
    service.approve(proposal, by="approver-3")
    application = apply(service, "a.example")

    for by in ("approver-1", "approver-2", "approver-3"):
        problem(service.post(f"applications/{application['id']}/decide", refused(), by=by), 403, "four_eyes")


@pytest.fixture
def entered(service: Service) -> Json:
    """An application about an order that approver-2 proposed and approver-1 approved."""
    order = service.approve(service.propose(by="approver-2", targets=[{"name": "a.example", "match": "exact"}]))
    return apply(service, about={"order": order["id"]})


FORGERIES = [
    (DECIDE.format("approver-1"), "had a part"),
    (DECIDE.format("approver-2"), "had a part"),
    (DECIDE.format("auditor-1"), "an approver decides"),
    (DECIDE.format("operator-2"), "an approver decides"),
    ("UPDATE applications SET state = 'refused', closed_at = entered_at", "decided_by_somebody"),
    ("UPDATE applications SET entered_by_id = entered_by_id + 1", "what was applied for stands"),
    ("UPDATE applications SET state = 'incomplete'", "incomplete_stops_the_clock"),
    ("DELETE FROM applications", "never deleted"),
    ("DELETE FROM application_orders", "kept as it was"),
    ("UPDATE application_orders SET order_id = order_id + 1", "kept as it was"),
    ("DELETE FROM application_papers", "kept as it was"),
]


def test_no_statement_goes_round_it(service: Service, entered: Json) -> None:
    assert entered["state"] == "received"

    for statement, words in FORGERIES:
        assert words in refused_by_the_database(service, statement), statement


def test_no_statement_grants_without_a_lift(service: Service) -> None:
    apply(service, about={"order": service.block("a.example")["id"]})
    granted_ = DECIDE.format("approver-2").replace("'refused'", "'granted', ground = 'wrong_block'", 1)

    assert "lifted first" in refused_by_the_database(service, granted_)


def test_no_statement_decides_twice_or_lets_the_refuser_judge_the_appeal(service: Service) -> None:
    service.block("a.example")
    decide(service, apply(service, "a.example"), refused())
    assert "decided once" in refused_by_the_database(service, "UPDATE applications SET state = 'received'")
    concerned = "INSERT INTO application_names (application_id, key) VALUES (1, 'example.z.')"
    assert "settled" in refused_by_the_database(service, concerned)

    body = an_application(kind="appeal", appeal_of=service.read("applications")["items"][0]["id"], papers=[])
    del body["about"]
    assert service.post("applications", body, by="operator-2", version=None).status_code == 201
    late = (
        DECIDE.format("approver-2").replace(
            " decided_by_id", " missing = NULL, left_seconds = NULL, due_at = entered_at, decided_by_id"
        )
        + " WHERE kind = 'appeal'"
    )
    assert "had a part" in refused_by_the_database(service, late)
