"""Names of a list that are held already: covered by one above, or unchanged since the list came last."""

import pytest

from tests.orders.importing import import_json, judged, order_data, verdicts
from tests.service import DAY, NOW, Service, answered, problem, text_of


def test_a_name_below_an_active_block_is_covered_and_held_all_the_same(service: Service) -> None:
    above = service.block("*.a.example")
    answer = answered(import_json(service, ["x.a.example"]), 201)
    service.approve({"id": answer["order_id"]}, plan_hash=answer["plan_hash"])

    assert answer["items"][0]["verdict"] == "covered"
    assert answer["items"][0]["detail"] == "an order in force holds a name above it"
    assert service.zone() == ["a.example .", "*.a.example ."]

    service.lift(above)

    assert service.zone() == ["x.a.example .", "*.x.a.example ."]


def test_a_name_at_an_active_block_or_below_an_exact_one_is_accepted(service: Service) -> None:
    service.block("*.a.example", "b.example")

    assert verdicts(judged(service, ["a.example", "x.b.example"])) == {
        "a.example": "accepted",
        "x.b.example": "accepted",
    }


def test_the_nearest_name_above_decides_whether_one_is_covered(service: Service) -> None:
    service.block("*.a.example")
    service.exception("*.open.a.example")
    lines = ["x.a.example", "x.open.a.example", "low.open.a.example", "y.low.open.a.example"]

    assert verdicts(judged(service, lines)) == {
        "x.a.example": "covered",
        "x.open.a.example": "accepted",
        "low.open.a.example": "accepted",
        "y.low.open.a.example": "covered",
    }


def test_where_a_block_and_an_exception_meet_the_block_covers(service: Service) -> None:
    service.exception("*.a.example")
    service.block("*.a.example")

    assert verdicts(judged(service, ["x.a.example"])) == {"x.a.example": "covered"}


def test_an_exception_is_covered_by_an_exception(service: Service) -> None:
    service.block("*.a.example")
    service.exception("*.open.a.example")
    exception = order_data(kind="exception", conditions=None)

    assert verdicts(judged(service, ["x.a.example", "x.open.a.example"], order=exception)) == {
        "x.a.example": "accepted",
        "x.open.a.example": "covered",
    }


@pytest.mark.parametrize("state", ["proposed", "active", "scheduled"])
def test_the_same_list_under_the_same_number_is_unchanged(service: Service, state: str) -> None:
    data = order_data(**({"effective_at": text_of(NOW + DAY)} if state == "scheduled" else {}))
    first = answered(import_json(service, ["a.example", "x.a.example"], order=data), 201)
    if state != "proposed":
        service.approve({"id": first["order_id"]}, plan_hash=first["plan_hash"])
    before = service.rows()

    again = answered(import_json(service, ["x.a.example", "A.EXAMPLE", "a.example"], order=data))

    assert verdicts(again) == {"x.a.example": "unchanged", "A.EXAMPLE": "unchanged", "a.example": "duplicate"}
    assert again["order_id"] == first["order_id"]
    assert again["plan_hash"] == (first["plan_hash"] if state == "proposed" else None)
    assert service.rows() == before


def test_names_are_not_added_to_an_order_that_stands(service: Service) -> None:
    data = order_data(number="L-1")
    answered(import_json(service, ["a.example"], order=data), 201)
    before = service.rows()

    body = problem(import_json(service, ["a.example", "b.example"], order=data), 409, "order_number_taken")
    assert body["errors"] == [
        {"pointer": "/number", "value": "L-1", "rule": "order_number_taken"},
        {"line": 2, "value": "b.example", "rule": "not_in_order"},
    ]
    assert service.rows() == before

    dry = judged(service, ["a.example", "b.example"], order=data)
    assert verdicts(dry) == {"a.example": "unchanged", "b.example": "accepted"}
    assert [(each["new"], each["missing"]) for each in dry["orders"]] == [(1, 0)]


def test_a_list_that_lacks_names_of_its_order_says_how_many(service: Service) -> None:
    data = order_data()
    answered(import_json(service, ["a.example", "b.example", "c.example"], order=data), 201)

    again = answered(import_json(service, ["b.example"], order=data))

    assert [(each["stored"], each["names"], each["new"], each["missing"]) for each in again["orders"]] == [
        (False, 1, 0, 2)
    ]


def test_a_name_of_another_match_or_lifted_alone_is_not_unchanged(service: Service) -> None:
    data = order_data()
    first = answered(import_json(service, ["a.example", "b.example"], order=data), 201)
    service.approve({"id": first["order_id"]})
    service.lift({"id": first["order_id"]}, targets=[{"name": "b.example", "match": "subtree"}])

    assert verdicts(judged(service, ["a.example", "b.example"], order=data)) == {
        "a.example": "unchanged",
        "b.example": "accepted",
    }
    assert verdicts(judged(service, ["a.example"], query="?match=exact", order=data)) == {"a.example": "accepted"}


def test_the_number_of_an_order_that_ended_is_taken(service: Service) -> None:
    data = order_data()
    first = answered(import_json(service, ["a.example"], order=data), 201)
    service.approve({"id": first["order_id"]})
    service.lift({"id": first["order_id"]})

    problem(import_json(service, ["a.example"], order=data), 409, "order_number_taken")
