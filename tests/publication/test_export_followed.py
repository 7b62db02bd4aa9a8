"""Exports of a zone that lies in a file: read from there with what changed since, and only that is made anew."""

from collections.abc import Iterable

import pytest

from app.publication import export, zones
from app.publication import follower as following
from app.publication.follower import Follower
from app.settings import Settings
from resolver_policy import formats, wire
from resolver_policy.actions import parse_action
from resolver_policy.delta import Rule
from resolver_policy.formats import walk
from tests.publication.files import Here
from tests.publication.test_followed_files import settled, started
from tests.publication.test_follower import block
from tests.publication.worlds import World
from tests.service import ZONE


@pytest.fixture
def follower(settings: Settings, world: World, monkeypatch: pytest.MonkeyPatch) -> Follower:
    """A transfer process that has every zone in a file, however small."""
    monkeypatch.setattr(following, "SMALL", -1)
    monkeypatch.setattr(following, "FEWEST_DIRTY", 0)
    return started(settings, world, Here(world.database.read))


@pytest.mark.parametrize("name", ["rpz", "unbound", "cdb"])
def test_export_reads_the_file_and_what_changed_since(
    world: World, settings: Settings, follower: Follower, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    block(world, *(f"n{number}.example" for number in range(50)))
    settled(world, follower)
    block(world, "one.more.example")

    with monkeypatch.context() as away:
        away.setattr(export, "rules_of_release", None)
        found = exported(world, settings, name)

    assert found == whole(world, settings, name)
    assert b"one" in found


def test_export_makes_anew_what_changed_since_the_last_one(
    world: World, settings: Settings, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the file of the zone was written in between, where the range that was full became two, or not."""
    block(world, *(f"n{number:050}.example" for number in range(1_000)))
    assert len(settled(world, follower).ranges) >= 4
    exported(world, settings, "unbound")
    made: list[bytes] = []
    stretch = formats.Lines.stretch

    def noted(chosen: formats.Lines, of: wire.Zone, rules: Iterable[tuple[str, Rule]], path: walk.Path) -> bytes:
        made.append(stretch(chosen, of, rules, path))
        return made[-1]

    monkeypatch.setattr(formats.Lines, "stretch", noted)
    for name, is_written, pieces in (("one", False, 1), ("two", True, 2), ("three", False, 1)):
        block(world, f"{name}.more.example")
        if is_written:
            settled(world, follower)
        made.clear()
        assert exported(world, settings, "unbound") == whole(world, settings, "unbound")
        assert len(made) == pieces


def exported(world: World, settings: Settings, name: str) -> bytes:
    with world.database.read() as session:
        soa = wire.Soa(settings.mname, settings.rname)
        return export.current(session, settings.data_dir, ZONE, name, soa).path.read_bytes()


def whole(world: World, settings: Settings, name: str) -> bytes:
    """An export, made in one go of the rules that should hold."""
    chosen, of = (
        formats.by_name(name),
        wire.Zone(ZONE, parse_action("nxdomain"), wire.Soa(settings.mname, settings.rname)),
    )
    assert chosen is not None
    with world.database.read() as session:
        serial = zones.last_serial(session, zones.by_name(session, ZONE))
    return b"".join(chosen.render(formats.Contents(of, serial, sorted(world.rules().items()))))
