"""Problem documents: every code there is, the shape of each, and what must never be in one."""

import json
import socket
from collections.abc import Callable

import httpx
import pytest
from pysqlite3 import dbapi2
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection

from app import problems
from app.errors import AppError, Fault
from app.problems import PROBLEMS
from resolver_policy.errors import PolicyError
from tests import databases
from tests.problem_documents import check_shape
from tests.servers import wait_until
from tests.service import HOUR, NOW, ZONE, Json, Service, a_leaf, an_order, targets, text_of

LATER = {
    "rate_limited": "needs more requests than one client may make: tests/auth/test_rates.py",
    "host_unknown": "needs PULIH_HOSTS: tests/test_front_door.py",
    "storage_full": "a full disk is not made here; the translation of its error is tested below",
    "not_writable": "a disk that fails, a journal that takes no event: tests/disk and tests/test_unwritable_journal.py",
    "busy": "raised where the writer's lock is not had within its time-out: tested below and by the races",
    "internal": "a fault of the service: tested below",
}
"""Codes that no request of the table below brings about, and why."""

Raise = Callable[[Service], httpx.Response]


def post_order(**fields: object) -> Raise:
    return lambda service: service.post("orders", an_order(**fields), by="operator-1")


def named(name: str) -> Raise:
    return post_order(targets=[{"name": name, "match": "exact"}])


def approve_own(service: Service) -> httpx.Response:
    order = service.propose(by="approver-1")
    return service.post(f"orders/{order['id']}/approve", {"reason": "x"}, by="approver-1")


def approve(service: Service, order: Json, *, version: str | None = "*", **fields: object) -> httpx.Response:
    return service.post(f"orders/{order['id']}/approve", {"reason": "x", **fields}, by="approver-1", version=version)


def useless_exception(service: Service) -> httpx.Response:
    service.block("x.example")
    return post_order(kind="exception", conditions=None, targets=targets("x.example"))(service)


def taken_number(service: Service) -> httpx.Response:
    service.propose(number="EX-TAKEN")
    return post_order(number="EX-TAKEN")(service)


def changed_plan(service: Service) -> httpx.Response:
    order = service.propose()
    service.block()
    return approve(service, order, plan_hash="sha256:" + "0" * 64)


def other_body(service: Service) -> httpx.Response:
    service.post("orders", an_order(), by="operator-1", Idempotency_Key="k")
    return service.post("orders", an_order(), by="operator-1", Idempotency_Key="k")


def in_flight(service: Service) -> httpx.Response:
    databases.refuse(service.database, "INSERT", "idempotent_answers")
    return service.post("orders", an_order(), by="operator-1", Idempotency_Key="k")


OVERRIDE = {"reason": "by law", "expires_at": text_of(NOW + HOUR)}

RAISED: dict[str, Raise] = {
    "body_invalid": post_order(number=None),
    "name_invalid": named("a..b"),
    "name_too_long": named(".".join(["a" * 60] * 4) + ".example"),
    "address_not_name": named("192.0.2.1"),
    "category_unknown": post_order(category="nonsense"),
    "sop_unknown": post_order(conditions=None, sop={"code": "nonsense"}),
    "conditions_empty": post_order(conditions={"all_of": []}),
    "no_gating_condition": post_order(conditions=a_leaf(gating=False)),
    "review_date_past": post_order(review_due_at="2020-01-01T00:00:00Z"),
    "idempotency_mismatch": other_body,
    "hard_protected": named("co.id"),
    "soft_protected": named("blogspot.com"),
    "emergency_limit": post_order(kind="emergency", targets=targets(*(f"n{n}.example" for n in range(11)))),
    "mass_change": lambda service: approve(
        service, service.propose(targets=targets("blogspot.com"), override=OVERRIDE)
    ),
    "token_missing": lambda service: service.get("orders", by=None),
    "token_invalid": lambda service: service.get("orders", by=None, Authorization="Bearer pulih_nonsense"),
    "role_forbidden": lambda service: service.get("orders", by="isp-1"),
    "four_eyes": approve_own,
    "not_found": lambda service: service.get("orders/nonsense"),
    "method_not_allowed": lambda service: service.request("DELETE", "orders", by="operator-1"),
    "serial_unknown": lambda service: service.get(f"zones/{ZONE}/changes?since=1", by="isp-1"),
    "state_conflict": lambda service: approve(service, service.block()),
    "plan_changed": changed_plan,
    "order_number_taken": taken_number,
    "exception_not_specific": useless_exception,
    "idempotency_in_flight": in_flight,
    "stale_version": lambda service: approve(service, service.propose(), version='"9"'),
    "version_required": lambda service: approve(service, service.propose(), version=None),
    "too_large": post_order(targets=targets(*(f"n{n}.example" for n in range(1001)))),
}


@pytest.mark.parametrize("code", RAISED)
def test_a_code_is_answered_in_the_shape_of_all(service: Service, code: str) -> None:
    body = check_shape(RAISED[code](service))

    assert body["code"] == code


def test_every_code_is_raised_or_kept_for_later() -> None:
    imports = {"media_type"}
    """Raised by the route for lists, which has tests of its own."""

    assert set(RAISED) | set(LATER) | imports == set(PROBLEMS)
    assert set(RAISED) & set(LATER) == set()


def codes_of(error: type[Exception]) -> set[str]:
    """The default codes of an error's subclasses, however deep."""
    own = {str(getattr(error, "default_code", None) or getattr(error, "code", ""))}
    return own.union(*(codes_of(each) for each in error.__subclasses__()))


@pytest.mark.parametrize("tree", [AppError, PolicyError])
def test_every_expected_failure_has_a_code_of_the_table(tree: type[Exception]) -> None:
    assert codes_of(tree) - {"policy"} <= set(PROBLEMS)


@pytest.mark.parametrize("code", PROBLEMS)
def test_a_status_and_two_titles_belong_to_each_code(code: str) -> None:
    known = PROBLEMS[code]

    assert 400 <= known.status < 600
    assert known.en != known.id
    assert known.en
    assert known.id


def test_a_code_can_be_read_off_a_response_that_has_no_faults() -> None:
    body = json.loads(bytes(problems.problem("not_found", "nothing").body))

    assert "errors" not in body


def test_faults_show_place_value_and_rule() -> None:
    fault = Fault("rule", value="half \ud800 of a pair", line=7)
    body = json.loads(bytes(problems.problem("body_invalid", "wrong \udfff", [fault]).body))

    assert body["detail"] == "wrong \\udfff"
    assert body["errors"] == [{"line": 7, "value": "half \\ud800 of a pair", "rule": "rule"}]


def test_a_path_that_is_not_there_is_a_problem_too(service: Service) -> None:
    for path in ("/", "/nonsense", "/api/v1/nonsense", "/api/static/nonsense"):
        assert check_shape(service.get(path, by=None))["code"] == "not_found"


def raw(service: Service, request: bytes) -> bytes:
    """Send octets to the service, and read what it answers until it closes."""
    host, port = service.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while octets := connection.recv(65_536):
            answer += octets
    return answer


def test_a_body_that_says_it_is_too_large_is_not_read(service: Service) -> None:
    head = f"POST /api/v1/orders HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {9 * 1024 * 1024}\r\n\r\n"

    answer = raw(service, head.encode())

    assert answer.startswith(b"HTTP/1.1 413")
    assert b'"code":"too_large"' in answer


def test_a_body_that_does_not_say_how_large_it_is_is_cut_off(service: Service) -> None:
    chunks = (b" " * 1024 * 1024 for _ in range(10))
    headers = {"Authorization": f"Bearer {service.tokens['operator-1']}", "Content-Type": "application/json"}
    response = service.client.post("/api/v1/orders", content=chunks, headers=headers)

    assert check_shape(response)["code"] == "too_large"


@pytest.mark.parametrize("length", [b"x", b"-1", b"1" * 5_000, "²".encode()])
def test_a_length_that_is_none_is_refused(service: Service, length: bytes) -> None:
    head = b"POST /api/v1/orders HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: " + length + b"\r\n\r\n{}"

    assert raw(service, head).startswith((b"HTTP/1.1 400", b"HTTP/1.1 413"))


def test_a_full_disk_is_told_as_such(service: Service) -> None:
    order = service.propose()
    _limit_pages(service)

    response = service.post(
        "orders", an_order(targets=targets(*(f"{'x' * 60}{n}.example" for n in range(900)))), by="operator-1"
    )

    assert check_shape(response)["code"] == "storage_full"
    assert service.read("orders")["items"] == [service.read("orders")["items"][0]]
    assert service.read(f"orders/{order['id']}") == order


def _limit_pages(service: Service) -> None:
    """Let the database grow no further, on every connection; PostgreSQL is made to say so."""
    if databases.KIND == "postgresql":
        databases.run(service.database, DISK_FULL)
        databases.run(service.database, "CREATE TRIGGER x BEFORE INSERT ON targets EXECUTE FUNCTION disk_full()")
        return
    service.database.engine.dispose()

    def limit(connection: dbapi2.Connection, _record: object) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 3}")

    event.listen(service.database.engine, "connect", limit)


DISK_FULL = """CREATE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
RAISE EXCEPTION USING MESSAGE = 'could not extend file: No space left on device', ERRCODE = 'disk_full'; END $$"""


def _impatient(connection: DBAPIConnection, _record: object) -> None:
    statements = {"sqlite": "PRAGMA busy_timeout = 100", "postgresql": "SET lock_timeout = 100"}
    connection.cursor().execute(statements[databases.KIND])
    connection.commit()


def test_a_database_that_stays_locked_is_told_as_busy(service: Service) -> None:
    service.database.engine.dispose()
    event.listen(service.database.engine, "connect", _impatient)
    with service.database.write() as session:
        session.connection()
        response = service.post("orders", an_order(), by="operator-1")

    assert check_shape(response)["code"] == "busy"
    assert response.headers["Retry-After"] == "1"


def test_a_database_that_fails_is_logged_and_tells_nothing_of_itself(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    databases.run(service.database, "ALTER TABLE orders RENAME COLUMN reason_en TO planted")

    assert check_shape(service.get("orders"))["code"] == "internal"
    assert "orders.reason_en" in caplog.text


def test_a_fault_of_the_service_is_logged_and_tells_nothing_of_itself(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    service.propose()
    databases.allow(service.database, "orders", "orders_update")
    databases.run(service.database, "UPDATE orders SET legal_basis = 'no JSON'")

    assert check_shape(service.get("orders"))["code"] == "internal"
    wait_until(lambda: "JSONDecodeError" in caplog.text, 10, lambda: "nothing was logged")
