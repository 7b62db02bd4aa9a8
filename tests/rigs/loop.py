"""What every rig of the running service does again and again: changes, a blow in their midst, a start, a look."""

import datetime as dt
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random

from app.db import Database
from tests import databases
from tests.installation import Installation
from tests.rigs.checks import Journal, check_marks, check_orders
from tests.rigs.ledger import Ledger, let
from tests.rigs.processes import PARTS, Running
from tests.rigs.secondaries import Secondaries
from tests.servers import lasting_port
from tests.service import Template
from tests.subscribers.worlds import registered

CLIENTS = 3
Blow = Callable[[Running, Sequence[str]], None]
"""What happens to some of the processes; none of them runs afterwards."""


@contextmanager
def installed(directory: Path, template: Template, plant: str | None = None) -> Iterator[Running]:
    """An installation with everybody's tokens, and `dig` as an ISP, of which nothing runs; all ends with the block."""
    directory.mkdir(exist_ok=True)
    installation = Installation(directory, {"PULIH_UNSEEN_WINDOW": "1s"}, lasting_port(), lasting_port())
    databases.make(installation.database, template.url)
    database = Database(installation.database)
    registered(database, "isp-dig", "127.0.0.1/32", now=dt.datetime.now(dt.UTC))
    database.close()
    running = Running(installation, template.tokens, directory / "log", plant)
    try:
        yield running
    finally:
        running.kill()
        running.http.close()
        databases.drop(installation.database)


def kill(running: Running, parts: Sequence[str]) -> None:
    """`kill -9`."""
    running.kill(*parts)


class Loop:
    """Deals blows to an installation, and looks what is left; with some `share` of starts it goes down once more."""

    def __init__(
        self, running: Running, servers: Secondaries, chance: Random, blow: Blow = kill, *, share: float = 0.5
    ) -> None:
        self.running, self.servers, self.chance = running, servers, chance
        self.ledger = Ledger(running, chance)
        self.journal = Journal(running)
        self.blows = 0
        self._blow, self._share = blow, share

    def start(self) -> None:
        """Start what does not run; now and then it goes down while it starts."""
        while self.chance.random() < self._share:
            self.running.start()
            self.blow(0.4, *PARTS)
        self.running.start()
        self.running.wait_until_ready()

    def blow(self, within: float, *parts: str) -> None:
        """After so many seconds at most."""
        time.sleep(self.chance.uniform(0.0, within))
        self._blow(self.running, parts)
        self.blows += 1

    def round(self, most_changes: int, *, one_by_one: bool = False) -> None:
        """Changes, a blow to all in their midst or to each in turn, a start, and what must hold then."""
        with self.ledger.load(CLIENTS) as clients:
            let(clients, self.chance.randint(1, most_changes))
            parts = self.chance.sample(sorted(PARTS), len(PARTS))
            for some in [[part] for part in parts] if one_by_one else [parts]:
                self.blow(0.05, *some)
        self.start()
        self.ledger.settle()
        self.look()

    def look(self) -> None:
        """What was answered is there, once, and is what everybody is given."""
        self.servers.wait_for(self.ledger.blocked)
        self.journal.check(self.running.get("/audit/checkpoint").text)
        check_orders(self.running, self.ledger)
        check_marks(self.running, self.servers.shown)
