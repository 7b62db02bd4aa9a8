"""Each rig finds the bugs that it is there for, at a small count."""

import datetime as dt
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from app.db import Database
from app.publication import zones
from tests import databases
from tests.planted.rigs import PLANTS
from tests.policy.scale import seeded
from tests.rigs.checks import check_files, data_dir
from tests.rigs.lives import lived
from tests.rigs.loop import Loop, installed
from tests.rigs.mounted import forgetful
from tests.rigs.processes import Running
from tests.rigs.secondaries import OURS, Secondaries
from tests.rigs.test_faults import Rig, Way, an_act, written_to
from tests.rigs.test_power import Power
from tests.service import HOST, ZONE, Template

pytestmark = pytest.mark.long

ROUNDS = 12
FAULTS = 16
DURABLE = ("fsync /pulih.db-wal", "COMMIT")
FLOOR = 2_500_000_000
"""Above the unix time: or a new serial would be the time, and above all that was shown without any mark."""


def killed(running: Running) -> None:
    """A short kill loop."""
    rig = Loop(running, Secondaries({OURS: running.installation.dns_port}), seeded("bites"))
    rig.start()
    for _ in range(ROUNDS):
        rig.round(10)


def cut(running: Running) -> None:
    """A short series of power cuts."""
    with forgetful(running) as disk:
        servers = Secondaries({OURS: running.installation.dns_port})
        rig = Loop(running, servers, seeded("bites"), Power(disk, "bites").fail)
        rig.start()
        for _ in range(ROUNDS):
            running.export()
            rig.round(10)
            check_files(running)


def struck(running: Running) -> None:
    """The end of the process behind some of the steps that make changes durable."""
    with written_to(running) as disk:
        rig = Rig(running, disk)
        durable = [number for number, step in enumerate(rig.steps) if step in DURABLE]
        chance = seeded("bites")
        for step in chance.sample(durable, min(FAULTS, len(durable))):
            rig.strike(step, Way(is_done=True, kills=True))


def put_back(running: Running) -> None:
    """An old copy of the database, beside what is known of serials that were shown since."""
    lived(running, [])
    database = Database(running.installation.database)
    with database.write() as session:
        zones.set_floor(session, HOST, ZONE, FLOOR, dt.datetime.now(dt.UTC))
    database.close()
    lived(running, an_act("early.example"))
    path, copy = data_dir(running) / "pulih.db", running.installation.directory / "copy.db"
    shutil.copy(path, copy)
    shown = lived(running, an_act("late.example")).shown[-1][0]
    assert shown == FLOOR + 2
    shutil.copy(copy, path)
    assert lived(running, []).shown[-1][0] > shown, "a serial went back"


class Caught(NamedTuple):
    """By which rig a bug is caught, and what that says."""

    rig: Callable[[Running], None]
    says: str


CAUGHT: Mapping[str, Caught] = {
    "synchronous-normal": Caught(cut, "there is no order|differ"),
    "mark-without-fsync": Caught(cut, "'api'.* ended by itself"),
    "zone-file-in-place": Caught(cut, "sha256 is not right"),
    "answer-before-commit": Caught(killed, "there is no order|not what was answered|differ"),
    "autocommit": Caught(struck, "order_number_taken|half done"),
    "journal-apart": Caught(struck, "half done" if databases.KIND == "sqlite" else "half done|state_conflict"),
    "publish-before-commit": Caught(struck, "example.blocked"),
    "mark-after-showing": Caught(struck, "a serial was shown that no mark knows"),
    "idempotency-apart": Caught(struck, "order_number_taken|state_conflict"),
    "serial-from-the-database-alone": Caught(put_back, "a serial went back"),
}


ON_POSTGRESQL = {"journal-apart", "publish-before-commit", "idempotency-apart", "answer-before-commit"}
"""The others are bugs of SQLite's settings, and of files and marks, which are the same on both."""


@pytest.mark.parametrize("plant", [each for each in PLANTS if databases.KIND == "sqlite" or each in ON_POSTGRESQL])
def test_a_bug_is_caught(plant: str, tmp_path: Path, template: Template) -> None:
    rig, says = CAUGHT[plant]
    with (
        pytest.raises((AssertionError, pytest.fail.Exception), match=says),
        installed(tmp_path, template, plant) as running,
    ):
        rig(running)
