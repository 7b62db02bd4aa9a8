"""A breach after a lift opens a review; it blocks nothing, and another person closes it with a decision."""

import pytest

from tests.orders.test_direct_sql import refused
from tests.service import Json, Service, a_leaf, answered, condition, problem

BREACH = {"reason": "the content is back", "authority": "Monitoring unit"}


def breached(service: Service) -> Json:
    """An order that was lifted because its condition was met, which then no longer was: its review."""
    order = service.block("a.example", number="EX-1")
    service.meet(condition(order))
    service.mark(condition(order), "breach", by="approver-1", **BREACH)
    (review,) = service.read("reviews")["items"]
    return dict(review)


def close(service: Service, review: Json, *, by: str = "approver-2", version: str = "*", **fields: object) -> Json:
    body = {"decision": "no_action", "reason": "settled", **fields}
    return answered(service.post(f"reviews/{review['id']}/close", body, by=by, version=version))


def test_a_breach_after_a_lift_opens_a_review_and_does_not_block(service: Service) -> None:
    review = breached(service)

    assert (review["cause"], review["state"], review["reason"]) == ("breach", "open", "the content is back")
    assert (review["order_number"], review["condition"]["state"]) == ("EX-1", "breached")
    assert service.zone() == []
    assert service.read("names/a.example")["blocked"] is False
    assert [event["type"] for event in service.events()][-2:] == ["condition.breached", "review.opened"]


def test_a_breach_before_the_lift_only_means_that_the_condition_is_left(service: Service) -> None:
    order = service.block("a.example", conditions={"all_of": [a_leaf("one"), a_leaf("two")]})
    service.meet(condition(order, "one"))
    service.mark(condition(order, "one"), "breach", by="approver-1", **BREACH)

    assert service.read("reviews")["items"] == []
    assert service.read("names/a.example")["holders"][0]["conditions_left"] == ["one", "two"]
    service.meet(condition(order, "two"))
    assert service.meet(condition(order, "one"))["order"]["ground"] == "conditions_met"


def test_what_was_breached_is_met_again_and_the_review_stays_open(service: Service) -> None:
    review = breached(service)

    assert service.meet(review["condition"])["state"] == "met"

    (after,) = service.read("reviews?open=true")["items"]
    assert (after["state"], after["condition"]["state"]) == ("open", "met")


def test_a_condition_that_is_not_met_cannot_be_breached(service: Service) -> None:
    order = service.block("a.example")

    problem(service.post(f"conditions/{condition(order)['id']}/breach", BREACH, by="approver-1"), 409, "state_conflict")


def test_an_order_that_ended_otherwise_has_no_breach(service: Service) -> None:
    order = service.block("a.example", conditions={"all_of": [a_leaf("one"), a_leaf("two")]})
    service.meet(condition(order, "one"))
    service.lift(order)

    leaf = condition(order, "one")
    problem(service.post(f"conditions/{leaf['id']}/breach", BREACH, by="approver-1"), 409, "state_conflict")


def test_a_review_is_closed_with_a_decision(service: Service) -> None:
    review = breached(service)

    response = service.post(
        f"reviews/{review['id']}/close", {"decision": "remedied", "reason": "removed"}, by="approver-2", version='"1"'
    )

    closed = answered(response)
    assert (closed["state"], closed["decision"], closed["decision_reason"]) == ("closed", "remedied", "removed")
    assert response.headers["ETag"] == '"2"'
    assert service.read(f"reviews/{review['id']}") == closed
    assert service.read("reviews?open=true")["items"] == []
    assert service.read("names/a.example/history")["items"][-1]["type"] == "review.closed"


def test_who_opened_a_review_does_not_close_it(service: Service) -> None:
    review = breached(service)

    body = {"decision": "no_action", "reason": "mine"}
    problem(service.post(f"reviews/{review['id']}/close", body, by="approver-1"), 403, "four_eyes")


def test_a_review_is_closed_once(service: Service) -> None:
    review = breached(service)
    close(service, review)

    body = {"decision": "remedied", "reason": "again"}
    problem(service.post(f"reviews/{review['id']}/close", body, by="approver-2"), 409, "state_conflict")


def test_a_version_that_was_not_current_closes_nothing(service: Service) -> None:
    review = breached(service)

    body = {"decision": "no_action", "reason": "x"}
    problem(service.post(f"reviews/{review['id']}/close", body, by="approver-2", version='"7"'), 412, "stale_version")


def test_blocking_again_takes_a_new_order_that_is_approved(service: Service) -> None:
    review = breached(service)
    proposal = service.propose(by="operator-1", number="EX-2")

    closed = close(service, review, decision="new_order", order=proposal["id"])

    assert closed["new_order_id"] == proposal["id"]
    assert service.zone() == []


@pytest.mark.parametrize("decision", ["new_order", "no_action"])
def test_a_new_order_is_named_where_it_is_the_decision_and_nowhere_else(service: Service, decision: str) -> None:
    review = breached(service)
    fields = {} if decision == "new_order" else {"order": service.propose()["id"]}

    body = {"decision": decision, "reason": "x", **fields}
    answer = problem(service.post(f"reviews/{review['id']}/close", body, by="approver-2"), 422, "body_invalid")

    assert answer["errors"][0]["pointer"] == "/order"


def test_the_order_under_review_is_no_new_one(service: Service) -> None:
    review = breached(service)

    for order in (review["order_id"], "nonsense"):
        body = {"decision": "new_order", "reason": "x", "order": order}
        answer = problem(service.post(f"reviews/{review['id']}/close", body, by="approver-2"), 422, "body_invalid")
        assert answer["errors"][0]["rule"] == "not_a_new_order"


def test_reviews_are_listed_by_their_order(service: Service) -> None:
    review = breached(service)

    assert [each["id"] for each in service.read(f"reviews?order={review['order_id']}")["items"]] == [review["id"]]
    assert service.read("reviews?order=another")["items"] == []


def test_a_review_that_is_not_there(service: Service) -> None:
    problem(service.get("reviews/nonsense"), 404, "not_found")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("closed_at = opened_at, decision = 'no_action', closed_by_id = opened_by_id", "four_eyes"),
        ("closed_at = opened_at", "closed_by_a_decision"),
        ("cause = 'another'", "a review is only ever closed"),
        (
            (
                "closed_at = opened_at, decision = 'no_action',"
                " closed_by_id = (SELECT id FROM principals WHERE name = 'operator-1')"
            ),
            "an approver closes a review",
        ),
    ],
)
def test_no_statement_closes_a_review_otherwise(service: Service, change: str, words: str) -> None:
    breached(service)

    assert words in refused(service, f"UPDATE reviews SET {change}")
    assert "never deleted" in refused(service, "DELETE FROM reviews")
