"""Suspension: names are open until a moment, and held again if their order still stands."""

import datetime as dt

import pytest

from app.db import Database
from app.settings import Settings
from tests.servers import wait_until
from tests.service import (
    DAY,
    HOUR,
    NOW,
    ZONE,
    FrozenClock,
    Json,
    Service,
    condition,
    problem,
    running,
    targets,
    text_of,
)

MOMENT = dt.timedelta(microseconds=1)


def suspend(service: Service, order: Json, until: dt.datetime, **how: str) -> Json:
    return service.act(order, "suspend", {"reason": "talks go on", "until": text_of(until)}, **how)


def state(service: Service, order: Json) -> tuple[str, str | None]:
    found = service.read(f"orders/{order['id']}")
    return found["state"], found["ground"]


def kinds(service: Service) -> list[str]:
    return [event["type"] for event in service.events() if event["type"].startswith("order.")]


def test_a_service_is_opened_until_friday_and_closed_again(service: Service) -> None:
    order = service.block("*.a.example")
    friday = NOW + 5 * DAY

    suspended = suspend(service, order, friday)

    assert (suspended["state"], suspended["suspended_until"]) == ("suspended", text_of(friday))
    assert service.zone() == []
    service.clock.now = friday - MOMENT
    assert service.zone() == []
    service.clock.now = friday
    assert service.zone() == ["a.example .", "*.a.example ."]
    assert state(service, order) == ("active", None)
    assert service.read(f"orders/{order['id']}")["suspended_until"] is None


def test_notice_is_given_before_the_return(service: Service) -> None:
    order = service.block("a.example")
    suspend(service, order, NOW + 5 * DAY)

    service.clock.forward(4 * DAY)
    service.publish()

    event = service.events()[-1]
    assert (event["type"], event["actor"]["name"]) == ("order.return_noticed", "clock")
    assert event["facts"] == {
        "order": order["id"],
        "until": "2026-11-27T03:00:00.000000Z",
        "due_at": "2026-11-26T03:00:00.000000Z",
    }
    service.publish()
    service.clock.forward(DAY)
    service.publish()
    assert kinds(service)[-3:] == ["order.suspended", "order.return_noticed", "order.resumed"]


def test_answers_tell_of_the_opening_and_of_the_notice(service: Service) -> None:
    order = service.block("a.example", number="EX-S")
    suspend(service, order, NOW + 2 * DAY)

    for by in ("auditor-1", None):
        answer = service.read("names/a.example", by=by)
        (open_,) = answer["suspended"]
        assert (answer["blocked"], answer["holders"], answer["lifted"]) == (False, [], [])
        assert (open_["order_number"], open_["since"], open_["noticed_at"]) == ("EX-S", text_of(NOW), None)
        assert open_["until"] == "2026-11-24T03:00:00.000000Z"

    service.clock.forward(DAY)
    service.publish()
    (open_,) = service.read("names/a.example", by=None)["suspended"]
    assert open_["noticed_at"] == text_of(NOW + DAY)


def test_every_past_moment_is_answered_as_it_was(service: Service) -> None:
    order = service.block("a.example")
    service.clock.forward(HOUR)
    suspend(service, order, NOW + 3 * HOUR)
    service.clock.forward(2 * HOUR)
    service.publish()
    service.clock.forward(HOUR)
    service.lift(order)
    service.clock.forward(HOUR)

    found = [service.read(f"names/a.example?at={text_of(NOW + hours * HOUR)}") for hours in range(6)]
    assert [answer["blocked"] for answer in found] == [True, False, False, True, False, False]
    assert [len(answer["suspended"]) for answer in found] == [0, 1, 1, 0, 0, 0]
    assert [[each["at"] for each in answer["lifted"]] for answer in found] == [
        [],
        [],
        [],
        [],
        [text_of(NOW + 4 * HOUR)],
        [text_of(NOW + 4 * HOUR)],
    ]
    assert found[3]["holders"][0]["since"] == text_of(NOW + 3 * HOUR)


def test_the_end_is_moved_and_every_slip_is_kept(service: Service) -> None:
    order = service.block("a.example")
    for days in (3, 5, 2):
        moved = suspend(service, order, NOW + days * DAY)

    assert [(slip["what"], slip["from"], slip["to"], slip["by"]) for slip in moved["slips"]] == [
        ("return", "2026-11-25T03:00:00.000000Z", "2026-11-27T03:00:00.000000Z", "approver-1"),
        ("return", "2026-11-27T03:00:00.000000Z", "2026-11-24T03:00:00.000000Z", "approver-1"),
    ]
    service.clock.forward(2 * DAY)
    assert service.zone() == ["a.example ."]


def test_an_end_that_was_moved_back_has_notice_of_its_own(service: Service) -> None:
    order = service.block("a.example")
    suspend(service, order, NOW + HOUR)
    service.publish()
    suspend(service, order, NOW + 3 * DAY)

    (open_,) = service.read("names/a.example")["suspended"]
    assert open_["noticed_at"] is None
    service.clock.forward(2 * DAY)
    service.publish()
    assert kinds(service).count("order.return_noticed") == 2


def test_an_end_that_stays_where_it_is_is_no_move(service: Service) -> None:
    order = service.block("a.example")
    suspend(service, order, NOW + HOUR)
    service.publish()
    before = service.read(f"orders/{order['id']}")

    body = {"reason": "talks go on", "until": text_of(NOW + HOUR)}
    answer = problem(service.post(f"orders/{order['id']}/suspend", body, by="approver-1"), 409, "state_conflict")

    assert (answer["errors"][0]["pointer"], answer["errors"][0]["rule"]) == ("/until", "end_unchanged")
    assert service.read(f"orders/{order['id']}") == before
    service.publish()
    assert kinds(service).count("order.return_noticed") == 1


def test_an_opening_is_ended_early(service: Service) -> None:
    order = service.block("a.example")
    suspend(service, order, NOW + 5 * DAY)
    service.clock.forward(HOUR)

    resumed = service.act(order, "resume", {"reason": "the talks failed"})

    assert (resumed["state"], resumed["suspended_until"]) == ("active", None)
    assert service.zone() == ["a.example ."]
    assert service.events()[-1]["facts"] == {
        "order": order["id"],
        "reason": "the talks failed",
        "before": "2026-11-27T03:00:00.000000Z",
    }
    service.clock.forward(10 * DAY)
    assert service.publish() == {}


def test_conditions_that_are_met_during_an_opening_lift_for_good(service: Service) -> None:
    order = service.block("a.example")
    suspend(service, order, NOW + DAY)

    assert service.meet(condition(order))["order"]["state"] == "ended"
    service.clock.forward(5 * DAY)
    assert service.zone() == []
    assert state(service, order) == ("ended", "conditions_met")


def test_an_order_that_expires_meanwhile_does_not_return(service: Service) -> None:
    order = service.block("a.example", expires_at=text_of(NOW + 2 * DAY))
    suspend(service, order, NOW + 3 * DAY)

    service.clock.forward(2 * DAY)
    service.publish()
    assert state(service, order) == ("ended", "order_expired")
    service.clock.forward(2 * DAY)
    assert service.zone() == []


def test_where_the_return_and_the_end_are_both_overdue_it_never_returns(service: Service) -> None:
    order = service.block("a.example", expires_at=text_of(NOW + 3 * DAY))
    suspend(service, order, NOW + 2 * DAY)

    service.clock.forward(30 * DAY)

    assert service.zone() == []
    assert "order.resumed" not in kinds(service)


def test_an_opened_order_is_lifted_for_good(service: Service) -> None:
    order = service.block("a.example")
    suspend(service, order, NOW + DAY)

    assert service.lift(order)["state"] == "ended"
    service.clock.forward(2 * DAY)
    assert service.zone() == []


def test_one_name_of_an_opened_order_does_not_come_back(service: Service) -> None:
    order = service.block("a.example", "b.example")
    suspend(service, order, NOW + DAY)
    service.lift(order, targets=targets("a.example"))

    service.clock.forward(DAY)
    assert service.zone() == ["b.example ."]


def test_another_order_holds_on_while_one_is_suspended(service: Service) -> None:
    suspend(service, service.block("a.example"), NOW + DAY)
    service.block("a.example", number="EX-OTHER")

    answer = service.read("names/a.example")

    assert service.zone() == ["a.example ."]
    assert [holder["order_number"] for holder in answer["holders"]] == ["EX-OTHER"]
    assert len(answer["suspended"]) == 1


@pytest.mark.parametrize("until", [NOW, NOW - DAY])
def test_an_opening_does_not_end_in_the_past(service: Service, until: dt.datetime) -> None:
    order = service.block("a.example")

    body = {"reason": "x", "until": text_of(until)}
    answer = problem(service.post(f"orders/{order['id']}/suspend", body, by="approver-1"), 422, "body_invalid")

    assert (answer["errors"][0]["pointer"], answer["errors"][0]["rule"]) == ("/until", "ends_in_the_past")


def test_only_an_active_order_is_suspended(service: Service) -> None:
    body = {"reason": "x", "until": text_of(NOW + DAY)}
    orders = service.propose(), service.lift(service.block()), service.block(effective_at=text_of(NOW + DAY))
    for order in orders:
        problem(service.post(f"orders/{order['id']}/suspend", body, by="approver-1"), 409, "state_conflict")
        problem(service.post(f"orders/{order['id']}/resume", {"reason": "x"}, by="approver-1"), 409, "state_conflict")


@pytest.mark.parametrize("down", [HOUR, DAY, 30 * DAY])
def test_a_return_that_fell_due_while_the_service_was_down_happens_once(
    service: Service, settings: Settings, database: Database, down: dt.timedelta
) -> None:
    """Notice first, then the return, as soon as the service is up again: neither was given before."""
    suspend(service, service.block("a.example"), NOW + HOUR)
    serial = service.read(f"zones/{ZONE}")["serial"]

    with running(settings, database, FrozenClock(NOW + down), with_publisher=True):
        wait_until(lambda: bool(service.read(f"zones/{ZONE}")["serial"] > serial), 10, lambda: "nothing was published")

    assert service.zone() == ["a.example ."]
    assert kinds(service)[-2:] == ["order.return_noticed", "order.resumed"]


def test_a_clock_that_jumps_back_gives_no_notice_twice(service: Service) -> None:
    order = service.block("a.example")
    suspend(service, order, NOW + 2 * DAY)
    service.clock.forward(DAY)
    service.publish()
    service.clock.forward(-2 * DAY)
    service.publish()
    service.clock.forward(10 * DAY)

    assert service.zone() == ["a.example ."]
    assert kinds(service).count("order.return_noticed") == kinds(service).count("order.resumed") == 1
