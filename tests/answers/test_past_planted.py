"""Every bug that is planted in answers about the past is caught by the rig it was made for."""

import datetime as dt
from collections.abc import Callable

import pytest
from sqlalchemy import select

from app.answers import held
from app.answers.held import Known
from app.answers.names import explain
from app.orders import difference, past
from app.orders.models import Order
from app.orders.queries import OrderFilter
from app.subscribers.deliveries import record
from app.subscribers.queries import by_name
from app.subscribers.register import AddSubscriber, add
from app.subscribers.sighting import Sighting, SightingKind
from resolver_policy.targets import Decision, Match, Target
from tests.answers.past_truth import MINUTE, serial_of
from tests.planted import planted
from tests.planted.past import PLANTS
from tests.publication.worlds import World
from tests.service import HOST, NOW, ZONE

pytestmark = pytest.mark.database
NAME = "a.example"


@pytest.fixture
def lived(world: World) -> World:
    """Minute by minute: seen (1), blocked (10), published (11), let go of (20), published (21), by another order (30),
    published (31), seen with that (40), let go of (50), published (51); its moments are told by `at`."""
    with world.database.write() as session:
        add(session, HOST, AddSubscriber("isp-one", ("192.0.2.1",)), world.clock())
    acts: dict[int, Callable[[], object]] = {
        1: lambda: see(world, 1),
        10: lambda: block(world),
        20: lambda: world.lift(world.held[0]),
        30: lambda: block(world),
        40: lambda: see(world, 4),
        50: lambda: world.lift(world.held[0]),
    }
    for minute in range(60):
        if minute in acts:
            acts[minute]()
        if minute - 1 in acts:
            world.publish()
        world.clock.forward(MINUTE)
    return world


def at(minute: float) -> dt.datetime:
    return NOW + minute * MINUTE


def block(world: World) -> None:
    world.add({Target(NAME, Match.EXACT, Decision.BLOCK)})


def see(world: World, release: int) -> None:
    serial = serial_of(world, release)
    asked = Sighting(world.clock(), "isp-one", "192.0.2.1", ZONE, SightingKind.IXFR, serial, serial)
    with world.database.write() as session:
        record(session, [asked], world.clock())


def rig(world: World) -> None:
    """What was decided, published and held, at moments at which these differ."""
    with world.database.read() as session:
        row = by_name(session, "isp-one")
        for minute, blocked in ((9, False), (10, True), (11, True), (20, False), (30, True), (55, False)):
            assert explain(session, NAME, at(minute)).blocked == blocked
        released = [held.published(session, NAME, at(minute))[0] for minute in (10, 11, 20, 21)]
        assert [each is not None and each.blocks for each in released] == [False, True, True, False]
        isp = [
            held.at_isp(session, explain(session, NAME, at(minute)), row).answer for minute in (1, 5, 15, 25, 35, 40)
        ]
        assert isp == [Known.NO, Known.NO, *[Known.NOT_KNOWN] * 3, Known.YES]
        states = [[state for _, state in past.orders(session, OrderFilter(), at(15), after=0, limit=9)]]
        assert states == [["active"]]
        first, second = session.scalars(select(Order).order_by(Order.id))
        found = list(difference.between(session, at(15), at(35)))
        assert len(found) == 1
        changed = found[0]
        assert (changed.change, changed.itself) == (difference.Change.HOLDERS, (True, True))
        assert [[one.order.id for one in each] for each in (changed.before, changed.after)] == [[first.id], [second.id]]


@pytest.mark.parametrize("plant", [tuple(PLANTS)], ids=["all"])
def test_each_planted_bug_is_caught(lived: World, plant: tuple[str, ...]) -> None:
    """On one life, which the rig only asks about: with none of them it finds nothing."""
    for name in plant:
        rig(lived)
        with planted(name), pytest.raises((AssertionError, LookupError)):
            rig(lived)
