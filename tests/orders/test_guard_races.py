"""Limits and four-eyes of what one person may do alone, against two requests at one moment and against forgeries."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy.exc import DatabaseError

from app.auth import tokens
from app.journal.actor import Role
from app.orders import emergency
from tests import databases
from tests.orders.test_races import REASON, Racers
from tests.policy.scale import Record, scaled, seeded, tell
from tests.publication.test_stops import put_in_force, standing
from tests.service import DAY, HOST, NOW, Json, Service, an_order, targets

RACES = 5
"""Of each kind, times PULIH_TEST_SCALE."""

FORGERIES = 40
"""Tries to confirm an emergency order that somebody issued themself, times PULIH_TEST_SCALE."""


@pytest.fixture
def racers(service: Service) -> Iterator[Racers]:
    racers = Racers(service)
    yield racers
    racers.close()


def names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{number}.example" for number in range(count)]


def race_emergencies(service: Service, racers: Racers, number: int) -> list[int]:
    """Two orders of one person, of which the limit allows one."""
    service.clock.forward(DAY)
    bodies = [an_order(kind="emergency", targets=targets(*names(f"{side}{number}n", 6))) for side in "ab"]
    return racers.run("*", *(("operator-1", "orders", body) for body in bodies))


def race_confirmations(service: Service, racers: Racers, number: int) -> list[int]:
    service.clock.forward(DAY)
    order = service.propose(kind="emergency", targets=targets(f"c{number}.example"))
    path = f"orders/{order['id']}/confirm"
    return racers.run("*", ("approver-1", path, REASON), ("approver-2", path, REASON))


def race_a_confirmation_and_a_withdrawal(service: Service, racers: Racers, number: int) -> list[int]:
    service.clock.forward(DAY)
    order = service.propose(kind="emergency", targets=targets(f"w{number}.example"))
    path = f"orders/{order['id']}"
    return racers.run("*", ("approver-1", f"{path}/confirm", REASON), ("operator-1", f"{path}/withdraw", REASON))


def race_approvals(service: Service, racers: Racers, number: int) -> list[int]:
    """Two orders that one person approves unseen, of which the limit allows one."""
    service.clock.forward(DAY)
    orders = [
        service.propose(by=by, targets=targets(*names(f"{by[-1]}{number}n", 600)))
        for by in ("operator-1", "operator-2")
    ]
    return racers.run("*", *(("approver-1", f"orders/{order['id']}/approve", REASON) for order in orders))


KINDS: dict[str, tuple[Callable[[Service, Racers, int], list[int]], set[tuple[int, ...]]]] = {
    "emergencies": (race_emergencies, {(201, 422)}),
    "confirmations": (race_confirmations, {(200, 409)}),
    "a confirmation and a withdrawal": (race_a_confirmation_and_a_withdrawal, {(200, 409)}),
    "approvals": (race_approvals, {(200, 422)}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_of_two_at_once_one_is_within_the_limit(
    service: Service, racers: Racers, kind: str, monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    monkeypatch.setattr(emergency, "NAMES_A_PERSON", 10)
    race, allowed = KINDS[kind]
    outcomes = Counter(tuple(race(service, racers, number)) for number in range(scaled(RACES)))

    tell(record_property, races=outcomes.total())
    assert set(outcomes) == allowed


def test_of_two_who_ask_to_release_a_stop_at_once_one_releases_it(service: Service) -> None:
    """The second of two may be the one who completes it; the same person twice at once never is."""
    service.block("first.example")
    service.publish()
    service.propose(number="EX-HAND", targets=targets("hand.example"))
    put_in_force(service, "EX-HAND")
    service.publish()
    path = f"guard/stops/{standing(service)[0]['id']}/release"
    barrier, statuses = threading.Barrier(8), list[int]()

    def ask() -> None:
        barrier.wait(30)
        statuses.append(service.post(path, REASON, by="approver-1").status_code)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert sorted(statuses) == [200] + [403] * 7
    assert service.zone() == ["first.example ."]


def test_no_forgery_confirms_what_one_person_issued(service: Service, record_property: Record) -> None:
    order = service.propose(by="approver-1", kind="emergency", targets=targets("now.example"))
    random, tried = seeded("forgeries"), Counter[str]()
    for _ in range(scaled(FORGERIES)):
        forge = random.choice(FORGES)
        tried[forge.__name__] += 1
        forge(service, order)
    tell(record_property, **tried)

    assert service.read(f"orders/{order['id']}")["emergency"]["confirmed_at"] is None
    service.clock.forward(2 * DAY)
    assert service.zone() == []


def with_another_token(service: Service, order: Json) -> None:
    with service.database.write() as session:
        text = tokens.create(session, HOST, role=Role.APPROVER, name="approver-1", expires_at=None, now=NOW)
    service.tokens = {**service.tokens, "again": text}
    act = "confirm" if len(service.tokens) % 2 else "approve"
    assert service.post(f"orders/{order['id']}/{act}", REASON, by="again").status_code in {403, 409}


def with_another_role(service: Service, order: Json) -> None:
    for by in ("operator-2", "auditor-1", "platform-1", "isp-1", "admin-1"):
        assert service.post(f"orders/{order['id']}/confirm", REASON, by=by).status_code in {403, 404}


def by_sql(service: Service, _order: Json) -> None:
    later, me = "'2099-01-01 00:00:00.000000'", "(SELECT id FROM principals WHERE name = 'approver-1')"
    operator = "(SELECT id FROM principals WHERE name = 'operator-1')"
    for statement in (
        f"UPDATE orders SET approved_by_id = {me}",
        f"UPDATE orders SET approved_by_id = {operator}",
        f"UPDATE orders SET lapses_at = {later}, due_at = {later}",
        f"UPDATE orders SET due_at = {later}",
        "UPDATE orders SET kind = 'block', lapses_at = NULL",
        f"UPDATE orders SET proposed_by_id = {operator}",
        f"UPDATE principals SET role = 'approver' WHERE id = {operator}",
    ):
        with pytest.raises(DatabaseError):
            databases.run(service.database, statement)


def with_one_more(service: Service, _order: Json) -> None:
    """Another emergency order on the same name, to last when the first is gone."""
    body = an_order(kind="emergency", targets=targets("now.example"))
    assert service.post("orders", body, by="approver-1").status_code == 422


FORGES: tuple[Callable[[Service, Json], None], ...] = (with_another_token, with_another_role, by_sql, with_one_more)
