"""`?at=` of orders and blocks: as they stood at a moment, by what had been recorded until then."""

from collections.abc import Callable

import pytest

from tests.service import DAY, HOUR, NOW, Json, Service, a_leaf, condition, problem, targets, text_of


def order_at(service: Service, order: Json, hours: float) -> Json:
    return service.read(f"orders/{order['id']}?at={text_of(NOW + hours * HOUR)}")


def in_force(service: Service, hours: float) -> list[str]:
    found = service.read(f"orders?state=active&at={text_of(NOW + hours * HOUR)}")["items"]
    return [each["number"] for each in found]


def names_at(service: Service, hours: float) -> list[tuple[str, str]]:
    found = service.read(f"blocks?at={text_of(NOW + hours * HOUR)}&limit=500")["items"]
    return [(each["name"], each["state"]) for each in found]


def test_an_order_as_it_stood_at_every_moment_of_its_life(service: Service) -> None:
    """Hour by hour: proposed, approved, one name let go of, a lift planned, opened for a while, back, a mark, ended."""
    order = service.propose(
        number="PAST-1",
        targets=targets("a.example", "b.example"),
        conditions={"all_of": [a_leaf("one"), a_leaf("two")]},
    )
    told = [service.read(f"orders/{order['id']}")]
    acts: list[Callable[[], object]] = [
        lambda: service.approve(order),
        lambda: service.lift(order, targets=targets("b.example")),
        lambda: service.act(order, "plan-lift", {"ground": "wrong_block", "reason": "x", "at": text_of(NOW + 9 * DAY)}),
        lambda: service.act(order, "suspend", {"reason": "x", "until": text_of(NOW + DAY)}),
        lambda: service.act(order, "resume", {"reason": "x"}),
        lambda: service.meet(condition(order, "one")),
        lambda: service.meet(condition(order, "two")),
    ]
    for act in acts:
        service.clock.forward(HOUR)
        act()
        told.append(service.read(f"orders/{order['id']}"))
    service.clock.forward(HOUR)

    for hours, then in enumerate(told):
        found = order_at(service, order, hours + 0.5)
        for each in (then, found):
            each.pop("version")
            each["conditions"] = [{**row, "version": None} for row in each["conditions"]]
        assert {**found, "at": None} == {**then, "at": None}, hours
    assert [each["state"] for each in told] == [
        "proposed",
        "active",
        "active",
        "active",
        "suspended",
        *["active"] * 2,
        "ended",
    ]
    assert names_at(service, 2.5) == [("a.example", "active"), ("b.example", "released")]
    assert [in_force(service, hours) for hours in (0.5, 1, 4, 5, 7)] == [[], ["PAST-1"], [], ["PAST-1"], []]


def test_before_it_was_proposed_there_was_no_order(service: Service) -> None:
    service.clock.forward(HOUR)
    order = service.block("a.example")

    problem(service.get(f"orders/{order['id']}?at={text_of(NOW)}"), 404, "not_found")
    assert service.read(f"orders?at={text_of(NOW)}")["items"] == []
    assert names_at(service, 0) == []
    assert "etag" not in service.get(f"orders/{order['id']}?at={text_of(NOW + HOUR)}").headers


@pytest.mark.parametrize("path", ["orders", "blocks", "zones", "zones/block.rpz"])
def test_a_moment_that_is_still_to_come_is_refused(service: Service, path: str) -> None:
    answer = problem(service.get(f"{path}?at={text_of(NOW + HOUR)}"), 422, "body_invalid")

    assert answer["errors"][0]["rule"] == "future"


def test_an_emergency_order_and_a_scheduled_one(service: Service) -> None:
    service.propose(kind="emergency", number="PAST-E", targets=targets("e.example"))
    later = service.propose(number="PAST-S", effective_at=text_of(NOW + 2 * HOUR))
    service.approve(later)
    service.clock.forward(3 * HOUR)
    service.publish()

    states = [
        {each["number"]: each["state"] for each in service.read(f"orders?at={text_of(NOW + hours * HOUR)}")["items"]}
        for hours in (1, 3)
    ]
    assert states == [{"PAST-E": "active", "PAST-S": "scheduled"}, {"PAST-E": "active", "PAST-S": "active"}]


def test_pages_of_the_past_are_whole(service: Service) -> None:
    for number in range(3):
        service.block(*(f"n{number}-{each}.example" for each in range(4)))
    service.lift(service.block("gone.example"))
    service.clock.forward(HOUR)
    found, cursor = [], ""
    while cursor is not None:
        page = service.read(f"blocks?state=active&at={text_of(NOW)}&limit=5{cursor and f'&cursor={cursor}'}")
        found += [each["name"] for each in page["items"]]
        cursor = page["next"]

    assert found == [f"n{number}-{each}.example" for number in range(3) for each in range(4)]


def test_a_review_as_it_stood(service: Service) -> None:
    """A breach after the lift opens it (2), somebody decides (3)."""
    order = service.block("a.example", number="PAST-R")
    service.clock.forward(HOUR)
    service.meet(condition(order))
    service.clock.forward(HOUR)
    service.mark(condition(order), "breach", by="approver-1", reason="it is back", authority="The ministry")
    (opened,) = service.read("reviews")["items"]
    service.clock.forward(HOUR)
    body = {"decision": "no_action", "reason": "a mistake"}
    assert service.post(f"reviews/{opened['id']}/close", body, by="approver-2").status_code == 200

    def at(hours: float, more: str = "") -> list[Json]:
        items: list[Json] = service.read(f"reviews?at={text_of(NOW + hours * HOUR)}{more}")["items"]
        return items

    assert at(1) == []
    assert at(2) == [{**opened, "version": None, "at": text_of(NOW + 2 * HOUR)}]
    assert [each["state"] for each in at(3)] == ["closed"]
    assert [len(at(hours, "&open=true")) for hours in (1, 2, 3)] == [0, 1, 0]
    assert len(at(3, f"&order={order['id']}")) == 1


def test_a_proposal_that_undoes_a_lift_begins_with_the_promises_of_that_order(service: Service) -> None:
    """Also where somebody moves one of them later."""
    order = service.block("a.example", number="PAST-U")
    service.clock.forward(HOUR)
    promised = [{"condition": "content_removed", "due_at": text_of(NOW + 30 * DAY)}]
    service.lift(order, ground="solution_indicated", commitments=promised)
    service.clock.forward(HOUR)
    undone = service.post(f"orders/{order['id']}/undo", {"reason": "x"}, by="approver-1")
    assert undone.status_code == 200, undone.text
    (proposal,) = service.read("orders?state=proposed")["items"]
    told = condition(service.read(f"orders/{proposal['id']}"))
    service.clock.forward(HOUR)

    then = condition(order_at(service, proposal, 2.5))
    assert then == {**told, "version": None}
    assert condition(order_at(service, order, 2.5))["commitment_due_at"] == text_of(NOW + 30 * DAY)
    assert condition(order_at(service, order, 0.5))["commitment_due_at"] is None
