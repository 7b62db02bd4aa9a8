"""Rebase by a made clock: what leaves `urgent` when, what it waits for, and what is told of one that cannot finish."""

import datetime as dt
import json

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from app.cli import main
from app.errors import Conflict
from app.journal.models import Event
from app.main import make_publisher
from app.publication import layering, zones
from app.publication.layer_store import CANARY_KEY
from app.publication.publisher import Publisher
from app.settings import RebaseSetting, Settings
from app.subscribers import rebasing
from app.subscribers.acknowledge import Acknowledge, acknowledge
from app.subscribers.deliveries import record
from app.subscribers.forget import forget
from app.subscribers.layered import ChangeSubscriber, change
from app.subscribers.register import AddSubscriber, add, remove
from app.subscribers.sighting import Sighting, SightingKind
from resolver_policy.delta import Rule
from resolver_policy.targets import Decision, Match, Target
from tests.publication.test_layering import BASE, URGENT, block, urgent_now
from tests.publication.worlds import Rules, World
from tests.service import DAY, HOST, HOUR, ZONE, Service, acting, answered, problem

RULES = RebaseSetting(dt.time(20, tzinfo=dt.UTC), 20_000, dt.timedelta(minutes=15), dt.timedelta(hours=72))
A, B, RELAY = "192.0.2.1", "192.0.2.2", "198.51.100.1"
LIFTED: Rules = {"example.a.": Rule(Decision.PASS, Decision.NOTHING)}
MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def world(world: World) -> World:
    """One ISP of two servers that takes layers; `a.example` was blocked in the base that both have, and is lifted."""
    return with_a_lift(world)


def with_a_lift(world: World) -> World:
    block(world, ("a.example", Match.EXACT))
    register(world, "isp-one", "192.0.2.0/24")
    world.publish()
    for address in (A, B):
        shows(world, address, BASE)
        shows(world, address, URGENT)
    world.lift(world.held[0])
    world.publish()
    return world


def register(world: World, name: str, address: str) -> None:
    with world.database.write() as session:
        add(session, HOST, AddSubscriber(name, (address,), layers=True), world.clock())


def shows(world: World, address: str, zone: str, serial: int | None = None, isp: str = "isp-one") -> None:
    """It asks for changes from a serial, by default the newest, and is sent what is newer."""
    tell(world, address, zone, SightingKind.IXFR, serial or newest(world, zone), isp)


def tell(world: World, address: str, zone: str, kind: SightingKind, asked: int | None, isp: str = "isp-one") -> None:
    with world.database.write() as session:
        seen = Sighting(world.clock(), isp, address, zone, kind, asked, newest(world, zone))
        record(session, [seen], world.clock())


def newest(world: World, zone: str) -> int:
    with world.database.read() as session:
        return zones.last_serial(session, zones.by_name(session, zone))


def watch(world: World) -> None:
    """What the sweeper and then the publisher do."""
    rebasing.watch(world.database, world.clock, RULES)
    world.publish()


def rebase(world: World) -> None:
    with world.database.write() as session:
        rebasing.ask(session, HOST, world.clock())
    world.publish()


def urgent(world: World) -> Rules:
    return {key: rule for key, rule in urgent_now(world).items() if key != CANARY_KEY}


def waits(world: World) -> list[tuple[str, bool]]:
    """Every server that is waited for, and whether it is only settling."""
    with world.database.read() as session:
        found = rebasing.state(session, RULES, world.clock()).waits
    return [(wait.address, wait.until is not None) for wait in found]


def events(world: World, kind: str) -> list[dict[str, object]]:
    with world.database.read() as session:
        bodies = session.scalars(select(Event.body).where(Event.type == kind).order_by(Event.seq)).all()
    return [json.loads(body)["facts"] for body in bodies]


def test_nothing_leaves_urgent_before_every_server_has_the_new_base_and_three_days_are_over(world: World) -> None:
    rebase(world)
    assert urgent(world) == LIFTED

    world.clock.forward(4 * DAY)
    watch(world)
    assert urgent(world) == LIFTED
    assert waits(world) == [(A, False), (B, False)]

    shows(world, A, BASE)
    world.clock.forward(HOUR)
    watch(world)
    assert waits(world) == [(B, False)]

    shows(world, B, BASE)
    watch(world)
    assert waits(world) == [(B, True)]
    assert urgent(world) == LIFTED

    world.clock.forward(15 * MINUTE)
    watch(world)
    assert urgent(world) == {}
    assert len(events(world, "base.dropped")) == 1


def test_a_rebase_that_a_new_zone_began_ends_as_any_other(world: World, settings: Settings) -> None:
    more = Settings(data_dir=settings.data_dir, zones="block.rpz=nxdomain,landing.rpz=nodata")
    world.publisher = make_publisher(more, world.database)
    world.publisher.start(world.clock())
    for address in (A, B):
        shows(world, address, BASE)
    world.clock.forward(73 * HOUR)

    watch(world)

    assert urgent(world) == {}
    assert waits(world) == []


def test_servers_that_have_it_at_once_still_wait_for_three_days(world: World) -> None:
    """One that restarts from old files has `urgent` in a second and its base in minutes."""
    rebase(world)
    for address in (A, B):
        shows(world, address, BASE)
    world.clock.forward(72 * HOUR - MINUTE)
    watch(world)
    assert waits(world) == []
    assert urgent(world) == LIFTED

    world.clock.forward(MINUTE)
    watch(world)
    assert urgent(world) == {}


def test_a_transfer_counts_when_the_next_poll_is_not_followed_by_a_request(world: World) -> None:
    old = newest(world, BASE)
    rebase(world)
    world.clock.forward(3 * DAY)
    shows(world, B, BASE)
    shows(world, A, BASE, old)  # it is sent the new one, to its end
    assert (A, False) in waits(world)

    tell(world, A, BASE, SightingKind.SOA, None)
    assert (A, True) in waits(world)

    world.clock.forward(MINUTE)
    shows(world, A, BASE, old)  # it asks from the old one again: it had not taken it
    assert (A, False) in waits(world)


def test_an_acknowledgement_counts_for_all_servers(world: World) -> None:
    rebase(world)
    world.clock.forward(3 * DAY)
    said = Acknowledge.model_validate({"zone": BASE, "serial": newest(world, BASE), "phase": "applied"})
    with world.database.write() as session:
        acknowledge(session, acting(session, "isp-one"), said, world.clock())
    assert waits(world) == [(A, True), (B, True)]


def test_a_relay_settles_for_as_long_as_its_subscriber_says(world: World) -> None:
    register(world, "isp-relay", f"{RELAY}/32")
    with world.database.write() as session:
        change(session, HOST, ChangeSubscriber("isp-relay", settling=6 * HOUR), world.clock())
    shows(world, RELAY, BASE, isp="isp-relay")
    rebase(world)
    world.clock.forward(3 * DAY)
    for address, isp in ((A, "isp-one"), (B, "isp-one"), (RELAY, "isp-relay")):
        shows(world, address, BASE, isp=isp)
    world.clock.forward(HOUR)
    watch(world)
    assert waits(world) == [(RELAY, True)]
    assert urgent(world) == LIFTED

    world.clock.forward(5 * HOUR)
    watch(world)
    assert urgent(world) == {}


def test_a_rebase_that_cannot_finish_is_told_once_and_goes_on(world: World, caplog: pytest.LogCaptureFixture) -> None:
    rebase(world)
    shows(world, A, BASE)
    world.clock.forward(3 * DAY - MINUTE)
    watch(world)
    assert events(world, "base.late") == []

    world.clock.forward(MINUTE)
    watch(world)
    watch(world)
    [told] = events(world, "base.late")
    assert [server["address"] for server in list_of(told["waits_for"])] == [B]
    assert f"a rebase cannot finish: isp-one {B} lacks {BASE}" in caplog.text
    with world.database.read() as session:
        assert layering.live(session)[-1].late_at is not None

    with world.database.write() as session:
        forget(session, HOST, "isp-one", B, world.clock())
    watch(world)
    assert urgent(world) == {}


def list_of(value: object) -> list[dict[str, object]]:
    assert isinstance(value, list)
    return value


def test_who_was_removed_holds_others_back_no_longer_than_an_old_base_lives(world: World) -> None:
    """It may be added again, with the old base in its servers."""
    rebase(world)
    world.clock.forward(3 * DAY)
    with world.database.write() as session:
        remove(session, HOST, "isp-one", world.clock())
    watch(world)
    assert urgent(world) == LIFTED
    assert waits(world) == [(A, False), (B, False)]

    world.clock.forward(3 * DAY)
    watch(world)
    assert urgent(world) == {}


def test_at_the_quiet_hour_a_base_is_cut_where_it_is_worth_it(world: World) -> None:
    """The test's day begins at 03:00 UTC."""
    cut = newest(world, BASE)
    world.clock.forward(17 * HOUR - MINUTE)
    watch(world)
    assert newest(world, BASE) == cut

    world.clock.forward(MINUTE)
    watch(world)
    assert newest(world, BASE) > cut
    assert events(world, "base.asked") == [{"reason": "quiet hour", "urgent": 3}]

    rebased = newest(world, BASE)
    world.clock.forward(DAY)
    watch(world)
    assert newest(world, BASE) == rebased, "another one is under way"


def test_nothing_is_cut_where_urgent_holds_nothing(world: World) -> None:
    rebase(world)
    for address in (A, B):
        shows(world, address, BASE)
    world.clock.forward(3 * DAY)
    watch(world)
    cut = newest(world, BASE)
    world.clock.forward(2 * DAY)
    watch(world)
    assert newest(world, BASE) == cut


def test_a_large_urgent_zone_is_rebased_at_any_hour(world: World) -> None:
    small = RULES._replace(above=2)
    cut = newest(world, BASE)
    rebasing.watch(world.database, world.clock, small)
    world.publish()
    assert newest(world, BASE) == cut

    block(world, ("b.example", Match.SUBTREE))
    rebasing.watch(world.database, world.clock, small)
    world.publish()
    assert newest(world, BASE) > cut
    assert events(world, "base.asked") == [{"reason": "size", "urgent": 5}]


def test_several_bases_are_let_go_of_as_far_as_nobody_needs_them(world: World) -> None:
    rebase(world)
    second = newest(world, BASE)
    world.clock.forward(DAY)
    rebase(world)
    shows(world, A, BASE)
    shows(world, B, BASE, second)
    world.clock.forward(2 * DAY)
    watch(world)

    with world.database.read() as session:
        assert len(layering.live(session)) == 2
    assert urgent(world) == {}


def test_who_was_registered_before_there_were_zones_gets_layers(world: World) -> None:
    with world.database.write() as session:
        for zone in layering.published(session):
            zone.retired_at = world.clock()
    assert set(published(world)) == {ZONE}
    watch(world)
    assert set(published(world)) == {ZONE, BASE, URGENT}


def published(world: World) -> list[str]:
    with world.database.read() as session:
        return [zone.name for zone in zones.active(session)]


def test_layers_are_refused_to_one_that_overrides(world: World) -> None:
    with world.database.write() as session, pytest.raises(Conflict, match="override would make a block of it"):
        add(session, HOST, AddSubscriber("isp-two", (f"{RELAY}/32",), layers=True, overrides=True), world.clock())
    with world.database.write() as session, pytest.raises(Conflict, match="override would make a block of it"):
        change(session, HOST, ChangeSubscriber("isp-one", overrides=True), world.clock())
    with world.database.write() as session:
        change(session, HOST, ChangeSubscriber("isp-one", overrides=True, layers=False), world.clock())


def test_an_administrator_says_who_takes_layers(service: Service) -> None:
    with service.database.write() as session:
        add(session, HOST, AddSubscriber("isp-one", ("192.0.2.0/24",)), service.clock())
    body = {"layers": True, "settling_seconds": 3600}

    told = answered(service.post("subscribers/isp-one/layers", body, by="admin-1"))
    assert (told["layered"], told["overrides"], told["settling_seconds"]) == (True, False, 3600)
    problem(service.post("subscribers/isp-one/layers", {"overrides": True}, by="admin-1"), 409, "state_conflict")
    service.publish()

    stands = answered(service.get("rebase"))
    assert (stands["layers"], stands["under_way"], stands["waits_for"]) == (True, False, [])
    assert list(stands["serials"]) == [BASE]


def test_the_command_asks_and_tells(world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULIH_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("PULIH_DATABASE_URL", settings.database)
    monkeypatch.setattr("app.cli.rebase.PATIENCE", 0.0)
    run = CliRunner()

    asked = run.invoke(main, ["rebase"])
    assert asked.exit_code == 0, asked.output
    assert "a new base is asked for" in asked.output
    world.publish()

    told = json.loads(run.invoke(main, ["rebase", "--status", "--json"]).output)
    assert told["under_way"]
    assert [wait["address"] for wait in told["waits_for"]] == [A, B]
    assert told["serials"][BASE][-1] == newest(world, BASE)
    text = run.invoke(main, ["rebase", "--status"]).output
    assert "takes no layers: pulih subscriber forget NAME ADDRESS" in text
    assert f"waits for isp-one {A}, {BASE}: is known to have serial {told['serials'][BASE][0]}" in text


@pytest.mark.usefixtures("database")
def test_without_layers_there_is_nothing_to_rebase(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULIH_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("PULIH_DATABASE_URL", settings.database)
    run = CliRunner()
    refused = run.invoke(main, ["rebase"])
    assert (refused.exit_code, "no zone has layers" in refused.output) == (1, True)
    assert "No zone has layers" in run.invoke(main, ["rebase", "--status"]).output


def test_planted_dropping_the_base_early_blocks_again_what_was_lifted(world: World) -> None:
    """What the rule is for: an ISP with the old base, and an `urgent` that no longer makes up for it."""
    rebase(world)
    with world.database.write() as session:
        layering.live(session)[0].spent_at = world.clock()
    world.publish()
    assert urgent(world) == {}, "the old base blocks a.example, and nothing lets it through"


def test_a_publisher_that_starts_again_goes_on(world: World, settings: Settings) -> None:
    rebase(world)
    again: Publisher = make_publisher(settings, world.database)
    again.start(world.clock())
    world.publisher = again
    world.add([Target("b.example", Match.EXACT, Decision.BLOCK)])
    world.publish()
    assert urgent(world) == LIFTED | {"example.b.": Rule(Decision.BLOCK, Decision.NOTHING)}
