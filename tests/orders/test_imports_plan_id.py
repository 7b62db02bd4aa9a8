"""A list that was judged, and is stored only if nothing that its verdicts depend on has moved."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli import main
from app.db import Database
from app.errors import Conflict
from app.orders import guarding
from app.orders.imports import import_list
from app.orders.imports_answer import Imported, Options
from app.orders.schemas import OrderIn
from app.settings import Settings
from tests.orders.importing import a_guard, actor_of, import_json, judged, listed, order_data
from tests.orders.test_imports_cli import ORDER
from tests.service import Json, Service, Template, answered, environment_of, problem

LINES = ["a.example", "x.b.example", "c.example"]


def applied(service: Service, plan_id: str, order: Json, lines: list[str] = LINES, query: str = "") -> Json:
    """The problem that a list meets which was to be stored as it was judged."""
    before = service.rows()
    body = problem(import_json(service, lines, query=f"?plan_id={plan_id}{query}", order=order), 409, "plan_changed")
    assert service.rows() == before
    return body


def moved(body: Json) -> list[str]:
    return [error["rule"] for error in body["errors"]]


def test_what_was_judged_is_stored_by_its_plan_id(service: Service) -> None:
    order = order_data()
    service.block("*.b.example")
    plan_id = judged(service, LINES, order=order)["plan_id"]

    answer = answered(import_json(service, LINES, query=f"?plan_id={plan_id}", order=order), 201)

    assert answer["plan_id"] is None
    assert judged(service, LINES, order=order_data())["plan_id"] != plan_id


def test_the_same_judgement_has_the_same_id(service: Service) -> None:
    order = order_data()
    service.block("*.b.example", "a.example")

    assert judged(service, LINES, order=order)["plan_id"] == judged(service, LINES, order=order)["plan_id"]


def test_another_list_or_order_is_named(service: Service) -> None:
    order = order_data()
    plan_id = judged(service, LINES, order=order)["plan_id"]

    assert moved(applied(service, plan_id, order, [*LINES, "d.example"])) == ["list_moved"]
    assert moved(applied(service, plan_id, {**order, "authority": "Another"})) == ["order_moved"]
    assert moved(applied(service, plan_id, order, query="&match=exact")) == ["order_moved"]
    assert moved(applied(service, plan_id, {**order, "authority": "Another"}, LINES[1:])) == [
        "list_moved",
        "order_moved",
    ]


@pytest.mark.parametrize("names", [["a.example"], ["*.b.example"], ["*.c.example"]])
def test_an_order_on_its_names_or_above_them_is_named(service: Service, names: list[str]) -> None:
    order = order_data()
    plan_id = judged(service, LINES, order=order)["plan_id"]
    service.block(*names)

    assert moved(applied(service, plan_id, order)) == ["names_moved"]


def test_a_lift_of_an_order_on_its_names_is_named(service: Service) -> None:
    order, other = order_data(), service.block("a.example")
    plan_id = judged(service, LINES, order=order)["plan_id"]
    service.lift(other)

    assert moved(applied(service, plan_id, order)) == ["names_moved"]


def test_orders_on_other_names_move_nothing(service: Service) -> None:
    order = order_data()
    plan_id = judged(service, LINES, order=order)["plan_id"]
    service.block("b.example", "x.a.example", "d.example")

    answered(import_json(service, LINES, query=f"?plan_id={plan_id}", order=order), 201)


def test_names_that_are_refused_now_are_named(service: Service, database: Database, template: Template) -> None:
    def run(options: Options, zones: str) -> Imported:
        guard = guarding.load(Settings.model_validate({"zones": zones}).zone_settings)
        with database.write() as session:
            return import_list(
                database,
                session,
                actor_of(database, template),
                command,
                listed(*LINES, "d.example"),
                options,
                guard=guard,
                clock=service.clock,
            )

    command = OrderIn.model_validate(order_data())
    plan_id = run(Options(dry_run=True, partial=True), "block.rpz=nxdomain").plan_id

    with pytest.raises(Conflict) as caught:
        run(Options(partial=True, plan_id=plan_id), "block.rpz=redirect:d.example")
    assert [fault.rule for fault in caught.value.faults] == ["guard_moved"]
    assert run(Options(partial=True, plan_id=plan_id), "block.rpz=nodata").stored


def test_an_order_that_comes_while_names_are_stored_is_seen(
    service: Service, database: Database, settings: Settings, template: Template
) -> None:
    """The last look is in the transaction that makes the proposal, under the writer's lock."""
    order = OrderIn.model_validate(order_data())

    def run(options: Options, between: Callable[[int], object]) -> Imported:
        with database.write() as session:
            return import_list(
                database,
                session,
                actor_of(database, template),
                order,
                listed(*LINES),
                options,
                guard=a_guard(settings),
                clock=service.clock,
                progress=between,
            )

    calls = iter(range(3))

    def interfere(_done: int) -> None:
        if next(calls) == 1:
            service.block("a.example")

    plan_id = run(Options(dry_run=True), str).plan_id
    with pytest.raises(Conflict) as caught:
        run(Options(plan_id=plan_id), interfere)

    assert [fault.rule for fault in caught.value.faults] == ["names_moved"]


def test_a_list_that_was_stored_already_stays_so(service: Service) -> None:
    order = order_data()
    plan_id = judged(service, LINES, order=order)["plan_id"]
    first = answered(import_json(service, LINES, query=f"?plan_id={plan_id}", order=order), 201)

    again = answered(import_json(service, LINES, query=f"?plan_id={plan_id}", order=order))

    assert again["order_id"] == first["order_id"]
    assert not again["orders"][0]["stored"]


@pytest.mark.parametrize("plan_id", ["x", "-".join(["0" * 32] * 3), "-".join(["g" * 32] * 4)])
def test_what_is_no_plan_id_is_refused(service: Service, plan_id: str) -> None:
    body = problem(import_json(service, LINES, query=f"?plan_id={plan_id}"), 422, "body_invalid")

    assert body["errors"] == [{"pointer": "/plan_id", "value": plan_id, "rule": "plan_id"}]


def test_on_the_command_line(database: Database, settings: Settings, template: Template, tmp_path: Path) -> None:
    assert database
    (tmp_path / "list.txt").write_text("a.example\n")
    (tmp_path / "order.toml").write_text(ORDER)
    environment = {**environment_of(settings), "PULIH_TOKEN": template.tokens["operator-1"]}
    command = ["import", str(tmp_path / "list.txt"), "--order-file", str(tmp_path / "order.toml")]

    judgement = CliRunner().invoke(main, [*command, "--dry-run"], env=environment).output
    (plan_id,) = [line.split()[1] for line in judgement.splitlines() if line.startswith("plan_id")]
    (tmp_path / "list.txt").write_text("b.example\n")
    refused = CliRunner().invoke(main, [*command, "--plan-id", plan_id], env=environment)
    (tmp_path / "list.txt").write_text("a.example\n")
    done = CliRunner().invoke(main, [*command, "--plan-id", plan_id], env=environment)

    assert (refused.exit_code, "the list moved" in refused.stderr) == (1, True)
    assert (done.exit_code, "order L-1: proposed" in done.output) == (0, True)
