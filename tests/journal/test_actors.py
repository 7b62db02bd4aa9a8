"""Nothing is recorded without who acted, by what right, and why: the database itself refuses it."""

import pytest
from sqlalchemy import inspect, select
from sqlalchemy.exc import DatabaseError

from app.journal.models import Event
from tests import databases
from tests.service import Service

WHO = ("type", "recorded_at", "occurred_at", "actor", "role", "body", "leaf")
RESTS_ON = (
    "dated",
    "authority",
    "legal_basis",
    "category",
    "reason_id",
    "reason_en",
    "review_due_at",
    "proposed_by_id",
    "proposed_at",
    "kind",
    "state",
    "version",
)

SOMEBODY_ELSE = (
    {"principal_id": "NULL"},
    {"principal_id": "999"},
    {"principal_id": "principal_id + 1"},
    {"actor": "'operator-2'"},
    {"role": "'auditor'"},
    {"role": "'clock'"},
    {"role": "'clock'", "actor": "'clock'"},
    {"body": 'replace(body, \'"role":"approver"\', \'"role":"operator"\')'},
    {"body": "'{}'"},
    {"body": "replace(body, '\"token\":3', '\"token\":null')"},
)
"""Columns of an event by `approver-1` (its third token), changed to say another."""


def copied(service: Service, table: str, condition: str, **changed: str) -> str:
    """An INSERT of a copy of one row, with some columns changed."""
    names = [column["name"] for column in inspect(service.database.engine).get_columns(table)]
    values = ", ".join(changed.get(name, name) for name in names)
    return f"INSERT INTO {table} SELECT {values} FROM {table} WHERE {condition}"


def refused(service: Service, statement: str) -> str:
    with pytest.raises(DatabaseError) as caught:
        databases.run(service.database, statement)
    return str(caught.value.orig)


@pytest.fixture
def next_event(service: Service) -> dict[str, str]:
    """What makes a copy of the last event the next one."""
    service.block()
    databases.run(service.database, "UPDATE journal_head SET size = size + 1")
    return {"seq": "seq + 1"}


def last(service: Service) -> str:
    with service.database.read() as session:
        query = select(Event.seq).where(Event.principal_id.is_not(None)).order_by(Event.seq.desc()).limit(1)
        return f"seq = {session.scalar(query)}"


def test_no_event_is_written_without_who_acted(service: Service, next_event: dict[str, str]) -> None:
    for column in WHO:
        told = refused(service, copied(service, "events", last(service), **next_event, **{column: "NULL"}))
        assert "null" in told.lower() or "an event" in told, column
    databases.run(service.database, copied(service, "events", last(service), **next_event))  # whole, it is taken


def test_no_event_is_written_for_somebody_else(service: Service, next_event: dict[str, str]) -> None:
    for changed in SOMEBODY_ELSE:
        told = refused(service, copied(service, "events", last(service), **next_event, **changed))
        assert "an event" in told, changed


def test_no_order_is_written_without_what_it_rests_on(service: Service) -> None:
    service.propose()
    new = {"id": "id + 1", "uid": "'planted'", "number": "'EX-PLANTED'", "state": "'importing'"}
    for column in RESTS_ON:
        told = refused(service, copied(service, "orders", "1 = 1", **{**new, column: "NULL"}))
        assert "null" in told.lower(), column
