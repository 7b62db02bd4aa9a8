"""Increments that are too large to be made where DNS is answered: another process writes them, once."""

import subprocess
import threading
from math import inf
from pathlib import Path

import pytest

from app.publication import builder, increments
from app.publication.follower import Follower
from app.publication.marks import Marks
from app.publication.plan import Plan
from app.publication.snapshot import DamagedError
from app.settings import Settings
from app.transfer.limits import Limits
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


def test_files_of_another_zone_stay_and_what_a_killed_writer_left_goes(
    version: ZoneVersion, history: dict[int, Rules], settings: Settings
) -> None:
    oldest = min(history)
    folder = path(settings, oldest, version).parent
    folder.mkdir(parents=True)
    others = {f"{version.origin}.example.1-2", f".{version.origin}.example.1-2.abc_12"}
    for name in (*others, f".{version.origin}.1-2.abc_12"):
        (folder / name).write_text("")
    list(xfr.answer(ask("IXFR", oldest), version).messages)
    assert {each.name for each in folder.iterdir()} == {*others, path(settings, oldest, version).name}


def test_process_that_starts_begins_with_none(settings: Settings, world: World) -> None:
    folder = settings.data_dir / "snapshots" / "increments"
    folder.mkdir(parents=True)
    for name in ("gone.rpz.1-2", ".gone.rpz.1-2.abc_12"):
        (folder / name).write_text("")
    Follower(settings, Marks(settings.data_dir / "marks", "transfer"), world.database.read)
    assert list(folder.iterdir()) == []


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
    assert list(xfr.answer(ask("IXFR", oldest), version).messages) == right
    assert len(started) == 3


def test_writer_that_hangs_is_killed_and_the_zone_in_full_sent(
    version: ZoneVersion, history: dict[int, Rules], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Limits().known_idle >= 2 * increments.LONGEST_WAIT, "who waits behind one that hangs is answered, too"
    monkeypatch.setattr(builder, "COMMAND", ("sleep", "60"))
    monkeypatch.setattr(increments, "LONGEST_WAIT", 0.2)
    reply = xfr.answer(ask("IXFR", min(history)), version)
    found: list[object] = []
    waiting = threading.Thread(target=lambda: found.append(answered(reply)), daemon=True)
    waiting.start()
    waiting.join(10)
    assert found == [answered(xfr.answer(ask("AXFR"), version))]


def test_zone_in_full_is_sent_where_no_process_can_be_started(
    version: ZoneVersion, history: dict[int, Rules], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builder, "COMMAND", (str(settings.data_dir / "nowhere"),))
    reply = xfr.answer(ask("IXFR", min(history)), version)
    assert answered(reply) == answered(xfr.answer(ask("AXFR"), version))


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
