"""Each planted bug of backups, restores and disks is found by the test that is there for it."""

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from app.db import Database
from app.errors import Refused
from tests import databases
from tests.backup import test_backup, test_restore
from tests.backup.worlds import Backup, backed_up
from tests.conftest import Application
from tests.disk import rooms, test_full, test_safety
from tests.planted import planted
from tests.planted.backup import PLANTS
from tests.publication import test_restored
from tests.publication.test_zones import change
from tests.publication.worlds import World
from tests.service import Template

pytestmark = pytest.mark.skipif(databases.KIND != "sqlite", reason="bugs of what is done with files")

CAUGHT = (AssertionError, pytest.fail.Exception, Refused)
SIZE = 1_024
"""KiB of a disk that runs full."""


class Rig(NamedTuple):
    """What tests are made of."""

    world: World
    folder: Path
    application: Application
    template: Template
    patch: pytest.MonkeyPatch


@pytest.fixture
def rig(
    world: World, tmp_path: Path, application: Application, template: Template, monkeypatch: pytest.MonkeyPatch
) -> Rig:
    return Rig(world, tmp_path, application, template, monkeypatch)


def check_opened(rig: Rig, check: Callable[[Database], None]) -> None:
    with closing(Database(rig.world.settings.database)) as database:
        check(database)


def check_disk(rig: Rig) -> None:
    with rooms.memory(rig.folder / "room", SIZE) as room:
        test_full.fill(rig.application, rig.template, room)


def check_flipped(rig: Rig) -> None:
    change(rig.world, 0)
    made = backed_up(rig.world, rig.folder / "a.backup")
    octets = bytearray(made.path.read_bytes())
    octets[len(octets) // 2] ^= 1
    test_backup.check_refused(made.path, octets)


def check_whole(rig: Rig) -> None:
    change(rig.world, 0)
    backed_up(rig.world, rig.folder / "a.backup")


def restored(rig: Rig, check: Callable[[World, Backup], None]) -> None:
    change(rig.world, 0)
    backup = backed_up(rig.world, rig.folder / "a.backup")
    change(rig.world, 1)
    check(rig.world, backup)


FINDS: Mapping[str, Callable[[Rig], None]] = {
    "synchronous-off": lambda rig: check_opened(rig, test_safety.check_settings),
    "begin-deferred": lambda rig: check_opened(rig, test_safety.check_one_writer),
    "full-disk-is-a-fault": check_disk,
    "mark-half-written": lambda rig: test_full.check_mark(rig.folder / "room"),
    "backup-not-checked": check_flipped,
    "backup-by-file-copy": check_whole,
    "backup-leaves-its-draft": lambda rig: test_backup.test_one_that_fails_leaves_nothing(
        rig.world, rig.folder, rig.patch
    ),
    "restore-goes-on-from-the-database": lambda rig: restored(
        rig, test_restore.test_what_was_backed_up_is_back_and_goes_on_above_what_was_shown
    ),
    "restore-not-recorded": lambda rig: restored(rig, test_restore.test_the_gap_is_in_the_journal),
    "restore-under-the-service": lambda rig: restored(
        rig, test_restore.test_nothing_is_restored_under_a_running_service
    ),
    "older-database-unnoticed": lambda rig: (
        test_restored.test_a_journal_of_another_past_is_noticed_though_it_is_as_long(rig.world)
    ),
}
"""For each plant, what finds it; without the plant it finds nothing."""


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_bug_is_caught(rig: Rig, plant: str) -> None:
    with planted(plant), pytest.raises(CAUGHT):
        FINDS[plant](rig)
