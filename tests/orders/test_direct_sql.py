"""Whoever writes into the database by hand gets no further than through the service."""

import pytest
from sqlalchemy import inspect
from sqlalchemy.exc import DatabaseError

from tests import databases
from tests.service import Service


def refused(service: Service, statement: str) -> str:
    """The database's own words; the test fails where it takes the statement."""
    with pytest.raises(DatabaseError) as caught:
        databases.run(service.database, statement)
    return str(caught.value.orig)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (
            "INSERT INTO targets (id, order_id, key, match) SELECT id + 1, order_id, 'id.co.', 1 FROM targets LIMIT 1",
            "targets belong into a draft",
        ),
        (
            "INSERT OR REPLACE INTO targets (id, order_id, key, match) SELECT id, order_id, 'id.co.', 1 FROM targets",
            "targets belong into a draft",
        ),
        (
            "INSERT OR REPLACE INTO principals SELECT id, name, 'approver', created_at FROM principals",
            "a principal is never replaced",
        ),
        (
            "INSERT INTO in_force (order_id, began_at, ended_at) SELECT order_id, began_at, began_at FROM in_force",
            "an interval begins open",
        ),
        ("UPDATE orders SET state = 'proposed' WHERE state = 'active'", "an order does not move that way"),
        ("UPDATE orders SET state = 'bogus' WHERE state = 'active'", "an order does not move that way"),
        ("INSERT INTO journal_head (id, size) VALUES (2, 0)", "there is one journal"),
        ("UPDATE rule_spans SET own = 0, wild = 0", "what was published is kept as it was"),
        ("UPDATE tokens SET expires_at = '2099-01-01 00:00:00' WHERE expires_at IS NULL", "a token"),
    ],
)
def test_a_statement_that_goes_round_the_service_is_refused(service: Service, statement: str, words: str) -> None:
    service.block("blocked.example")
    service.publish()

    assert words in refused(service, statement)


@pytest.mark.parametrize("approver", ["auditor", "operator"])
def test_only_an_approver_can_stand_as_the_one_who_approved(service: Service, approver: str) -> None:
    service.propose()
    by = f"(SELECT id FROM principals WHERE role = '{approver}' AND id <> proposed_by_id LIMIT 1)"

    words = refused(service, f"UPDATE orders SET state = 'active', approved_by_id = {by} WHERE state = 'proposed'")

    assert "an approver approves" in words


def test_an_order_cannot_be_born_active(service: Service) -> None:
    service.block("blocked.example")
    names = [column["name"] for column in inspect(service.database.engine).get_columns("orders")]
    copied = ", ".join({"id": "id + 1", "uid": "'forged'", "number": "'EX-2'"}.get(name, name) for name in names)

    words = refused(service, f"INSERT INTO orders SELECT {copied} FROM orders WHERE state = 'active'")

    assert "an order begins as a draft" in words
