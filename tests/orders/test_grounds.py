"""Each ground of a lift: what it asks for, and who may decide on it."""

import pytest

from tests import databases
from tests.orders.test_direct_sql import refused
from tests.service import DAY, HOUR, NOW, Json, Service, condition, problem, targets, text_of

JUDGMENT = "Judgment 12/2026"


def lift(service: Service, order: Json, ground: str, *, by: str = "approver-2", **fields: object) -> Json:
    return service.act(order, "lift", {"ground": ground, "reason": "decided", **fields}, by=by)


@pytest.mark.parametrize("ground", ["court", "appeal_upheld"])
@pytest.mark.parametrize("act", ["lift", "plan-lift"])
def test_a_court_and_an_appeal_are_named_by_a_document(service: Service, ground: str, act: str) -> None:
    order = service.block()

    body = {"ground": ground, "reason": "decided"}
    answer = problem(service.post(f"orders/{order['id']}/{act}", body, by="approver-2"), 422, "body_invalid")

    assert answer["errors"] == [{"pointer": "/document", "value": ground, "rule": "document_required"}]


def test_the_document_stands_in_the_order_and_in_its_history(service: Service) -> None:
    ended = lift(service, service.block("a.example"), "court", document=JUDGMENT)

    assert (ended["ground"], ended["document"]) == ("court", JUDGMENT)
    assert service.events()[-1]["facts"]["document"] == JUDGMENT


def test_an_appeal_is_not_decided_by_who_approved_the_block(service: Service) -> None:
    order = service.block()

    body = {"ground": "appeal_upheld", "reason": "decided", "document": "Appeal 3"}
    for act in ("lift", "plan-lift"):
        problem(service.post(f"orders/{order['id']}/{act}", body, by="approver-1"), 403, "four_eyes")
    assert lift(service, order, "appeal_upheld", document="Appeal 3")["state"] == "ended"


def test_an_appeal_is_not_decided_by_who_proposed_the_block(service: Service) -> None:
    order = service.approve(service.propose(by="approver-2"), by="approver-1")

    body = {"ground": "appeal_upheld", "reason": "decided", "document": "Appeal 3"}
    problem(service.post(f"orders/{order['id']}/lift", body, by="approver-2"), 403, "four_eyes")


def test_an_appeal_against_one_name_is_no_way_round(service: Service) -> None:
    order = service.block("a.example", "b.example")

    body = {"ground": "appeal_upheld", "reason": "x", "document": "Appeal 3", "targets": targets("a.example")}
    problem(service.post(f"orders/{order['id']}/lift", body, by="approver-1"), 403, "four_eyes")


def test_an_appeal_is_carried_out_by_the_clock_for_who_decided_it(service: Service) -> None:
    order = service.block("a.example")
    body = {"ground": "appeal_upheld", "reason": "decided", "document": "Appeal 3", "at": text_of(NOW + HOUR)}
    service.act(order, "plan-lift", body, by="approver-2")

    service.clock.forward(HOUR)

    assert service.zone() == []
    ended = service.read(f"orders/{order['id']}")
    assert (ended["state"], ended["ground"], ended["document"]) == ("ended", "appeal_upheld", "Appeal 3")


def test_a_wrong_block_is_lifted_also_by_who_approved_it_and_leaves_an_incident(service: Service) -> None:
    order = service.block("a.example", "b.example", number="EX-W")
    service.clock.forward(3 * HOUR)

    lift(service, order, "wrong_block", by="approver-1")

    (incident,) = service.read("incidents")["items"]
    assert {key: incident[key] for key in incident if key != "id"} == {
        "order_id": order["id"],
        "order_number": "EX-W",
        "recorded_at": text_of(NOW + 3 * HOUR),
        "reason": "decided",
        "names": 2,
        "blocked_since": text_of(NOW),
    }
    history = service.read("names/a.example/history")["items"]
    assert [event["type"] for event in history][-2:] == ["incident.recorded", "order.ended"]
    assert history[-2]["facts"]["incident"] == incident["id"]


def test_a_wrong_block_of_one_name_leaves_an_incident_too(service: Service) -> None:
    order = service.block("a.example", "b.example")

    lift(service, order, "wrong_block", targets=targets("a.example"))

    assert [each["names"] for each in service.read(f"incidents?order={order['id']}")["items"]] == [1]


def test_a_planned_correction_leaves_an_incident_when_it_happens(service: Service) -> None:
    order = service.block()
    body = {"ground": "wrong_block", "reason": "decided", "at": text_of(NOW + HOUR)}
    service.act(order, "plan-lift", body)
    assert service.read("incidents")["items"] == []

    service.clock.forward(HOUR)
    service.publish()

    assert len(service.read("incidents")["items"]) == 1


@pytest.mark.parametrize("ground", ["court", "appeal_upheld", "solution_indicated"])
def test_another_ground_leaves_no_incident(service: Service, ground: str) -> None:
    fields = {"commitments": [{"condition": "content_removed", "due_at": text_of(NOW + DAY)}]}
    lift(service, service.block(), ground, **({"document": "x"} if ground != "solution_indicated" else fields))

    assert service.read("incidents")["items"] == []


def test_a_lift_by_conditions_needs_nothing_of_this(service: Service) -> None:
    ended = service.meet(condition(service.block()))

    assert ended["order"]["ground"] == "conditions_met"


@pytest.mark.parametrize("ground", ["conditions_met", "order_expired", "emergency_lapsed"])
@pytest.mark.parametrize("act", ["lift", "plan-lift"])
def test_nobody_decides_on_a_ground_that_comes_about_by_itself(service: Service, ground: str, act: str) -> None:
    order = service.block()

    body = {"ground": ground, "reason": "x"}
    problem(service.post(f"orders/{order['id']}/{act}", body, by="approver-1"), 422, "body_invalid")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("state = 'ended', ground = 'court', ended_by_id = {other}", "ended_by_a_document"),
        ("state = 'ended', ground = 'appeal_upheld', lift_document = 'x', ended_by_id = {me}", "appeal_by_another"),
        ("state = 'ended', ground = 'appeal_upheld', lift_document = 'x'", "appeal_by_another"),
        ("state = 'ended', ground = 'wrong_block', ended_by_id = {operator}", "an approver lifts"),
        ("state = 'suspended'", "suspended_until_a_moment"),
        ("suspended_until = '2027-01-01 00:00:00'", "suspended_until_a_moment"),
    ],
)
def test_no_statement_goes_round_the_grounds(service: Service, change: str, words: str) -> None:
    service.block("a.example")
    who = {"me": "approver-1", "other": "approver-2", "operator": "operator-1"}
    ids = {key: f"(SELECT id FROM principals WHERE name = '{name}')" for key, name in who.items()}

    assert words in refused(service, f"UPDATE orders SET {change.format(**ids)}")


def test_an_ended_order_keeps_who_lifted_it_and_by_what(service: Service) -> None:
    lift(service, service.block("a.example"), "court", document=JUDGMENT)

    for change in ("ended_by_id = NULL", "lift_document = 'another'"):
        assert "keeps its ground" in refused(service, f"UPDATE orders SET {change}")


def test_an_incident_is_never_changed(service: Service) -> None:
    service.lift(service.block("a.example"))

    assert "never changed" in refused(service, "UPDATE incidents SET names = 0")
    assert "never deleted" in refused(service, "DELETE FROM incidents")
    with service.database.read() as session:
        assert session.connection().dialect.name == databases.KIND
