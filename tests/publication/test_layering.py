"""`base` and `urgent` zones in the database and in the follower: kept up release by release, as the definition says."""

from collections.abc import Mapping
from random import Random

import pytest
from sqlalchemy import select

from app.errors import SettingInvalid
from app.main import make_publisher
from app.publication import layering, zones
from app.publication.follower import Follower
from app.publication.layer_store import CANARY_KEY
from app.publication.models import BaseRow, Release, UrgentSpan
from app.publication.past import ZonePast
from app.publication.store import rules_of_release
from app.settings import Settings, parse_zones
from resolver_policy import layers
from resolver_policy.delta import Rule, apply
from resolver_policy.names import from_key
from resolver_policy.targets import Decision, Match, Target
from tests.policy.layered import Cells, MemoryLayers, urgent_of
from tests.policy.scale import Record, scaled, tell
from tests.policy.worlds import cells_of
from tests.publication.worlds import Rules, World, digest_of, random_act
from tests.service import ZONE, Service, answered

pytestmark = pytest.mark.long

BASE, URGENT = f"base.{ZONE}", f"urgent.{ZONE}"
CANARY: Rules = {CANARY_KEY: Rule(Decision.PASS, Decision.PASS)}
RELEASES = 12


def begin(world: World) -> dict[str, int]:
    """Let layers be published; the serials of the first release that has them."""
    with world.database.write() as session:
        assert zones.publish_layers(session, world.clock())
    return world.publish()


def ask(world: World) -> None:
    with world.database.write() as session:
        layering.ask(session, "a test", world.clock())


def rebase(world: World) -> dict[str, int]:
    ask(world)
    return world.publish()


def let_go_of_older(world: World) -> None:
    """All bases but the newest are found spent; the next release drops them."""
    with world.database.write() as session:
        for base in layering.live(session)[:-1]:
            base.spent_at = base.spent_at or world.clock()


def block(world: World, *targets: tuple[str, Match]) -> dict[str, int]:
    world.add([Target(name, match, Decision.BLOCK) for name, match in targets])
    return world.publish()


def urgent_now(world: World) -> Rules:
    with world.database.read() as session:
        newest = zones.head(session)
        assert newest is not None
        return dict(rules_of_release(session, newest.id, table=UrgentSpan))


def live(world: World) -> list[int]:
    with world.database.read() as session:
        return [base.release_id for base in layering.live(session) if base.release_id is not None]


def serials(world: World) -> Mapping[str, int]:
    with world.database.read() as session:
        return {zone.name: zones.last_serial(session, zone) for zone in zones.active(session)}


def test_layers_begin_with_the_whole_policy_in_the_base(world: World, follower: Follower) -> None:
    block(world, ("a.example", Match.SUBTREE))
    begun = begin(world)

    assert set(begun) == {ZONE, BASE, URGENT}
    assert len(set(begun.values())) == 1
    assert urgent_now(world) == CANARY
    with world.database.read() as session:
        follower.refresh(session)
    assert {name: dict(version.rules()) for name, version in follower.zones.items()} == {
        ZONE: world.rules(),
        BASE: world.rules(),
        URGENT: CANARY,
    }


def test_urgent_moves_with_the_whole_zone_and_the_base_stays(world: World) -> None:
    begun = begin(world)
    moved = block(world, ("a.example", Match.EXACT))

    assert moved == {ZONE: moved[ZONE], URGENT: moved[ZONE]}
    assert moved[ZONE] > begun[ZONE]
    assert serials(world)[BASE] == begun[BASE]
    assert urgent_now(world) == CANARY | {"example.a.": Rule(Decision.BLOCK, Decision.NOTHING)}


def test_a_rebase_cuts_the_base_at_the_head_and_urgent_keeps_everything(world: World) -> None:
    begin(world)
    block(world, ("a.example", Match.EXACT))
    before = urgent_now(world)
    cut = rebase(world)

    assert set(cut) == {ZONE, BASE, URGENT}
    assert len(set(cut.values())) == 1
    assert urgent_now(world) == before
    assert len(live(world)) == 2

    let_go_of_older(world)
    world.publish()

    assert urgent_now(world) == CANARY
    assert len(live(world)) == 1


def test_a_lift_under_a_base_that_is_still_in_use_passes(world: World) -> None:
    """Blocked in the old base, lifted, and not in the new base: whoever still has the old one must let it through."""
    block(world, ("a.example", Match.EXACT))
    begin(world)
    world.lift(world.held[0])
    world.publish()
    lifted = CANARY | {"example.a.": Rule(Decision.PASS, Decision.NOTHING)}
    rebase(world)
    block(world, ("b.example", Match.EXACT))

    assert urgent_now(world) == lifted | {"example.b.": Rule(Decision.BLOCK, Decision.NOTHING)}


@pytest.mark.parametrize("seed", range(2))
def test_histories(world: World, follower: Follower, seed: int, record_property: Record) -> None:
    """Whatever happens: what is published is the definition, in every release, also when it is read back later."""
    random = Random(seed)
    random_act(world, random)
    world.publish()
    begin(world)
    heads: dict[int, Cells] = {}
    held: dict[str, dict[int, Rules]] = {ZONE: {}, BASE: {}, URGENT: {}}
    rebases = 0
    for _ in range(scaled(RELEASES)):
        heads[_head(world).id] = dict(cells_of(world.targets()))
        _check(world, follower, heads, held)
        kind = random.random()
        if kind < 0.15:
            ask(world)
            rebases += 1
        elif kind < 0.3:
            let_go_of_older(world)
        for _ in range(random.randint(1, 3)):
            random_act(world, random)
        world.publish()
    tell(record_property, releases=len(heads), rebases=rebases, increments=_check_increments(world, held))


def _head(world: World) -> Release:
    with world.database.read() as session:
        newest = zones.head(session)
        assert newest is not None
        return newest


def _check(world: World, follower: Follower, heads: Mapping[int, Cells], held: dict[str, dict[int, Rules]]) -> None:
    head = _head(world).id
    bases = [heads[release] for release in live(world)]
    with world.database.read() as session:
        follower.refresh(session)
        for name, versions in held.items():
            version = follower.zones[name]
            versions[version.serial] = dict(version.rules())
            row = zones.at_release(session, zones.by_name(session, name), head)
            assert row is not None
            assert row.serial == version.serial
    assert dict(follower.zones[ZONE].rules()) == world.rules()
    assert dict(follower.zones[URGENT].rules()) == CANARY | urgent_of(heads[head], bases)
    assert dict(follower.zones[BASE].rules()) == held[ZONE][follower.zones[BASE].serial]


def _check_increments(world: World, held: dict[str, dict[int, Rules]]) -> int:
    """From every serial that any of the zones ever had to the newest, as a follower that starts now reads them."""
    count = 0
    for name, versions in held.items():
        with world.database.read() as session:
            zone = zones.by_name(session, name)
            past = ZonePast(zone, world.database.read)
            past.catch_up(session, zone, _head(world).id)
        newest = max(versions)
        for serial, rules in versions.items():
            changes = past.changes(serial, newest)
            assert changes is not None
            assert past.rows_between(serial, newest) == 0 or changes or versions[newest] == rules
            secondary = dict(rules)
            apply(secondary, changes)
            assert secondary == versions[newest]
            count += 1
    return count


def test_a_follower_takes_a_new_base_as_an_increment(world: World, follower: Follower) -> None:
    begin(world)
    with world.database.read() as session:
        follower.refresh(session)
    first = follower.zones[BASE].serial
    for number in range(3):
        block(world, (f"n{number}.example", Match.EXACT))
        with world.database.read() as session:
            changed = follower.refresh(session)
        assert changed == (ZONE, URGENT)
    cut = rebase(world)
    with world.database.read() as session:
        assert set(follower.refresh(session)) == {ZONE, BASE, URGENT}

    [delta] = follower.zones[BASE].history
    assert (delta.from_serial, delta.to_serial) == (first, cut[BASE])
    assert [change.key for change in delta.changes] == ["example.n0.", "example.n1.", "example.n2."]


def test_the_layers_follow_another_action_and_a_zone_more(world: World, settings: Settings) -> None:
    begin(world)
    more = Settings(data_dir=settings.data_dir, zones="block.rpz=nodata,landing.rpz=redirect:landing.example")
    make_publisher(more, world.database).start(world.clock())

    with world.database.read() as session:
        actions = {zone.name: zone.action for zone in zones.active(session)}
    assert {name.partition(".")[0] for name in actions} == {"block", "landing", "base", "urgent"}
    assert {actions[name] for name in (ZONE, BASE, URGENT)} == {"nodata"}
    assert actions["urgent.landing.rpz"] == "redirect:landing.example"
    now = serials(world)
    assert now[ZONE] == now[BASE] == now[URGENT]
    assert now["landing.rpz"] == now["base.landing.rpz"] == now["urgent.landing.rpz"]


@pytest.mark.parametrize(
    "changed", ["block.rpz=nxdomain,landing.rpz=nodata,third.rpz=nodata", "block.rpz=nxdomain,landing.rpz=nxdomain"]
)
def test_a_base_that_has_to_begin_is_cut_for_every_zone(world: World, settings: Settings, changed: str) -> None:
    """A zone more, or another action of one: `urgent` makes up for the same bases in all."""
    two = Settings(data_dir=settings.data_dir, zones="block.rpz=nxdomain,landing.rpz=nodata")
    make_publisher(two, world.database).start(world.clock())
    begin(world)
    block(world, ("a.example", Match.EXACT))

    make_publisher(Settings(data_dir=settings.data_dir, zones=changed), world.database).start(world.clock())

    with world.database.read() as session:
        newest = zones.head(session)
        assert newest is not None
        bases = [zone for zone in zones.active(session) if zones.layer_of(zone.name) is zones.Layer.BASE]
        cut_at = {zone.name: zones.at_release(session, zone, newest.id) for zone in bases}
    assert {at.release_id for at in cut_at.values() if at is not None} == {newest.id}
    assert live(world)[-1] == newest.id


def test_serials_of_a_family_pass_the_mark_and_the_floor_of_each(world: World) -> None:
    begin(world)
    with world.database.write() as session:
        zones.by_name(session, BASE).floor = 2_000_000_000
    assert block(world, ("a.example", Match.EXACT)) == {ZONE: 2_000_000_001, URGENT: 2_000_000_001}


def test_zones_that_go_take_their_layers_with_them(world: World, settings: Settings) -> None:
    begin(world)
    make_publisher(Settings(data_dir=settings.data_dir, zones="other.rpz=nxdomain"), world.database).start(
        world.clock()
    )
    assert set(serials(world)) == {"other.rpz", "base.other.rpz", "urgent.other.rpz"}


def test_no_setting_names_a_zone_like_a_layer() -> None:
    with pytest.raises(SettingInvalid, match="names of layers begin so"):
        parse_zones("urgent.block.rpz=nxdomain")


def test_a_large_order_is_in_urgent_with_its_release(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.publication.publisher.LARGE", 5)
    begin(world)
    block(world, *((f"n{number}.example", Match.SUBTREE) for number in range(12)))
    both = Rule(Decision.BLOCK, Decision.BLOCK)
    assert urgent_now(world) == CANARY | {f"example.n{number}.": both for number in range(12)}


@pytest.mark.parametrize("seed", range(3))
def test_large_orders_in_the_making_with_small_releases_in_between(
    world: World, monkeypatch: pytest.MonkeyPatch, seed: int, record_property: Record
) -> None:
    """Each release has the `urgent` that its rules and the live bases make, whatever was in the making meanwhile."""
    take_small_steps(monkeypatch)
    random = Random(seed)
    counted = {"small": 0, "large": 0, "bases": 0, "met": 0}
    begin(world)
    for _ in range(scaled(60)):
        for _ in range(random.choice((0, 0, 1))):
            random_act(world, random)
        if random.random() < 0.2:
            random_large_act(world, random)
        if random.random() < 0.1:
            ask(world)
            let_go_of_older(world)
        for _ in range(random.randint(0, 6)):
            world.publisher.work()
        counted["met"] += meet_what_is_in_the_making(world, random)
        before = len(live(world))
        if world.publisher.can_release():
            is_large = world.publisher.is_prepared
            counted["large" if is_large else "small"] += 1
            world.publisher.release(world.clock())
            check_urgent(world)
        counted["bases"] += len(live(world)) > before
    world.publish()
    check_urgent(world)
    assert urgent_now(world) == CANARY | made_anew(world)
    tell(record_property, **counted)


def take_small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Orders of more than four names are made in the background, a name or two at a time."""
    for name, value in (("publisher.LARGE", 4), ("making.ROOTS_AT_ONCE", 2), ("making.LEFT_FOR_THE_END", 2)):
        monkeypatch.setattr(f"app.publication.{name}", value)
    for name, value in (("PAGE", 3), ("WRITTEN_AT_ONCE", 2), ("NAMES_AT_ONCE", 1)):
        monkeypatch.setattr(layering, name, value)
    monkeypatch.setattr(layers, "PORTION", 3)


def random_large_act(world: World, random: Random) -> None:
    """Eight names near those that are held, blocked or lifted together."""
    known = sorted({target.name for target in world.targets()}) or ["a.example"]
    stems = random.choices(known, k=8)
    names = {f"{random.choice('xyz')}{number}.{stem}" for number, stem in enumerate(stems)} | {random.choice(stems)}
    world.add([Target(name, random.choice(tuple(Match)), Decision.BLOCK) for name in sorted(names)])
    large = [held for held in world.held if len(held.targets) > 4]
    if len(large) > 2:
        world.lift(random.choice(large))


def meet_what_is_in_the_making(world: World, random: Random) -> bool:
    """A small act at a name, or right above one, on which `urgent` of the release in the making has decided already."""
    if world.publisher.is_prepared:
        return False
    with world.database.read() as session:
        query = select(UrgentSpan.key).where(UrgentSpan.from_release > _head(world).id)
        decided = [from_key(key) for key in session.scalars(query)]
    if not decided:
        return False
    name = random.choice(decided)
    above = name.partition(".")[2]
    chosen = random.choice((name, f"new.{name}", above if "." in above else name))
    return world.add({Target(chosen, random.choice(tuple(Match)), random.choice((Decision.BLOCK, Decision.PASS)))})


def check_urgent(world: World) -> None:
    assert urgent_now(world) == CANARY | made_anew(world)


def made_anew(world: World) -> Rules:
    """`urgent` from nothing, by the rules of the newest release and of the live bases."""
    with world.database.read() as session:
        head, *bases = (
            dict(rules_of_release(session, release)) for release in (_head(world).id, *layering.live_releases(session))
        )
    store = MemoryLayers(head, bases, {})
    for changes in layers.recompute(sorted({key for rules in (head, *bases) for key in rules}), store):
        store.write(changes)
    return store.urgent


def test_layers_cost_nothing_where_nobody_asked_for_them(world: World) -> None:
    block(world, ("a.example", Match.EXACT))
    with world.database.read() as session:
        assert not layering.is_due(session)
        assert session.scalars(select(UrgentSpan)).all() == []
        assert session.scalars(select(BaseRow)).all() == []


def test_zones_over_http(service: Service) -> None:
    service.block("a.example")
    with service.database.write() as session:
        zones.publish_layers(session, service.clock())
    service.publish()
    service.block("b.example")
    service.publish()

    listed = {each["zone"]: each for each in answered(service.get("zones"))["items"]}

    assert {name: each["layer"] for name, each in listed.items()} == {ZONE: "full", BASE: "base", URGENT: "urgent"}
    assert listed[URGENT]["serial"] == listed[ZONE]["serial"] > listed[BASE]["serial"]
    assert (listed[ZONE]["names"], listed[BASE]["names"], listed[URGENT]["names"]) == (2, 1, 2)
    expected = digest_of(CANARY | {"example.b.": Rule(Decision.BLOCK, Decision.NOTHING)})
    assert listed[URGENT]["digest"] == f"sha256:{expected.hex()}"
    changes = answered(service.get(f"zones/{URGENT}/changes?since={listed[BASE]['serial']}"))
    assert [each["owner"] for each in changes["added"]] == ["b.example"]
