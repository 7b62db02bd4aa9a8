"""`kill -9` of the running service, at any moment: no change that was answered is lost, and no serial goes back."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from tests import databases
from tests.installation import Installation
from tests.policy.scale import Record, scaled, seeded, tell
from tests.rigs.checks import Journal, check_database, check_orders
from tests.rigs.ledger import Ledger, let
from tests.rigs.processes import PARTS, Running
from tests.rigs.secondaries import Secondaries, secondaries
from tests.service import Template

pytestmark = pytest.mark.long

KILLS = 50
"""Of each of the two loops, which may run side by side; ten times as many in full."""

CLIENTS = 3
MOST_CHANGES = 40
"""Between a start and the next kill; so many in full that toggles add up to a hundred thousand."""


@contextmanager
def installed(directory: Path, template: Template, plant: str | None = None) -> Iterator[Running]:
    """An installation with everybody's tokens, none of whose processes runs; they end with the block."""
    installation = Installation(directory, {"PULIH_UNSEEN_WINDOW": "1s"})
    databases.make(installation.database, template.url)
    running = Running(installation, template.tokens, directory / "log", plant)
    try:
        yield running
    finally:
        running.kill()
        databases.drop(installation.database)


class Loop:
    """Kills an installation and looks what is left, again and again."""

    def __init__(self, running: Running, servers: Secondaries, chance: Random) -> None:
        self.running, self.servers, self.chance = running, servers, chance
        self.ledger = Ledger(running, chance)
        self.journal = Journal(running)
        self.kills = 0

    def start(self) -> None:
        """Start what does not run; now and then it is killed while it starts."""
        if self.chance.random() < 0.3:
            self.running.start()
            self.kill(self.chance.uniform(0.0, 0.5), *self.running.processes)
        self.running.start()
        self.running.wait_until_ready()

    def kill(self, after: float, *parts: str) -> None:
        time.sleep(after)
        self.running.kill(*parts)
        self.kills += 1

    def round(self, most_changes: int) -> None:
        """Changes, kills in the midst of them, a start, and what must hold then."""
        with self.ledger.load(CLIENTS) as clients:
            let(clients, self.chance.randint(1, most_changes))
            order = self.chance.sample(sorted(PARTS), len(PARTS))
            for part in order if self.chance.random() < 0.7 else [order]:
                self.kill(self.chance.uniform(0.0, 0.1), *([part] if isinstance(part, str) else part))
        self.start()
        self.ledger.settle()
        self.servers.wait_for(self.ledger.blocked)
        self.journal.check()
        check_orders(self.running, self.ledger)


@pytest.mark.parametrize("loop", ["first", "second"])
def test_nothing_that_was_answered_is_lost(
    loop: str, tmp_path: Path, template: Template, record_property: Record
) -> None:
    with installed(tmp_path, template) as running, secondaries(running.installation) as servers:
        rig = Loop(running, servers, seeded(f"kills {loop}"))
        rig.start()
        with servers.watched():
            while rig.kills < scaled(KILLS):
                rig.round(MOST_CHANGES)
        check_database(running)
    tell(
        record_property,
        kills=rig.kills,
        changes_answered=rig.ledger.answered,
        tried_again=rig.ledger.tried_again,
        serials_looked_at=servers.looks,
    )
