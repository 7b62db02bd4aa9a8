"""How a base is dropped, and what of subscribers a rebase has to know."""

import pytest
from click.testing import CliRunner
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from app.cli import main
from app.publication import layering
from app.publication.follower import Follower
from app.settings import Settings
from app.subscribers import deliveries, directory, rebasing
from app.subscribers.layered import ChangeSubscriber, change
from app.subscribers.models import SubscriberRow
from app.subscribers.register import AddSubscriber, add
from resolver_policy.targets import Decision, Match, Target
from tests.publication.test_layering import BASE, URGENT, block
from tests.publication.test_rebasing import (
    LIFTED,
    RELAY,
    A,
    B,
    events,
    newest,
    rebase,
    register,
    shows,
    urgent,
    waits,
    watch,
    with_a_lift,
)
from tests.publication.worlds import World
from tests.service import DAY, HOST, HOUR, ZONE, Service, answered, problem


@pytest.fixture
def world(world: World) -> World:
    return with_a_lift(world)


def spend_all_but_the_last(world: World) -> None:
    """Cut a base at what is there, and let all before it be found spent."""
    rebase(world)
    with world.database.write() as session:
        for base in layering.live(session)[:-1]:
            base.spent_at = world.clock()


def test_a_base_is_dropped_a_portion_in_each_release(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layering, "LET_GO_AT_ONCE", 2)
    block(world, *((f"n{number}.example", Match.SUBTREE) for number in range(4)))
    spend_all_but_the_last(world)

    left = [len(urgent(world))]
    while world.publisher.can_release():
        world.publisher.release(world.clock())
        left.append(len(urgent(world)))

    assert left == [5, 3, 1, 0]
    assert len(events(world, "base.dropped")) == 1


def test_letting_go_of_a_base_moves_urgent_alone(world: World, follower: Follower) -> None:
    """A serial of the whole zone, with nothing changed, would cost whoever holds it as much as a change."""
    spend_all_but_the_last(world)
    before = {zone: newest(world, zone) for zone in (ZONE, BASE, URGENT)}
    world.publish()
    after = {zone: newest(world, zone) for zone in (ZONE, BASE, URGENT)}
    assert (after[ZONE], after[BASE]) == (before[ZONE], before[BASE])
    assert after[URGENT] > before[URGENT]
    with world.database.read() as session:
        follower.refresh(session)
    assert {zone: follower.zones[zone].serial for zone in after} == after

    block(world, ("later.example", Match.EXACT))
    with world.database.read() as session:
        follower.refresh(session)
    assert follower.zones[ZONE].serial == follower.zones[URGENT].serial > after[URGENT]
    assert dict(follower.zones[ZONE].rules()) == world.rules()


def test_a_region_too_large_to_look_at_stays_until_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    block(world, ("up.example", Match.SUBTREE))
    world.add([Target(f"n{number}.up.example", Match.SUBTREE, Decision.PASS) for number in range(4)])
    block(world, ("z.example", Match.EXACT))
    held = {key: rule for key, rule in urgent(world).items() if key.startswith("example.up.")}
    assert len(held) == 5
    spend_all_but_the_last(world)
    monkeypatch.setattr(layering, "MOST_READ", 4)
    world.publish()

    assert urgent(world) == held
    assert len(events(world, "base.dropped")) == 1
    monkeypatch.undo()
    block(world, ("new.example", Match.EXACT))
    spend_all_but_the_last(world)
    world.publish()
    assert urgent(world) == {}


@pytest.mark.parametrize(("limit", "most"), [("MOST_TOUCHED", 2), ("MOST_READ", 3)])
def test_a_small_act_that_is_much_for_urgent_is_prepared(
    world: World, monkeypatch: pytest.MonkeyPatch, limit: str, most: int
) -> None:
    block(world, ("up.example", Match.SUBTREE))
    world.add([Target(f"n{number}.up.example", Match.SUBTREE, Decision.PASS) for number in range(4)])
    world.publish()
    monkeypatch.setattr(layering, limit, most)
    world.lift(world.held[-2])

    assert world.publisher.release(world.clock()) == {}
    world.publish()

    assert urgent(world) == LIFTED


def test_servers_that_are_not_told_apart_are_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "MOST_SERVERS", 2)
    old = newest(world, BASE)
    rebase(world)
    world.clock.forward(3 * DAY)
    for address in (A, B):
        shows(world, address, BASE)
    shows(world, "192.0.2.3", BASE, old)
    world.clock.forward(HOUR)
    watch(world)

    assert waits(world) == [(rebasing.NOT_TOLD_APART, False)]
    assert urgent(world) == LIFTED
    assert len(events(world, "base.late")) == 1


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM bases",
        "UPDATE bases SET release_id = NULL",
        "UPDATE bases SET cut_at = '2026-01-01 00:00:00.000000'",
        "UPDATE bases SET spent_at = NULL",
        "UPDATE bases SET dropped_release_id = NULL",
    ],
)
def test_a_base_that_was_dropped_does_not_come_back(world: World, change: str) -> None:
    spend_all_but_the_last(world)
    world.publish()
    with pytest.raises(IntegrityError, match="a base is"), world.database.write() as session:
        session.execute(text(change))


def test_who_has_layers_is_known_to_rely_on_them(world: World, settings: Settings) -> None:
    register(world, "isp-two", f"{RELAY}/32")

    def known() -> dict[str, bool]:
        with world.database.read() as session:
            found = directory.Reader(settings.secret_key_path).read(session, world.clock()).subscribers
        return {name: each.in_layers for name, each in found.items()}

    shows(world, RELAY, ZONE, isp="isp-two")
    assert known() == {"isp-one": True, "isp-two": False}
    shows(world, RELAY, URGENT, isp="isp-two")
    assert known()["isp-two"]
    with world.database.write() as session:
        change(session, HOST, ChangeSubscriber("isp-two", layers=False), world.clock())
    assert not known()["isp-two"]


def test_an_administrator_says_where_a_subscriber_asks_from(service: Service) -> None:
    with service.database.write() as session:
        add(session, HOST, AddSubscriber("isp-one", ("127.0.1.0/24",), ("127.0.1.1:53",)), service.clock())
        add(session, HOST, AddSubscriber("isp-two", ("127.0.2.0/24",)), service.clock())

    told = answered(service.post("subscribers/isp-one/addresses", {"addresses": ["127.0.1.0/25"]}, by="admin-1"))
    assert (told["addresses"], told["notify"]) == (["127.0.1.0/25"], ["127.0.1.1:53"])
    body = {"addresses": ["127.0.2.0/25"]}
    problem(service.post("subscribers/isp-one/addresses", body, by="admin-1"), 409, "state_conflict")


def test_the_command_changes_addresses_and_keeps_what_is_known_of_servers(
    world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULIH_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("PULIH_DATABASE_URL", settings.database)
    rebase(world)
    wanted = ["--address", "192.0.2.0/25", "--notify", f"{A}:53"]
    done = CliRunner().invoke(main, ["subscriber", "change", "isp-one", *wanted])
    assert done.exit_code == 0, done.output
    with world.database.read() as session:
        row = session.scalars(select(SubscriberRow)).one()
        assert (row.addresses, row.notify) == ('["192.0.2.0/25"]', f'["{A}:53"]')
    assert waits(world) == [(A, False), (B, False)]


def test_who_takes_layers_no_more_is_told_which_of_its_servers_still_count(
    world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULIH_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("PULIH_DATABASE_URL", settings.database)
    monkeypatch.setattr("app.cli.subscribers.utc_now", world.clock)
    register(world, "isp-two", f"{RELAY}/32")
    shows(world, RELAY, BASE, isp="isp-two")

    told = CliRunner().invoke(main, ["subscriber", "change", "isp-one", "--no-layers"]).output

    for address in (A, B):
        assert f"pulih subscriber forget isp-one {address}" in told
    assert RELAY not in told
