"""`Idempotency-Key`: the same POST twice has one effect and the same answer, also across a restart."""

import datetime as dt
import threading

import httpx
import pytest
from sqlalchemy import Connection, event

from app.db import Database
from app.settings import Settings
from tests import databases
from tests.conftest import Application
from tests.servers import wait_until
from tests.service import (
    HOUR,
    NOW,
    FrozenClock,
    Service,
    Template,
    an_order,
    answered,
    condition,
    copy_of,
    problem,
    running,
)

KEY = {"Idempotency_Key": "key-1"}


def test_the_same_post_twice_has_one_effect_and_the_same_answer(service: Service) -> None:
    body = an_order()
    first = service.post("orders", body, by="operator-1", **KEY)
    second = service.post("orders", body, by="operator-1", **KEY)

    assert answered(second, 201) == answered(first, 201)
    assert (first.headers["ETag"], second.headers["ETag"]) == ('"1"', '"1"')
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert service.rows()["orders"] == 1
    assert len(service.events()) == 1


def test_without_the_header_the_second_post_is_one_of_its_own(service: Service) -> None:
    body = an_order()
    service.post("orders", body, by="operator-1")

    problem(service.post("orders", body, by="operator-1"), 409, "order_number_taken")


@pytest.mark.parametrize("act", ["approve", "lift", "plan-lift"])
def test_an_act_is_repeated_without_a_second_effect(service: Service, act: str) -> None:
    order = service.propose() if act == "approve" else service.block()
    body = {"reason": "x", **({} if act == "approve" else {"ground": "wrong_block"})}
    path = f"orders/{order['id']}/{act}"

    first = service.post(path, body, by="approver-1", version=f'"{order["version"]}"', **KEY)
    second = service.post(path, body, by="approver-1", version=f'"{order["version"]}"', **KEY)

    assert answered(second) == answered(first)
    assert second.headers["Idempotency-Replayed"] == "true"


def test_a_mark_is_repeated_without_a_second_effect(service: Service) -> None:
    leaf = condition(service.block())
    body = {"evidence": {"text": "see the letter"}}
    for _ in range(2):
        answered(service.post(f"conditions/{leaf['id']}/claim", body, by="operator-1", version='"1"', **KEY))

    assert service.rows()["evidence"] == 1


def test_another_body_under_the_same_key_is_refused(service: Service) -> None:
    service.post("orders", an_order(), by="operator-1", **KEY)

    problem(service.post("orders", an_order(), by="operator-1", **KEY), 422, "idempotency_mismatch")
    assert service.rows()["orders"] == 1


def test_another_path_under_the_same_key_is_refused(service: Service) -> None:
    order = service.propose()
    service.post(f"orders/{order['id']}/approve", {"reason": "x"}, by="approver-1", **KEY)

    response = service.post(f"orders/{order['id']}/reject", {"reason": "x"}, by="approver-1", **KEY)

    problem(response, 422, "idempotency_mismatch")


def test_each_principal_has_keys_of_its_own(service: Service) -> None:
    for person in ("operator-1", "operator-2"):
        answered(service.post("orders", an_order(), by=person, **KEY), 201)

    assert service.rows()["orders"] == 2


def test_a_refusal_is_not_kept(service: Service) -> None:
    problem(service.post("orders", an_order(category="nonsense"), by="operator-1", **KEY), 422, "category_unknown")

    answered(service.post("orders", an_order(), by="operator-1", **KEY), 201)


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_that_is_none_is_refused(service: Service, key: str) -> None:
    response = service.post("orders", an_order(), by="operator-1", Idempotency_Key=key)

    problem(response, 422, "body_invalid")
    assert service.rows()["orders"] == 0


def test_a_key_does_not_let_anybody_in(service: Service) -> None:
    body = an_order()
    service.post("orders", body, by="operator-1", **KEY)

    problem(service.post("orders", body, by=None, **KEY), 401, "token_missing")
    problem(service.post("orders", body, by="auditor-1", **KEY), 403, "role_forbidden")


def test_an_answer_is_kept_for_a_day(service: Service) -> None:
    body = an_order()
    service.post("orders", body, by="operator-1", **KEY)
    service.clock.forward(24 * HOUR - dt.timedelta(seconds=1))
    assert service.post("orders", body, by="operator-1", **KEY).headers["Idempotency-Replayed"] == "true"

    service.clock.forward(dt.timedelta(seconds=1))

    problem(service.post("orders", body, by="operator-1", **KEY), 409, "order_number_taken")


def test_answers_that_are_over_a_day_old_are_dropped(service: Service) -> None:
    service.post("orders", an_order(), by="operator-1", Idempotency_Key="old")
    service.clock.forward(25 * HOUR)
    service.post("orders", an_order(), by="operator-1", Idempotency_Key="new")

    assert service.rows()["idempotent_answers"] == 1


def test_the_same_post_across_a_restart_has_the_same_answer(template: Template, settings: Settings) -> None:
    body = an_order()
    headers = {"Authorization": f"Bearer {template.tokens['operator-1']}", "Idempotency-Key": "key-1"}
    copy_of(template, settings).close()
    answers = []
    for _ in range(2):
        database = Database(settings.database)
        with running(settings, database, FrozenClock(), with_publisher=True) as address:
            answers.append(httpx.post(f"{address}/api/v1/orders", json=body, headers=headers))
        database.close()

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert answers[1].headers["Idempotency-Replayed"] == "true"


def test_while_the_first_is_running_the_second_is_told_so(service: Service, application: Application) -> None:
    body = an_order()
    statuses: list[int] = []
    with service.database.write() as session:
        session.connection()
        first = threading.Thread(
            target=lambda: statuses.append(service.post("orders", body, by="operator-1", **KEY).status_code)
        )
        first.start()
        in_flight: set[tuple[int, str]] = application.app.state.idempotency_in_flight
        wait_until(lambda: bool(in_flight), 10, lambda: "the first request never began")
        with httpx.Client(base_url=service.address, verify=False) as client:
            headers = {"Authorization": f"Bearer {service.tokens['operator-1']}", "Idempotency-Key": "key-1"}
            second = client.post("/api/v1/orders", json=body, headers=headers)
    first.join(30)

    problem(second, 409, "idempotency_in_flight")
    assert statuses == [201]
    assert in_flight == set()


def test_a_key_is_free_again_when_its_request_was_refused(service: Service, application: Application) -> None:
    service.post("orders", an_order(category="nonsense"), by="operator-1", **KEY)

    assert application.app.state.idempotency_in_flight == set()


def test_an_answer_and_its_effect_are_kept_together_or_not_at_all(service: Service) -> None:
    """A planted fault of the database at the very last statement: neither order nor answer is there."""
    databases.refuse(service.database, "INSERT", "idempotent_answers")

    problem(service.post("orders", an_order(), by="operator-1", **KEY), 409, "idempotency_in_flight")
    assert service.rows()["orders"] == 0
    assert service.events() == []


def test_a_request_that_another_process_runs_is_told_so(service: Service) -> None:
    """The other process's answer is committed between this one's look and its own answer."""
    body = an_order()
    operator = 1
    answer = f"({operator}, 'key-1', x'00', 201, NULL, x'7b7d', '{NOW:%Y-%m-%d %H:%M:%S}.000000')"

    def run_by_another(connection: Connection, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.startswith("INSERT INTO orders "):
            connection.exec_driver_sql(databases.spoken(f"INSERT INTO idempotent_answers VALUES {answer}"))

    event.listen(service.database.engine, "after_cursor_execute", run_by_another)

    problem(service.post("orders", body, by="operator-1", **KEY), 409, "idempotency_in_flight")
    assert service.rows()["orders"] == 0
