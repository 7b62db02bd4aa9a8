"""Two people at the same moment: one effect, one event, and a clear refusal for the other; never a 5xx."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from app.db import Database
from app.journal.models import Event
from app.orders.models import InForce, Order
from app.settings import Settings
from tests import databases
from tests.conftest import Application
from tests.policy.scale import Record, scaled, tell
from tests.service import DAY, Json, Service, an_order, condition, targets

pytestmark = pytest.mark.long

RACES = 40
"""Of each of the three kinds that matter most, times PULIH_TEST_SCALE."""

MIXED_RACES = 20
A_DAY = 400
"""Races in 24 hours: fewer than the names that one person may block without reading a plan."""

LIFT = {"ground": "wrong_block", "reason": "at once"}
REASON = {"reason": "at once"}


class Racers:
    """Two clients with open connections, who wait for each other before they send."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.clients = [httpx.Client(base_url=service.address, timeout=60, verify=False) for _ in range(2)]
        for client in self.clients:
            client.get("/healthz")

    def run(self, version: str, *acts: tuple[str, str, Json]) -> list[int]:
        """Send each (person, path, body) at the same moment; the statuses, smallest first."""
        barrier = threading.Barrier(len(acts))
        statuses: list[int] = []

        def send(client: httpx.Client, by: str, path: str, body: Json) -> None:
            headers = {"Authorization": f"Bearer {self.service.tokens[by]}", "If-Match": version}
            barrier.wait(30)
            statuses.append(client.post(f"/api/v1/{path}", json=body, headers=headers).status_code)

        threads = [
            threading.Thread(target=send, args=(client, *act)) for client, act in zip(self.clients, acts, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        return sorted(statuses)

    def close(self) -> None:
        for client in self.clients:
            client.close()


def races(service: Service, count: int) -> Iterator[int]:
    """The numbers of so many races, times PULIH_TEST_SCALE, on as many days as they need."""
    for number in range(scaled(count)):
        if number % A_DAY == A_DAY - 1:
            service.clock.forward(DAY)
        yield number


@pytest.fixture
def racers(service: Service) -> Iterator[Racers]:
    racers = Racers(service)
    yield racers
    racers.close()


def events_of(service: Service, order: Json) -> Counter[str]:
    """How many events of each kind an order has."""
    with service.database.read() as session:
        query = select(Event.type).join(Order, Order.id == Event.order_id).where(Order.uid == order["id"])
        return Counter(session.scalars(query))


def intervals_of(service: Service, order: Json) -> list[bool]:
    """For each stretch of time in which an order was in force: is it over?"""
    with service.database.read() as session:
        query = select(InForce.ended_at).join(Order, Order.id == InForce.order_id).where(Order.uid == order["id"])
        return [ended_at is not None for ended_at in session.scalars(query)]


def version_of(thing: Json, *, shown: bool) -> str:
    """What goes into `If-Match`: the version that both were shown, or any."""
    return f'"{thing["version"]}"' if shown else "*"


def race_approvers(service: Service, racers: Racers, *, shown: bool) -> list[int]:
    order = service.propose()
    path = f"orders/{order['id']}/approve"
    statuses = racers.run(version_of(order, shown=shown), *((by, path, REASON) for by in APPROVERS))
    assert events_of(service, order) == {"order.proposed": 1, "order.approved": 1}
    assert intervals_of(service, order) == [False]
    return statuses


def race_verifiers(service: Service, racers: Racers, *, shown: bool) -> list[int]:
    order = service.block()
    leaf = service.mark(condition(order), "claim", by="operator-1")
    path = f"conditions/{leaf['id']}/verify"
    statuses = racers.run(version_of(leaf, shown=shown), *((by, path, REASON) for by in APPROVERS))
    assert events_of(service, order) == {
        "order.proposed": 1,
        "order.approved": 1,
        "condition.claimed": 1,
        "condition.met": 1,
        "order.ended": 1,
    }
    assert intervals_of(service, order) == [True]
    return statuses


def race_lifts(service: Service, racers: Racers, *, shown: bool) -> list[int]:
    order = service.block()
    path = f"orders/{order['id']}/lift"
    statuses = racers.run(version_of(order, shown=shown), *((by, path, LIFT) for by in APPROVERS))
    ended = {"incident.recorded": 1, "order.ended": 1}
    assert events_of(service, order) == {"order.proposed": 1, "order.approved": 1, **ended}
    assert intervals_of(service, order) == [True]
    return statuses


APPROVERS = ("approver-1", "approver-2")
KINDS = {"approvers": race_approvers, "verifiers": race_verifiers, "lifts": race_lifts}


@pytest.mark.parametrize("kind", KINDS)
def test_of_two_at_once_one_has_an_effect(service: Service, racers: Racers, kind: str, record_property: Record) -> None:
    outcomes: Counter[tuple[int, ...]] = Counter()
    for number in races(service, RACES):
        outcomes[tuple(KINDS[kind](service, racers, shown=bool(number % 2)))] += 1

    assert set(outcomes) <= {(200, 409), (200, 412)}
    tell(record_property, races=outcomes.total(), second_saw_another_state=outcomes[200, 409])


@pytest.mark.parametrize(
    ("acts", "ended"),
    [
        ((("approver-1", "approve"), ("approver-2", "reject")), {"order.approved", "order.rejected"}),
        ((("approver-1", "approve"), ("operator-1", "withdraw")), {"order.approved", "order.withdrawn"}),
    ],
    ids=["approve and reject", "approve and withdraw"],
)
def test_of_two_different_decisions_one_is_taken(
    service: Service, racers: Racers, acts: tuple[tuple[str, str], ...], ended: set[str]
) -> None:
    for _ in races(service, MIXED_RACES):
        order = service.propose()
        sent = [(by, f"orders/{order['id']}/{act}", REASON) for by, act in acts]

        assert racers.run("*", *sent) == [200, 409]
        assert sum(count for type_, count in events_of(service, order).items() if type_ in ended) == 1


def test_of_a_verification_and_a_lift_one_ends_the_order(service: Service, racers: Racers) -> None:
    for _ in races(service, MIXED_RACES):
        order = service.block()
        leaf = service.mark(condition(order), "claim", by="operator-1")
        verify = ("approver-1", f"conditions/{leaf['id']}/verify", REASON)
        lift = ("approver-2", f"orders/{order['id']}/lift", dict(LIFT))

        assert racers.run("*", verify, lift) == [200, 409]
        assert events_of(service, order)["order.ended"] == 1


def test_of_two_lifts_of_different_names_both_are_done(service: Service, racers: Racers) -> None:
    for _ in races(service, MIXED_RACES):
        order = service.block("a.example", "b.example")
        path = f"orders/{order['id']}/lift"
        sent = [
            (by, path, {**LIFT, "targets": targets(name)})
            for by, name in zip(APPROVERS, ("a.example", "b.example"), strict=True)
        ]

        assert racers.run("*", *sent) == [200, 200]
        assert events_of(service, order)["order.ended"] == 1
        assert intervals_of(service, order) == [True]


def test_of_two_proposals_under_one_number_one_is_taken(service: Service, racers: Racers) -> None:
    for _ in races(service, MIXED_RACES):
        body = an_order()

        assert racers.run("*", *((by, "orders", body) for by in ("operator-1", "operator-2"))) == [201, 409]


class Deferred(Database):
    """The planted fault: writers begin deferred, so that two checks can both pass before either acts."""

    @contextmanager
    def write(self) -> Iterator[Session]:
        with sessionmaker(self.engine, expire_on_commit=False).begin() as session:
            yield session


@pytest.mark.skipif(databases.KIND != "sqlite", reason="on PostgreSQL the order's row is locked besides")
def test_with_a_deferred_begin_the_race_is_seen(
    application: Application, settings: Settings, service: Service, racers: Racers
) -> None:
    """What these tests would say if writers did not begin with the writer's lock."""
    planted = Deferred(settings.database)
    application.app.state.database = planted
    outcomes: set[tuple[int, ...]] = set()
    for _ in range(200):
        order = service.block()
        path = f"orders/{order['id']}/lift"
        outcomes.add(tuple(racers.run("*", *((by, path, LIFT) for by in APPROVERS))))
        if outcomes - {(200, 409)}:
            break
    planted.close()

    assert outcomes - {(200, 409)} == {(200, 503)}
