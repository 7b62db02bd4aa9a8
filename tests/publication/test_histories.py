"""Random histories of orders: whatever happened in whatever order, what is published is what is decided."""

from random import Random

import pytest
from sqlalchemy import Connection, event, func, select

from app.answers.names import explain
from app.journal.models import JournalHead
from app.main import make_publisher
from app.orders.models import Touched
from app.publication.follower import Follower
from app.publication.models import Release, RuleSpan, ZoneSerial
from app.publication.store import changes_between, rules_of_release
from app.settings import Settings
from resolver_policy.delta import diff
from resolver_policy.targets import Decision, decide
from tests.policy.scale import Record, scaled, tell
from tests.policy.worlds import queries
from tests.publication.worlds import Rules, World, check_newest, random_act
from tests.service import ZONE

pytestmark = pytest.mark.long

HISTORIES = 3
RELEASES = 30


def check_release(world: World, follower: Follower, rules: Rules, random: Random) -> int:
    """The newest release against the definition; gives its number."""
    release = check_newest(world, follower, rules)
    with world.database.read() as session:
        assert release.events_until <= session.scalars(select(JournalHead.size)).one()
        assert session.scalar(select(func.count()).select_from(Touched)) == 0
        assert follower.zones[ZONE].serial == session.scalar(
            select(ZoneSerial.serial).where(ZoneSerial.release_id == release.id)
        )
        targets = world.targets()
        for name in queries(targets, random, 8) if targets else ():
            if "." in name:
                assert explain(session, name, world.clock()).blocked == (decide(name, targets) is Decision.BLOCK)
        return release.id


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_what_is_published_is_what_is_decided(
    world: World, follower: Follower, seed: int, record_property: Record
) -> None:
    random = Random(seed)
    published: dict[int, Rules] = {1: {}}
    acts = 0
    for _ in range(scaled(RELEASES)):
        for _ in range(random.randint(1, 3)):
            random_act(world, random)
            acts += 1
        world.publish()
        rules = world.rules()
        published[check_release(world, follower, rules, random)] = rules

    with world.database.read() as session:
        for release_id, rules in published.items():
            assert dict(rules_of_release(session, release_id)) == rules
        ids = sorted(published)
        pairs = [(older, newer) for older in ids for newer in ids if older <= newer]
        for older, newer in random.sample(pairs, min(len(pairs), 100)):
            assert tuple(changes_between(session, older, newer)) == diff(published[older], published[newer])
        spans = session.scalar(select(func.count()).select_from(RuleSpan))
        releases = session.scalar(select(func.count()).select_from(Release))
    tell(record_property, acts=acts, releases=releases or 0, rule_spans=spans or 0)


def test_publishers_in_several_processes_agree(world: World, settings: Settings, follower: Follower) -> None:
    """What one remembers of the digest is not used where another has published since."""
    random = Random(3)
    publishers = [world.publisher, make_publisher(settings, world.database)]
    for _ in range(scaled(30)):
        random_act(world, random)
        world.publisher = random.choice(publishers)
        world.publish()
        check_release(world, follower, world.rules(), random)


def test_what_a_failed_release_left_in_memory_is_not_used(world: World, follower: Follower) -> None:
    random = Random(4)
    for turn in range(12):
        random_act(world, random)
        if turn % 3 == 0:
            event.listen(world.database.engine, "commit", _fail)
            with pytest.raises(OSError, match="planted"):
                world.publish()
            event.remove(world.database.engine, "commit", _fail)
            random_act(world, random)
        world.publish()
        check_release(world, follower, world.rules(), random)


def _fail(_connection: Connection) -> None:
    raise OSError("planted")


def test_a_history_without_a_publisher_in_between_ends_in_the_same_rules(world: World, follower: Follower) -> None:
    random = Random(99)
    for _ in range(scaled(60)):
        random_act(world, random)
    world.publish()

    check_release(world, follower, world.rules(), random)


def test_what_comes_and_goes_between_two_releases_publishes_nothing(world: World) -> None:
    random = Random(5)
    for _ in range(10):
        random_act(world, random)
    for held in list(world.held):
        world.lift(held)

    assert world.publish() == {}
    with world.database.read() as session:
        assert session.scalar(select(func.count()).select_from(Touched)) == 0
        assert session.scalar(select(func.count()).select_from(RuleSpan)) == 0
