"""What approval would do, approval, and rejection."""

import datetime as dt
import threading
import time
from collections.abc import Callable

import pytest
from sqlalchemy.orm import Session

from app.auth import tokens
from app.orders import decide, guarding, plan, queries
from app.orders.guarding import Guard
from app.orders.models import Order
from app.orders.plan import Plan
from app.orders.schemas import Decide
from app.settings import parse_zones
from tests.servers import wait_until
from tests.service import DAY, HOUR, NOW, Json, Service, an_order, answered, problem, targets, text_of

OVERRIDE = {"reason": "a court ordered it", "expires_at": text_of(NOW + 30 * DAY)}


def plan_of(service: Service, order: Json) -> Json:
    return service.read(f"orders/{order['id']}/plan", by="approver-1")


def refused(service: Service, order: Json, status: int, code: str, *, by: str = "approver-1", **fields: object) -> Json:
    """An approval that must be refused; the order is as it was."""
    response = service.post(f"orders/{order['id']}/approve", {"reason": "in order", **fields}, by=by)
    answer = problem(response, status, code)
    assert service.read(f"orders/{order['id']}") == order
    return answer


def test_a_plan_says_what_approval_would_change(service: Service) -> None:
    held = service.block("held.example", "*.parent.example")
    order = service.propose(targets=targets("held.example", "child.parent.example", "*.new.example"))
    service.publish()

    plan = plan_of(service, order)

    assert plan == {
        "at": text_of(NOW),
        "emergency": None,
        "counts": {"targets": 3, "already_held": 1, "below_held": 1, "changes": 1, "overridden": 0},
        "items": [
            {
                "name": "held.example",
                "match": "exact",
                "held_by": [held["number"]],
                "held_above_by": [],
                "exceptions": [],
                "changes": False,
                "overridden": None,
                "public_suffix": "example",
                "platform": None,
                "rank": None,
                "below": None,
            },
            {
                "name": "new.example",
                "match": "subtree",
                "held_by": [],
                "held_above_by": [],
                "exceptions": [],
                "changes": True,
                "overridden": None,
                "public_suffix": "example",
                "platform": None,
                "rank": None,
                "below": {"targets": 0, "names": [], "ranked": 0, "popular": [], "more": False},
            },
            {
                "name": "child.parent.example",
                "match": "exact",
                "held_by": [],
                "held_above_by": [held["number"]],
                "exceptions": [],
                "changes": False,
                "overridden": None,
                "public_suffix": "example",
                "platform": None,
                "rank": None,
                "below": None,
            },
        ],
        "items_left_out": 0,
        "plan_hash": plan["plan_hash"],
        "plan_hash_needed": False,
        "unseen": {"limit": 1_000, "window_seconds": 86_400, "of_the_proposer": 2, "of_the_approver": 2},
        "zone": {
            "before": {"names": 2, "records": 3},
            "after": {"names": 3, "records": 5},
            "exact": True,
        },
    }


def test_a_plan_names_the_exceptions_that_a_block_would_meet(service: Service) -> None:
    service.block("*.parent.example")
    exception = service.exception("child.parent.example")
    order = service.propose(targets=targets("child.parent.example"))

    assert plan_of(service, order)["items"][0]["exceptions"] == [exception["number"]]


def test_the_same_plan_has_the_same_hash(service: Service) -> None:
    order = service.propose()

    assert plan_of(service, order)["plan_hash"] == plan_of(service, order)["plan_hash"]


def test_approval_by_another_person_puts_an_order_in_force(service: Service) -> None:
    order = service.propose(targets=targets("blocked.example"))

    response = service.post(f"orders/{order['id']}/approve", {"reason": "in order"}, by="approver-1", version='"1"')

    approved = answered(response)
    assert approved == {
        **order,
        "state": "active",
        "version": 2,
        "decided_at": text_of(NOW),
        "blocks": [{**order["blocks"][0], "state": "active"}],
    }
    assert response.headers["ETag"] == '"2"'
    assert service.zone() == ["blocked.example ."]


def test_approval_is_one_event_with_its_reason(service: Service) -> None:
    order = service.block("blocked.example")

    event = service.events()[-1]
    assert (event["type"], event["actor"]["name"]) == ("order.approved", "approver-1")
    assert event["facts"] == {"order": order["id"], "reason": "in order", "plan_hash": None}


def test_approval_may_be_bound_to_the_plan_that_was_shown(service: Service) -> None:
    order = service.propose()

    approved = service.approve(order, plan_hash=plan_of(service, order)["plan_hash"])

    assert approved["state"] == "active"
    assert service.events()[-1]["facts"]["plan_hash"].startswith("sha256:")


def test_an_approval_of_another_plan_is_refused(service: Service) -> None:
    order = service.propose(targets=targets("blocked.example"))
    shown = plan_of(service, order)["plan_hash"]
    service.block("blocked.example")

    refused(service, order, 409, "plan_changed", plan_hash=shown)


def approved_meanwhile(
    service: Service, order: Json, other: Json, *, prepared: Callable[[], bool] = lambda: True
) -> int:
    """Approve an order by its plan's hash, and another while that waits for its turn; what the first is answered."""
    shown = plan_of(service, order)["plan_hash"]
    statuses: list[int] = []

    def approve() -> None:
        body = {"reason": "x", "plan_hash": shown}
        statuses.append(service.post(f"orders/{order['id']}/approve", body, by="approver-1").status_code)

    with service.database.write() as session:
        row = queries.order_by_uid(session, other["id"], lock=True)
        thread = threading.Thread(target=approve)
        thread.start()
        wait_until(prepared, 10, lambda: "its plan was not made")
        time.sleep(0.3)
        actor = tokens.authenticate(session, service.tokens["approver-2"], now=NOW)
        decide.approve(
            session, actor, row, Decide(reason="first"), NOW, guard=guarding.load(parse_zones("block.rpz=nodata"))
        )
    thread.join(30)
    return statuses[0]


def test_a_plan_that_changes_while_its_approval_waits_is_noticed(service: Service) -> None:
    """The long part of an approval is done before the writer's lock: what happens in between still counts."""
    order = service.propose(targets=targets("blocked.example"))
    other = service.propose(targets=targets("blocked.example"))

    assert approved_meanwhile(service, order, other) == 409
    assert service.read(f"orders/{order['id']}")["state"] == "proposed"


@pytest.mark.parametrize(
    ("other", "status"),
    [("n7.example", 409), ("*.n7.example", 409), ("*.some.example", 409), ("x.n7.example", 200), ("z.example", 200)],
)
def test_a_large_plan_is_never_made_while_others_wait(
    service: Service, monkeypatch: pytest.MonkeyPatch, other: str, status: int
) -> None:
    """What happened to other names does not change it; what happened to its own makes it be read again."""
    order = service.propose_many(["x.some.example", *(f"n{number}.example" for number in range(1_001))])
    small = service.propose(targets=targets(other))
    made: list[str] = []
    make = plan.make

    def noting(session: Session, row: Order, *, guard: Guard) -> Plan:
        made.append(row.uid)
        return make(session, row, guard=guard)

    monkeypatch.setattr(plan, "make", noting)

    assert approved_meanwhile(service, order, small, prepared=lambda: len(made) == 2) == status
    assert made == [order["id"]] * 2
    assert service.read(f"orders/{order['id']}")["state"] == ("active" if status == 200 else "proposed")


def test_a_plan_hash_of_a_wrong_shape_is_refused(service: Service) -> None:
    answer = refused(service, service.propose(), 422, "body_invalid", plan_hash="sha256:nonsense")

    assert answer["errors"][0]["pointer"] == "/plan_hash"


def test_an_overridden_name_is_approved_with_the_hash_of_its_plan_only(service: Service) -> None:
    order = service.propose(targets=targets("blogspot.com"), override=OVERRIDE)
    refused(service, order, 422, "mass_change")
    plan = plan_of(service, order)

    assert plan["items"][0]["overridden"] == "private_suffix"
    assert plan["plan_hash_needed"] is True
    assert service.approve(order, plan_hash=plan["plan_hash"])["state"] == "active"


def test_more_than_a_thousand_names_are_approved_with_the_hash_of_their_plan_only(service: Service) -> None:
    order = service.propose_many([f"n{number}.example" for number in range(1_001)])
    refused(service, order, 422, "mass_change")
    plan = plan_of(service, order)

    assert (len(plan["items"]), plan["items_left_out"], plan["plan_hash_needed"]) == (1_000, 1, True)
    assert service.approve(order, plan_hash=plan["plan_hash"])["state"] == "active"
    assert len(service.zone()) == 1_001


def test_the_hash_of_a_plan_is_about_every_name_also_those_not_shown(service: Service) -> None:
    names = [f"n{number}.example" for number in range(1_001)]
    order = service.propose_many(names)
    plan = plan_of(service, order)
    left_out = {*names} - {item["name"] for item in plan["items"]}
    service.block(*left_out)

    refused(service, order, 409, "plan_changed", plan_hash=plan["plan_hash"])


def test_an_override_where_nothing_is_protected_asks_for_no_hash(service: Service) -> None:
    order = service.propose(override=OVERRIDE)

    assert service.approve(order)["state"] == "active"


def test_an_override_ends_the_order_when_it_expires(service: Service) -> None:
    service.block("blocked.example", override=OVERRIDE)
    service.clock.forward(30 * DAY)

    assert service.zone() == []


@pytest.mark.parametrize("act", ["approve", "reject"])
def test_the_proposer_does_not_decide(service: Service, act: str) -> None:
    order = service.propose(by="approver-1")

    response = service.post(f"orders/{order['id']}/{act}", {"reason": "mine"}, by="approver-1")

    problem(response, 403, "four_eyes")
    assert service.read(f"orders/{order['id']}") == order


def test_a_proposal_is_rejected_for_good(service: Service) -> None:
    order = service.propose()

    rejected = service.act(order, "reject", {"reason": "no basis"})

    assert (rejected["state"], rejected["version"], rejected["decided_at"]) == ("rejected", 2, text_of(NOW))
    refused(service, rejected, 409, "state_conflict")
    assert [event["type"] for event in service.events()] == ["order.proposed", "order.rejected"]


@pytest.mark.parametrize("act", ["approve", "reject"])
def test_an_order_is_decided_once(service: Service, act: str) -> None:
    order = service.block("blocked.example")

    problem(service.post(f"orders/{order['id']}/{act}", {"reason": "again"}, by="approver-2"), 409, "state_conflict")


def test_an_order_that_nobody_has_is_not_found(service: Service) -> None:
    problem(service.post("orders/nonsense/approve", {"reason": "x"}, by="approver-1"), 404, "not_found")


@pytest.mark.parametrize("act", ["approve", "reject", "lift", "plan-lift"])
def test_an_act_needs_the_version_that_was_shown(service: Service, act: str) -> None:
    order = service.propose()
    body = {"reason": "x", **({"ground": "wrong_block"} if "lift" in act else {})}

    problem(service.post(f"orders/{order['id']}/{act}", body, by="approver-1", version=None), 428, "version_required")


@pytest.mark.parametrize("version", ['"2"', "1", '"1', '""', '"one"', 'W/"1"', '"' + "1" * 5_000 + '"'])
def test_an_act_on_another_version_is_refused(service: Service, version: str) -> None:
    order = service.propose()

    response = service.post(f"orders/{order['id']}/approve", {"reason": "x"}, by="approver-1", version=version)

    problem(response, 412, "stale_version")
    assert service.read(f"orders/{order['id']}") == order


def test_every_act_on_an_order_counts_its_version_up(service: Service) -> None:
    order = service.block("a.example", "b.example")
    planned = service.act(order, "plan-lift", {"ground": "wrong_block", "reason": "heard"}, version='"2"')
    part = service.lift(planned, targets=targets("a.example"), version='"3"')
    whole = service.lift(part, version='"4"')

    assert [each["version"] for each in (order, planned, part, whole)] == [2, 3, 4, 5]


def test_an_order_that_expired_as_a_proposal_is_not_approved(service: Service) -> None:
    order = service.propose(expires_at=text_of(NOW + HOUR))
    service.clock.forward(HOUR)

    refused(service, order, 409, "state_conflict")
    assert len(service.events()) == 1


def test_an_order_dated_back_takes_effect_at_approval(service: Service) -> None:
    order = service.propose(effective_at=text_of(NOW - 10 * DAY))
    service.clock.forward(HOUR)

    assert service.approve(order)["state"] == "active"
    past = text_of(NOW + HOUR - dt.timedelta(seconds=1)).replace("+", "%2B")
    assert service.read(f"names/blocked.example?at={past}")["blocked"] is False
    assert service.read("names/blocked.example")["holders"][0]["since"] == text_of(NOW + HOUR)


def test_an_exception_of_equal_specificity_to_a_block_is_refused(service: Service) -> None:
    service.block("x.example", "*.y.example")
    for target in ("x.example", "*.y.example"):
        body = an_order(kind="exception", conditions=None, targets=targets(target))

        answer = problem(service.post("orders", body, by="operator-1"), 409, "exception_not_specific")

        name = target.removeprefix("*.")
        assert answer["errors"] == [{"pointer": "/targets", "value": name, "rule": "exception_not_specific"}]
    assert service.rows()["orders"] == 1


def test_an_exception_that_a_block_has_met_since_is_not_approved(service: Service) -> None:
    exception = service.propose(kind="exception", conditions=None, targets=targets("x.example"))
    service.block("x.example")

    refused(service, exception, 409, "exception_not_specific")


def test_an_exact_exception_at_the_name_of_a_subtree_block_opens_that_name_alone(service: Service) -> None:
    service.block("*.x.example")
    service.exception("x.example")

    assert service.zone() == ["*.x.example ."]
    assert [service.read(f"names/{name}")["blocked"] for name in ("x.example", "www.x.example")] == [False, True]


def test_a_name_that_has_become_protected_is_not_approved(service: Service) -> None:
    """The guard is asked again: what it knows may have grown since the proposal."""
    order = service.propose_many(["co.id"])

    answer = refused(service, order, 422, "hard_protected")
    assert answer["errors"][0] == {"pointer": "/targets", "value": "co.id", "rule": "public_suffix"}


def test_a_hard_protected_name_is_not_approved_by_the_hash_of_its_plan_either(service: Service) -> None:
    order = service.propose_many(["co.id"], override=OVERRIDE)
    plan = plan_of(service, order)

    assert plan["items"][0]["overridden"] == "hard: public_suffix"
    refused(service, order, 422, "hard_protected", plan_hash=plan["plan_hash"])


def test_the_earlier_of_two_expiries_counts(service: Service) -> None:
    service.block(override=OVERRIDE, expires_at=text_of(NOW + 10 * DAY))
    service.clock.forward(10 * DAY)

    assert service.zone() == []
