"""Large releases: prepared a little at a time, seen by nobody before they are whole, small ones in between."""

from random import Random

import pytest
from sqlalchemy import Connection, event, select
from sqlalchemy.pool import QueuePool

from app.main import make_publisher
from app.orders.models import Order, TargetRow
from app.publication import acts, holders, making, publisher, spans, zones
from app.publication.follower import Follower
from app.publication.models import UrgentSpan
from app.settings import Settings
from resolver_policy import names, rules
from resolver_policy.delta import EMPTY_RULE, Change, Rule
from resolver_policy.rules import build
from resolver_policy.targets import Decision, Match, Target
from tests.policy.scale import Record, scaled, tell
from tests.policy.worlds import cells_of
from tests.publication.worlds import Rules, World, check_newest, random_act
from tests.service import ZONE

HISTORIES = 12
STEPS = 100
LARGE = 3


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that happens to a million names happens to four."""
    monkeypatch.setattr(publisher, "LARGE", LARGE)
    monkeypatch.setattr(publisher, "MOST_READ", 30)
    monkeypatch.setattr(making, "WRITTEN_AT_ONCE", 2)
    monkeypatch.setattr(making, "LEFT_FOR_THE_END", 2)
    monkeypatch.setattr(spans, "SWEPT_AT_ONCE", 2)
    monkeypatch.setattr(rules, "PORTION", 2)
    monkeypatch.setattr(rules, "RUN", 3)
    monkeypatch.setattr(rules, "ENOUGH", 2)


pytestmark = [pytest.mark.long, pytest.mark.usefixtures("small_steps")]


def published_rules(world: World) -> Rules:
    """What the orders add up to that count as published, built anew from all of them."""
    query = select(TargetRow.key, TargetRow.match, Order.kind).join(Order, Order.id == TargetRow.order_id)
    with world.database.read() as session:
        rows = session.execute(query.where(Order.published, TargetRow.released_at.is_(None))).all()
    kinds = {"block": Decision.BLOCK, "exception": Decision.PASS}
    targets = [
        Target(names.from_key(key), (Match.EXACT, Match.SUBTREE)[match], kinds[kind]) for key, match, kind in rows
    ]
    return dict(build(cells_of(targets)))


def is_between_acts(world: World) -> bool:
    """Whether a single target was let go of that no release knows yet."""
    with world.database.read() as session:
        return any(not act.whole for act in acts.waiting(session))


def drain(world: World, follower: Follower) -> None:
    world.publish()
    with world.database.read() as session:
        newest = zones.head(session)
        assert newest is not None
        assert spans.unreleased(session, newest.id) is None
        assert acts.waiting(session) == []
    check_newest(world, follower, world.rules())


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_every_release_is_whole_whatever_happens_while_one_is_prepared(
    world: World, follower: Follower, settings: Settings, seed: int, record_property: Record
) -> None:
    random = Random(seed)
    counts = dict.fromkeys(("acts", "steps", "releases", "restarts", "failures"), 0)
    for _ in range(scaled(STEPS)):
        kind = random.choice(["act"] * 12 + ["step"] * 12 + ["release"] * 8 + ["restart", "failure", "drain"])
        if kind == "act":
            random_act(world, random)
            counts["acts"] += 1
        elif kind == "step":
            counts["steps"] += world.publisher.work()
        elif kind == "restart":
            world.publisher.close()
            world.publisher = make_publisher(settings, world.database)
            world.publisher.start(world.clock())
            counts["restarts"] += 1
        elif kind == "failure":
            counts["failures"] += failing(world, random)
        elif kind == "drain":
            drain(world, follower)
        elif world.publisher.release(world.clock()):
            counts["releases"] += 1
            if not is_between_acts(world):
                check_newest(world, follower, published_rules(world))
    drain(world, follower)
    tell(record_property, **counts)


def failing(world: World, random: Random) -> bool:
    """Let a commit fail; True where one was tried."""
    event.listen(world.database.engine, "commit", _fail)
    try:
        world.publisher.work() if random.random() < 0.7 else world.publisher.release(world.clock())
    except OSError:
        return True
    finally:
        event.remove(world.database.engine, "commit", _fail)
    return False


def _fail(_connection: Connection) -> None:
    raise OSError("planted")


def blocks(*texts: str) -> set[Target]:
    return {Target(text, Match.SUBTREE, Decision.BLOCK) for text in texts}


def zone_names(world: World, follower: Follower) -> list[str]:
    with world.database.read() as session:
        follower.refresh(session)
    return [names.from_key(key) for key, _ in follower.zones[ZONE].rules()]


@pytest.fixture
def preparing(world: World) -> World:
    """A world with one name in the zone, in which a release of four names is half prepared."""
    world.add(blocks("old.example"))
    world.publish()
    world.add(blocks("a.example", "b.example", "c.example", "d.example"))
    assert world.publisher.release(world.clock()) == {}
    world.publisher.work()
    world.publisher.work()
    return world


def test_nothing_of_a_large_release_is_seen_before_it_is_whole(preparing: World, follower: Follower) -> None:
    assert zone_names(preparing, follower) == ["old.example"]
    while preparing.publisher.work():
        assert zone_names(preparing, follower) == ["old.example"]

    preparing.publisher.release(preparing.clock())

    assert zone_names(preparing, follower) == ["a.example", "b.example", "c.example", "d.example", "old.example"]


def test_a_lift_goes_out_while_a_large_release_is_prepared(preparing: World, follower: Follower) -> None:
    preparing.lift(preparing.held[0])

    assert preparing.publisher.release(preparing.clock())
    assert zone_names(preparing, follower) == []
    drain(preparing, follower)


def test_a_name_below_one_that_is_prepared_goes_out_as_if_it_stood_alone(preparing: World, follower: Follower) -> None:
    preparing.add({Target("x.a.example", Match.EXACT, Decision.BLOCK)})

    preparing.publisher.release(preparing.clock())

    assert zone_names(preparing, follower) == ["x.a.example", "old.example"]
    drain(preparing, follower)
    assert "x.a.example" not in zone_names(preparing, follower)


def test_an_order_that_is_lifted_before_it_was_published_never_is(preparing: World, follower: Follower) -> None:
    preparing.lift(preparing.held[1])
    drain(preparing, follower)

    assert zone_names(preparing, follower) == ["old.example"]
    with preparing.database.read() as session:
        newest = zones.head(session)
        assert newest is not None
        assert newest.id == 2


def test_small_releases_end_where_no_number_is_left_beneath_a_large_one(
    world: World, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "ROOM", 3)
    world.add(blocks("a.example", "b.example", "c.example", "d.example"))
    world.publisher.work()
    world.publisher.work()
    for number in range(4):
        world.add(blocks(f"n{number}.example"))
        world.publisher.release(world.clock())
        assert "a.example" not in zone_names(world, follower)
    drain(world, follower)


def test_a_half_prepared_order_is_in_no_table_of_reasons(preparing: World) -> None:
    with preparing.database.read() as session:
        assert [holder.key for holder in holders.in_force(session)] == ["example.old."]


def test_a_lift_is_prepared_before_a_block(world: World, follower: Follower) -> None:
    world.add(blocks("a.example", "b.example", "c.example", "d.example"))
    world.publish()
    world.add(blocks("e.example", "f.example", "g.example", "h.example"))
    world.lift(world.held[0])
    while world.publisher.work():
        pass

    world.publisher.release(world.clock())

    assert zone_names(world, follower) == []
    drain(world, follower)


def test_one_name_above_many_is_large_as_well(world: World, follower: Follower) -> None:
    """Its region must be read, whatever the order's own size."""
    for number in range(40):
        world.add(blocks(f"n{number}.up.example"))
    world.publish()
    world.add(blocks("up.example"))

    assert world.publisher.release(world.clock()) == {}
    drain(world, follower)

    assert zone_names(world, follower) == ["up.example"]


def test_what_a_publisher_left_that_was_killed_is_swept(
    preparing: World, follower: Follower, settings: Settings
) -> None:
    with preparing.database.read() as session:
        assert spans.unreleased(session, 2) is not None
    preparing.publisher.close()
    preparing.publisher = make_publisher(settings, preparing.database)
    preparing.publisher.start(preparing.clock())
    preparing.lift(preparing.held[0])

    assert preparing.publisher.release(preparing.clock())
    assert zone_names(preparing, follower) == []
    drain(preparing, follower)


def test_a_release_that_left_nothing_but_what_it_wrote_of_urgent_is_known(world: World) -> None:
    blocked = Change("example.a.", EMPTY_RULE, Rule(Decision.BLOCK, Decision.BLOCK))
    with world.database.write() as session:
        spans.write(session, [blocked], 100, UrgentSpan)
        assert spans.unreleased(session, 1) == 100
    world.publish()
    with world.database.read() as session:
        assert spans.unreleased(session, 1) is None


def test_what_is_given_up_keeps_nothing_open(world: World) -> None:
    """A reader that stays open keeps the database from tidying up behind it."""
    world.add(blocks(*(f"a{number}.example" for number in range(40))))
    world.publisher.release(world.clock())
    pool = world.database.engine.pool
    assert isinstance(pool, QueuePool)
    while pool.checkedout() == 0:
        assert world.publisher.work()
    world.publisher.close()
    assert pool.checkedout() == 0
