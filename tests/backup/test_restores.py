"""Restores of any backup, one after the other: no secondary is ever stuck, and each of them is in the journal."""

import shutil
from pathlib import Path
from random import Random

import dns.versioned
import pytest

from app.publication import stops
from app.publication.follower import Follower
from app.publication.marks import Marks
from resolver_policy import xfr
from resolver_policy.version import ZoneVersion
from tests import databases
from tests.backup.worlds import Backup, backed_up, events, put_back, started
from tests.policy.scale import Record, scaled, seeded, tell
from tests.policy.test_xfr import ask
from tests.publication.pasts import records, take
from tests.publication.worlds import World, random_act
from tests.service import ZONE

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(databases.KIND != "sqlite", reason="on PostgreSQL tests of one restore each say as much"),
]

RESTORES = 25
BACKUPS_KEPT = 6
SECONDARIES = 3
MARKS_LOST = 0.3
"""Share of restores at which those of the transfer process are lost."""


class Secondary:
    """dnspython as a secondary: it has what it took last, and takes what is newer by serial arithmetic alone."""

    def __init__(self) -> None:
        self.zone = dns.versioned.Zone(f"{ZONE}.", relativize=False)
        self.serial: int | None = None

    def poll(self, version: ZoneVersion) -> None:
        """Ask with the serial it has; one that is as new as ours by RFC 1982 it keeps, whatever is in it."""
        if self.serial is not None and (version.serial - self.serial) % 2**32 not in range(1, 2**31):
            return
        reply = xfr.answer(ask("AXFR" if self.serial is None else "IXFR", self.serial), version)
        take(self.zone, reply, self.serial)
        self.serial = version.serial


class Installation:
    """A service that is stopped, restored and started again, with its transfer process and secondaries."""

    def __init__(self, world: World, folder: Path, random: Random) -> None:
        self.world = world
        self.random = random
        self.secondaries = [Secondary() for _ in range(SECONDARIES)]
        self.backups: list[Backup] = []
        self._folder = folder
        self._made = 0
        self.follow()

    def follow(self) -> None:
        """Start the transfer process anew."""
        marks = Marks(self.world.settings.data_dir / "marks", "transfer")
        self.follower = Follower(self.world.settings, marks, self.world.database.read)

    @property
    def version(self) -> ZoneVersion:
        with self.world.database.read() as session:
            self.follower.refresh(session)
        return self.follower.zones[ZONE]

    def live(self) -> None:
        """Some acts, some releases, some polls, and now and then a backup."""
        for _ in range(self.random.randint(1, 2)):
            random_act(self.world, self.random)
            self.world.publish()
            for secondary in self.random.sample(self.secondaries, self.random.randint(0, SECONDARIES)):
                secondary.poll(self.version)
        if not self.backups or self.random.random() < 0.4:
            self._made += 1
            self.backups.append(backed_up(self.world, self._folder / f"{self._made}.backup"))
        if len(self.backups) > BACKUPS_KEPT:
            self.backups.pop(self.random.randrange(BACKUPS_KEPT)).path.unlink()

    def restore(self) -> Backup:
        """Any backup, also of a branch that was left; the marks of one process may be lost as well."""
        backup = self.random.choice(self.backups)
        done = put_back(self.world, backup.path)
        assert done.aside is not None
        Path(done.aside).unlink()
        if self.random.random() < MARKS_LOST:
            shutil.rmtree(self.world.settings.data_dir / "marks" / "transfer", ignore_errors=True)
        self.world = started(self.world, backup.held)
        self.follow()
        return backup


def test_after_any_restore_serials_go_on_and_every_secondary_follows(
    world: World, tmp_path: Path, record_property: Record
) -> None:
    installation = Installation(world, tmp_path, seeded(5))
    restores = scaled(RESTORES)
    for _ in range(restores):
        installation.live()
        shown = max(installation.version.serial, *(each.serial or 0 for each in installation.secondaries))
        restored = installation.restore()
        check_converged(installation, shown)
        check_recorded(installation, restored)
    tell(record_property, restores=restores, of_secondaries=SECONDARIES)
    installation.world.database.close()


def check_converged(installation: Installation, shown: int) -> None:
    """The next serial is above every one that anybody has seen, and what each holds is what the backup held."""
    version = installation.version
    assert version.serial > shown
    assert dict(version.rules()) == installation.world.rules()
    whole = Secondary()
    whole.poll(version)
    for secondary in installation.secondaries:
        secondary.poll(version)
        assert (secondary.serial, records(secondary.zone)) == (version.serial, records(whole.zone))


def check_recorded(installation: Installation, backup: Backup) -> None:
    """The journal says from where it goes on, and what of it was lost; nothing is stopped for it."""
    facts = events(installation.world.database, "log.restored")[-1]
    assert facts["restored"] == {"size": backup.manifest.size, "root": backup.manifest.root}
    assert facts["shown"]["size"] == facts["common"] + facts["lost"]["events"]
    with installation.world.database.read() as session:
        assert stops.standing(session) == []
