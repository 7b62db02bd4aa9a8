"""Three publishers on one database, as on three hosts; the one that publishes is killed, and frozen, amid changes."""

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from app.orders.models import Touched
from app.publication import zones
from app.publication.models import PublisherLease, Release, ZoneSerial
from app.publication.store import rules_of_release
from resolver_policy.targets import Decision, Match, Target
from tests import databases
from tests.policy.scale import Record, scaled, tell
from tests.publication.worlds import World
from tests.servers import wait_until

pytestmark = pytest.mark.long

COMMAND = (sys.executable, "-m", "app.main", "--only-publisher")
COUNT = 3
ROUNDS = 1
"""Freezes, and as many kills."""

LONGEST = 20.0
"""Seconds until another publishes; a lease has six, and what is started again needs some to start."""


class Process:
    """A publisher with a data directory of its own."""

    def __init__(self, directory: Path, database: str) -> None:
        directory.mkdir()
        self.log_file = directory / "log"
        self.environment = {**os.environ, "PULIH_DATA_DIR": str(directory), "PULIH_DATABASE_URL": database}
        self.start()

    def start(self) -> None:
        with self.log_file.open("ab") as log:
            self.began = log.tell()
            self.process = subprocess.Popen(COMMAND, env=self.environment, stdout=log, stderr=log)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        if number == signal.SIGKILL:
            self.process.wait(10)

    def stands_by(self) -> bool:
        said = self.log_file.read_bytes()[self.began :]
        return self.process.poll() is None and said.rfind(b"standing by") > said.rfind(b"publishing under")

    def log(self) -> str:
        return self.log_file.read_text()


def released(log: str) -> set[int]:
    """Which releases a log tells of, whether or not their transaction was kept."""
    return {int(number) for number in re.findall(r": release ([0-9]+): ", log)}


@pytest.fixture
def processes(world: World, tmp_path: Path) -> Iterator[list[Process]]:
    made = [Process(tmp_path / f"host-{number}", world.settings.database) for number in range(COUNT)]
    yield made
    for each in made:
        each.send(signal.SIGKILL)


class Stream(threading.Thread):
    """Blocks and lifts names, one after the other, until it is told to stop."""

    def __init__(self, world: World) -> None:
        super().__init__(daemon=True)
        self.world, self.stop, self.changes = world, threading.Event(), 0

    def run(self) -> None:
        chance = random.Random(7)
        while not self.stop.wait(0.02):
            if self.world.held and chance.random() < 0.4:
                self.world.lift(chance.choice(self.world.held))
            else:
                name = f"n{self.changes}.example"
                self.world.add([Target(name, chance.choice(tuple(Match)), Decision.BLOCK)])
            self.changes += 1


def epoch_of(world: World) -> int:
    with world.database.read() as session:
        return session.scalars(select(PublisherLease.epoch)).one()


def holder(world: World, processes: list[Process]) -> Process:
    """The one that publishes."""
    with world.database.read() as session:
        process = session.scalars(select(PublisherLease.holder)).one().split(" ")[3:4]
    return next(each for each in processes if process == [str(each.process.pid)])


def taken_over(world: World, epoch: int) -> float:
    """Seconds until another has the lease."""
    began = time.monotonic()
    wait_until(lambda: epoch_of(world) > epoch, LONGEST, lambda: "nobody took over")
    return time.monotonic() - began


def test_no_serial_comes_twice_and_no_change_is_lost(
    world: World, processes: list[Process], record_property: Record
) -> None:
    chance = random.Random(5)
    wait_until(lambda: epoch_of(world) > 0, LONGEST, processes[0].log)
    stream = Stream(world)
    stream.start()
    took: dict[str, list[float]] = {"kill": [], "freeze": []}
    for act in ["freeze", "kill"] * scaled(ROUNDS):
        time.sleep(chance.uniform(0.3, 1.3))
        wait_until(lambda: sum(map(Process.stands_by, processes)) == COUNT - 1, LONGEST, lambda: "they do not stand by")
        took[act].append(kill(world, processes) if act == "kill" else freeze(world, processes, stream))
    stream.stop.set()
    stream.join(60)
    wait_until(lambda: waiting(world) == 0, LONGEST, lambda: "not everything was published")

    with world.database.read() as session:
        newest = zones.head(session)
        assert newest is not None
        assert dict(rules_of_release(session, newest.id)) == world.rules()
        serials = session.scalars(select(ZoneSerial.serial).order_by(ZoneSerial.release_id)).all()
        releases = set(session.scalars(select(Release.id)))
    assert serials == sorted(set(serials))
    assert releases - {1} == set().union(*(released(each.log()) for each in processes)) & releases
    slowest = {f"{act}_ms": round(1000 * max(seconds)) for act, seconds in took.items()}
    tell(record_property, changes=stream.changes, releases=len(releases), **slowest)


def kill(world: World, processes: list[Process]) -> float:
    epoch, victim = epoch_of(world), holder(world, processes)
    victim.send(signal.SIGKILL)
    seconds = taken_over(world, epoch)
    victim.start()
    return seconds


def freeze(world: World, processes: list[Process], stream: Stream) -> float:
    """Freeze the one that publishes until another does; when it wakes it publishes nothing under its old epoch."""
    epoch, frozen = epoch_of(world), holder(world, processes)
    frozen.send(signal.SIGSTOP)
    while databases.KIND == "sqlite" and holds_the_lock(stream):  # nobody can take that from it, so nobody else acts
        frozen.send(signal.SIGCONT)
        time.sleep(0.1)
        frozen.send(signal.SIGSTOP)
    seconds = taken_over(world, epoch)
    time.sleep(1.5)
    before = released(frozen.log())
    frozen.send(signal.SIGCONT)
    wait_until(lambda: "has taken over" in frozen.log(), LONGEST, frozen.log)
    of_others = set().union(*(released(each.log()) for each in processes if each is not frozen))
    assert released(frozen.log()) - before <= of_others  # logged before a commit that failed, at most
    return seconds


def holds_the_lock(stream: Stream) -> bool:
    """Whether changes have come to a halt."""
    before = stream.changes
    time.sleep(1)
    return stream.changes == before


def waiting(world: World) -> int:
    with world.database.read() as session:
        return len(session.scalars(select(Touched.id)).all())
