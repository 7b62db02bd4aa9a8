"""Names of an order whose lift was undone are held by an order of their own, which falls with the one it belongs to."""

import pytest

from tests.orders.test_emergency import emergency
from tests.publication.test_undo_release import published, undo
from tests.service import DAY, HOUR, Json, Service, problem, targets, text_of

DOCUMENT = {"document": "12/2026"}


def with_a_part(service: Service, order: Json) -> Json:
    """Lift one name of an order and have that undone, by approver-1 and approver-2; the order that holds it again."""
    published(service)
    service.lift(order, targets=targets("a.example"))
    (item,) = undo(service, published(service))
    return service.approve(service.read(f"orders/{item['proposal_id']}"), by="approver-2")


def ground_of(service: Service, order: Json) -> str | None:
    ground: str | None = service.read(f"orders/{order['id']}")["ground"]
    return ground


def test_an_emergency_order_lapses_with_its_part(service: Service) -> None:
    order = emergency(service, "a.example", "b.example")
    part = with_a_part(service, order)
    assert len(service.zone()) == 2

    service.clock.forward(2 * DAY + HOUR)
    assert service.zone() == []
    assert [ground_of(service, each) for each in (order, part)] == ["emergency_lapsed"] * 2


@pytest.mark.parametrize("ground", ["court", "wrong_block"])
def test_an_order_is_lifted_with_its_part(service: Service, ground: str) -> None:
    order = service.block("a.example", "b.example")
    part = with_a_part(service, order)

    service.lift(order, by="approver-2", ground=ground, **({} if ground == "wrong_block" else DOCUMENT))
    assert service.zone() == []
    assert [ground_of(service, each) for each in (order, part)] == [ground] * 2


def test_who_approved_the_part_decides_no_appeal_against_the_order(service: Service) -> None:
    order = service.block("a.example", "b.example")
    with_a_part(service, order)
    body = {"ground": "appeal_upheld", "reason": "heard", **DOCUMENT}

    problem(service.post(f"orders/{order['id']}/lift", body, by="approver-2"), 403, "four_eyes")
    assert len(service.zone()) == 2


def planned_on_appeal(service: Service, order: Json, by: str) -> None:
    """Plan that an order ends in an hour, because its appeal was heard."""
    plan = {"ground": "appeal_upheld", "reason": "heard", "at": text_of(service.clock() + HOUR), **DOCUMENT}
    service.act(order, "plan-lift", plan, by=by)


def test_who_planned_the_lift_on_appeal_approves_no_part_of_the_order(service: Service) -> None:
    order = service.block("a.example", "b.example")
    published(service)
    service.lift(order, targets=targets("a.example"))
    (item,) = undo(service, published(service))
    planned_on_appeal(service, order, by="approver-2")

    refused = service.post(f"orders/{item['proposal_id']}/approve", {"reason": "right"}, by="approver-2")
    assert "planned the lift on appeal" in problem(refused, 403, "four_eyes")["detail"]

    service.clock.forward(2 * HOUR)
    assert service.zone() == []
    assert ground_of(service, order) == "appeal_upheld"


def test_a_part_proposed_by_who_planned_the_lift_on_appeal_is_not_approved(service: Service) -> None:
    order = service.approve(service.propose(targets=targets("a.example", "b.example")), by="approver-2")
    published(service)
    service.lift(order, targets=targets("a.example"))
    (item,) = undo(service, published(service))
    planned_on_appeal(service, order, by="approver-1")

    refused = service.post(f"orders/{item['proposal_id']}/approve", {"reason": "right"}, by="approver-2")
    assert "whoever proposed it planned" in problem(refused, 403, "four_eyes")["detail"]
    service.clock.forward(2 * HOUR)
    assert service.zone() == []


def test_who_planned_its_lift_on_appeal_confirms_no_emergency_order(service: Service) -> None:
    order = emergency(service, "a.example")
    planned_on_appeal(service, order, by="approver-2")

    refused = service.post(f"orders/{order['id']}/confirm", {"reason": "stands"}, by="approver-2")
    problem(refused, 403, "four_eyes")
    service.clock.forward(2 * HOUR)
    assert service.zone() == []
    assert ground_of(service, order) == "appeal_upheld"
