"""`?at=`: what had been recorded and decided at a moment; nothing that comes later changes the answer."""

import datetime as dt
from random import Random

import pytest

from app.journal.actor import CLOCK
from app.journal.append import Entry, append
from app.journal.events import EventType
from app.orders.queries import order_by_uid
from tests.policy.scale import Record, scaled, tell
from tests.service import DAY, HOUR, NOW, Json, Service, a_leaf, an_order, condition, problem, targets, text_of

pytestmark = pytest.mark.long

MOMENT = dt.timedelta(microseconds=1)


def at(service: Service, name: str, moment: dt.datetime, *, by: str | None = "auditor-1") -> Json:
    return service.read(f"names/{name}?at={text_of(moment)}", by=by)


def test_a_name_is_blocked_from_the_approval_until_the_lift(service: Service) -> None:
    service.clock.forward(HOUR)
    order = service.block("a.example")
    service.clock.forward(HOUR)
    service.lift(order)
    service.clock.forward(HOUR)

    moments = [NOW, NOW + HOUR - MOMENT, NOW + HOUR, NOW + 2 * HOUR - MOMENT, NOW + 2 * HOUR]
    assert [at(service, "a.example", moment)["blocked"] for moment in moments] == [False, False, True, True, False]


def test_a_name_released_alone_was_blocked_until_then(service: Service) -> None:
    order = service.block("a.example", "b.example")
    service.clock.forward(HOUR)
    service.lift(order, targets=targets("a.example"))
    service.clock.forward(HOUR)

    assert [at(service, "a.example", NOW + hours * HOUR)["blocked"] for hours in (0, 1, 2)] == [True, False, False]
    assert at(service, "b.example", NOW + 2 * HOUR)["blocked"] is True


def test_the_holders_are_those_of_that_moment(service: Service) -> None:
    first = service.block("a.example", number="EX-1")
    service.clock.forward(HOUR)
    service.block("*.example.example", "*.a.example", number="EX-2")
    service.clock.forward(HOUR)
    service.lift(first)

    numbers = [
        [holder["order_number"] for holder in at(service, "a.example", NOW + hours * HOUR)["holders"]]
        for hours in (0, 1, 2)
    ]
    assert numbers == [["EX-1"], ["EX-1", "EX-2"], ["EX-2"]]


def test_the_conditions_left_are_those_of_that_moment(service: Service) -> None:
    order = service.block("a.example", conditions={"all_of": [a_leaf("one"), a_leaf("two")]})
    service.clock.forward(HOUR)
    service.meet(condition(order, "one"))
    service.clock.forward(HOUR)
    service.meet(condition(order, "two"))

    left = [at(service, "a.example", NOW + hours * HOUR)["holders"][0]["conditions_left"] for hours in (0, 1)]
    assert left == [["one", "two"], ["two"]]
    assert at(service, "a.example", NOW + 2 * HOUR)["holders"] == []


def test_the_planned_lift_is_that_of_that_moment(service: Service) -> None:
    order = service.block("a.example")
    for days in (5, 6):
        service.clock.forward(HOUR)
        service.act(order, "plan-lift", {"ground": "wrong_block", "reason": "x", "at": text_of(NOW + days * DAY)})

    planned = [at(service, "a.example", NOW + hours * HOUR)["holders"][0]["lift_planned"] for hours in (0, 1, 2)]
    assert planned == [
        None,
        {"ground": "wrong_block", "at": "2026-11-27T03:00:00.000000Z"},
        {"ground": "wrong_block", "at": "2026-11-28T03:00:00.000000Z"},
    ]


def test_a_lift_that_was_still_to_come_is_not_told(service: Service) -> None:
    order = service.block("a.example", "b.example")
    service.clock.forward(HOUR)
    service.lift(order, targets=targets("a.example"), ground="wrong_block")
    service.clock.forward(HOUR)
    service.lift(order, ground="wrong_block")

    assert at(service, "a.example", NOW)["lifted"] == []
    assert [each["ground"] for each in at(service, "a.example", NOW + HOUR)["lifted"]] == ["wrong_block"]
    assert at(service, "b.example", NOW + HOUR)["lifted"] == []
    assert [each["ground"] for each in at(service, "b.example", NOW + 2 * HOUR)["lifted"]] == ["wrong_block"]


def test_a_later_back_dated_entry_changes_no_answer_about_the_past(service: Service) -> None:
    order = service.block("a.example")
    service.clock.forward(DAY)
    before = at(service, "a.example", NOW + HOUR)
    facts = {
        "order": order["id"],
        "condition": condition(order)["id"],
        "code": "content_removed",
        "state": "met",
        "ground": "wrong_block",
        "at": None,
    }
    with service.database.write() as session:
        order_id = order_by_uid(session, order["id"]).id
        for type_ in (EventType.CONDITION_MET, EventType.ORDER_LIFT_PLANNED, EventType.ORDER_ENDED):
            append(session, CLOCK, Entry(type_, facts, order_id, occurred_at=NOW), service.clock())

    assert at(service, "a.example", NOW + HOUR) == before


def test_a_block_dated_back_was_not_in_force_before_its_approval(service: Service) -> None:
    service.clock.forward(DAY)
    service.block("a.example", effective_at=text_of(NOW))

    assert at(service, "a.example", NOW + HOUR)["blocked"] is False


def test_a_moment_may_be_written_in_any_time_zone(service: Service) -> None:
    service.block("a.example")
    service.clock.forward(HOUR)

    answer = service.read("names/a.example?at=2026-11-22T10:00:00%2B07:00")

    assert (answer["blocked"], answer["at"]) == (True, text_of(NOW))


@pytest.mark.parametrize(
    "moment", ["yesterday", "2026-11-22T03:00:00", "9999-12-31T23:59:59-23:59", "2026-11-23T03:00:00Z"]
)
def test_a_bad_moment_is_refused(service: Service, moment: str) -> None:
    answer = problem(service.get(f"names/a.example?at={moment}"), 422, "body_invalid")

    assert answer["errors"][0]["pointer"] == "/at"


def test_the_public_may_ask_about_the_past_too(service: Service) -> None:
    order = service.block("a.example")
    service.clock.forward(HOUR)
    service.lift(order)

    assert at(service, "a.example", NOW, by=None)["blocked"] is True
    assert at(service, "a.example", NOW + HOUR, by=None)["blocked"] is False


def test_answers_given_once_are_given_for_ever(service: Service, record_property: Record) -> None:
    """Whatever happens afterwards: what was answered about `now` is answered about that moment later."""
    random = Random(7)
    names = ["x.example", "a.x.example", "b.a.x.example", "y.example"]
    orders: list[Json] = []
    kept: list[tuple[str, Json]] = []
    for _ in range(scaled(25)):
        act = random.choice(["block", "block", "exception", "lift", "part", "plan", "meet"])
        live = [order for order in orders if service.read(f"orders/{order['id']}")["state"] == "active"]
        if act in {"block", "exception"} or not live:
            chosen = random.sample(["x.example", "*.x.example", "*.a.x.example", "b.a.x.example", "y.example"], 2)
            kind = "exception" if act == "exception" else "block"
            response = service.post("orders", an_order_of(kind, chosen), by="operator-1")
            if response.status_code == 201:
                orders.append(response.json())
                service.post(f"orders/{response.json()['id']}/approve", {"reason": "x"}, by="approver-1")
        elif act == "lift":
            service.lift(random.choice(live))
        elif act == "part":
            order = random.choice(live)
            block = random.choice(order["blocks"])
            body = {
                "ground": "wrong_block",
                "reason": "x",
                "targets": [{"name": block["name"], "match": block["match"]}],
            }
            service.post(f"orders/{order['id']}/lift", body, by="approver-1")
        elif act == "plan":
            body = {"ground": "wrong_block", "reason": "x"}
            service.post(f"orders/{random.choice(live)['id']}/plan-lift", body, by="approver-1")
        else:
            leaf = condition(random.choice(live))
            service.post(f"conditions/{leaf['id']}/claim", {"evidence": {"text": "x"}}, by="operator-1")
            service.post(f"conditions/{leaf['id']}/verify", {"reason": "x"}, by="approver-1")
        kept += [(name, service.read(f"names/{name}")) for name in names]
        service.clock.forward(HOUR)

    for name, answer in kept:
        assert service.read(f"names/{name}?at={answer['at']}") == answer
    tell(record_property, answers=len(kept), blocked=sum(answer["blocked"] for _, answer in kept))


def an_order_of(kind: str, names: list[str]) -> Json:
    return an_order(kind=kind, targets=targets(*names))
