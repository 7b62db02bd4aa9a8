"""Increments that are too large to be made where DNS is answered: another process writes them, once."""

import subprocess
import threading
from math import inf
from pathlib import Path

import pytest

from app.publication import builder, increments
from app.publication.follower import Follower
from app.publication.plan import Plan
from app.publication.snapshot import DamagedError
from app.settings import Settings
from resolver_policy import xfr
from resolver_policy.version import ZoneVersion
from resolver_policy.xfr import Effort
from tests.policy.test_xfr import answered, ask
from tests.policy.zones import Rules, records_of
from tests.publication.pasts import records, secondary_at, take
from tests.publication.test_past import refreshed, write_history
from tests.publication.test_snapshot import spoil
from tests.publication.worlds import World
from tests.servers import wait_until


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """As if every difference were large; which files were written."""
    monkeypatch.setattr(xfr, "MOST_CHANGES", 0)
    monkeypatch.setattr(xfr, "LARGEST_DIFFERENCE", inf)
    begun: list[Path] = []

    def noted(plan: Plan) -> "subprocess.Popen[bytes]":
        begun.append(plan.path)
        return builder.started(plan)

    monkeypatch.setattr(increments, "started", noted)
    return begun


@pytest.fixture
def history(world: World) -> dict[int, Rules]:
    return write_history(world.database, 30, seed=11, names=400)


@pytest.fixture
def version(world: World, follower: Follower, history: dict[int, Rules]) -> ZoneVersion:
    assert history
    return refreshed(world.database, follower)


def path(settings: Settings, older: int, version: ZoneVersion) -> Path:
    return settings.data_dir / "snapshots" / "increments" / f"{version.origin}.{older}-{version.serial}"


def test_large_increment_gives_what_axfr_gives_and_is_written_once(
    version: ZoneVersion, history: dict[int, Rules], started: list[Path], settings: Settings
) -> None:
    oldest = min(history)
    for _ in range(3):
        reply = xfr.answer(ask("IXFR", oldest), version)
        taken = take(secondary_at(history[oldest], version.zone, oldest), reply, oldest)
        assert (reply.outcome, reply.effort) == ("difference", Effort.WRITTEN)
        assert records(taken) == records_of(history[version.serial], version.zone)
    assert started == [path(settings, oldest, version)]
    assert version.memo == {}


def test_files_that_lead_to_older_serials_go(
    version: ZoneVersion, history: dict[int, Rules], started: list[Path], settings: Settings
) -> None:
    oldest = min(history)
    left = path(settings, oldest, version).with_name(f"{version.origin}.1-2")
    left.parent.mkdir(parents=True)
    left.write_text("")
    list(xfr.answer(ask("IXFR", oldest), version).messages)
    assert [each.name for each in left.parent.iterdir()] == [each.name for each in started]


def test_damaged_file_is_written_anew_and_a_damaged_message_is_not_sent(
    version: ZoneVersion, history: dict[int, Rules], started: list[Path], settings: Settings
) -> None:
    oldest = min(history)
    right = list(xfr.answer(ask("IXFR", oldest), version).messages)
    file = path(settings, oldest, version)
    spoil(file, file.stat().st_size - 2, file.stat().st_size)
    assert list(xfr.answer(ask("IXFR", oldest), version).messages) == right
    assert len(started) == 2

    spoil(file, file.stat().st_size // 2, file.stat().st_size // 2 + 1)
    with pytest.raises(DamagedError):
        list(xfr.answer(ask("IXFR", oldest), version).messages)


def test_zone_in_full_is_sent_where_none_can_be_written(
    version: ZoneVersion, history: dict[int, Rules], settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    (settings.data_dir / "snapshots").mkdir()
    (settings.data_dir / "snapshots" / "increments").write_text("in the way")
    reply = xfr.answer(ask("IXFR", min(history)), version)
    assert answered(reply) == answered(xfr.answer(ask("AXFR"), version))
    assert "could not be written" in caplog.text


@pytest.mark.parametrize("asked_after", [False, True])
def test_end_of_the_process_does_not_wait_for_it(
    version: ZoneVersion,
    history: dict[int, Rules],
    follower: Follower,
    started: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    *,
    asked_after: bool,
) -> None:
    monkeypatch.setattr(builder, "COMMAND", ("sleep", "60"))
    reply = xfr.answer(ask("IXFR", min(history)), version)
    waiting = threading.Thread(target=lambda: next(reply.messages))
    if asked_after:
        follower.close()
    waiting.start()
    wait_until(lambda: bool(started), 5, lambda: "nothing was started")
    if not asked_after:
        follower.close()
    waiting.join(5)
    assert not waiting.is_alive()
