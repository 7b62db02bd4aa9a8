"""What `urgent` and a base answer together against what was decided: found exactly where a resolver would differ."""

from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random

import pytest
from sqlalchemy import exists, select

from app.fsck import layers
from app.fsck.report import Check
from app.publication import layering, zones
from app.publication.models import UrgentSpan
from app.publication.store import rules_of_release
from resolver_policy.layers import CANARY
from resolver_policy.names import from_key, key_ancestors, sort_key
from resolver_policy.targets import Decision, Match, Target
from tests.fsck.looking import Place, alter, copied, looked, wrong
from tests.planted import planted
from tests.planted.layers import PLANTS
from tests.policy.lookups import bind, in_turn, records
from tests.policy.scale import Record, scaled, tell
from tests.publication.test_layering import (
    ask,
    begin,
    let_go_of_older,
    live,
    random_large_act,
    rebase,
    take_small_steps,
)
from tests.publication.worlds import Rules, World, random_act

pytestmark = pytest.mark.long

ROUNDS, ALTERED = 8, 16
STEPS = 24
LAST_OF_URGENT = """
DELETE FROM zone_serials WHERE release_id >= (SELECT max(from_release) FROM urgent_spans)
AND zone_id = (SELECT id FROM zones WHERE name = 'urgent.block.rpz')
"""
CHANGES = (
    "DELETE FROM urgent_spans WHERE key = '{key}' AND to_release IS NULL",
    "UPDATE urgent_spans SET own = 3 - own WHERE key = '{key}' AND own > 0 AND to_release IS NULL",
    "UPDATE urgent_spans SET wild = 3 - wild WHERE key = '{key}' AND wild > 0 AND to_release IS NULL",
    "UPDATE urgent_spans SET wild = 0 WHERE key = '{key}' AND own > 0 AND to_release IS NULL",
    "INSERT INTO urgent_spans (key, from_release, own, wild) SELECT '{key}planted.', max(id), 0, 2 FROM releases",
    "INSERT INTO urgent_spans (key, from_release, own, wild) SELECT '{key}planted.deep.', max(id), 1, 0 FROM releases",
)
PLANTED = {
    "lifts-that-urgent-leaves-out": "old.example: blocked, decided not blocked",
    "regions-without-what-is-between": "b.old.example: blocked, decided not blocked",
}
"""What each is found by."""


def rules(place: Place) -> tuple[Rules, Rules, list[Rules]]:
    """What `urgent`, the newest release and each base in use say."""
    with place.database.read() as session:
        newest, bases = zones.head(session), layering.live_releases(session)
        assert newest is not None
        urgent = dict(rules_of_release(session, newest.id, table=UrgentSpan))
        head, *behind = (dict(rules_of_release(session, each)) for each in (newest.id, *bases))
    return urgent, head, behind


def check_of(place: Place) -> Check:
    with place.database.read() as session:
        return layers.check(session, lambda _: None)


def unreleased(place: Place) -> bool:
    """Whether rows of a release that is in the making are there."""
    with place.database.read() as session:
        newest = zones.head(session)
        assert newest is not None
        return bool(session.scalar(select(exists().where(UrgentSpan.from_release > newest.id))))


def differs(urgent: Rules, head: Rules, bases: Sequence[Rules]) -> Iterator[str]:
    """The names that some base answers otherwise with `urgent` in front of it, asked of each one by one."""
    keys = {key for each in (urgent, head, *bases) for key in each}
    known = {from_key(key) for name in keys for key in (name, *key_ancestors(name))}
    first, decided = bind(records(urgent.items()), Decision.NOTHING), bind(records(head.items()))
    for base in bases:
        answered = in_turn(first, bind(records(base.items())))
        yield from (
            name
            for each in sorted(known)
            for name in (each, f"fresh.{each}", f"very.fresh.{each}")
            if answered(name) != decided(name)
        )


@pytest.fixture
def layered(world: World) -> World:
    """Names that overlap, changed behind two bases that are both in use."""
    random = Random(5)
    for _ in range(ROUNDS):
        random_act(world, random)
    begin(world)
    for turn in range(2 * ROUNDS):
        random_act(world, random)
        world.publish()
        if turn == ROUNDS:
            rebase(world)
    return world


def test_without_layers_there_is_nothing_to_look_at(world: World) -> None:
    random_act(world, Random(1))
    world.publish()

    assert looked(world)["layers"].state == "not_checked"


def test_nothing_is_found_wrong_while_bases_come_and_go(world: World) -> None:
    random = Random(2)
    begin(world)
    for turn in range(scaled(2 * ROUNDS)):
        for _ in range(3):
            random_act(world, random)
        if turn % 5 == 3:
            let_go_of_older(world)
        if turn % 4 == 2:
            rebase(world)
        else:
            world.publish()
        assert [*differs(*rules(world))] == []
        assert wrong(world) == {}
        assert looked(world)["layers"].state == "ok"


def test_an_altered_row_is_found_exactly_where_a_resolver_would_answer_otherwise(
    layered: World, record_property: Record
) -> None:
    random, harmful, held = Random(3), 0, sorted(set(rules(layered)[0]) - {sort_key(CANARY)})
    assert len(rules(layered)[2]) == 2
    layered.database.close()
    for _ in range(scaled(ALTERED)):
        key = random.choice(held)
        with copied(layered, "altered") as copy:
            alter(copy.database, "urgent_spans", random.choice(CHANGES).format(key=key))
            check, differing = check_of(copy), [*differs(*rules(copy))]
        named = [each.where for each in check.wrong]
        assert bool(named) == bool(differing), (key, named, differing)
        for name in differing if check.count == len(named) else ():
            assert any(name == each or name.endswith(f".{each}") for each in named), (name, named)
        harmful += bool(named)
    assert 0 < harmful < scaled(ALTERED)
    tell(record_property, alterations=scaled(ALTERED), that_change_an_answer=harmful)


@pytest.mark.parametrize("seed", range(2))
def test_nothing_is_found_wrong_while_large_orders_are_in_the_making(
    world: World, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Rows that no release has yet, and rows for a base that is let go of a little at a time, are nobody's answer."""
    take_small_steps(monkeypatch)
    monkeypatch.setattr(layering, "LET_GO_AT_ONCE", 3)
    random, made = Random(seed), Counter[tuple[str, bool]]()
    begin(world)
    for _ in range(scaled(STEPS)):
        if random.random() < 0.4:
            random_act(world, random)
        if random.random() < 0.2:
            random_large_act(world, random)
        if random.random() < 0.15:
            ask(world)
            let_go_of_older(world)
        for _ in range(random.randint(0, 6)):
            world.publisher.work()
            check = check_of(world)
            assert check.wrong == ()
            made[str(check.state), unreleased(world)] += 1
        if world.publisher.can_release():
            world.publisher.release(world.clock())
        assert check_of(world).wrong == ()
    assert wrong(world) == {}
    assert made["ok", True] > STEPS // 4


def test_a_name_that_is_wrong_behind_the_older_base_alone_is_found(world: World) -> None:
    world.add([Target("old.example", Match.EXACT, Decision.BLOCK)])
    world.publish()
    begin(world)
    world.lift(world.held[0])
    world.publish()
    rebase(world)
    older, _ = live(world)
    assert check_of(world).wrong == ()
    alter(world.database, "urgent_spans", "DELETE FROM urgent_spans WHERE key = 'example.old.' AND to_release IS NULL")

    (found,) = check_of(world).wrong
    assert found.where == "old.example"
    assert found.why == f"blocked, decided not blocked, by `urgent` in front of the base of release {older}"


def test_what_a_server_has_is_what_is_looked_at(layered: World) -> None:
    """A base that is served though `urgent` does not make up for it; an `urgent` that has no serial for a change."""
    layered.database.close()
    with copied(layered, "altered") as copy:
        alter(
            copy.database, "bases", "UPDATE bases SET dropped_release_id = release_id WHERE dropped_release_id IS NULL"
        )
        (found,) = check_of(copy).wrong
        assert found.where.startswith("zone base.")
        assert found.why.endswith("for which `urgent` does not make up")
    with copied(layered, "altered") as copy:
        alter(copy.database, "zone_serials", LAST_OF_URGENT)
        (line,) = wrong(copy)["rules"]
        assert line.startswith("zone urgent.")
        assert "has no serial for what changed behind release" in line


def test_a_canary_that_is_gone_is_found(layered: World) -> None:
    alter(layered.database, "urgent_spans", f"DELETE FROM urgent_spans WHERE key = '{sort_key(CANARY)}'")

    assert [each.where for each in check_of(layered).wrong] == [CANARY]


@pytest.mark.parametrize("plant", PLANTS)
def test_a_bug_in_the_making_of_layers_is_found(world: World, plant: str) -> None:
    with planted(plant):
        world.add([Target("old.example", Match.SUBTREE, Decision.BLOCK)])
        world.add([Target("a.b.old.example", Match.EXACT, Decision.BLOCK)])
        world.publish()
        begin(world)
        world.lift(world.held[0])
        world.publish()

    assert any(PLANTED[plant] in f"{each.where}: {each.why}" for each in check_of(world).wrong)
