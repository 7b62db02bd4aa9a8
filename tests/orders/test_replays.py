"""What went wrong elsewhere, done again here: one person's mass block, a vital service, names that stayed or opened."""

import pytest

from app.auth import tokens
from app.journal.actor import Role
from tests.answers.test_reach import reach, serial_of, shows, subscribed, there
from tests.service import DAY, HOST, HOUR, NOW, ZONE, Service, an_order, answered, condition, problem, targets, text_of

SITES = [f"site{number}.example" for number in range(8_000)]
"""Denmark 2012: some 8,000 sites, Google and Facebook among them, blocked for hours by one person's import."""

DRIVE = "drive.usercontent.google.com"
"""Italy 2024: blocked for hours by one rightholder's ticket."""


def test_denmark_one_person_alone_blocks_nothing(service: Service) -> None:
    """Proposed and approved by the same approver, with the plan seen, by a second token, and as an emergency."""
    with service.database.write() as session:
        again = tokens.create(session, HOST, role=Role.APPROVER, name="approver-1", expires_at=None, now=NOW)
    service.tokens = {**service.tokens, "again": again}
    order = service.propose_many(SITES, by="approver-1")
    shown = service.read(f"orders/{order['id']}/plan", by="approver-1")

    assert (shown["plan_hash_needed"], shown["counts"]["targets"]) == (True, 8_000)
    for by in ("approver-1", "again"):
        body = {"reason": "mine", "plan_hash": shown["plan_hash"]}
        problem(service.post(f"orders/{order['id']}/approve", body, by=by), 403, "four_eyes")
    many = {**order_of(SITES[:1_000]), "kind": "emergency"}
    problem(service.post("orders", many, by="approver-1"), 422, "emergency_limit")
    assert service.zone() == []


def test_denmark_a_second_person_sees_what_it_is_first(service: Service) -> None:
    order = service.propose_many(SITES)
    path = f"orders/{order['id']}/approve"
    problem(service.post(path, {"reason": "trusted"}, by="approver-1"), 422, "mass_change")

    plan = service.read(f"orders/{order['id']}/plan", by="approver-1")
    assert (plan["zone"]["before"]["names"], plan["zone"]["after"]["names"]) == (0, 8_000)
    service.approve(order, plan_hash=plan["plan_hash"])
    assert len(service.zone()) == 8_000
    assert service.act(order, "undo", {"reason": "a mistake"})["undo"] == "lifted"
    assert service.zone() == []


def order_of(names: list[str], **fields: object) -> dict[str, object]:
    return an_order(targets=targets(*names), **fields)


def test_italy_a_vital_service_is_refused_with_the_reason(service: Service) -> None:
    answer = problem(service.post("orders", order_of([DRIVE]), by="operator-1"), 422, "soft_protected")

    (fault,) = answer["errors"]
    assert (fault["value"], fault["pointer"]) == (DRIVE, "/targets/0/name")
    assert "Google" in answer["detail"]
    emergency = order_of([DRIVE], kind="emergency")
    problem(service.post("orders", emergency, by="operator-1"), 422, "soft_protected")


def test_italy_overridden_by_two_and_undone_everywhere_by_one_command(service: Service) -> None:
    subscribed(service, "isp-one", 1)
    override = {"reason": "The court insists", "expires_at": text_of(NOW + 2 * DAY)}
    order = service.propose(targets=targets(DRIVE, "pirate.example"), override=override)
    problem(service.post(f"orders/{order['id']}/approve", {"reason": "x"}, by="approver-1"), 422, "mass_change")
    plan = service.read(f"orders/{order['id']}/plan", by="approver-1")
    service.approve(order, plan_hash=plan["plan_hash"])
    serial = serial_of(service)
    shows(service, "isp-one", serial)
    assert (there(service, DRIVE)["blocks"], reached(service)) == (True, 1)

    service.clock.forward(HOUR)
    path = f"zones/{ZONE}/releases/{serial}/undo"
    (item,) = answered(service.post(path, {"reason": "a mistake"}, by="approver-2"))["items"]

    assert item["undo"] == "lifted"
    undone = serial_of(service)
    assert service.zone() == []
    assert service.read(f"names/{DRIVE}")["blocked"] is False
    assert (there(service, DRIVE)["blocks"], reached(service)) == (True, 0)
    changes = service.read(f"zones/{ZONE}/changes?since={serial}", by="isp-1")
    assert [each["owner"] for each in changes["removed"]] == [DRIVE, "pirate.example"]
    shows(service, "isp-one", undone)
    assert (there(service, DRIVE)["blocks"], reached(service)) == (False, 1)
    assert there(service, DRIVE, at=NOW)["blocks"] is True


def reached(service: Service) -> int:
    """How many ISPs have what holds of the name now."""
    found = reach(service, DRIVE)
    assert found is not None
    return int(found["reached"])


def test_italy_nobody_undoes_it_and_it_ends_with_its_override(service: Service) -> None:
    override = {"reason": "The court insists", "expires_at": text_of(NOW + 2 * DAY)}
    order = service.propose(targets=targets(DRIVE), override=override)
    plan = service.read(f"orders/{order['id']}/plan", by="approver-1")
    service.approve(order, plan_hash=plan["plan_hash"])
    assert service.zone() == [f"{DRIVE} ."]

    service.clock.forward(2 * DAY)

    assert service.zone() == []


@pytest.mark.parametrize("meanwhile", ["nothing", "court", "conditions", "expiry", "another order"])
def test_a_service_is_open_until_friday_and_closed_again_if_its_order_stands(service: Service, meanwhile: str) -> None:
    friday = NOW + 5 * DAY
    ends = {"expires_at": text_of(NOW + 3 * DAY)} if meanwhile == "expiry" else {}
    order = service.block("*.talks.example", number="EX-TALKS", **ends)
    service.act(order, "suspend", {"reason": "talks", "until": text_of(friday)})
    assert service.zone() == []

    service.clock.forward(2 * DAY)
    if meanwhile == "court":
        service.lift(order, ground="court", document="Judgment 1")
    elif meanwhile == "conditions":
        service.meet(condition(order))
    elif meanwhile == "another order":
        service.block("talks.example")
        assert service.zone() == ["talks.example ."]
    service.clock.now = friday
    stands = meanwhile in {"nothing", "another order"}

    assert service.zone() == (["talks.example .", "*.talks.example ."] if stands else [])
    assert service.read(f"orders/{order['id']}")["state"] == ("active" if stands else "ended")
    assert len(service.events(type="order.return_noticed")) == stands


def test_a_name_stays_blocked_when_the_first_of_two_orders_ends(service: Service) -> None:
    first = service.block("a.example", number="EX-1", expires_at=text_of(NOW + DAY))
    service.block("a.example", number="EX-2")

    service.clock.forward(DAY)

    assert service.zone() == ["a.example ."]
    assert service.read(f"orders/{first['id']}")["state"] == "ended"
    assert [holder["order_number"] for holder in service.read("names/a.example")["holders"]] == ["EX-2"]


def test_names_below_a_parent_are_blocked_on_when_the_parent_is_lifted(service: Service) -> None:
    """Their rules were left out while the parent covered them."""
    service.block("a.shop.example", "*.b.shop.example")
    parent = service.block("*.shop.example")
    assert service.zone() == ["shop.example .", "*.shop.example ."]

    service.meet(condition(parent))

    assert service.zone() == ["a.shop.example .", "b.shop.example .", "*.b.shop.example ."]


def test_names_below_a_parent_are_blocked_on_while_the_parent_is_open_for_a_while(service: Service) -> None:
    service.block("*.b.shop.example")
    parent = service.block("*.shop.example")
    service.act(parent, "suspend", {"reason": "talks", "until": text_of(NOW + DAY)})

    assert service.zone() == ["b.shop.example .", "*.b.shop.example ."]
    service.clock.forward(DAY)
    assert service.zone() == ["shop.example .", "*.shop.example ."]


def test_children_that_others_block_stay_when_the_parent_and_its_own_children_are_lifted(service: Service) -> None:
    """Some were blocked before the parent, some while it stood; one order's own children go with it."""
    service.block("before.shop.example", number="EX-BEFORE")
    parent = service.block("*.shop.example", "own.shop.example", number="EX-SHOP")
    service.block("*.while.shop.example", number="EX-WHILE")
    assert service.zone() == ["shop.example .", "*.shop.example ."]

    service.lift(parent)

    assert service.zone() == ["before.shop.example .", "while.shop.example .", "*.while.shop.example ."]
    held = {name: service.read(f"names/{name}.shop.example")["holders"] for name in ("before", "x.while", "own")}
    numbers = {name: [each["order_number"] for each in holders] for name, holders in held.items()}
    assert numbers == {"before": ["EX-BEFORE"], "x.while": ["EX-WHILE"], "own": []}
