"""Emergency orders: at once on one person's word, within narrow limits, and gone by themselves unless confirmed."""

import csv
import io

import httpx
import pytest

from app.auth import tokens
from app.db import Database
from app.journal.actor import Role
from app.settings import Settings
from tests import databases
from tests.orders.test_direct_sql import refused as refused_by_database
from tests.policy.scale import Record, scaled, tell
from tests.servers import wait_until
from tests.service import (
    DAY,
    HOST,
    HOUR,
    NOW,
    ZONE,
    FrozenClock,
    Json,
    Service,
    an_order,
    condition,
    problem,
    running,
    targets,
    text_of,
)

PIECES = 40
"""Of eight names, in which one person brings a list as emergencies within 60 hours, times PULIH_TEST_SCALE."""

PLANTED = (
    "INSERT INTO orders (uid, kind, state, version, sample, number, dated, authority, legal_basis, category, reason_id,"
    " reason_en, review_due_at, targets_count, targets_root, proposed_at, proposed_by_id, lapses_at,"
    " review_at)"
    " SELECT 'planted', 'emergency', 'importing', 1, sample, 'EX-E', dated, authority, legal_basis, category,"
    " reason_id, reason_en, review_due_at, {count}, targets_root, proposed_at, proposed_by_id, review_due_at,"
    " review_due_at"
    " FROM orders"
)


def emergency(service: Service, *names: str, by: str = "operator-1", **fields: object) -> Json:
    return service.propose(by=by, kind="emergency", targets=targets(*names or ("now.example",)), **fields)


def tried(service: Service, *names: str, by: str = "operator-1", **fields: object) -> httpx.Response:
    return service.post("orders", an_order(kind="emergency", targets=targets(*names), **fields), by=by)


def rule_of(response: httpx.Response) -> str:
    """The rule of the one limit that was passed."""
    (fault,) = problem(response, 422, "emergency_limit")["errors"]
    return str(fault["rule"])


def read(service: Service, order: Json) -> Json:
    return service.read(f"orders/{order['id']}")


def confirm(service: Service, order: Json, *, by: str = "approver-1", **fields: object) -> httpx.Response:
    return service.post(f"orders/{order['id']}/confirm", {"reason": "right", **fields}, by=by)


def names_of_many(first: int, count: int) -> list[str]:
    return [f"n{number}.example" for number in range(first, first + count)]


def test_it_acts_at_once_on_one_persons_word(service: Service) -> None:
    order = emergency(service, "now.example", "*.all.example")

    assert order["state"] == "active"
    assert order["emergency"] == {"confirmed_at": None, "lapses_at": text_of(NOW + 48 * HOUR)}
    assert service.zone() == ["all.example .", "*.all.example .", "now.example ."]
    assert [event["type"] for event in service.events()] == ["order.proposed", "order.activated"]


def test_it_lapses_by_itself_in_its_moment_and_not_before(service: Service) -> None:
    order = emergency(service)
    service.clock.forward(48 * HOUR - HOUR / 3600)
    assert service.zone() == ["now.example ."]

    service.clock.forward(HOUR / 3600)

    assert service.zone() == []
    assert (read(service, order)["state"], read(service, order)["ground"]) == ("ended", "emergency_lapsed")
    assert service.events()[-1]["facts"]["due_at"] == "2026-11-24T03:00:00.000000Z"


def test_it_lapses_in_its_moment_also_while_its_names_are_open(service: Service) -> None:
    order = emergency(service)
    service.act(order, "suspend", {"reason": "talks", "until": text_of(NOW + 5 * DAY)})
    service.clock.forward(2 * DAY)
    service.publish()

    assert (read(service, order)["state"], read(service, order)["ground"]) == ("ended", "emergency_lapsed")
    service.clock.forward(3 * DAY)
    assert service.zone() == []


def test_confirmed_by_another_person_it_stands(service: Service) -> None:
    order = emergency(service)
    service.clock.forward(HOUR)

    confirmed = confirm(service, order).json()

    assert confirmed["emergency"] == {"confirmed_at": text_of(NOW + HOUR), "lapses_at": None}
    service.clock.forward(30 * DAY)
    assert service.zone() == ["now.example ."]
    assert service.events()[-1]["type"] == "order.confirmed"
    problem(confirm(service, order, by="approver-2"), 409, "state_conflict")


def test_a_confirmed_one_still_expires_on_its_own_date(service: Service) -> None:
    order = emergency(service, expires_at=text_of(NOW + 3 * DAY))
    confirm(service, order)
    service.clock.forward(3 * DAY)

    assert service.zone() == []
    assert read(service, order)["ground"] == "order_expired"


def test_nobody_confirms_their_own_by_any_token(service: Service) -> None:
    order = emergency(service, by="approver-1")
    with service.database.write() as session:
        again = tokens.create(session, HOST, role=Role.APPROVER, name="approver-1", expires_at=None, now=NOW)
    service.tokens = {**service.tokens, "again": again}

    for by in ("approver-1", "again"):
        problem(confirm(service, order, by=by), 403, "four_eyes")
    problem(confirm(service, order, by="operator-2"), 403, "role_forbidden")
    assert confirm(service, order, by="approver-2").status_code == 200


def test_what_has_lapsed_is_not_confirmed_even_before_the_clock_saw_it(service: Service) -> None:
    order = emergency(service)
    service.clock.forward(48 * HOUR)

    problem(confirm(service, order), 409, "state_conflict")


def test_only_an_emergency_is_confirmed_and_an_emergency_is_not_approved(service: Service) -> None:
    problem(confirm(service, service.propose()), 409, "state_conflict")
    order = emergency(service)

    response = service.post(f"orders/{order['id']}/approve", {"reason": "x"}, by="approver-1")
    problem(response, 409, "state_conflict")


def test_its_conditions_and_an_approver_lift_it_as_any_other(service: Service) -> None:
    met, lifted = emergency(service, "a.example"), emergency(service, "b.example")

    service.meet(condition(met))
    service.lift(lifted)

    assert read(service, met)["ground"] == "conditions_met"
    assert service.zone() == []


def test_whoever_issued_it_may_take_it_back(service: Service) -> None:
    order = emergency(service)

    problem(service.post(f"orders/{order['id']}/withdraw", {"reason": "x"}, by="operator-2"), 403, "role_forbidden")
    ended = service.act(order, "withdraw", {"reason": "a typing error"}, by="operator-1")

    assert (ended["state"], ended["ground"]) == ("ended", "emergency_lapsed")
    assert service.zone() == []


@pytest.mark.parametrize(
    ("names", "fields", "rule"),
    [
        (names_of_many(0, 11), {}, "emergency_names"),
        (["a.example"], {"override": {"reason": "x", "expires_at": "2027-01-01T00:00:00Z"}}, "emergency_override"),
        (["a.example"], {"effective_at": text_of(NOW + HOUR)}, "emergency_at_once"),
    ],
)
def test_what_one_person_may_not_do(service: Service, names: list[str], fields: Json, rule: str) -> None:
    assert rule_of(tried(service, *names, **fields)) == rule
    assert service.zone() == []


def test_it_overrides_no_protection(service: Service) -> None:
    problem(tried(service, "drive.usercontent.google.com"), 422, "soft_protected")
    problem(tried(service, "co.id"), 422, "hard_protected")


def test_it_closes_nothing_that_an_exception_keeps_open(service: Service) -> None:
    service.exception("*.open.example")

    for name in ("open.example", "www.open.example", "*.www.open.example"):
        assert rule_of(tried(service, name)) == "emergency_override"
    emergency(service, "*.example.com")


def test_a_person_has_fifty_names_in_any_day_by_whatever_token(service: Service) -> None:
    for hour in range(5):
        emergency(service, *names_of_many(hour * 10, 10))
        service.clock.forward(HOUR)
    assert rule_of(tried(service, "more.example")) == "emergency_window"
    emergency(service, "others.example", by="operator-2")
    service.lift(service.read("orders?limit=1")["items"][0])
    assert rule_of(tried(service, "more.example")) == "emergency_window"

    service.clock.forward(DAY - 5 * HOUR - HOUR / 3600)
    assert rule_of(tried(service, "more.example")) == "emergency_window"
    service.clock.forward(HOUR / 3600)
    emergency(service, *names_of_many(50, 10))
    assert rule_of(tried(service, "more.example")) == "emergency_window"


@pytest.mark.parametrize("again", ["now.example", "*.now.example", "www.now.example"])
def test_what_lapsed_is_not_blocked_again_on_the_same_persons_word(service: Service, again: str) -> None:
    emergency(service, "*.now.example")
    service.clock.forward(3 * DAY)
    service.publish()

    assert rule_of(tried(service, again)) == "emergency_again"
    emergency(service, again, by="operator-2")
    service.propose(targets=targets(again))


def test_a_name_above_one_that_lapsed_is_not_either(service: Service) -> None:
    emergency(service, "www.now.example")

    assert rule_of(tried(service, "*.now.example")) == "emergency_again"
    emergency(service, "now.example")


def test_denmark_in_pieces_one_person_never_holds_more_than_the_limits(
    service: Service, record_property: Record
) -> None:
    """Refused but for the first fifty names of a day, and these are gone two days later."""
    pieces, most = scaled(PIECES), 0
    for piece in range(pieces):
        response = tried(service, *names_of_many(piece * 8, 8), by="operator-1")
        assert response.status_code in {201, 422}
        service.clock.forward(60 * HOUR / pieces)
        if piece % (pieces // 8) == 0:
            most = max(most, len(service.zone()))
    tell(record_property, pieces=pieces, most_names=most)
    assert 0 < most <= 3 * 50


def test_it_is_shown_as_such_everywhere(service: Service) -> None:
    order = emergency(service, "now.example")
    seen = {"confirmed_at": None, "lapses_at": text_of(NOW + 48 * HOUR)}
    service.publish()

    for by in ("auditor-1", None):
        assert service.read("names/now.example", by=by)["holders"][0]["emergency"] == seen
    assert service.read("orders")["items"][0]["emergency"] == seen
    assert service.read("blocks")["items"][0]["kind"] == "emergency"
    assert service.read(f"orders/{order['id']}/plan")["emergency"] == seen
    assert service.read("names/now.example/history")["items"][0]["facts"]["kind"] == "emergency"
    assert export(service) == ["unconfirmed"]

    service.clock.forward(HOUR)
    confirm(service, order)

    assert export(service) == ["confirmed"]
    now = service.read("names/now.example")["holders"][0]["emergency"]
    assert now == {"confirmed_at": text_of(NOW + HOUR), "lapses_at": None}
    past = service.read(f"names/now.example?at={text_of(NOW + HOUR / 2)}")["holders"][0]["emergency"]
    assert past == seen
    service.lift(order)
    assert service.read("names/now.example", by=None)["lifted"][0]["emergency"] is True


def export(service: Service) -> list[str]:
    text = service.get(f"zones/{ZONE}/export.csv", by="auditor-1").content.decode()
    return [row["emergency"] for row in csv.DictReader(io.StringIO(text, newline=""))]


def test_a_list_is_no_emergency(service: Service) -> None:
    order = {key: value for key, value in an_order(kind="emergency").items() if key != "targets"}

    response = service.post("imports", {"order": order, "lines": ["a.example"]}, by="operator-1")

    problem(response, 422, "emergency_limit")


@pytest.mark.parametrize("down", [HOUR, DAY, 30 * DAY])
def test_one_that_lapsed_while_the_service_was_down_ends_when_it_starts_and_once(
    service: Service, settings: Settings, database: Database, down: object
) -> None:
    order = emergency(service)
    service.clock.forward(47 * HOUR)
    service.publish()
    assert isinstance(down, type(HOUR))

    with running(settings, database, FrozenClock(service.clock.forward(HOUR) + down), with_publisher=True):
        wait_until(lambda: bool(read(service, order)["state"] == "ended"), 10, lambda: "it did not lapse")
    service.publish()

    assert [event["type"] for event in service.events()].count("order.ended") == 1


def test_a_clock_that_was_set_back_ends_nothing_early(service: Service) -> None:
    order = emergency(service)
    service.clock.forward(-2 * DAY)
    service.publish()
    assert read(service, order)["state"] == "active"
    service.clock.forward(4 * DAY - HOUR)
    assert service.zone() == ["now.example ."]
    service.clock.forward(HOUR)

    assert service.zone() == []


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE orders SET due_at = NULL", ""),
        ("UPDATE orders SET due_at = '2099-01-01 00:00:00.000000'", ""),
        ("UPDATE orders SET lapses_at = '2099-01-01 00:00:00.000000'", "an order is immutable once proposed"),
        ("UPDATE orders SET approved_by_id = proposed_by_id", ""),
        ("UPDATE orders SET approved_by_id = (SELECT id FROM principals WHERE role = 'auditor')", "an approver"),
        ("UPDATE orders SET kind = 'block'", "an order is immutable once proposed"),
    ],
)
def test_no_statement_makes_one_stay(service: Service, statement: str, words: str) -> None:
    emergency(service)

    assert words in refused_by_database(service, statement)


def test_no_statement_makes_an_order_lapse_that_two_people_made(service: Service) -> None:
    service.block("a.example")

    words = refused_by_database(service, "UPDATE orders SET state = 'ended', ground = 'emergency_lapsed'")

    assert "only an emergency order" in words


def test_no_statement_makes_one_of_more_than_ten_names(service: Service) -> None:
    service.propose(number="EX-MANY", targets=targets(*names_of_many(0, 11)))
    assert refused_by_database(service, PLANTED.format(count="targets_count"))
    databases.run(service.database, PLANTED.format(count="10"))
    planted = "(SELECT id FROM orders WHERE uid = 'planted')"
    databases.run(
        service.database,
        "INSERT INTO targets (id, order_id, key, match)"
        f" SELECT id + ({planted} - order_id) * 4294967296, {planted}, key, match FROM targets",
    )

    words = refused_by_database(service, "UPDATE orders SET state = 'proposed' WHERE uid = 'planted'")

    assert "at most ten names" in words
