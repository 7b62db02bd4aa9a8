"""The process that writes snapshot files, where it fails."""

from pathlib import Path

import pytest

from app.publication import builder
from app.publication.builder import Builder
from app.publication.plan import Plan
from tests.policy.zones import zone
from tests.publication.files import identity
from tests.servers import wait_until


def plan(folder: Path, name: str) -> Plan:
    return Plan("sqlite://", folder / name, 1, identity(zone(origin=name)))


@pytest.mark.parametrize("command", ["false", "nowhere-to-be-found"])
def test_zone_whose_file_cannot_be_written_keeps_no_other_zone_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    writing = Builder()
    monkeypatch.setattr(builder, "COMMAND", (command,))
    writing.start(plan(tmp_path, "a.rpz"))
    if command == "false":
        wait_until(lambda: writing.has_ended, 10, lambda: "it still runs")
        assert writing.ended() == "a.rpz"
    assert writing.has_failed("a.rpz")

    monkeypatch.setattr(builder, "COMMAND", ("true",))
    writing.start(plan(tmp_path, "a.rpz"))
    assert not writing.has_failed("b.rpz")
    writing.start(plan(tmp_path, "b.rpz"))
    wait_until(lambda: writing.has_ended, 10, lambda: "it still runs")
    assert writing.ended() == "b.rpz"


def test_zone_is_tried_again_after_a_pause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "PAUSE", 0)
    writing = Builder()
    for command, has_failed in (("false", True), ("true", False)):
        monkeypatch.setattr(builder, "COMMAND", (command,))
        writing.start(plan(tmp_path, "a.rpz"))
        wait_until(lambda: writing.has_ended, 10, lambda: "it still runs")
        assert writing.ended() == "a.rpz"
        assert writing.has_failed("a.rpz") == has_failed
