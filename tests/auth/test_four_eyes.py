"""The proposer is not the approver and the claimant is not the verifier: by no token, no route, and no SQL."""

import pytest
from sqlalchemy.exc import IntegrityError

from app.auth import tokens
from app.auth.models import Principal
from app.db import Database
from app.journal.actor import Role
from app.orders.models import Order
from tests import databases
from tests.service import HOST, NOW, Json, Service, condition, problem

DECISIONS = ("approve", "reject")


@pytest.fixture
def second_token(service: Service) -> str:
    """Another token of `approver-1`, known to the service as `approver-1 again`."""
    with service.database.write() as session:
        text = tokens.create(session, HOST, role=Role.APPROVER, name="approver-1", expires_at=None, now=NOW)
    service.tokens = {**service.tokens, "approver-1 again": text}
    return "approver-1 again"


@pytest.mark.parametrize("act", DECISIONS)
def test_a_second_token_is_the_same_person(service: Service, second_token: str, act: str) -> None:
    order = service.propose(by="approver-1")

    response = service.post(f"orders/{order['id']}/{act}", {"reason": "mine"}, by=second_token)

    problem(response, 403, "four_eyes")


def test_a_second_token_does_not_verify_what_the_first_claimed(service: Service, second_token: str) -> None:
    leaf = condition(service.block())
    service.mark(leaf, "claim", by="approver-1")

    response = service.post(f"conditions/{leaf['id']}/verify", {"reason": "mine"}, by=second_token)

    problem(response, 403, "four_eyes")


def test_no_route_takes_the_proposers_own_order_out_of_proposed(service: Service, second_token: str) -> None:
    """Every act on an order, by its proposer: none but withdrawing has an effect."""
    order = service.propose(by="approver-1")
    marks: dict[str, Json] = {
        "claim": {"evidence": {"text": "x"}},
        "verify": {"reason": "x"},
        "waive": {"reason": "x", "authority": "y"},
    }
    acts = {
        "approve": {"reason": "x"},
        "reject": {"reason": "x"},
        "lift": {"ground": "wrong_block", "reason": "x"},
        "plan-lift": {"ground": "wrong_block", "reason": "x"},
    }
    for by in ("approver-1", second_token):
        for act, body in acts.items():
            assert service.post(f"orders/{order['id']}/{act}", body, by=by).status_code in {403, 409}
        for act, mark in marks.items():
            assert service.post(f"conditions/{condition(order)['id']}/{act}", mark, by=by).status_code == 409

    assert service.read(f"orders/{order['id']}") == order
    assert service.zone() == []


def numbers(database: Database) -> dict[str, int]:
    """The database's number of each principal."""
    with database.read() as session:
        return {principal.name: principal.id for principal in session.query(Principal)}


def refused(database: Database, statement: str) -> None:
    """A statement that the database itself must refuse."""
    with pytest.raises(IntegrityError):
        databases.run(database, statement)


def columns(order: Json, **changed: str) -> str:
    """An INSERT that copies an order with some columns changed."""
    names = [column.name for column in Order.__table__.columns if not column.nullable or column.name in changed]
    names.remove("id")
    values = ", ".join(changed.get(name, name) for name in names)
    return f"INSERT INTO orders ({', '.join(names)}) SELECT {values} FROM orders WHERE uid = '{order['id']}'"


def test_no_update_approves_for_the_proposer(service: Service) -> None:
    order = service.propose(by="approver-1")
    me = numbers(service.database)["approver-1"]
    where = f"WHERE uid = '{order['id']}'"

    refused(service.database, f"UPDATE orders SET approved_by_id = {me}, state = 'active' {where}")
    refused(service.database, f"UPDATE orders SET state = 'active' {where}")
    refused(service.database, f"UPDATE orders SET state = 'scheduled' {where}")
    refused(service.database, f"UPDATE orders SET state = 'ended', ground = 'court' {where}")


def test_no_update_makes_somebody_else_the_proposer(service: Service) -> None:
    order = service.propose(by="approver-1")
    where = f"WHERE uid = '{order['id']}'"

    refused(service.database, f"UPDATE orders SET proposed_by_id = proposed_by_id + 1 {where}")
    refused(service.database, f"UPDATE orders SET state = 'importing' {where}")


def test_no_insert_brings_in_an_order_that_its_proposer_approved(service: Service) -> None:
    order = service.propose(by="approver-1")
    me = str(numbers(service.database)["approver-1"])
    new = {"uid": "'planted'", "number": "'EX-PLANTED'", "state": "'active'"}

    refused(service.database, columns(order, **new, approved_by_id=me))
    refused(service.database, columns(order, **new))


def test_no_replacement_changes_an_order(service: Service) -> None:
    order = service.propose(by="approver-1")
    other = str(numbers(service.database)["approver-2"])
    insert = columns(order, state="'active'", proposed_by_id=other, approved_by_id=other)

    refused(service.database, insert.replace("INSERT", "INSERT OR REPLACE", 1))


def test_no_update_takes_a_decision_back_or_gives_it_to_somebody_else(service: Service) -> None:
    order = service.block()
    where = f"WHERE uid = '{order['id']}'"

    refused(service.database, f"UPDATE orders SET approved_by_id = approved_by_id + 1 {where}")
    refused(service.database, f"UPDATE orders SET approved_by_id = NULL, state = 'proposed' {where}")
    refused(service.database, f"UPDATE orders SET state = 'importing' {where}")
    refused(service.database, f"DELETE FROM orders {where}")


@pytest.mark.parametrize("column", ["number", "reason_en", "category", "expires_at", "override", "targets_root"])
def test_no_update_changes_what_was_proposed(service: Service, column: str) -> None:
    order = service.propose()

    planted = {"expires_at": "2099-01-01 00:00:00"}.get(column, "planted")
    refused(service.database, f"UPDATE orders SET {column} = '{planted}' WHERE uid = '{order['id']}'")


def test_an_ended_order_stays_ended(service: Service) -> None:
    order = service.lift(service.block())

    refused(service.database, f"UPDATE orders SET state = 'active' WHERE uid = '{order['id']}'")


def test_no_update_marks_a_condition_as_met_by_its_claimant(service: Service) -> None:
    leaf = condition(service.block())
    service.mark(leaf, "claim", by="approver-1")
    me = numbers(service.database)["approver-1"]
    where = f"WHERE uid = '{leaf['id']}'"

    refused(service.database, f"UPDATE conditions SET verified_by_id = {me}, state = 'met' {where}")
    refused(service.database, f"UPDATE conditions SET state = 'met' {where}")
    refused(
        service.database, f"UPDATE conditions SET claimed_by_id = NULL, verified_by_id = {me}, state = 'met' {where}"
    )


@pytest.mark.parametrize("change", ["gating = false", "code = 'x'", "text_en = 'x'", "kind = 'continuing'"])
def test_no_update_changes_what_a_condition_asks_for(service: Service, change: str) -> None:
    leaf = condition(service.block())

    refused(service.database, f"UPDATE conditions SET {change} WHERE uid = '{leaf['id']}'")
    refused(service.database, f"DELETE FROM conditions WHERE uid = '{leaf['id']}'")


def test_targets_intervals_and_evidence_are_kept_as_they_are(service: Service) -> None:
    order = service.block("a.example", "b.example")
    service.mark(condition(order), "claim", by="operator-1")
    service.lift(order, targets=[{"name": "a.example", "match": "exact"}])

    refused(service.database, "DELETE FROM targets")
    refused(service.database, "UPDATE targets SET key = 'planted.'")
    refused(service.database, "UPDATE targets SET released_at = NULL WHERE released_at IS NOT NULL")
    refused(service.database, "DELETE FROM in_force")
    refused(service.database, "UPDATE in_force SET began_at = '2020-01-01 00:00:00.000000'")
    refused(service.database, "DELETE FROM evidence")
    refused(service.database, "UPDATE evidence SET text = 'planted'")
