"""Undoing a release: what it blocked opens at once, what it opened is proposed again."""

from tests.service import DAY, ZONE, Json, Service, answered, problem, targets


def undo(service: Service, serial: int, *, by: str = "approver-1") -> list[Json]:
    path = f"zones/{ZONE}/releases/{serial}/undo"
    items: list[Json] = answered(service.post(path, {"reason": "a mistake"}, by=by))["items"]
    return items


def published(service: Service) -> int:
    return service.publish()[ZONE]


def test_what_a_release_blocked_opens_at_once_months_later(service: Service) -> None:
    order, other = service.block("a.example", number="EX-1"), service.block("b.example", number="EX-2")
    serial = published(service)
    service.block("c.example")
    published(service)
    service.clock.forward(100 * DAY)

    items = undo(service, serial)

    assert [(item["order_id"], item["undo"]) for item in items] == [(order["id"], "lifted"), (other["id"], "lifted")]
    assert service.zone() == ["c.example ."]


def test_what_a_release_lifted_is_proposed_again(service: Service) -> None:
    order = service.block("*.a.example")
    published(service)
    service.lift(order)
    serial = published(service)

    (item,) = undo(service, serial)

    assert item["undo"] == "proposed"
    assert service.zone() == []
    service.approve(service.read(f"orders/{item['proposal_id']}"), by="approver-2")
    assert service.zone() == ["a.example .", "*.a.example ."]


def test_single_names_that_a_release_let_go_come_back_with_their_order(service: Service) -> None:
    order = service.block("a.example", "b.example", "c.example")
    published(service)
    service.lift(order, targets=targets("a.example"))
    published(service)
    service.lift(order, targets=targets("b.example"))
    serial = published(service)

    (item,) = undo(service, serial)
    proposal = service.approve(service.read(f"orders/{item['proposal_id']}"), by="approver-2")

    assert [block["name"] for block in proposal["blocks"]] == ["b.example"]
    assert service.zone() == ["b.example .", "c.example ."]
    service.lift(order)
    assert service.zone() == []
    assert service.read(f"orders/{proposal['id']}")["state"] == "ended"


def test_names_of_an_order_that_ends_before_they_come_back_stay_open(service: Service) -> None:
    order = service.block("a.example", "b.example")
    published(service)
    service.lift(order, targets=targets("a.example"))
    (item,) = undo(service, published(service))
    service.clock.forward(DAY)
    service.lift(order, ground="wrong_block")

    path = f"orders/{item['proposal_id']}/approve"
    problem(service.post(path, {"reason": "x"}, by="approver-2"), 409, "state_conflict")
    assert service.zone() == []


def test_what_is_over_by_itself_or_may_not_come_back_is_told(service: Service) -> None:
    gone, met = service.block("a.example"), service.block("b.example")
    first = published(service)
    service.lift(gone)
    service.lift(met, ground="court", document="Judgment 1")
    second = published(service)

    assert [item["undo"] for item in undo(service, first)] == ["unchanged", "unchanged"]
    items = undo(service, second)
    assert [item["undo"] for item in items] == ["proposed", "refused"]
    assert "propose a new order" in items[1]["detail"]


def test_a_release_that_was_prepared_is_undone_too(service: Service) -> None:
    names = [f"n{number}.example" for number in range(1_001)]
    order = service.propose_many(names)
    service.approve(order, plan_hash=service.read(f"orders/{order['id']}/plan")["plan_hash"])
    serial = published(service)
    assert len(service.zone()) == len(names)

    (item,) = undo(service, serial)
    lifting = published(service)

    assert (item["undo"], service.zone()) == ("lifted", [])
    (item,) = undo(service, lifting)
    assert service.read(f"orders/{item['proposal_id']}")["targets_count"] == len(names)


def test_a_release_that_never_was(service: Service) -> None:
    problem(service.post(f"zones/{ZONE}/releases/7/undo", {"reason": "x"}, by="approver-1"), 404, "not_found")
    problem(service.post("zones/none.rpz/releases/7/undo", {"reason": "x"}, by="approver-1"), 404, "not_found")


def test_what_the_same_release_began_is_not_brought_back_in_part(service: Service) -> None:
    """The order is lifted by the command that proposes its names again: the proposal has nothing left to stand on."""
    order = service.block("a.example", "b.example")
    published(service)
    service.act(order, "suspend", {"reason": "talks", "until": "2026-11-30T00:00:00Z"})
    published(service)
    service.act(order, "resume", {"reason": "they failed"})
    service.lift(order, targets=targets("a.example"))

    proposed, lifted = undo(service, published(service))

    assert (proposed["undo"], lifted["undo"]) == ("proposed", "lifted")
    path = f"orders/{proposed['proposal_id']}/approve"
    problem(service.post(path, {"reason": "x"}, by="approver-2"), 409, "state_conflict")
    assert service.zone() == []


def test_what_a_release_opened_for_a_while_is_not_lifted_by_undoing_it(service: Service) -> None:
    order = service.block("a.example")
    published(service)
    service.act(order, "suspend", {"reason": "talks", "until": "2026-11-30T00:00:00Z"})

    (item,) = undo(service, published(service))

    assert (item["undo"], service.read(f"orders/{order['id']}")["state"]) == ("unchanged", "suspended")
