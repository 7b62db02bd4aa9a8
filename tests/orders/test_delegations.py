"""A third party that fulfils a condition for the platform, for a time."""

import datetime as dt

import pytest

from tests.orders.test_direct_sql import refused
from tests.service import DAY, HOUR, NOW, Json, Service, a_leaf, condition, problem, text_of

PRESENCE = {
    "any_of": [
        a_leaf("office"),
        {"all_of": [a_leaf("partnership"), a_leaf("partner_service"), a_leaf("partner_fiscal")]},
    ]
}


def delegate(until: dt.datetime = NOW + 10 * DAY, since: dt.datetime = NOW - DAY) -> Json:
    """An operator that speaks for the platform."""
    return {"name": "Operator Example", "valid_from": text_of(since), "valid_until": text_of(until)}


def claim(service: Service, leaf: Json, **dates: dt.datetime) -> Json:
    body = {"evidence": {"text": "the agreement"}, "delegate": delegate(**dates)}
    return service.mark(leaf, "claim", by="operator-1", **body)


def met(service: Service, leaf: Json, **dates: dt.datetime) -> Json:
    claim(service, leaf, **dates)
    return service.mark(leaf, "verify", by="approver-1")


def tick(service: Service, by: dt.timedelta) -> None:
    service.clock.forward(by)
    service.publish()


def state(service: Service, leaf: Json) -> str:
    return str(service.read(f"conditions/{leaf['id']}")["state"])


def test_a_claim_names_who_fulfils_it_and_from_when_to_when(service: Service) -> None:
    order = service.block("a.example", conditions=PRESENCE)

    claimed = claim(service, condition(order, "partnership"))

    assert claimed["delegate"] == delegate()
    event = service.events()[-1]
    assert event["type"] == "condition.claimed"
    assert event["facts"]["delegate"] == {
        "name": "Operator Example",
        "valid_from": "2026-11-21T03:00:00.000000Z",
        "valid_until": "2026-12-02T03:00:00.000000Z",
    }
    shown = service.read(f"orders/{order['id']}")
    assert condition(shown, "partnership")["delegate"] == delegate()
    assert condition(shown, "office")["delegate"] is None


def test_sub_conditions_below_an_alternative_lift_when_each_is_met_by_itself(service: Service) -> None:
    order = service.block("a.example", conditions=PRESENCE)
    paths = {each["code"]: [step["op"] for step in each["path"]] for each in order["conditions"]}
    assert paths == {
        "office": ["any_of"],
        "partnership": ["any_of", "all_of"],
        "partner_service": ["any_of", "all_of"],
        "partner_fiscal": ["any_of", "all_of"],
    }
    assert met(service, condition(order, "partnership"))["order"]["state"] == "active"
    assert service.meet(condition(order, "partner_service"))["order"]["state"] == "active"

    for by in ("auditor-1", None):
        (holder,) = service.read("names/a.example", by=by)["holders"]
        assert holder["conditions_left_tree"] == {"any_of": ["office", "partner_fiscal"]}

    assert service.meet(condition(order, "partner_fiscal"))["order"]["ground"] == "conditions_met"


OUTSIDE = [
    (NOW + HOUR, NOW + DAY, "delegation_not_begun"),
    (NOW - DAY, NOW, "delegation_ended"),
    (NOW - 2 * DAY, NOW - DAY, "delegation_ended"),
    (NOW + DAY, NOW - DAY, "ends_before_it_begins"),
    (NOW, NOW, "ends_before_it_begins"),
]


def test_a_claim_from_outside_its_time_is_refused(service: Service) -> None:
    leaf = condition(service.block())

    for since, until, rule in OUTSIDE:
        body = {"evidence": {"text": "x"}, "delegate": delegate(until, since)}
        answer = problem(service.post(f"conditions/{leaf['id']}/claim", body, by="operator-1"), 422, "body_invalid")
        assert answer["errors"][0]["rule"] == rule
        assert answer["errors"][0]["pointer"].startswith("/delegate/valid_")
    assert (state(service, leaf), service.rows()["evidence"]) == ("pending", 0)


def test_when_it_has_ended_before_it_is_verified_the_claim_is_made_anew(service: Service) -> None:
    leaf = condition(service.block("a.example"))
    claim(service, leaf, until=NOW + DAY)
    service.clock.forward(DAY)

    acts: dict[str, tuple[str, Json]] = {
        "verify": ("approver-1", {"reason": "checked"}),
        "evidence": ("operator-1", {"evidence": {"text": "more"}}),
    }
    for act, (by, body) in acts.items():
        answer = problem(service.post(f"conditions/{leaf['id']}/{act}", body, by=by), 409, "state_conflict")
        assert "Operator Example fulfilled content_removed until 2026-11-23T03:00:00" in answer["detail"]
        assert answer["errors"][0]["rule"] == "delegation_ended"
    assert service.zone() == ["a.example ."]
    service.mark(leaf, "reject", by="approver-1")
    assert met(service, leaf, until=NOW + 5 * DAY)["order"]["ground"] == "conditions_met"


def test_a_claim_by_the_platform_itself_takes_the_place_of_a_delegate(service: Service) -> None:
    leaf = condition(service.block())
    claim(service, leaf)
    service.mark(leaf, "reject", by="approver-1")

    assert service.mark(leaf, "claim", by="operator-1")["delegate"] is None


def test_what_ends_before_the_lift_is_breached_and_may_be_met_anew(service: Service) -> None:
    order = service.block("a.example", conditions={"all_of": [a_leaf("one"), a_leaf("two")]})
    one = condition(order, "one")
    met(service, one, until=NOW + DAY)

    tick(service, DAY - HOUR)
    assert state(service, one) == "met"
    tick(service, HOUR)

    assert state(service, one) == "breached"
    event = service.events()[-1]
    assert (event["type"], event["actor"]["name"], event["facts"]["due_at"]) == (
        "condition.breached",
        "clock",
        "2026-11-23T03:00:00.000000Z",
    )
    assert service.read("reviews")["items"] == []
    assert service.meet(condition(order, "two"))["order"]["state"] == "active"
    assert met(service, one, until=NOW + 5 * DAY)["order"]["ground"] == "conditions_met"


def test_nothing_is_lifted_by_one_that_ended_a_moment_before_the_clock_looked(service: Service) -> None:
    order = service.block("a.example", conditions={"all_of": [a_leaf("one"), a_leaf("two")]})
    met(service, condition(order, "one"), until=NOW + DAY)
    service.clock.forward(DAY)

    assert service.meet(condition(order, "two"))["order"]["state"] == "active"
    assert state(service, condition(order, "one")) == "breached"


@pytest.mark.parametrize("down", [DAY, 30 * DAY])
def test_what_ends_after_the_lift_opens_one_review_and_blocks_nothing(service: Service, down: dt.timedelta) -> None:
    order = service.block("a.example")
    assert met(service, condition(order), until=NOW + DAY)["order"]["state"] == "ended"

    for _ in range(2):
        tick(service, down)

    (review,) = service.read("reviews")["items"]
    assert (review["cause"], review["missed_at"]) == ("delegation_ended", text_of(NOW + DAY))
    assert service.zone() == []
    assert service.read(f"orders/{order['id']}")["state"] == "ended"
    assert met(service, condition(order), until=NOW + 90 * DAY)["state"] == "met"


def test_what_ends_after_a_lift_on_another_ground_is_nobodys_business(service: Service) -> None:
    order = service.block("a.example", conditions={"all_of": [a_leaf("one"), a_leaf("two")]})
    met(service, condition(order, "one"), until=NOW + DAY)
    service.lift(order)

    tick(service, 2 * DAY)

    assert service.read("reviews")["items"] == []
    assert state(service, condition(order, "one")) == "met"


def test_a_waiver_takes_its_place(service: Service) -> None:
    order = service.block("a.example")
    claim(service, condition(order), until=NOW + DAY)
    service.mark(condition(order), "waive", by="approver-1", reason="nonprofit", authority="The minister")

    tick(service, 2 * DAY)

    assert state(service, condition(order)) == "waived"
    assert service.read("reviews")["items"] == []


def test_the_past_is_told_as_it_was(service: Service) -> None:
    order = service.block("a.example", conditions={"all_of": [a_leaf("one"), a_leaf("two")]})
    met(service, condition(order, "one"), until=NOW + DAY)
    tick(service, 2 * DAY)

    for hours, left in ((1, ["two"]), (48, ["one", "two"])):
        (holder,) = service.read(f"names/a.example?at={text_of(NOW + hours * HOUR)}")["holders"]
        assert holder["conditions_left"] == left


HALVES = (
    "delegate = 'x'",
    "delegate = 'x', delegated_from = '2030-01-02 00:00:00', delegated_until = '2030-01-01 00:00:00'",
    "delegated_until = '2030-01-01 00:00:00'",
)


def test_half_a_delegation_or_one_the_wrong_way_round_is_refused_by_the_database(service: Service) -> None:
    service.block()

    for columns in HALVES:
        words = refused(service, f"UPDATE conditions SET {columns} WHERE op = 'leaf'")
        assert "delegated_for_a_time" in words
