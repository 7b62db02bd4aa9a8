"""The power fails under the whole data directory: what was answered is there, nothing is damaged, and it starts."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests import databases
from tests.policy.scale import Record, scaled, seeded, tell
from tests.rigs.checks import check_database, check_export, check_files
from tests.rigs.loop import Loop, installed
from tests.rigs.mounted import Mounted, forgetful
from tests.rigs.processes import Running
from tests.rigs.secondaries import OURS, Secondaries
from tests.service import Template

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(databases.KIND != "sqlite", reason="what is synced by PostgreSQL is its own affair"),
]

CUTS = 30
MOST_CHANGES = 20


class Power:
    """Of an installation, the same each time it fails in the same run."""

    def __init__(self, disk: Mounted, seed: str) -> None:
        self.disk, self.seed, self.cuts = disk, seed, 0

    def fail(self, running: Running, parts: Sequence[str]) -> None:
        """Everything stops at once, and what was not synced is forgotten."""
        running.kill(*parts)
        self.cuts += 1
        self.disk.tell("cut", f"{self.seed} {self.cuts}")


def test_nothing_that_was_answered_is_forgotten(tmp_path: Path, template: Template, record_property: Record) -> None:
    with installed(tmp_path, template) as running, forgetful(running) as disk:
        power = Power(disk, f"power {os.environ.get('PULIH_TEST_SEED', '')}")
        servers = Secondaries({OURS: running.installation.dns_port})
        rig = Loop(running, servers, seeded("power"), power.fail, share=0.3)
        rig.start()
        with servers.watched():
            while rig.blows < scaled(CUTS):
                rig.round(MOST_CHANGES)
                check_database(running)
                check_export(running.export())
                check_files(running)
    tell(record_property, cuts=power.cuts, changes_answered=rig.ledger.answered, sent_again=rig.ledger.sent_again)
