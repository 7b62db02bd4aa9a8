"""Whatever happens to orders, in whatever order: a name is blocked exactly when the model says so.

Random histories of orders (of every kind), marks, waivers, suspensions, expiries, lapses, of undoing orders and
releases, and of clocks that jump. `PULIH_TEST_SCALE=200`
makes it ten thousand of them.
"""

import datetime as dt
import json
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import or_, select

from app.answers.names import explain
from app.journal.actor import CLOCK
from app.journal.events import EventType
from app.journal.models import Event
from app.orders import clock as orders_clock
from app.orders import states
from app.publication import zones
from app.publication.store import rules_of_release
from resolver_policy.targets import Decision
from tests.orders import model
from tests.orders.histories import History
from tests.orders.history_rounds import play
from tests.policy.lookups import bind, records
from tests.policy.scale import Record, scaled, seeded, tell
from tests.publication.worlds import World

pytestmark = pytest.mark.long

SIDE_BY_SIDE = 25
ROUNDS = 16
QUESTIONS = 2
LINES = 100
ENDS_OF_OPENINGS = (EventType.ORDER_SUSPENDED, EventType.ORDER_SUSPENSION_MOVED)


@pytest.mark.usefixtures("many_lives")
@pytest.mark.parametrize("seed", range(2 * scaled(1)))
def test_a_name_is_blocked_exactly_when_the_model_says_so(world: World, seed: int, record_property: Record) -> None:
    random = seeded(f"histories {seed}")
    histories = [History(f"h{number}.example", Random(random.random())) for number in range(SIDE_BY_SIDE)]
    acts = refused = 0
    for _ in range(ROUNDS):
        now, *counts = play(world, histories, random)
        world.publish()
        check(world, histories, now)
        acts, refused = acts + counts[0], refused + counts[1]
    check_the_past(world, histories)
    tell(record_property, histories=SIDE_BY_SIDE, acts=acts, refused=refused, acts_of_the_clock=check_the_clock(world))


def check(world: World, histories: list[History], now: dt.datetime) -> None:
    """What is published, name by name, against what the model says."""
    with world.database.read() as session:
        newest = zones.head(session)
        assert newest is not None
        released = newest.id
        published = bind(records(rules_of_release(session, newest.id)))
    for history in histories:
        history.release(released)
        said = history.note(now)
        assert {name: published(name) is Decision.BLOCK for name in said} == said, history.domain


def check_the_past(world: World, histories: list[History]) -> None:
    """What was blocked at past moments, asked at the end."""
    with world.database.read() as session:
        for history in histories:
            for at in history.random.sample(sorted(history.said), min(QUESTIONS, len(history.said))):
                name = history.random.choice(history.names())
                assert explain(session, name, at).blocked == history.said[at][name], (name, at)


def check_the_clock(world: World) -> int:
    """How many acts were done as they fell due: each once, none before its moment, and none is left to do."""
    with world.database.write() as session:  # what an act of the last round made due, and then what that did
        orders_clock.run_due(session, world.clock)
        orders_clock.run_due(session, world.clock)
    with world.database.read() as session:
        counted = or_(Event.actor == CLOCK.name, Event.type.in_(ENDS_OF_OPENINGS))
        events = session.scalars(select(Event.body).where(counted).order_by(Event.seq)).all()
        left = states.due_orders(session, world.clock())
    bodies = [json.loads(body) for body in events]
    acts: Counter[tuple[object, ...]] = Counter()
    opened: dict[str, int] = {}
    for body in bodies:
        if body["type"] in ENDS_OF_OPENINGS:
            opened[body["facts"]["order"]] = body["seq"]
        else:  # an end that is moved away and back has notice of its own each time
            acts[body["type"], json.dumps(body["facts"]), opened.get(body["facts"].get("order"))] += 1
    due = [body for body in bodies if body["type"] not in ENDS_OF_OPENINGS and "due_at" in body["facts"]]
    early = [body for body in due if body["recorded_at"] < body["facts"]["due_at"]]
    assert ({*acts.values()}, early, left) == ({1}, [], [])
    return len(due)


def test_the_model_is_short_enough_to_be_believed() -> None:
    assert len(Path(model.__file__).read_text().splitlines()) <= LINES
