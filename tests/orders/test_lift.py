"""Lifting by hand: all of an order, some of its names, or at a moment to come."""

import pytest

from tests.service import DAY, HOUR, NOW, Service, condition, problem, targets, text_of


def test_a_lift_ends_an_order_and_opens_its_names(service: Service) -> None:
    order = service.block("a.example", "*.b.example")
    assert service.zone() == ["a.example .", "b.example .", "*.b.example ."]

    lifted = service.lift(order, ground="wrong_block", reason="the wrong name")

    assert (lifted["state"], lifted["ground"], lifted["ended_at"]) == ("ended", "wrong_block", text_of(NOW))
    assert [block["state"] for block in lifted["blocks"]] == ["ended", "ended"]
    assert service.zone() == []


def test_a_lift_is_one_event_with_its_ground_and_reason(service: Service) -> None:
    order = service.lift(service.block("a.example"), ground="wrong_block", reason="the court decided")

    event = service.events()[-1]
    assert (event["type"], event["actor"]["name"]) == ("order.ended", "approver-1")
    assert event["facts"] == {"order": order["id"], "ground": "wrong_block", "reason": "the court decided"}


def test_some_names_of_an_order_are_lifted(service: Service) -> None:
    order = service.block("a.example", "b.example", "*.c.example")

    lifted = service.lift(order, targets=targets("A.example.", "*.c.example"))

    assert (lifted["state"], lifted["ended_at"], lifted["ground"]) == ("active", None, None)
    assert [(block["name"], block["state"], block["released_at"]) for block in lifted["blocks"]] == [
        ("a.example", "released", text_of(NOW)),
        ("b.example", "active", None),
        ("c.example", "released", text_of(NOW)),
    ]
    assert service.zone() == ["b.example ."]


def test_a_lift_of_some_names_is_one_event_that_names_them(service: Service) -> None:
    order = service.block("a.example", "b.example")
    service.lift(order, targets=targets("a.example"))

    event = service.events()[-1]
    assert event["type"] == "order.lifted_in_part"
    assert event["facts"] == {
        "order": order["id"],
        "ground": "wrong_block",
        "reason": "a mistake",
        "targets": [{"name": "a.example", "match": "exact"}],
    }


def test_the_lift_of_the_last_name_ends_the_order(service: Service) -> None:
    order = service.block("a.example", "b.example")
    service.lift(order, targets=targets("a.example"))

    lifted = service.lift(order, targets=targets("b.example"), ground="wrong_block")

    assert (lifted["state"], lifted["ground"]) == ("ended", "wrong_block")
    assert service.events()[-1]["facts"]["targets"] == [{"name": "b.example", "match": "exact"}]
    assert service.zone() == []


def test_a_name_is_released_once(service: Service) -> None:
    order = service.block("a.example", "b.example")
    service.lift(order, targets=targets("a.example"))

    body = {"ground": "wrong_block", "reason": "again", "targets": targets("b.example", "a.example")}
    problem(service.post(f"orders/{order['id']}/lift", body, by="approver-1"), 409, "state_conflict")
    assert service.zone() == ["b.example ."]


def test_a_name_that_the_order_does_not_have_is_not_lifted(service: Service) -> None:
    order = service.block("a.example")

    for index, name in enumerate(("b.example", "*.a.example")):
        body = {"ground": "wrong_block", "reason": "x", "targets": targets(name)}
        answer = problem(service.post(f"orders/{order['id']}/lift", body, by="approver-1"), 404, "not_found")
        value = name.removeprefix("*.")
        assert answer["errors"] == [{"pointer": "/targets/0/name", "value": value, "rule": "not_a_target"}], index


def test_a_bad_name_is_not_lifted(service: Service) -> None:
    order = service.block("a.example")

    body = {"ground": "wrong_block", "reason": "x", "targets": targets("a.example", "a..b")}
    answer = problem(service.post(f"orders/{order['id']}/lift", body, by="approver-1"), 422, "name_invalid")
    assert answer["errors"][0]["pointer"] == "/targets/1/name"
    assert service.zone() == ["a.example ."]


@pytest.mark.parametrize("ground", ["conditions_met", "order_expired", "nonsense", None])
def test_a_ground_that_nobody_decides_on_is_refused(service: Service, ground: str | None) -> None:
    order = service.block("a.example")

    body = {"ground": ground, "reason": "x"}
    problem(service.post(f"orders/{order['id']}/lift", body, by="approver-1"), 422, "body_invalid")


def test_a_proposal_is_not_lifted(service: Service) -> None:
    order = service.propose()

    body = {"ground": "wrong_block", "reason": "x"}
    problem(service.post(f"orders/{order['id']}/lift", body, by="approver-1"), 409, "state_conflict")


def test_an_ended_order_is_not_lifted(service: Service) -> None:
    order = service.lift(service.block("a.example"))

    body = {"ground": "wrong_block", "reason": "x"}
    problem(service.post(f"orders/{order['id']}/lift", body, by="approver-1"), 409, "state_conflict")


def test_the_proposer_may_lift_what_somebody_else_approved(service: Service) -> None:
    order = service.approve(service.propose(by="approver-1"), by="approver-2")

    assert service.lift(order, by="approver-1")["state"] == "ended"


def test_the_lift_of_a_scheduled_order_means_it_never_begins(service: Service) -> None:
    order = service.block("a.example", effective_at=text_of(NOW + HOUR))

    assert service.lift(order)["state"] == "ended"
    service.clock.forward(2 * HOUR)
    assert service.zone() == []


def test_the_lift_of_one_name_of_a_scheduled_order_means_it_never_begins(service: Service) -> None:
    order = service.block("a.example", "b.example", effective_at=text_of(NOW + HOUR))

    assert service.lift(order, targets=targets("a.example"))["state"] == "scheduled"
    service.clock.forward(2 * HOUR)
    assert service.zone() == ["b.example ."]
    assert service.read("names/a.example")["lifted"] == []


def test_a_lift_is_planned_for_a_moment_and_happens_then(service: Service) -> None:
    order = service.block("a.example")

    planned = service.act(order, "plan-lift", {"ground": "wrong_block", "reason": "agreed", "at": text_of(NOW + DAY)})

    assert planned["state"] == "active"
    assert planned["lift_planned"] == {"ground": "wrong_block", "at": text_of(NOW + DAY)}
    service.clock.forward(DAY - HOUR)
    assert service.zone() == ["a.example ."]
    service.clock.forward(HOUR)
    assert service.zone() == []
    ended = service.read(f"orders/{order['id']}")
    assert (ended["state"], ended["ground"], ended["ended_at"]) == ("ended", "wrong_block", text_of(NOW + DAY))


def test_a_planned_lift_is_carried_out_by_the_clock_with_the_moment_it_was_due(service: Service) -> None:
    order = service.block("a.example")
    service.act(order, "plan-lift", {"ground": "wrong_block", "reason": "heard", "at": text_of(NOW + HOUR)})
    service.clock.forward(3 * HOUR)
    service.publish()

    event = service.events()[-1]
    assert (event["type"], event["actor"]) == ("order.ended", {"name": "clock", "role": "clock", "token": None})
    assert event["facts"] == {"order": order["id"], "ground": "wrong_block", "due_at": "2026-11-22T04:00:00.000000Z"}


def test_a_lift_is_planned_with_its_moment_open(service: Service) -> None:
    order = service.block("a.example")

    planned = service.act(order, "plan-lift", {"ground": "solution_indicated", "reason": "choosing the date"})

    assert planned["lift_planned"] == {"ground": "solution_indicated", "at": None}
    service.clock.forward(1000 * DAY)
    assert service.zone() == ["a.example ."]


def test_a_planned_lift_is_moved_and_the_slip_is_kept(service: Service) -> None:
    order = service.block("a.example")
    plans = [None, text_of(NOW + DAY), text_of(NOW + 2 * DAY), None]
    for at in plans:
        service.act(order, "plan-lift", {"ground": "wrong_block", "reason": "moved", "at": at})

    facts = [event["facts"] for event in service.events(type="order.lift_planned")]
    assert [(fact["before"], fact["at"]) for fact in facts] == [
        (None, None),
        ({"ground": "wrong_block", "at": None}, "2026-11-23T03:00:00.000000Z"),
        ({"ground": "wrong_block", "at": "2026-11-23T03:00:00.000000Z"}, "2026-11-24T03:00:00.000000Z"),
        ({"ground": "wrong_block", "at": "2026-11-24T03:00:00.000000Z"}, None),
    ]


def test_a_lift_that_was_moved_back_does_not_happen_at_its_first_date(service: Service) -> None:
    order = service.block("a.example")
    for days in (1, 3):
        at = text_of(NOW + days * DAY)
        service.act(order, "plan-lift", {"ground": "wrong_block", "reason": "moved", "at": at})

    service.clock.forward(2 * DAY)
    assert service.zone() == ["a.example ."]
    service.clock.forward(DAY)
    assert service.zone() == []


def test_a_lift_is_not_planned_for_the_past(service: Service) -> None:
    order = service.block("a.example")

    body = {"ground": "wrong_block", "reason": "x", "at": text_of(NOW)}
    answer = problem(service.post(f"orders/{order['id']}/plan-lift", body, by="approver-1"), 422, "body_invalid")
    assert answer["errors"] == [{"pointer": "/at", "value": "2026-11-22T03:00:00+00:00", "rule": "planned_in_the_past"}]


def test_a_plan_only_brings_a_lift_forward(service: Service) -> None:
    """When the conditions are met it happens at once, whatever date is planned."""
    order = service.block("a.example")
    service.act(order, "plan-lift", {"ground": "wrong_block", "reason": "heard", "at": text_of(NOW + 30 * DAY)})

    marked = service.meet(condition(order))

    assert marked["order"] == {
        "id": order["id"],
        "number": order["number"],
        "state": "ended",
        "ground": "conditions_met",
    }
    assert service.zone() == []


def test_a_planned_lift_happens_before_a_later_expiry(service: Service) -> None:
    order = service.block("a.example", expires_at=text_of(NOW + 2 * DAY))
    service.act(order, "plan-lift", {"ground": "wrong_block", "reason": "heard", "at": text_of(NOW + DAY)})

    service.clock.forward(DAY)
    service.publish()
    assert service.read(f"orders/{order['id']}")["ground"] == "wrong_block"


def test_a_planned_lift_does_not_hold_up_an_earlier_expiry(service: Service) -> None:
    order = service.block("a.example", expires_at=text_of(NOW + DAY))
    service.act(order, "plan-lift", {"ground": "wrong_block", "reason": "heard", "at": text_of(NOW + 2 * DAY)})

    service.clock.forward(DAY)
    service.publish()
    assert service.read(f"orders/{order['id']}")["ground"] == "order_expired"
