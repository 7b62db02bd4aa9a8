"""Which names stand between two releases: by example, and against the definition over random histories."""

from random import Random

import pytest
from sqlalchemy.orm import Session

from app.publication import zones
from app.subscribers import pending as module
from app.subscribers.pending import Item, Pending, pending
from app.subscribers.verdicts import last_change, verdicts
from resolver_policy.names import ancestors, sort_key
from resolver_policy.targets import Decision, Target, decide
from tests.policy.scale import Record, scaled, tell
from tests.policy.worlds import queries
from tests.publication.worlds import World, random_act
from tests.service import Service, Template


def head(session: Session) -> int:
    newest = zones.head(session)
    assert newest is not None
    return newest.id


def between(service: Service, older: int) -> Pending:
    """What stands between a release and the head."""
    service.publish()
    with service.database.read() as session:
        return pending(session, older, head(session))


def released(service: Service) -> int:
    """Publish, and give the newest release."""
    service.publish()
    with service.database.read() as session:
        return head(session)


def test_a_lifted_name_is_still_blocked_and_a_published_one_not_yet(service: Service) -> None:
    order = service.block("lifted.example", "*.casino.example")
    older = released(service)
    service.lift(order)
    service.block("new.example")

    found = between(service, older)

    assert found.still_blocked.items == (Item("casino.example", "subtree"), Item("lifted.example", "exact"))
    assert found.not_yet_blocked.items == (Item("new.example", "exact"),)


def test_whoever_is_current_has_nothing_pending(service: Service) -> None:
    service.block("a.example")

    assert between(service, released(service)) == module.NOTHING


def test_a_change_and_its_opposite_leave_nothing(service: Service) -> None:
    older = released(service)
    order = service.block("a.example")
    released(service)
    service.lift(order)

    assert between(service, older) == module.NOTHING


def test_a_lifted_parent_speaks_for_what_is_below_it(service: Service) -> None:
    parent = service.block("*.casino.example")
    service.exception("open.deep.casino.example")
    older = released(service)
    service.lift(parent)

    assert between(service, older).still_blocked.items == (Item("casino.example", "subtree"),)


def test_a_name_that_another_order_holds_is_not_told_as_lifted(service: Service) -> None:
    """Below a lifted subtree its rule comes back: it was blocked before and is blocked now."""
    parent = service.block("*.casino.example")
    service.block("www.casino.example")
    older = released(service)
    service.lift(parent)

    found = between(service, older)

    assert [item.name for item in found.still_blocked.items] == ["casino.example"]
    assert found.not_yet_blocked.count == 0


def test_a_subtree_that_is_lifted_around_a_blocked_name_is_lifted_below_it(service: Service) -> None:
    subtree = service.block("*.casino.example")
    service.block("casino.example")
    older = released(service)
    service.lift(subtree)

    assert between(service, older).still_blocked.items == (Item("casino.example", "below"),)


def test_a_new_exception_is_a_name_still_blocked(service: Service) -> None:
    service.block("*.casino.example")
    older = released(service)
    service.exception("open.casino.example")

    assert between(service, older).still_blocked.items == (Item("open.casino.example", "exact"),)


def test_of_too_many_the_rules_are_counted(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST", 3)
    gone = service.block("a.example", "b.example")
    older = released(service)
    service.lift(gone)
    service.block("c.example", "d.example", "e.example")

    found = between(service, older)

    assert (found.still_blocked.count, found.still_blocked.items, found.still_blocked.exact) == (2, (), False)
    assert (found.not_yet_blocked.count, found.not_yet_blocked.items) == (3, ())


@pytest.fixture
def world(service: Service, template: Template) -> World:
    """Nothing but the first, empty release."""
    return World(service.database, service.publisher, service.clock, template, service.settings)


@pytest.mark.parametrize("seed", range(4))
def test_against_the_definition(world: World, seed: int, record_property: Record) -> None:
    """A name is told as pending if and only if the targets of both moments decide differently."""
    random = Random(seed)
    stood: dict[int, list[Target]] = {1: []}
    compared = told = 0
    for _ in range(scaled(12)):
        for _ in range(random.randint(1, 3)):
            random_act(world, random)
        if not world.publish():
            continue
        with world.database.read() as session:
            newest = head(session)
            stood[newest] = world.targets()
            for older in random.sample(sorted(stood), min(3, len(stood))):
                found = pending(session, older, newest)
                asked = (
                    {*queries([*stood[older], *stood[newest]], random, 12)} if stood[older] or stood[newest] else set()
                )
                names = {name for name in asked if "." in name}
                check(session, found, names, stood, older, newest)
                compared += len(names)
                told += found.still_blocked.count + found.not_yet_blocked.count
            check_last_changes(session, stood, random)
    tell(record_property, compared=compared, told=told)


def check(
    session: Session, found: Pending, names: set[str], stood: dict[int, list[Target]], older: int, newest: int
) -> None:
    for name in names:
        before, after = (decide(name, stood[release]) is Decision.BLOCK for release in (older, newest))
        assert verdicts(session, [sort_key(name)], older)[sort_key(name)].own == before
        if before and not after:
            assert speaks_for(found.still_blocked.items, name), (name, found)
        if after and not before:
            assert speaks_for(found.not_yet_blocked.items, name), (name, found)
    for items, one, other in ((found.still_blocked.items, older, newest), (found.not_yet_blocked.items, newest, older)):
        for item in items:
            probe = f"never-named.{item.name}" if item.match == "below" else item.name
            assert decide(probe, stood[one]) is Decision.BLOCK, (item, found)
            assert decide(probe, stood[other]) is not Decision.BLOCK, (item, found)


def check_last_changes(session: Session, stood: dict[int, list[Target]], random: Random) -> None:
    """The last release that made something else of a name, beside going through all of them."""
    for target in random.sample(world_names(stood), min(5, len(world_names(stood)))):
        releases = sorted(stood)
        answers = [decide(target, stood[release]) for release in releases]
        changes = [releases[at] for at in range(1, len(releases)) if answers[at] != answers[at - 1]]
        assert last_change(session, sort_key(target), releases[-1]) == (changes[-1] if changes else None)


def world_names(stood: dict[int, list[Target]]) -> list[str]:
    return sorted({target.name for targets in stood.values() for target in targets})


def speaks_for(items: tuple[Item, ...], name: str) -> bool:
    """Whether a list names this name, or a subtree that it is in."""
    exactly = {item.name for item in items if item.match != "below"}
    subtrees = {item.name for item in items if item.match != "exact"}
    return name in exactly or not subtrees.isdisjoint(ancestors(name))
