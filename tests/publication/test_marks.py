"""High-water marks: they only rise, and are durable before anybody relies on them."""

import os
from pathlib import Path

import pytest

from app.publication.marks import Marks


def test_a_zone_that_was_never_shown_has_no_mark(tmp_path: Path) -> None:
    marks = Marks(tmp_path / "marks", "publisher")

    assert (marks.own("block.rpz"), marks.highest("block.rpz")) == (0, 0)


def test_a_mark_is_read_back_also_by_another_process(tmp_path: Path) -> None:
    Marks(tmp_path, "publisher").raise_to("block.rpz", 7)

    assert Marks(tmp_path, "publisher").own("block.rpz") == 7


def test_a_mark_never_sinks(tmp_path: Path) -> None:
    marks = Marks(tmp_path, "publisher")
    for serial in (7, 5, 7):
        marks.raise_to("block.rpz", serial)

    assert marks.own("block.rpz") == 7


def test_the_highest_mark_is_that_of_any_process(tmp_path: Path) -> None:
    for owner, serial in (("publisher", 5), ("transfer", 9), ("transfer-2", 7)):
        Marks(tmp_path, owner).raise_to("block.rpz", serial)

    marks = Marks(tmp_path, "publisher")
    assert (marks.own("block.rpz"), marks.highest("block.rpz"), marks.highest("other.rpz")) == (5, 9, 0)


def test_a_mark_is_synced_and_then_put_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marks = Marks(tmp_path, "publisher")
    marks.raise_to("block.rpz", 1)
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noted_fsync(descriptor: int) -> None:
        steps.append("sync folder" if Path(f"/proc/self/fd/{descriptor}").resolve().is_dir() else "sync file")
        fsync(descriptor)

    def noted_replace(path: Path, target: Path) -> Path:
        steps.append("replace")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    marks.raise_to("block.rpz", 2)

    assert steps == ["sync file", "replace", "sync folder"]


def test_a_mark_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marks = Marks(tmp_path, "publisher")
    marks.raise_to("block.rpz", 1)

    def full(_descriptor: int) -> None:
        raise OSError("no space")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        marks.raise_to("block.rpz", 2)

    assert marks.own("block.rpz") == 1
