"""An import while it runs, when it fails, and what a crash leaves of it."""

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from sqlalchemy import Connection, event, func, select

from app.db import Database
from app.errors import Conflict
from app.journal.actor import Actor
from app.journal.merkle import merkle_root
from app.orders import imports_staging
from app.orders.guarding import Guard
from app.orders.imports import import_list
from app.orders.imports_answer import Options
from app.orders.imports_judging import NAMES_IN_ONE_BATCH
from app.orders.models import ConditionRow, Order, OrderState, TargetRow
from app.orders.propose import target_line
from app.orders.schemas import OrderIn
from app.settings import Settings
from resolver_policy.names import sort_key
from tests.orders.importing import a_guard, actor_of, import_json, listed, order_data
from tests.service import FrozenClock, Service, Template, answered, problem

LONG = dt.timedelta(minutes=16)
SHORT = dt.timedelta(minutes=14)
NAMES = [f"n{number}.example" for number in range(3 * NAMES_IN_ONE_BATCH)]


class CutOff(Exception):
    """The power fails."""


@dataclass
class Importer:
    """Somebody who imports a list of three batches."""

    database: Database
    actor: Actor
    guard: Guard
    clock: FrozenClock

    def run(self, between: Callable[[], object] = lambda: None, **fields: object) -> Order:
        """Import, doing something each time that a batch has been stored; the proposal."""
        with self.database.write() as session:
            imported = import_list(
                self.database,
                session,
                self.actor,
                OrderIn.model_validate(order_data(**fields)),
                listed(*NAMES),
                Options(),
                guard=self.guard,
                clock=self.clock,
                progress=lambda _: between() if self.stored() else None,
            )
        assert imported.order is not None
        return imported.order

    def leave_half(self, **fields: object) -> int:
        """What a crash leaves: an order that was never finished; its database id."""
        command = OrderIn.model_validate(order_data(**fields))
        order_id = imports_staging.open_order(self.database, self.actor, command, self.clock())
        rows = sorted((sort_key(name), 1) for name in NAMES)
        imports_staging.add(self.database, order_id, rows, 0, self.clock())
        return order_id

    def stored(self) -> int:
        """How many targets the database holds, seen or not."""
        return self._count(TargetRow)

    def left(self) -> tuple[int, int, int]:
        """How many orders, conditions and targets the database holds, seen or not."""
        return self._count(Order), self._count(ConditionRow), self.stored()

    def _count(self, table: type[Order | ConditionRow | TargetRow]) -> int:
        with self.database.read() as session:
            return session.scalar(select(func.count()).select_from(table)) or 0


@pytest.fixture
def importer(service: Service, template: Template, settings: Settings) -> Importer:
    return Importer(service.database, actor_of(service.database, template), a_guard(settings), service.clock)


def test_nobody_sees_an_order_while_its_names_are_stored(importer: Importer, service: Service) -> None:
    seen: list[object] = []

    def look() -> None:
        with importer.database.read() as session:
            uid = session.scalars(select(Order.uid).where(Order.state == OrderState.IMPORTING)).one()
        problem(service.get(f"orders/{uid}"), 404, "not_found")
        seen.extend(service.read(path)["items"] for path in ("orders", "blocks", "conditions"))
        seen.append(service.read("names/n0.example")["holders"])
        seen.extend(service.zone())

    order = importer.run(look)

    assert len(seen) >= 8
    assert not any(seen)
    assert service.read(f"orders/{order.uid}")["targets_count"] == len(NAMES)


def test_count_and_root_are_those_of_the_sorted_names(importer: Importer) -> None:
    order = importer.run()
    keys = sorted(map(sort_key, NAMES))

    assert order.targets_count == len(NAMES)
    assert order.targets_root == merkle_root(target_line(key, 1) for key in keys)
    with importer.database.read() as session:
        rows = session.execute(select(TargetRow.id, TargetRow.key).order_by(TargetRow.id))
        assert [tuple(row) for row in rows] == [((order.id << 32) + ordinal, key) for ordinal, key in enumerate(keys)]


@pytest.mark.long
def test_other_people_can_write_between_any_two_batches(importer: Importer, service: Service) -> None:
    def propose() -> None:
        began = time.monotonic()
        service.propose()
        assert time.monotonic() - began < 5

    importer.run(propose)

    assert len(service.read("orders")["items"]) == 4


@pytest.mark.long
def test_no_step_holds_the_writers_lock_for_half_a_second(importer: Importer) -> None:
    held: list[float] = []
    began: dict[int, float] = {}

    def begin(connection: Connection) -> None:
        began[id(connection)] = time.monotonic()

    def commit(connection: Connection) -> None:
        held.append(time.monotonic() - began[id(connection)])

    event.listen(importer.database.engine, "begin", begin)
    event.listen(importer.database.engine, "commit", commit)

    importer.run()

    assert len(held) > 5
    assert max(held) < 0.5


def test_what_fails_on_the_way_is_taken_away_at_once(importer: Importer) -> None:
    def fail() -> None:
        raise CutOff

    with pytest.raises(CutOff):
        importer.run(fail)

    assert importer.left() == (0, 0, 0)


def test_a_number_that_is_taken_meanwhile_is_refused(importer: Importer, service: Service) -> None:
    def take() -> None:
        if not service.read("orders")["items"]:
            service.propose(number="L-1")

    with pytest.raises(Conflict) as caught:
        importer.run(take, number="L-1")

    assert caught.value.code == "order_number_taken"
    assert [order["targets_count"] for order in service.read("orders")["items"]] == [1]
    service.clock.forward(LONG)
    assert imports_staging.sweep(importer.database, service.clock()) == 1
    assert importer.left() == (1, 1, 1)


def test_a_sweep_takes_away_what_a_crash_left_and_nothing_else(importer: Importer, service: Service) -> None:
    answered(import_json(service, ["a.example"]), 201)
    before = importer.left()
    importer.leave_half()
    importer.leave_half()
    service.clock.forward(LONG)

    assert imports_staging.sweep(importer.database, service.clock()) == 2
    assert importer.left() == before
    assert imports_staging.sweep(importer.database, service.clock()) == 0
    assert [event["type"] for event in service.events()] == ["order.proposed"]


def test_a_sweep_that_was_cut_off_is_taken_up_by_the_next(
    importer: Importer, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    importer.leave_half()
    service.clock.forward(LONG)
    with monkeypatch.context() as patched:
        patched.setattr(imports_staging, "_delete", lambda *_: None)
        imports_staging.sweep(importer.database, service.clock())
    assert importer.left()[0] == 1

    assert imports_staging.sweep(importer.database, service.clock()) == 1
    assert importer.left() == (0, 0, 0)


def test_a_sweep_leaves_an_import_alone_that_is_running(importer: Importer, service: Service) -> None:
    """Its row is dated with every batch, so it may take longer than the time after which a sweep gives it up."""

    def much_later() -> None:
        service.clock.forward(SHORT)
        assert imports_staging.sweep(importer.database, service.clock()) == 0

    order = importer.run(much_later)

    assert service.read(f"orders/{order.uid}")["targets_count"] == len(NAMES)
    assert order.proposed_at == service.clock()


@pytest.mark.parametrize("batch", [1, 3])
def test_an_importer_that_stood_still_too_long_gives_up(importer: Importer, service: Service, batch: int) -> None:
    batches = iter(range(1, 10))

    def stand_still() -> None:
        if next(batches) == batch:
            assert imports_staging.sweep(importer.database, service.clock() + LONG) == 1

    with pytest.raises(Conflict, match="taken away"):
        importer.run(stand_still)

    assert importer.left() == (0, 0, 0)
    assert service.events() == []


def test_an_importer_gives_up_although_the_sweep_has_only_begun(
    importer: Importer, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin_a_sweep() -> None:
        with monkeypatch.context() as patched:
            patched.setattr(imports_staging, "_delete", lambda *_: None)
            imports_staging.sweep(importer.database, service.clock() + LONG)

    with pytest.raises(Conflict, match="taken away"):
        importer.run(begin_a_sweep)

    assert importer.left() == (0, 0, 0)


def test_the_number_of_what_a_crash_left_is_free(importer: Importer, service: Service) -> None:
    importer.leave_half(number="L-1")

    assert service.propose(number="L-1")["number"] == "L-1"
    assert [order["number"] for order in service.read("orders")["items"]] == ["L-1"]


def test_an_order_that_was_swept_is_not_proposed(importer: Importer, service: Service) -> None:
    command = OrderIn.model_validate(order_data())
    order_id = imports_staging.open_order(importer.database, importer.actor, command, service.clock())
    imports_staging.sweep(importer.database, service.clock() + LONG)

    with importer.database.write() as session, pytest.raises(Conflict, match="taken away"):
        imports_staging.submit(session, importer.actor, order_id, command, service.clock())
