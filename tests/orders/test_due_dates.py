"""Due dates of conditions: told everywhere, overdue where they have passed, and without any effect."""

from tests.service import DAY, HOUR, NOW, Service, a_leaf, an_order, condition, problem, text_of

TREE = {
    "all_of": [
        a_leaf("one", due_at=text_of(NOW + DAY)),
        a_leaf("two"),
        a_leaf("own", responsible_party="ministry", gating=False, due_at=text_of(NOW + 2 * DAY)),
    ]
}


def test_a_due_date_is_kept_as_proposed_and_shown(service: Service) -> None:
    order = service.block("a.example", conditions=TREE)

    assert {each["code"]: each["due_at"] for each in order["conditions"]} == {
        "one": text_of(NOW + DAY),
        "two": None,
        "own": text_of(NOW + 2 * DAY),
    }
    assert order["condition_tree"] == TREE


def test_a_date_that_has_passed_is_overdue_and_nothing_else_happens(service: Service) -> None:
    order = service.block("a.example", conditions=TREE)

    for days, overdue in ((0, []), (1, ["one"]), (3, ["one", "own"])):
        service.clock.now = NOW + days * DAY
        service.publish()
        assert [each["code"] for each in service.read("conditions?overdue=true")["items"]] == overdue
        (holder,) = service.read("names/a.example")["holders"]
        assert holder["conditions_overdue"] == [code for code in overdue if code == "one"]
        (public,) = service.read("names/a.example", by=None)["holders"]
        assert [(each["code"], each["overdue"]) for each in public["conditions_left"]] == [
            ("one", "one" in overdue),
            ("two", False),
        ]
    assert service.zone() == ["a.example ."]
    assert service.read("reviews")["items"] == []
    assert service.events()[-1]["type"] == "order.approved"
    assert service.read(f"conditions/{condition(order, 'one')['id']}")["overdue"] is True


def test_what_is_met_late_lifts_all_the_same_and_is_overdue_no_more(service: Service) -> None:
    order = service.block("a.example", conditions=TREE)
    service.clock.now = NOW + 5 * DAY

    met = service.meet(condition(order, "one"))
    assert (met["state"], met["overdue"]) == ("met", False)
    assert service.meet(condition(order, "two"))["order"]["ground"] == "conditions_met"
    assert service.read("conditions?overdue=true")["items"] == []


def test_the_past_is_overdue_as_it_was(service: Service) -> None:
    service.block("a.example", conditions=TREE)
    service.clock.now = NOW + 5 * DAY

    for hours, overdue in ((1, []), (24, ["one"])):
        (holder,) = service.read(f"names/a.example?at={text_of(NOW + hours * HOUR)}")["holders"]
        assert holder["conditions_overdue"] == overdue


def test_a_date_before_the_proposal_and_what_is_no_moment_are_refused(service: Service) -> None:
    past = [text_of(NOW), text_of(NOW - DAY), "2026-11-22T09:59:59+07:00"]
    none: list[object] = ["", "tomorrow", "2027-01-01", "2027-13-01T00:00:00Z", 7, [], "9999-12-31T23:59:59Z"]
    for due_at in (*past, *none):
        answer = service.post("orders", an_order(conditions=a_leaf(due_at=due_at)), by="operator-1")
        error = problem(answer, 422, "body_invalid")["errors"][0]
        expected = ("due_in_the_past", "/conditions") if due_at in past else ("moment", "/conditions/due_at")
        assert (error["rule"], error["pointer"]) == expected, due_at
    assert service.rows()["orders"] == 0


def test_a_lift_that_is_undone_brings_the_dates_back(service: Service) -> None:
    order = service.block("a.example", conditions=TREE)
    lifted = service.lift(order)

    again = service.act(lifted, "undo", {"reason": "it was right after all"})

    assert again["condition_tree"] == TREE
