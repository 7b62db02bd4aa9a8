"""The cost of a change follows the change: neither more statements nor more work where the list is longer."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from pysqlite3 import dbapi2
from sqlalchemy import Connection, event
from sqlalchemy.pool import ConnectionPoolEntry

from app.db import Database
from app.journal import merkle
from tests import databases
from tests.policy.scale import Record, tell
from tests.service import Json, Service, targets

pytestmark = pytest.mark.long

STEPS = 20
"""Virtual machine instructions of SQLite between two counts."""

SHORT, LONG = 100, 10_000
RELEASES_IN_A_TOGGLE = 2
"""Each may find another name in its digest bucket, and then has one bucket to store instead of none."""

SUBTREES_IN_A_TOGGLE = 1
"""Every second event completes a subtree of the journal, by two statements: of three events, one or two do."""


@dataclass
class Meter:
    """What the database was asked, and how hard it worked for it."""

    statements: list[str] = field(default_factory=list)
    work: int = 0

    def step(self) -> int:
        self.work += STEPS
        return 0


@contextmanager
def metered(database: Database) -> Iterator[Meter]:
    """Count what happens in the block, on every connection."""
    meter = Meter()

    def note(_connection: Connection, _cursor: object, statement: str, *_rest: object) -> None:
        meter.statements.append(statement)

    def watch(connection: dbapi2.Connection, _record: ConnectionPoolEntry, _proxy: object) -> None:
        connection.set_progress_handler(meter.step, STEPS)

    event.listen(database.engine, "before_cursor_execute", note)
    if databases.KIND == "sqlite":  # the other counts no steps: its statements alone are compared
        event.listen(database.engine, "checkout", watch)
    try:
        yield meter
    finally:
        event.remove(database.engine, "before_cursor_execute", note)
        if databases.KIND == "sqlite":
            event.remove(database.engine, "checkout", watch)


def grow(service: Service, prefix: str, count: int) -> None:
    """Make the list longer by `count` names, half of them subtrees, and publish it."""
    names = [f"{'*.' if n % 2 else ''}{prefix}{n}.p{n % 97}.example" for n in range(count)]
    order = service.propose_many(names)
    shown = service.read(f"orders/{order['id']}/plan")
    service.approve(order, plan_hash=shown["plan_hash"])
    service.publish()


def toggle(service: Service, name: str) -> Callable[[], None]:
    """An order that waits for its approval; then everything from there to the end of it."""
    order = service.propose(targets=targets(name))

    def run() -> None:
        service.approve(order)
        service.publish()
        service.read(f"names/{name.removeprefix('*.')}", by=None)
        service.lift(order)
        service.publish()

    return run


def plan(service: Service, name: str) -> Callable[[], None]:
    order: Json = service.propose(targets=targets(name))

    def run() -> None:
        service.read(f"orders/{order['id']}/plan")

    return run


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (toggle, "new{}.example"),
        (toggle, "*.new{}.example"),
        (toggle, "x{}.n1.p1.example"),
        (toggle, "a.b.c.d.e.f.new{}.example"),
        (plan, "new{}.n3.p3.example"),
    ],
    ids=["a name", "a subtree", "a name below a block", "a deep name", "a plan"],
)
def test_the_cost_of_a_change_does_not_grow_with_the_list(
    service: Service, make: Callable[[Service, str], Callable[[], None]], name: str, record_property: Record
) -> None:
    statements, work = [], []
    for number, count in enumerate((SHORT, LONG - SHORT)):
        grow(service, "nm"[number], count)
        make(service, name.format(f"-warm{number}"))()
        run = make(service, name.format(number))
        with metered(service.database) as meter:
            run()
        statements.append(len(meter.statements))
        work.append(meter.work)

    tell(record_property, statements_short=statements[0], statements_long=statements[1])
    tell(record_property, work_short=work[0], work_long=work[1])
    assert statements[1] <= statements[0] + RELEASES_IN_A_TOGGLE + 2 * SUBTREES_IN_A_TOGGLE
    assert work[1] <= 2 * work[0]


def test_the_cost_of_an_order_in_force_is_one_row_of_the_order(service: Service) -> None:
    """Approving ten thousand names changes one order, one interval and one note, and lengthens the journal by one."""
    order = service.propose_many([f"n{n}.example" for n in range(LONG)])
    shown = service.read(f"orders/{order['id']}/plan")
    before = service.rows()

    service.approve(order, plan_hash=shown["plan_hash"])
    after = service.rows()

    grown = {table: after[table] - before[table] for table in after if after[table] != before[table]}
    assert grown.pop("tree_nodes", 0) == len(merkle.waiting(after["events"]))
    assert grown == {"events": 1, "event_personal": 1, "in_force": 1, "touched": 1}
