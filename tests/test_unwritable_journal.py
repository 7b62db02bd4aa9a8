"""A journal that takes no event: no operation changes anything, all that is read or served goes on."""

import re
from typing import Any

import pytest
from sqlalchemy import select

from app.orders import imports_staging
from app.publication.follower import Follower
from app.publication.marks import Marks
from app.tables import metadata
from tests import databases
from tests.mutating_operations import OPERATIONS, send
from tests.policy.scale import Record
from tests.problem_documents import check_shape
from tests.service import HOUR, ZONE, Service, an_order, records
from tests.wire.clients import transfer
from tests.wire.feeds import MadeFeed, client_key, serving

pytestmark = pytest.mark.database

READS = (
    *("orders", "blocks", "conditions", "reviews", "notes", "applications", "clocks", "review-queue", "incidents"),
    *("sops", "audit/events", "audit/checkpoint", "audit/export", "subscribers", "guard", "guard/stops", "rebase"),
    *("categories", "names/blocked.example", "names/blocked.example/history", "zones", f"zones/{ZONE}"),
)


def everything(service: Service) -> dict[str, list[Any]]:
    """Every row of every table, once what a broken-off import left (no reader sees it) is swept away."""
    imports_staging.sweep(service.database, service.clock() + HOUR)
    with service.database.read() as session:
        return {table.name: sorted(session.execute(select(table)).all(), key=repr) for table in metadata.sorted_tables}


def test_every_operation_that_changes_something_has_a_row(service: Service) -> None:
    described = service.read("/api/openapi.json", by=None)["paths"]
    known = {re.sub(r"\{\}", "[^ ]+", operation) for operation in OPERATIONS}
    operations = [
        f"{method.upper()} {path.removeprefix('/api/v1/')}"
        for path, methods in described.items()
        for method in methods
        if method != "get"
    ]

    assert [each for each in operations if not any(re.fullmatch(row, each) for row in known)] == []
    assert len(operations) == len(OPERATIONS)


@pytest.mark.long
def test_no_operation_changes_anything_without_its_event(service: Service, record_property: Record) -> None:
    for operation, make in OPERATIONS.items():
        asked = make(service)
        before = everything(service)
        databases.refuse(service.database, "INSERT", "events")

        refused = send(service, operation, asked)

        assert check_shape(refused)["code"] == "not_writable", operation
        assert everything(service) == before, operation
        databases.allow(service.database, "events")
        taken = send(service, operation, asked)
        assert taken.is_success, (operation, taken.text)
        assert service.rows()["events"] > len(before["events"]), operation
    record_property("operations", len(OPERATIONS))


@pytest.mark.parametrize(("act", "table"), [("UPDATE", "journal_head"), ("INSERT", "event_personal")])
def test_a_part_of_an_event_that_is_not_taken_is_the_event(service: Service, act: str, table: str) -> None:
    body = an_order(reporter="Siti Example")
    before = everything(service)
    databases.refuse(service.database, act, table)

    assert check_shape(service.post("orders", body, by="operator-1"))["code"] == "not_writable"
    assert everything(service) == before


def test_what_is_read_and_served_goes_on(service: Service) -> None:
    service.block("blocked.example")
    published = service.zone()
    databases.refuse(service.database, "INSERT", "events")
    follower = Follower(service.settings, Marks(service.settings.data_dir / "marks", "transfer"), service.database.read)
    with service.database.read() as session:
        follower.refresh(session)

    for path in READS:
        answer = service.get(path, by="operator-1" if path == "notes" else "auditor-1")
        assert answer.is_success, (path, answer.text)
    export = service.get(f"zones/{ZONE}/export.rpz", by="isp-1").text
    with serving(MadeFeed(follower.zones)) as server:
        served = transfer(server.port, key=client_key())

    assert records(export) == published == ["blocked.example ."]
    assert [line for line in served if " CNAME " in line] == [f"blocked.example.{ZONE}. 60 IN CNAME ."]
