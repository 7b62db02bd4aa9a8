"""Writing files: from the database, or from an older file and what changed since."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from app.db import Database
from app.publication import building, files, zones
from app.publication.building import write
from app.publication.models import Release
from app.publication.plan import Plan
from app.publication.snapshot import Snapshot
from resolver_policy import wire
from resolver_policy.actions import parse_action
from resolver_policy.delta import Rule
from tests import databases
from tests.policy.scale import Record, scaled, seeded, tell
from tests.policy.zones import SOA, Rules, records_of
from tests.publication.files import from_rules, version_of
from tests.publication.pasts import write_past
from tests.publication.test_snapshot import messages, spoil
from tests.publication.worlds import World
from tests.service import ZONE

RENDERED = wire.Zone(ZONE, parse_action("nxdomain"), SOA)


def plan(database: Database, path: Path, release_id: int, *, anew: bool = False) -> Plan:
    with database.read() as session:
        zone = zones.by_name(session, ZONE)
        identity = files.identity(session, zone, RENDERED, release_id)
        assert identity is not None
        return Plan(str(database.engine.url), path, zone.id, identity, anew)


def build(database: Database, path: Path, release_id: int, *, anew: bool = False) -> Snapshot:
    write(plan(database, path, release_id, anew=anew), database.read)
    return Snapshot(path, from_rules({}))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "block.rpz.snapshot"


def held(world: World, seed: int, names: int, releases: int = 40) -> dict[int, Rules]:
    """A random past; the rules of each release."""
    return dict(write_past(world.database, releases, names, seeded(f"building {seed}")).held)


@pytest.mark.parametrize("names", [0, 1, 40, 3_000])
def test_file_built_on_an_older_one_is_what_one_from_the_database_is(
    world: World, path: Path, tmp_path: Path, names: int, record_property: Record
) -> None:
    past = held(world, names, names)
    random, written = seeded(f"steps {names}"), 0
    for release_id in sorted(random.sample(sorted(past), min(len(past), scaled(8)))):
        file = build(world.database, path, release_id)
        fresh = build(world.database, tmp_path / "fresh", release_id)
        made = version_of(file)
        assert dict(made.rules()) == past[release_id]
        assert (made.names, made.records) == (len(past[release_id]), len(records_of(past[release_id], RENDERED)))
        assert (file.identity, file.serials) == (fresh.identity, fresh.serials)
        assert max(map(len, messages(made))) <= wire.LONGEST_MESSAGE
        while file.check(1000):
            pass
        assert not file.is_damaged
        written += 1
    tell(record_property, files=written)


def test_clean_chunks_are_copied(world: World, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    past = held(world, 1, 3_000, releases=6)
    build(world.database, path, 2)
    rendered = 0

    def counted(rules: Iterable[tuple[str, Rule]], of: wire.Zone) -> Iterator[wire.Chunk]:
        nonlocal rendered
        for chunk in wire.render(rules, of):
            rendered += chunk.names
            yield chunk

    monkeypatch.setattr(building, "render", counted)
    file = build(world.database, path, 7)

    assert dict(version_of(file).rules()) == past[7]
    assert 0 < rendered < 2_900


def end(world: World, keys: Iterable[str]) -> None:
    """Let rules of release 3 go with release 4."""
    databases.allow(world.database, "rule_spans", "rule_spans_update")
    with world.database.engine.begin() as connection:
        for key in keys:
            connection.exec_driver_sql(
                f"UPDATE rule_spans SET to_release = 4 WHERE key = '{key}' AND to_release IS NULL"
            )
        columns = "published_at, names, rules, rules_sum, digest, events_until"
        connection.exec_driver_sql(
            f"INSERT INTO releases (id, {columns}) SELECT 4, {columns} FROM releases WHERE id = 3"
        )
        connection.exec_driver_sql(
            "INSERT INTO zone_serials SELECT zone_id, 4, serial + 1 FROM zone_serials WHERE release_id = 3"
        )


def test_chunks_left_small_are_joined(world: World, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but one in fifty of the names go, in one release."""
    past = held(world, 2, 4_000, releases=2)
    before = build(world.database, path, 3)
    kept = {key for place, key in enumerate(sorted(past[3])) if place % 50 == 0}
    end(world, past[3].keys() - kept)
    monkeypatch.setattr(building, "ALMOST_ALL", 2)
    after = build(world.database, path, 4)

    assert {key for key, _ in version_of(after).rules()} == kept
    assert len(before.ranges()) > 10
    assert len(after.ranges()) <= 3


def test_chunk_left_small_is_joined_with_one_in_which_nothing_changed(world: World, path: Path) -> None:
    past = held(world, 2, 4_000, releases=2)
    before = build(world.database, path, 3)
    gone = [key for key, _ in before.ranges()[4].rules()][1:]
    end(world, gone)
    after = build(world.database, path, 4)

    assert {key for key, _ in version_of(after).rules()} == past[3].keys() - set(gone)
    assert min(list(after.index.body_octets)[:-1]) > building.SMALL
    assert len(after.ranges()) == len(before.ranges())


@pytest.mark.parametrize("why", ["digest", "serial", "epoch", "zone", "ahead", "damaged", "missing", "anew"])
def test_older_file_of_another_past_is_not_built_on(
    world: World, path: Path, why: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    past = held(world, 3, 300, releases=8)
    old = build(world.database, path, 9 if why == "ahead" else 5)
    for table in ("releases", "zone_serials"):
        databases.allow(world.database, table, f"{table}_update")
    with world.database.engine.begin() as connection:
        match why:
            case "digest":
                connection.execute(text("UPDATE releases SET digest = :digest WHERE id = 5"), {"digest": b"1" * 32})
            case "serial":
                connection.execute(text("UPDATE zone_serials SET serial = serial - 1 WHERE release_id = 5"))
            case "epoch":
                connection.execute(text("UPDATE zones SET epoch_release_id = 6"))
    if why == "damaged":
        spoil(path, path.stat().st_size - 3, path.stat().st_size)
    if why == "missing":
        path.unlink()
    if why == "zone":
        monkeypatch.setattr("tests.publication.test_building.RENDERED", wire.Zone(ZONE, RENDERED.action, SOA, ttl=5))
    used: list[Snapshot] = []
    monkeypatch.setattr(building, "_write_changed", lambda _writer, base, _changes: used.append(base))

    file = build(world.database, path, 8, anew=why == "anew")

    assert used == []
    assert dict(version_of(file).rules()) == past[8]
    assert file.identity.serial > 0
    assert old.identity.release_id in {5, 9}
    assert ("not used" in caplog.text or "cannot be used" in caplog.text) == (why not in {"ahead", "missing", "anew"})


def test_damage_in_what_is_copied_stays_known(world: World, path: Path) -> None:
    past = held(world, 4, 3_000, releases=4)
    old = build(world.database, path, 4)
    spoil(path, old.offsets[3], old.offsets[3] + 9)
    file = build(world.database, path, 5)
    with world.database.read() as session:
        assert session.get(Release, 5) is not None
    assert dict(version_of(file).rules()) == past[5]
    while file.check(1000):
        pass
    assert file.is_damaged
