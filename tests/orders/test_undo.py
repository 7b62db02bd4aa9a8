"""Undoing an order, or the lift that ended it: a new change, also months later."""

import pytest

from tests.orders.test_direct_sql import refused
from tests.service import (
    DAY,
    HOUR,
    NOW,
    Json,
    Service,
    a_leaf,
    an_order,
    answered,
    condition,
    problem,
    targets,
    text_of,
)

MISTAKE = {"reason": "entered by mistake"}
BOTH = {"all_of": [a_leaf("one"), a_leaf("two")]}


def undo(service: Service, order: Json, *, by: str = "approver-1", **fields: object) -> Json:
    return service.act(order, "undo", {**MISTAKE, **fields}, by=by)


def plan(service: Service, order: Json) -> Json:
    return service.read(f"orders/{order['id']}/undo")


def conflict(service: Service, order: Json, *, by: str = "approver-1") -> str:
    """Why an order cannot be undone; the plan says the same."""
    detail = str(problem(service.post(f"orders/{order['id']}/undo", MISTAKE, by=by), 409, "state_conflict")["detail"])
    assert plan(service, order)["refused"] == detail
    return detail


def test_an_order_is_undone_at_once_months_later(service: Service) -> None:
    order = service.block("a.example", "*.b.example")
    service.publish()
    service.clock.forward(200 * DAY)

    undone = undo(service, order)

    assert (undone["undo"], undone["state"], undone["ground"]) == ("lifted", "ended", "wrong_block")
    assert service.zone() == []
    assert len(service.read("incidents")["items"]) == 1


@pytest.mark.parametrize("act", ["suspend", "wait"])
def test_an_order_that_does_not_block_yet_or_for_now_is_undone_at_once(service: Service, act: str) -> None:
    order = service.block("a.example", **({"effective_at": text_of(NOW + DAY)} if act == "wait" else {}))
    if act == "suspend":
        service.act(order, "suspend", {"reason": "talks", "until": text_of(NOW + DAY)})

    assert undo(service, order)["undo"] == "lifted"
    service.clock.forward(5 * DAY)
    assert service.zone() == []


def test_the_plan_shows_what_other_orders_still_hold(service: Service) -> None:
    order = service.block("a.example", "deep.b.example", "c.example", number="EX-1")
    service.block("a.example", number="EX-2")
    service.block("*.b.example", number="EX-3")

    shown = plan(service, order)

    assert (shown["act"], shown["needs"]) == ("lifted", "nobody else")
    assert shown["counts"] == {"names": 3, "still_held": 2}
    assert {item["name"]: item["held_by"] + item["held_above_by"] for item in shown["items"]} == {
        "a.example": ["EX-2"],
        "deep.b.example": ["EX-3"],
        "c.example": [],
    }
    undo(service, order)
    assert service.zone() == ["a.example .", "b.example .", "*.b.example ."]


def test_a_lift_is_undone_by_a_proposal_that_another_approves(service: Service) -> None:
    order = service.block("a.example", "*.b.example", number="EX-1", conditions=BOTH)
    service.meet(condition(order, "one"))
    service.lift(order)
    service.clock.forward(DAY)
    assert (plan(service, order)["act"], plan(service, order)["needs"]) == ("proposed", "another approver")

    proposal = undo(service, order)

    assert (proposal["undo"], proposal["state"], proposal["undoes_id"]) == ("proposed", "proposed", order["id"])
    assert (proposal["number"], proposal["authority"]) == ("EX-1", order["authority"])
    assert {each["code"]: each["state"] for each in proposal["conditions"]} == {"one": "met", "two": "pending"}
    assert service.zone() == []
    body = {"reason": "mine"}
    problem(service.post(f"orders/{proposal['id']}/approve", body, by="approver-1"), 403, "four_eyes")
    service.approve(proposal, by="approver-2")
    assert service.zone() == ["a.example .", "b.example .", "*.b.example ."]
    (holder,) = service.read("names/a.example")["holders"]
    assert (holder["order_number"], holder["conditions_left"]) == ("EX-1", ["two"])
    assert service.meet(condition(proposal, "two"))["order"]["ground"] == "conditions_met"


def test_names_that_were_released_before_do_not_come_back_with_it(service: Service) -> None:
    order = service.block("a.example", "b.example")
    service.lift(order, targets=targets("a.example"))
    service.lift(order)

    assert [block["name"] for block in undo(service, order)["blocks"]] == ["b.example"]


@pytest.mark.parametrize("ground", ["court", "appeal_upheld"])
def test_what_a_court_or_an_appeal_opened_needs_a_new_order(service: Service, ground: str) -> None:
    order = service.block("a.example")
    service.lift(order, ground=ground, document="Decision 3", by="approver-2")

    assert "propose a new order" in conflict(service, order)


def test_what_conditions_or_an_expiry_opened_needs_a_new_order(service: Service) -> None:
    met, expired = service.block("a.example"), service.block("b.example", expires_at=text_of(NOW + DAY))
    service.meet(condition(met))
    service.clock.forward(DAY)
    service.publish()

    assert "conditions_met" in conflict(service, met)
    assert "order_expired" in conflict(service, expired)


def test_an_order_that_would_have_expired_by_now_needs_a_new_one(service: Service) -> None:
    order = service.lift(service.block("a.example", expires_at=text_of(NOW + DAY)))
    service.clock.forward(DAY)

    assert "would have expired" in conflict(service, order)


def test_commitments_that_were_kept_are_not_blocked_again(service: Service) -> None:
    order = service.block("a.example")
    commitments = [{"condition": "content_removed", "due_at": text_of(NOW + DAY)}]
    service.lift(order, ground="solution_indicated", commitments=commitments)
    proposal = undo(service, order)
    service.meet(condition(order))

    problem(service.post(f"orders/{proposal['id']}/approve", {"reason": "x"}, by="approver-2"), 409, "state_conflict")
    assert service.zone() == []
    service.act(proposal, "withdraw", {"reason": "kept"}, by="approver-1")
    assert "are met" in conflict(service, order)


def test_a_lift_is_undone_once_at_a_time(service: Service) -> None:
    order = service.lift(service.block("a.example"))
    proposal = undo(service, order)

    assert proposal["id"] in conflict(service, order, by="approver-2")
    answered(service.post(f"orders/{proposal['id']}/reject", {"reason": "no"}, by="approver-2"))
    assert undo(service, order)["undo"] == "proposed"


def test_an_undone_lift_is_undone_again(service: Service) -> None:
    order = service.lift(service.block("a.example"))
    again = service.approve(undo(service, order), by="approver-2")

    assert undo(service, again)["undo"] == "lifted"
    assert service.zone() == []


@pytest.mark.parametrize("act", ["reject", "withdraw", None])
def test_what_was_never_in_force_is_not_undone(service: Service, act: str | None) -> None:
    order = service.propose(by="operator-1")
    if act is not None:
        service.act(order, act, {"reason": "x"}, by="operator-1" if act == "withdraw" else "approver-1")

    conflict(service, order)


def test_an_exception_ends_once_two_approvers_undo_it(service: Service) -> None:
    service.block("*.x.example")
    order = service.exception("open.x.example")
    assert plan(service, order)["needs"] == "another approver"

    assert undo(service, order)["undo"] == "end_proposed"
    assert service.read(f"orders/{order['id']}")["state"] == "active"
    problem(service.post(f"orders/{order['id']}/undo", MISTAKE, by="approver-1"), 403, "four_eyes")
    assert undo(service, order, by="approver-2")["undo"] == "lifted"
    assert service.zone() == ["x.example .", "*.x.example ."]


def test_a_review_date_that_has_passed_is_given_anew(service: Service) -> None:
    order = service.lift(service.block("a.example", review_due_at=text_of(NOW + DAY)))
    service.clock.forward(DAY)

    problem(service.post(f"orders/{order['id']}/undo", MISTAKE, by="approver-1"), 422, "review_date_past")
    assert undo(service, order, review_due_at=text_of(NOW + 9 * DAY))["undo"] == "proposed"


def test_the_number_of_an_undone_lift_is_still_taken(service: Service) -> None:
    undo(service, service.lift(service.block("a.example", number="EX-1")))

    problem(service.post("orders", an_order(number="EX-1"), by="operator-1"), 409, "order_number_taken")


def test_past_answers_do_not_change(service: Service) -> None:
    order = service.block("a.example")
    service.clock.forward(HOUR)
    service.lift(order)
    service.clock.forward(HOUR)
    proposal = undo(service, order)
    service.clock.forward(HOUR)
    service.approve(proposal, by="approver-2")

    asked = [service.read(f"names/a.example?at={text_of(NOW + hours * HOUR)}")["blocked"] for hours in range(4)]
    assert asked == [True, False, False, True]


def test_no_statement_makes_two_orders_of_one_number(service: Service) -> None:
    order = service.lift(service.block("a.example"))
    undo(service, order)

    assert "immutable" in refused(service, "UPDATE orders SET undoes_id = NULL WHERE undoes_id IS NOT NULL")
