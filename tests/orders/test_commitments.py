"""An early lift on an indicated solution: what was not met becomes a commitment with a date."""

import datetime as dt

import pytest

from tests.service import DAY, HOUR, NOW, Json, Service, a_leaf, condition, problem, text_of

TREE = {"all_of": [a_leaf("one"), {"any_of": [a_leaf("office"), a_leaf("person")]}, a_leaf("later", gating=False)]}


def due(**dates: dt.datetime) -> Json:
    """What a lift on an indicated solution carries."""
    commitments = [{"condition": code, "due_at": text_of(at)} for code, at in dates.items()]
    return {"ground": "solution_indicated", "reason": "a solution is indicated", "commitments": commitments}


def lifted(service: Service, **dates: dt.datetime) -> Json:
    return service.act(service.block("a.example", conditions=TREE), "lift", due(**dates))


def tick(service: Service, by: dt.timedelta) -> None:
    service.clock.forward(by)
    service.publish()


def reviews(service: Service) -> list[Json]:
    items: list[Json] = service.read("reviews")["items"]
    return items


def test_an_early_lift_keeps_the_dates_of_what_was_not_met(service: Service) -> None:
    order = lifted(service, one=NOW + DAY, person=NOW + 2 * DAY)

    assert (order["state"], order["ground"]) == ("ended", "solution_indicated")
    assert {each["code"]: each["commitment_due_at"] for each in order["conditions"]} == {
        "one": text_of(NOW + DAY),
        "office": None,
        "person": text_of(NOW + 2 * DAY),
        "later": None,
    }
    assert {each["state"] for each in order["conditions"]} == {"pending"}
    assert service.zone() == []


def test_answers_show_the_commitments_as_they_were_known(service: Service) -> None:
    order = lifted(service, one=NOW + DAY, person=NOW + 2 * DAY)
    service.clock.forward(HOUR)
    service.meet(condition(order, "one"))

    for hours, state in ((0, "pending"), (1, "met")):
        (gone,) = service.read(f"names/a.example?at={text_of(NOW + hours * HOUR)}", by=None)["lifted"]
        assert gone["commitments"] == [
            {"code": "one", "due_at": "2026-11-23T03:00:00.000000Z", "state": state},
            {"code": "person", "due_at": "2026-11-24T03:00:00.000000Z", "state": "pending"},
        ]


@pytest.mark.parametrize(
    ("dates", "missing"),
    [({}, ["one", "office", "person"]), ({"one": 1}, ["office", "person"]), ({"office": 1, "person": 1}, ["one"])],
)
def test_a_lift_that_leaves_a_condition_without_a_date_is_refused(
    service: Service, dates: dict[str, int], missing: list[str]
) -> None:
    order = service.block("a.example", conditions=TREE)

    body = due(**{code: NOW + days * DAY for code, days in dates.items()})
    answer = problem(service.post(f"orders/{order['id']}/lift", body, by="approver-1"), 422, "body_invalid")

    assert [(each["rule"], each["value"]) for each in answer["errors"]] == [
        ("commitment_missing", code) for code in missing
    ]
    assert service.zone() == ["a.example ."]


def test_what_is_met_needs_no_date(service: Service) -> None:
    order = service.block("a.example", conditions=TREE)
    service.meet(condition(order, "one"))

    assert service.act(order, "lift", due(office=NOW + DAY))["state"] == "ended"


@pytest.mark.parametrize(
    ("code", "at", "rule"),
    [
        ("nothing", NOW + DAY, "not_a_gating_condition"),
        ("later", NOW + DAY, "not_a_gating_condition"),
        ("one", NOW, "due_in_the_past"),
    ],
)
def test_a_commitment_that_makes_no_sense_is_refused(service: Service, code: str, at: dt.datetime, rule: str) -> None:
    order = service.block("a.example", conditions=TREE)

    body = due(**{"person": NOW + DAY, code: at})
    answer = problem(service.post(f"orders/{order['id']}/lift", body, by="approver-1"), 422, "body_invalid")

    assert answer["errors"][0]["rule"] == rule
    assert answer["errors"][0]["pointer"].startswith("/commitments/1/")


def test_another_ground_takes_no_commitments(service: Service) -> None:
    order = service.block("a.example", conditions=TREE)

    body = {**due(one=NOW + DAY), "ground": "wrong_block"}
    answer = problem(service.post(f"orders/{order['id']}/lift", body, by="approver-1"), 422, "body_invalid")

    assert answer["errors"][0]["rule"] == "commitments_of_another_ground"


def test_a_commitment_that_is_not_kept_opens_a_review_and_blocks_nothing(service: Service) -> None:
    order = lifted(service, one=NOW + DAY, person=NOW + 2 * DAY)
    tick(service, DAY - HOUR)
    assert reviews(service) == []

    tick(service, HOUR)

    (review,) = reviews(service)
    assert (review["cause"], review["state"], review["condition"]["code"]) == ("commitment_overdue", "open", "one")
    assert (review["order_id"], review["missed_at"]) == (order["id"], text_of(NOW + DAY))
    assert [each["code"] for each in service.read("conditions?overdue=true")["items"]] == ["one"]
    assert service.zone() == []
    assert service.read(f"orders/{order['id']}")["state"] == "ended"


def test_a_review_of_a_missed_date_is_opened_once_also_after_being_down(service: Service) -> None:
    lifted(service, one=NOW + DAY, person=NOW + 2 * DAY)

    for _ in range(3):
        tick(service, 30 * DAY)

    assert [each["condition"]["code"] for each in reviews(service)] == ["one", "person"]


def test_a_commitment_that_is_kept_opens_none(service: Service) -> None:
    order = lifted(service, one=NOW + DAY, person=NOW + DAY)
    assert service.meet(condition(order, "one"))["state"] == "met"
    body = {"reason": "by law", "authority": "The court"}
    service.mark(condition(order, "person"), "waive", by="approver-1", **body)

    tick(service, 2 * DAY)

    assert reviews(service) == []
    assert service.read("conditions?overdue=true")["items"] == []


def test_a_date_is_moved_and_the_slip_is_kept(service: Service) -> None:
    order = lifted(service, one=NOW + DAY, person=NOW + 20 * DAY)
    one = condition(order, "one")

    moved = service.mark(one, "commit", by="approver-1", due_at=text_of(NOW + 5 * DAY), reason="more time")

    assert moved["commitment_due_at"] == text_of(NOW + 5 * DAY)
    (slip,) = service.read(f"orders/{order['id']}")["slips"]
    assert (slip["what"], slip["condition"], slip["from"], slip["to"], slip["reason"]) == (
        "commitment",
        "one",
        "2026-11-23T03:00:00.000000Z",
        "2026-11-27T03:00:00.000000Z",
        "more time",
    )
    tick(service, 2 * DAY)
    assert reviews(service) == []
    tick(service, 3 * DAY)
    assert len(reviews(service)) == 1


def test_only_a_commitment_that_is_still_to_be_kept_has_a_date_to_move(service: Service) -> None:
    order = lifted(service, one=NOW + DAY, person=NOW + DAY)
    service.meet(condition(order, "one"))
    blocking = service.block("b.example")

    body = {"due_at": text_of(NOW + 5 * DAY), "reason": "more time"}
    for leaf in (condition(order, "one"), condition(order, "office"), condition(blocking)):
        problem(service.post(f"conditions/{leaf['id']}/commit", body, by="approver-1"), 409, "state_conflict")


def test_a_lift_is_planned_with_its_moment_open_and_dated_later(service: Service) -> None:
    order = service.block("a.example", conditions=TREE)
    service.act(order, "plan-lift", {"ground": "solution_indicated", "reason": "choosing the date"})

    body = {"ground": "solution_indicated", "reason": "chosen", "at": text_of(NOW + DAY)}
    answer = problem(service.post(f"orders/{order['id']}/plan-lift", body, by="approver-1"), 422, "body_invalid")
    assert {each["rule"] for each in answer["errors"]} == {"commitment_missing"}

    service.act(order, "plan-lift", {**due(one=NOW + 9 * DAY, office=NOW + 9 * DAY), "at": text_of(NOW + DAY)})
    for days in (2, 3):
        moved = {"ground": "solution_indicated", "reason": "slipped", "at": text_of(NOW + days * DAY)}
        planned = service.act(order, "plan-lift", moved)

    assert [(slip["what"], slip["from"], slip["to"]) for slip in planned["slips"]] == [
        ("lift", None, "2026-11-23T03:00:00.000000Z"),
        ("lift", "2026-11-23T03:00:00.000000Z", "2026-11-24T03:00:00.000000Z"),
        ("lift", "2026-11-24T03:00:00.000000Z", "2026-11-25T03:00:00.000000Z"),
    ]
    tick(service, 3 * DAY)
    assert service.read(f"orders/{order['id']}")["ground"] == "solution_indicated"
    tick(service, 6 * DAY)
    assert [each["condition"]["code"] for each in reviews(service)] == ["one", "office"]


def test_what_was_committed_to_does_not_matter_after_another_ground(service: Service) -> None:
    order = service.block("a.example", conditions=TREE)
    service.act(order, "plan-lift", due(one=NOW + 2 * DAY, office=NOW + 2 * DAY))
    service.lift(order, ground="wrong_block")

    tick(service, 5 * DAY)

    assert reviews(service) == []
    assert service.read("names/a.example")["lifted"][0]["commitments"] == []
