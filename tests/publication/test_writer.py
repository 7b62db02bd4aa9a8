"""Whatever happens to a large order, it happens in short transactions: nobody waits long for the writer's lock."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from pysqlite3 import dbapi2
from sqlalchemy import Connection, event

from app.db import Database
from app.orders import imports_staging
from app.orders import targets as stored_targets
from app.orders.schemas import OrderIn
from resolver_policy.names import sort_key
from tests.orders.importing import actor_of, order_data, send_file
from tests.policy.scale import Record, scaled, tell
from tests.service import DAY, HOUR, NOW, Json, Service, Template, answered, text_of

pytestmark = pytest.mark.long

NAMES = scaled(12_000)

STEPS = 100
"""Virtual machine instructions of SQLite between two counts."""

MOST_WORK = 350_000
"""Instructions that one transaction may take: some 5,000 rows, a tenth of a second. All names together take more."""

MOST_SECONDS = 0.5


@dataclass
class Holding:
    """The writer's lock while it was held: the most work, and the most seconds of its thread (cores are shared)."""

    transactions: int = 0
    work: int = 0
    seconds: float = 0.0
    _began: dict[int, tuple[float, list[int]]] = field(default_factory=dict)

    def begin(self, connection: Connection) -> None:
        if not connection.get_execution_options().get("pulih_write"):
            return
        work = [0]

        def step() -> int:
            work[0] += STEPS
            return 0

        driver = connection.connection.dbapi_connection
        if isinstance(driver, dbapi2.Connection):
            driver.set_progress_handler(step, STEPS)
        self._began[id(connection)] = time.thread_time(), work

    def end(self, connection: Connection) -> None:
        began, work = self._began.pop(id(connection), (None, [0]))
        if began is not None:
            self.transactions += 1
            self.work = max(self.work, work[0])
            self.seconds = max(self.seconds, time.thread_time() - began)


@contextmanager
def holding(database: Database) -> Iterator[Holding]:
    """Look at every transaction that writes in the block."""
    seen = Holding()
    heard = (("begin", seen.begin), ("commit", seen.end), ("rollback", seen.end))
    for name, listener in heard:
        event.listen(database.engine, name, listener)
    try:
        yield seen
    finally:
        for name, listener in heard:
            event.remove(database.engine, name, listener)


def names() -> list[str]:
    return [f"{'*.' if number % 2 else ''}n{number}.p{number % 97}.example" for number in range(NAMES)]


def proposed(service: Service, **fields: object) -> Json:
    return service.propose_many(names(), by="operator-1", **fields)


def in_force(service: Service, **fields: object) -> Json:
    """A large order, approved and published."""
    order = proposed(service, **fields)
    approve(service, order)
    service.publish()
    return order


def approve(service: Service, order: Json) -> None:
    service.approve(order, plan_hash=service.read(f"orders/{order['id']}/plan")["plan_hash"])


def approval(service: Service) -> Callable[[], object]:
    order = proposed(service)
    return lambda: approve(service, order)


def withdrawal(service: Service) -> Callable[[], object]:
    order = proposed(service)
    return lambda: service.act(order, "withdraw", {"reason": "a mistake"}, by="operator-1")


def rejection(service: Service) -> Callable[[], object]:
    order = proposed(service)
    return lambda: service.act(order, "reject", {"reason": "a mistake"})


def publication(service: Service) -> Callable[[], object]:
    approve(service, proposed(service))
    return service.publish


def lift(service: Service) -> Callable[[], object]:
    order = in_force(service)
    return lambda: (service.lift(order), service.publish())


def expiry(service: Service) -> Callable[[], object]:
    in_force(service, expires_at=text_of(NOW + HOUR))
    service.clock.forward(HOUR)
    return service.publish


def listing(service: Service) -> Callable[[], object]:
    """An import over HTTP, of names that an order in force holds already."""
    in_force(service)
    content = "".join(f"{name.removeprefix('*.')}\n" for name in names())
    return lambda: answered(send_file(service, content), 201)


def left_by_a_crash(service: Service, template: Template) -> None:
    """A draft of all the names that nobody will finish."""
    actor = actor_of(service.database, template)
    draft = imports_staging.open_order(service.database, actor, OrderIn.model_validate(order_data()), service.clock())
    rows = sorted((sort_key(name.removeprefix("*.")), 1) for name in names())
    with service.database.write() as session:
        stored_targets.add(session, draft, rows)
    service.clock.forward(DAY)


@pytest.mark.parametrize("path", [listing, approval, withdrawal, rejection, publication, lift, expiry])
def test_no_transaction_of_a_large_order_is_long(
    service: Service, path: Callable[[Service], Callable[[], object]], record_property: Record
) -> None:
    run = path(service)
    with holding(service.database) as seen:
        run()
    check(seen, record_property)


def test_no_transaction_is_long_that_sweeps_a_draft_away(
    service: Service, template: Template, record_property: Record
) -> None:
    left_by_a_crash(service, template)
    with holding(service.database) as seen:
        assert imports_staging.sweep(service.database, service.clock()) == 1
    check(seen, record_property)


def check(seen: Holding, record_property: Record) -> None:
    tell(record_property, names=NAMES, transactions=seen.transactions, work=seen.work)
    assert seen.transactions > 0
    assert seen.work < MOST_WORK
    assert seen.seconds < MOST_SECONDS
