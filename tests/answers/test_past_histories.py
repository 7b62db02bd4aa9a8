"""Whatever happened: asked afterwards, every past moment is answered as it was, and what is not known is said.

Ten random histories side by side (`tests/orders/histories.py`), their truth remembered as they happen; then random
moments, names, pairs of moments, and servers of ISPs whose true holdings are known. `PULIH_TEST_SCALE=100` makes it a
thousand of them.
"""

import datetime as dt
from random import Random

import pytest

from app.answers import held
from app.answers.held import Known
from app.answers.names import explain
from app.orders import difference, past
from app.orders.difference import Changed
from app.orders.queries import OrderFilter
from app.subscribers import difference as published
from app.subscribers.held import Basis
from app.subscribers.queries import by_name
from app.subscribers.register import AddSubscriber, add
from app.subscribers.verdicts import Course
from resolver_policy.names import sort_key
from tests.answers.past_truth import MINUTE, Server, Truth
from tests.orders.histories import History
from tests.orders.history_rounds import play
from tests.policy.scale import Record, scaled, seeded, tell
from tests.publication.worlds import World, random_act
from tests.service import HOST

pytestmark = [pytest.mark.long, pytest.mark.database]

SIDE_BY_SIDE, ROUNDS = 10, 12
PAIRS, MOMENTS = 8, 6
ISP_ROUNDS, ASKED = 18, 80


@pytest.mark.usefixtures("many_lives")
@pytest.mark.parametrize("seed", range(scaled(1)))
def test_the_past_is_answered_as_it_was(
    world: World, seed: int, record_property: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    for room in (difference, published):
        monkeypatch.setattr(room, "AT_ONCE", 7)  # names that are looked at together, so that there are many such steps
    random, truth = seeded(f"pasts {seed}"), Truth()
    histories = [History(f"h{number}.example", Random(random.random())) for number in range(SIDE_BY_SIDE)]
    for _ in range(ROUNDS):
        now, *_ = play(world, histories, random)
        world.publish()
        truth.note(world, histories, now)
    moments = sorted(truth.moments)
    counts = dict.fromkeys(("names", "orders", "decided", "published"), 0)
    for at in random.sample(moments, min(MOMENTS, len(moments))):
        counts["names"] += check_names(world, truth, at, random)
        counts["orders"] += check_orders(world, truth, at)
    for _ in range(PAIRS):
        older, newer = sorted(random.sample(moments, 2))
        counts["decided"] += check_decided(world, truth, older, newer)
        counts["published"] += check_published(world, truth, *sorted(random.sample(sorted(truth.published), 2)))
    assert counts["decided"] > PAIRS
    assert counts["published"] > PAIRS
    tell(record_property, histories=SIDE_BY_SIDE, **counts)


def check_names(world: World, truth: Truth, at: dt.datetime, random: Random) -> int:
    """What was decided of names, and by which orders."""
    said = truth.moments[at]
    chosen = random.sample(sorted(said.blocked), 25)
    with world.database.read() as session:
        for name in chosen:
            answer = explain(session, name, at)
            assert answer.blocked == said.blocked[name], (name, at)
            holders = {each.order.id for each in (*answer.holders, *answer.exceptions)}
            assert holders == said.holders[name], (name, at)
    return len(chosen)


def check_orders(world: World, truth: Truth, at: dt.datetime) -> int:
    """The state of every order that there was."""
    with world.database.read() as session:
        found = {order.id: state for order, state in past.orders(session, OrderFilter(), at, after=0, limit=10_000)}
        active = {row.id for row, _ in past.orders(session, OrderFilter(state="active"), at, after=0, limit=10_000)}
    assert found == truth.moments[at].states
    assert active == {id_ for id_, state in found.items() if state == "active"}
    return len(found)


def check_decided(world: World, truth: Truth, older: dt.datetime, newer: dt.datetime) -> int:
    """The difference of decisions is that of the two sets of names, and names the orders of each."""
    before, after = truth.moments[older], truth.moments[newer]
    with world.database.read() as session:
        items = list(difference.between(session, older, newer))
        middle = items[len(items) // 2].place if items else 0
        assert [each.place for each in difference.between(session, older, newer, after=middle)] == [
            each.place for each in items if each.place > middle
        ]
    check_sets(items, before.blocked, after.blocked)
    for each in items:
        assert {one.order.id for one in each.before} == before.holders[each.name], (each.name, older)
        assert {one.order.id for one in each.after} == after.holders[each.name], (each.name, newer)
    told = {each.name for each in items}
    for name, holders in before.holders.items():
        if holders != after.holders[name] and not name.startswith("_any."):
            assert told & {name, *ancestors(name)}, name
    return len(items)


def check_published(world: World, truth: Truth, older: int, newer: int) -> int:
    """The difference of two releases is that of the two sets of names that they block."""
    with world.database.read() as session:
        found = list(published.between(session, older, newer))
        if found:
            middle = found[len(found) // 2][0]
            assert list(published.between(session, older, newer, after=middle)) == found[len(found) // 2 + 1 :]
    check_sets([each for _, each in found], truth.published[older], truth.published[newer])
    return len(found)


def check_sets(items: list[Changed], before: dict[str, bool], after: dict[str, bool]) -> None:
    told = {each.name: each for each in items}
    assert len(told) == len(items)
    for name, first in before.items():
        turn = (first, after[name])
        if name in told:
            assert told[name].itself == turn, name
            below = told[name].below
            assert (
                below is None
                or f"_any.{name}" not in before
                or below == (before[f"_any.{name}"], after[f"_any.{name}"])
            )
        elif turn[0] != turn[1]:
            above = [told[each] for each in ancestors(name) if each in told]
            assert any(each.below is not None and each.below == turn for each in above), (name, turn)


def ancestors(name: str) -> list[str]:
    return [name.split(".", cut)[-1] for cut in range(1, name.count(".") + 1)]


@pytest.mark.usefixtures("many_lives")
@pytest.mark.parametrize("seed", range(scaled(1)))
def test_what_is_said_of_an_isp_is_so(world: World, seed: int, record_property: Record) -> None:
    """Servers that take zones, use them later, lose transfers, and of which some sights are never written down."""
    random = seeded(f"isps {seed}")
    servers = []
    for number, acknowledges in enumerate((False, False, False, True)):
        isp = f"isp-{number}"
        with world.database.write() as session:
            add(session, HOST, AddSubscriber(isp, (f"192.0.2.{number + 1}",)), world.clock())
        servers.append(Server(world, isp, f"192.0.2.{number + 1}", random, acknowledges))
    begun, targeted = world.clock(), {"a.example"}
    for _ in range(ISP_ROUNDS):
        random_act(world, random)
        world.publish()
        targeted |= {target.name for target in world.targets()}
        for _ in range(random.randint(0, 6)):
            world.clock.forward(random.randint(1, 20) * MINUTE)
            for server in servers:
                server.act()
    counts = dict.fromkeys(Known, 0)
    span = (world.clock() - begun) // MINUTE
    for _ in range(ASKED):
        at, server, name = (
            begun + random.randint(1, span) * MINUTE,
            random.choice(servers),
            random.choice(sorted(targeted)),
        )
        counts[check_isp(world, server, name, at)] += 1
    assert all(counts[each] > 0 for each in (Known.YES, Known.NO, Known.NOT_KNOWN))
    assert counts[Known.YES] + counts[Known.NO] > ASKED / 4
    tell(record_property, **{str(each): count for each, count in counts.items()})


def check_isp(world: World, server: Server, name: str, at: dt.datetime) -> Known:
    """A `yes` or a `no` is so; what a server held is among what it may have held, and alone where it is certain."""
    holds = server.held_at(at)
    with world.database.read() as session:
        found = held.at_isp(session, explain(session, name, at), by_name(session, server.isp))
        truly = Course(session, sort_key(name)).at(holds)
    assert found.answer in {Known.NOT_KNOWN, Known.YES if truly else Known.NO}, (server.isp, name, at, found)
    for each in (one for zone in found.zones for there in zone.servers for one in there.held):
        possible = each.nothing if holds == 0 else any(first <= holds <= last for first, last in each.stretches)
        assert possible, (server.isp, at, holds, each)
        assert each.basis is not Basis.SEEN_WITH_IT or each.stretches == ((holds, holds),), (server.isp, at, each)
    return found.answer
