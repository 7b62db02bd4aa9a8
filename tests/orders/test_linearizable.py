"""Many people act on few orders through two services over one database: nothing is lost, and all of it could have been
one after the other."""

import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import httpx
import pytest
from sqlalchemy import event

from app.db import Database
from tests import databases
from tests.orders.linearizable import DONE, READ, STALE, WRONG_STATE, Call, faults, overlapping
from tests.orders.test_races import events_of
from tests.policy.scale import Record, scaled, seeded, tell
from tests.service import DAY, NOW, Json, Service, a_leaf, running, targets, text_of

pytestmark = pytest.mark.long

PEOPLE = {"sqlite": 4, "postgresql": 16}[databases.KIND]
"""Who act at the same time, each through one of two services."""

ORDERS = 3
"""That they all act on, at a time."""

ROUNDS = 4
"""Of some orders each, times PULIH_TEST_SCALE."""

CALLS = 14
"""Of each person in a round."""

UNANSWERED = 0
"""The status of a call whose connection was cut: no answer to anything."""

UNTIL = text_of(NOW + DAY)
PLAN = {"ground": "wrong_block", "reason": "agreed", "at": UNTIL}
BODIES: dict[str, Json] = {
    "approve": {"reason": "in order"},
    "reject": {"reason": "not in order"},
    "withdraw": {"reason": "mine again"},
    "suspend": {"reason": "for a day", "until": UNTIL},
    "resume": {"reason": "that was enough"},
    "plan-lift": PLAN,
    "lift": {"ground": "wrong_block", "reason": "at once"},
}
LIKELY = ("approve", "suspend", "resume", "plan-lift", "plan-lift", READ, READ)
SELDOM = ("reject", "withdraw", "lift")
"""What ends an order, and the others with it, is one in so many."""

ENDS_ONE_IN = 25


class Person:
    """Somebody with an open connection, who acts on whatever order comes to mind and keeps what was answered."""

    def __init__(self, service: Service, address: str, seed: str) -> None:
        self._tokens, self._random = service.tokens, seeded(seed)
        self._client = httpx.Client(base_url=f"{address}/api/v1", timeout=60, verify=False)
        self._shown: dict[str, int] = {}
        self.calls: list[tuple[str, Call]] = []

    def act(self, orders: Sequence[str], start: threading.Barrier) -> None:
        """Several acts, one after the other."""
        start.wait(30)
        for _ in range(CALLS):
            order = self._random.choice(orders)
            self.calls.append((order, self._call(order)))
        self._client.close()

    def _call(self, order: str) -> Call:
        name = self._random.choice(SELDOM if self._random.randrange(ENDS_ONE_IN) == 0 else LIKELY)
        shown = self._shown.get(order) if self._random.random() < 0.5 else None
        by = "operator-1" if name == "withdraw" else self._random.choice(("approver-1", "approver-2"))
        headers = {
            "Authorization": f"Bearer {self._tokens[by]}",
            "If-Match": "*" if shown is None else f'"{shown}"',
        }
        sent = time.monotonic()
        method, path = ("GET", f"/orders/{order}") if name == READ else ("POST", f"/orders/{order}/{name}")
        try:
            response = self._client.request(method, path, json=BODIES.get(name), headers=headers)
        except httpx.TransportError:
            return Call(name, sent, time.monotonic(), shown, UNANSWERED)
        call = Call(name, sent, time.monotonic(), None if name == READ else shown, response.status_code)
        if response.status_code != DONE:
            return call
        body = response.json()
        self._shown[order] = body["version"]
        return call._replace(version=body["version"], state=body["state"])


def histories(service: Service, addresses: Sequence[str], round_: int) -> dict[str, list[Call]]:
    """What everybody was answered, by order."""
    orders = [
        service.propose(targets=targets(f"r{round_}-{number}.example"), conditions=a_leaf())["id"]
        for number in range(ORDERS)
    ]
    people = [Person(service, addresses[number % len(addresses)], f"{round_} {number}") for number in range(PEOPLE)]
    start = threading.Barrier(PEOPLE)
    threads = [threading.Thread(target=person.act, args=(orders, start)) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    found: dict[str, list[Call]] = defaultdict(list)
    for person in people:
        assert len(person.calls) == CALLS
        for order, call in person.calls:
            found[order].append(call)
    return found


@contextmanager
def two_services(service: Service, kind: type[Database] = Database) -> Iterator[list[str]]:
    """Two more services, each with connections of its own to the same database."""
    with ExitStack() as stack:
        addresses = []
        for _ in range(2):
            database = kind(service.settings.database)
            stack.callback(database.close)
            addresses.append(stack.enter_context(running(service.settings, database, service.clock)))
        yield addresses


def test_acts_of_many_at_once_could_have_been_one_after_the_other(service: Service, record_property: Record) -> None:
    calls = acts = at_once = 0
    with two_services(service) as addresses:
        for round_ in range(scaled(ROUNDS)):
            for order, history in histories(service, addresses, round_).items():
                assert list(faults(history)) == []
                done = [call for call in history if call.act != READ and call.status == DONE]
                assert service.read(f"orders/{order}")["version"] == 1 + len(done)
                events = events_of(service, {"id": order})
                assert sum(count for type_, count in events.items() if type_.startswith("order.")) == 1 + len(done)
                calls, acts, at_once = calls + len(history), acts + len(done), at_once + overlapping(history)
    assert at_once > calls / 4
    tell(record_property, calls=calls, acts_done=acts, at_once=at_once)


class Autocommit(Database):
    """The planted fault: each statement is a transaction of its own."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        event.listen(self.engine, "begin", lambda connection: connection.exec_driver_sql("COMMIT"))


@pytest.mark.skipif(databases.KIND != "sqlite", reason="how a transaction begins is SQLite's")
def test_acts_that_are_no_transactions_are_noticed(service: Service) -> None:
    found: list[str] = []
    with two_services(service, Autocommit) as addresses:
        for round_ in range(100):
            for history in histories(service, addresses, round_).values():
                found += faults(history)
            if found:
                break
    assert found


def called(act: str, sent: float, answered: float, version: int = 0, state: str = "", **other: int) -> Call:
    return Call(act, sent, answered, other.get("shown"), other.get("status", DONE), version, state)


APPROVED = called("approve", 1, 2, 2, "active")

RIGHT: dict[str, list[Call]] = {
    "one after the other": [APPROVED, called("lift", 3, 4, 3, "ended"), called(READ, 5, 6, 3, "ended")],
    "answered in another order than done": [called("lift", 1, 3, 3, "ended"), called("approve", 1, 4, 2, "active")],
    "read before or after what is under way": [APPROVED, called(READ, 1.5, 1.6, 1, "proposed")],
    "refused by what came first": [APPROVED, called("reject", 1, 2, status=WRONG_STATE)],
    "shown a version that went by": [APPROVED, called("lift", 3, 4, shown=1, status=STALE)],
}

WRONG: dict[str, list[Call]] = {
    "two acts made one version": [APPROVED, called("approve", 1, 2, 2, "active")],
    "an act was lost": [APPROVED, called("lift", 3, 4, 4, "ended")],
    "an act that the state forbids": [APPROVED, called("approve", 3, 4, 3, "active")],
    "an old state was read": [APPROVED, called(READ, 3, 4, 1, "proposed")],
    "a state was read before it was asked for": [called("approve", 5, 6, 2, "active"), called(READ, 1, 2, 2, "active")],
    "a state of another version": [APPROVED, called(READ, 3, 4, 2, "ended")],
    "an act before what it rests on was sent": [called("approve", 5, 6, 2, "active"), called("lift", 1, 2, 3, "ended")],
    "done although another version was shown": [APPROVED, called("lift", 3, 4, 3, "ended", shown=1)],
    "a version was read that no act made": [APPROVED, called(READ, 3, 4, 3, "ended")],
    "refused for no reason": [APPROVED, called("lift", 3, 4, status=WRONG_STATE)],
    "the shown version was the right one": [APPROVED, called("lift", 3, 4, shown=2, status=STALE)],
    "a fault": [called("approve", 1, 2, status=500)],
}


@pytest.mark.parametrize("history", RIGHT.values(), ids=RIGHT)
def test_what_could_have_been_is_taken(history: list[Call]) -> None:
    assert list(faults(history)) == []


@pytest.mark.parametrize("history", WRONG.values(), ids=WRONG)
def test_what_could_not_have_been_is_found(history: list[Call]) -> None:
    assert list(faults(history)) != []
