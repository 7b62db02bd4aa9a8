"""What one person may bring into force unseen is summed over a day: many small orders are no way round it."""

import pytest

from app.auth import tokens
from app.journal.actor import Role
from app.journal.merkle import merkle_root
from app.main import create_app
from app.orders.propose import target_line
from app.settings import Settings
from tests import databases
from tests.policy.scale import Record, scaled, tell
from tests.service import DAY, HOST, HOUR, NOW, Json, Service, problem, targets

PIECES = 20
"""Into which 8,000 names are split, times PULIH_TEST_SCALE."""


def names(order: int, count: int) -> list[str]:
    return [f"n{number}.o{order}.example" for number in range(count)]


def proposals(service: Service, *sizes: int, by: str = "operator-1") -> list[Json]:
    return [service.propose(by=by, targets=targets(*names(order, size))) for order, size in enumerate(sizes)]


def refused(service: Service, order: Json, *, by: str = "approver-1") -> Json:
    return problem(service.post(f"orders/{order['id']}/approve", {"reason": "x"}, by=by), 422, "mass_change")


def seen(service: Service, order: Json, *, by: str = "approver-1") -> Json:
    plan = service.read(f"orders/{order['id']}/plan", by=by)
    return service.approve(order, by=by, plan_hash=plan["plan_hash"])


def test_an_approver_brings_a_thousand_names_into_force_unseen(service: Service) -> None:
    orders = proposals(service, 600, 400) + proposals(service, 1, by="operator-2")
    for order in orders[:2]:
        service.approve(order)

    plan = service.read(f"orders/{orders[2]['id']}/plan", by="approver-1")
    assert plan["plan_hash_needed"] is True
    assert (plan["unseen"]["of_the_proposer"], plan["unseen"]["of_the_approver"]) == (0, 1_000)
    assert "1000 by approver-1" in refused(service, orders[2])["detail"]
    assert seen(service, orders[2])["state"] == "active"


def test_a_proposer_gets_a_thousand_names_into_force_unseen_by_however_many_approvers(service: Service) -> None:
    orders = proposals(service, 600, 400, 1)
    service.approve(orders[0], by="approver-1")
    service.approve(orders[1], by="approver-2")

    refused(service, orders[2], by="approver-1")
    refused(service, orders[2], by="approver-2")
    seen(service, orders[2], by="approver-2")


def test_a_second_token_is_no_second_person(service: Service) -> None:
    orders = proposals(service, 1_000) + proposals(service, 1, by="operator-2")
    service.approve(orders[0])
    with service.database.write() as session:
        text = tokens.create(session, HOST, role=Role.APPROVER, name="approver-1", expires_at=None, now=NOW)
    service.tokens = {**service.tokens, "again": text}

    refused(service, orders[1], by="again")


def test_the_window_slides(service: Service) -> None:
    orders = proposals(service, 500, 500, 500)
    service.approve(orders[0])
    service.clock.forward(12 * HOUR)
    service.approve(orders[1])
    service.clock.forward(12 * HOUR - HOUR / 3600)
    refused(service, orders[2])

    service.clock.forward(HOUR / 3600)

    service.approve(orders[2])


def test_what_was_seen_and_what_opens_is_not_counted(service: Service) -> None:
    orders = proposals(service, 1_000, 999)
    service.block("*.x.example")
    seen(service, orders[0])
    service.exception("open.x.example")

    service.approve(orders[1])


def test_lifts_are_exempt(service: Service) -> None:
    orders = proposals(service, 1_000, 1)
    service.approve(orders[0])
    refused(service, orders[1])

    assert service.lift(orders[0])["state"] == "ended"


def test_a_confirmation_counts_as_an_approval(service: Service) -> None:
    order = service.propose(by="operator-2", kind="emergency", targets=targets("a.example"))
    service.approve(proposals(service, 1_000)[0])
    path = f"orders/{order['id']}/confirm"

    problem(service.post(path, {"reason": "x"}, by="approver-1"), 422, "mass_change")
    plan = service.read(f"orders/{order['id']}/plan", by="approver-1")
    assert plan["items"][0]["held_by"] == []
    shown = plan["plan_hash"]
    problem(service.post(path, {"reason": "x", "plan_hash": shown[:-1] + "x"}, by="approver-1"), 422, "body_invalid")
    assert service.post(path, {"reason": "x", "plan_hash": shown}, by="approver-1").status_code == 200


def test_denmark_in_pieces_is_seen_by_an_approver_after_the_first_thousand_names(
    service: Service, record_property: Record
) -> None:
    """8,000 names by one person: proposed in pieces, approved without a look for as long as that goes."""
    pieces = scaled(PIECES)
    size = 8_000 // pieces
    orders = [service.propose(targets=targets(*names(piece, size))) for piece in range(pieces)]
    assert service.zone() == []
    taken = 0
    for number, order in enumerate(orders):
        by = f"approver-{1 + number % 2}"
        taken += service.post(f"orders/{order['id']}/approve", {"reason": "x"}, by=by).status_code == 200

    tell(record_property, pieces=pieces, approved_unseen=taken)
    assert taken == 1_000 // size
    assert len(service.zone()) == taken * size


def test_denmark_at_once_is_proposed_and_no_more(service: Service) -> None:
    order = service.propose_many([f"n{number}.example" for number in range(8_000)])

    refused(service, order)
    assert problem(
        service.post(f"orders/{order['id']}/approve", {"reason": "x"}, by="operator-1"), 403, "role_forbidden"
    )
    assert service.zone() == []


@pytest.mark.parametrize(
    ("fields", "counts"), [({"unseen_names": "2"}, 2), ({"unseen_names": "2", "unseen_window": "1h"}, 2)]
)
def test_both_are_settings(service: Service, settings: Settings, fields: dict[str, str], counts: int) -> None:
    changed = settings.model_copy(
        update={key: int(value) if value.isdecimal() else value for key, value in fields.items()}
    )
    app = create_app(changed, service.database, with_publisher=False)

    assert app.state.guard.limits.unseen == counts
    assert app.state.guard.limits.window == (HOUR if "unseen_window" in fields else DAY)


def test_a_plan_is_bound_to_the_names_that_were_shown(service: Service) -> None:
    """Names and their root, changed together in the database by its owner, meet nothing else and count as many."""
    (order,) = proposals(service, 3)
    plan = service.read(f"orders/{order['id']}/plan", by="approver-1")
    on = {table: "" if databases.KIND == "sqlite" else f" ON {table}" for table in ("orders", "targets")}
    databases.run(service.database, f"DROP TRIGGER refuse_targets_update{on['targets']}")
    databases.run(service.database, f"DROP TRIGGER refuse_orders_update{on['orders']}")
    databases.run(service.database, "UPDATE targets SET key = 'example.planted.' WHERE key = 'example.o0.n2.'")
    root = merkle_root(target_line(key, 0) for key in ("example.o0.n0.", "example.o0.n1.", "example.planted."))
    planted = f"x'{root.hex()}'" if databases.KIND == "sqlite" else f"decode('{root.hex()}', 'hex')"
    databases.run(service.database, f"UPDATE orders SET targets_root = {planted}")

    body = {"reason": "as shown", "plan_hash": plan["plan_hash"]}
    problem(service.post(f"orders/{order['id']}/approve", body, by="approver-1"), 409, "plan_changed")
