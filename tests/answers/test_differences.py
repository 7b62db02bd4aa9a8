"""The difference of two moments over HTTP and on the command line, and that it costs what changed."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from app.answers import held
from app.answers.names import explain
from app.cli import main
from app.orders import difference
from app.orders import past as orders
from app.orders.queries import OrderFilter
from app.publication import zones
from app.subscribers import difference as published
from app.subscribers.queries import by_name
from app.subscribers.register import AddSubscriber, add
from tests import databases
from tests.answers.test_reach import serial_of, shows
from tests.service import HOST, HOUR, NOW, ZONE, Json, Service, environment_of, problem, records, targets, text_of


@pytest.fixture
def lived(service: Service) -> tuple[Service, list[int]]:
    """Hour by hour: a (0); b and below c (1); a by another order as well, b let go of (2); a by the other alone (3);
    the serials after each."""
    serials = []
    first = service.block("a.example", number="DIFF-1")
    serials.append(serial_of(service))
    service.clock.forward(HOUR)
    second = service.block("b.example", "*.c.example", number="DIFF-2")
    serials.append(serial_of(service))
    with service.database.write() as session:
        add(session, HOST, AddSubscriber("isp-one", ("192.0.2.1",)), service.clock())
    shows(service, "isp-one", serials[1])
    service.clock.forward(HOUR)
    service.block("a.example", number="DIFF-3")
    service.lift(second, targets=targets("b.example"))
    serials.append(serial_of(service))
    service.clock.forward(HOUR)
    service.lift(first)
    service.exception("open.c.example", number="DIFF-4")
    serials.append(serial_of(service))
    service.clock.forward(HOUR)
    return service, serials


def told(answer: Json) -> list[tuple[str, str]]:
    return sorted((item["name"], item["change"]) for item in answer["items"])


def between(service: Service, older: float, newer: float, more: str = "") -> Json:
    query = f"from={text_of(NOW + older * HOUR)}&to={text_of(NOW + newer * HOUR)}{more}"
    return service.read(f"differences?{query}")


def test_what_was_decided_between_two_moments(lived: tuple[Service, list[int]]) -> None:
    service, _ = lived
    assert told(between(service, 0, 0.5)) == []
    assert told(between(service, 0.5, 1)) == [("b.example", "blocked"), ("c.example", "blocked")]
    assert told(between(service, 1.5, 2.5)) == [("a.example", "holders"), ("b.example", "lifted")]
    assert told(between(service, 0.5, 3.5)) == [
        ("a.example", "holders"),
        ("c.example", "blocked"),
        ("open.c.example", "holders"),
    ]
    assert told(between(service, 0.5, 3.5, "&change=blocked")) == [("c.example", "blocked")]
    (moved,) = (each for each in between(service, 1.5, 3.5)["items"] if each["name"] == "a.example")
    assert [each["order_number"] for each in moved["holders_before"] + moved["holders_after"]] == ["DIFF-1", "DIFF-3"]
    assert (moved["itself"], moved["below"]) == ({"before": True, "after": True}, None)


def test_pages_of_a_difference_are_whole(lived: tuple[Service, list[int]]) -> None:
    service, serials = lived
    for path in (
        f"differences?from={text_of(NOW)}&limit=1",
        f"zones/{ZONE}/differences?since={serials[0]}&limit=1",
    ):
        found, cursor = [], ""
        while cursor is not None:
            page = service.read(f"{path}{cursor and f'&cursor={cursor}'}")
            found += page["items"]
            cursor = page["next"]
        assert found == service.read(path.replace("limit=1", "limit=500"))["items"]
        assert len(found) > 1


def test_what_a_zone_said_between_two_serials(lived: tuple[Service, list[int]]) -> None:
    service, (first, second, third, last) = lived
    assert told(service.read(f"zones/{ZONE}/differences?since={first}&to={second}")) == [
        ("b.example", "blocked"),
        ("c.example", "blocked"),
    ]
    assert told(service.read(f"zones/{ZONE}/differences?since={second}&to={third}")) == [("b.example", "lifted")]
    assert told(service.read(f"zones/{ZONE}/differences?since={third}")) == [("open.c.example", "lifted")]
    records_of = service.read(f"zones/{ZONE}/changes?since={first}&to={second}", by="auditor-1")
    assert (records_of["to"], len(records_of["added"]), records_of["removed"]) == (second, 3, [])
    problem(service.get(f"zones/{ZONE}/differences?since={last}&to={first}"), 422, "body_invalid")
    problem(service.get(f"zones/{ZONE}/differences?since=7"), 410, "serial_unknown")
    problem(service.get(f"zones/{ZONE}/differences?since={first}&cursor=x"), 422, "body_invalid")
    problem(service.get(f"differences?from={text_of(NOW + HOUR)}&to={text_of(NOW)}"), 422, "body_invalid")


def test_what_an_isp_had_to_add_and_to_drop(lived: tuple[Service, list[int]]) -> None:
    service, (_, second, _, last) = lived
    path = f"subscribers/isp-one/differences?zone={ZONE}&from="
    found = service.read(path + text_of(NOW + 1.5 * HOUR))

    assert (found["from_serial"], found["to_serial"]) == (second, last)
    assert told(found) == [("b.example", "lifted"), ("open.c.example", "lifted")]
    answer = problem(service.get(path + text_of(NOW + 0.5 * HOUR)), 410, "serial_unknown")
    assert answer["errors"][0]["rule"] == "not_known"


def test_a_zone_as_it_was(lived: tuple[Service, list[int]]) -> None:
    """At a moment, and under a serial: its digest, and the file that it was."""
    service, serials = lived
    for hours, serial in enumerate(serials):
        then = service.read(f"zones/{ZONE}?at={text_of(NOW + (hours + 0.5) * HOUR)}")
        assert then["serial"] == serial
        assert service.read(f"zones/{ZONE}?serial={serial}") == then
        assert service.read(f"zones?at={text_of(NOW + (hours + 0.5) * HOUR)}")["items"] == [then]
    exported = service.get(f"zones/{ZONE}/export.rpz?serial={serials[1]}")
    assert exported.headers["x-zone-serial"] == str(serials[1])
    assert records(exported.text) == ["a.example .", "b.example .", "c.example .", "*.c.example ."]
    assert service.get(f"zones/{ZONE}/export.rpz").headers["x-zone-serial"] == str(serials[3])
    problem(service.get(f"zones/{ZONE}/export.csv?serial={serials[1]}"), 409, "state_conflict")
    problem(service.get(f"zones/{ZONE}?serial=7"), 410, "serial_unknown")
    problem(service.get(f"zones/{ZONE}?at=2001-01-01T00:00:00Z"), 404, "not_found")


def test_on_the_command_line(
    lived: tuple[Service, list[int]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    service, serials = lived
    for name, value in {**environment_of(service.settings), "PULIH_TOKEN": service.tokens["auditor-1"]}.items():
        monkeypatch.setenv(name, value)
    for module in ("difference", "orders", "zones", "context"):  # last what the others import it from
        monkeypatch.setattr(f"app.cli.{module}.utc_now", service.clock)

    def run(*arguments: str) -> str:
        main.main(["difference", *arguments], standalone_mode=False)
        return capsys.readouterr().out

    assert run("--from", text_of(NOW + 1.5 * HOUR), "--to", text_of(NOW + 2.5 * HOUR)).splitlines() == [
        "name,change,blocked_before,blocked_after,below_blocked_before,below_blocked_after,orders_before,orders_after",
        "b.example,lifted,yes,no,,,DIFF-2,",
        "a.example,holders,yes,yes,,,DIFF-1,DIFF-1 DIFF-3",
    ]
    lines = run("--from", str(serials[2]), "--zone", ZONE, "--format", "jsonl").splitlines()
    assert [json.loads(line)["name"] for line in lines] == ["open.c.example"]
    assert "b.example,lifted" in run("--from", text_of(NOW + 1.5 * HOUR), "--isp", "isp-one", "--change", "lifted")
    assert "a.example,blocked" in run("--from", "2020-01-01T00:00:00Z", "--zone", ZONE)

    def also(*arguments: str) -> str:
        main.main([*arguments], standalone_mode=False)
        return capsys.readouterr().out

    then = text_of(NOW + 2.5 * HOUR)
    assert [line.split()[:2] for line in also("order", "list", "--at", then).splitlines()] == [
        ["active", "DIFF-1"],
        ["active", "DIFF-2"],
        ["active", "DIFF-3"],
    ]
    shown = json.loads(also("order", "show", "DIFF-1", "--at", then))
    assert (shown["state"], shown["ended_at"]) == ("active", None)
    assert also("export", ZONE, "--format", "domains", "--serial", str(serials[0])).splitlines()[0] == "a.example"


ASKED: tuple[Callable[[Session], object], ...] = (
    lambda session: list(difference.between(session, NOW, NOW + HOUR)),
    lambda session: list(published.between(session, 1, 3)),
    lambda session: orders.orders(session, OrderFilter(state="active"), NOW, after=0, limit=5),
    lambda session: orders.blocks(session, OrderFilter(state="active"), NOW, after=0, limit=5),
    lambda session: zones.head_at(session, NOW),
    lambda session: held.at_isp(session, explain(session, "a.example", NOW + HOUR), by_name(session, "isp-one")),
)


@pytest.mark.skipif(databases.KIND != "sqlite", reason="what SQLite plans to do, whatever it holds")
def test_no_list_is_read_through(lived: tuple[Service, list[int]]) -> None:
    """Names, rules, events, releases, the ledger: all are found by an index, whatever there is of them."""
    service, _ = lived
    asked: list[tuple[str, Any]] = []
    with service.database.read() as session:
        connection = session.connection()
        event.listen(connection, "before_cursor_execute", lambda *args: asked.append((args[2], args[3])))
        for ask in ASKED:
            ask(session)
        plans = {
            str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all())
            for statement, parameters in list(asked)
        }

    assert len(plans) > len(ASKED)
    for plan in plans:
        for table in ("targets", "rule_spans", "events", "releases", "in_force", "exchanges", "zone_serials"):
            assert f"SCAN {table}" not in plan, plan
