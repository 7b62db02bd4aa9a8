"""Increments too large to be rendered where DNS is answered: another process writes them into files, once for all
that ask, and they are read from there."""

import logging
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from app.publication.builder import started
from app.publication.plan import Plan
from app.publication.snapshot import DamagedError, Identity, Snapshot
from resolver_policy.wire import Body

log = logging.getLogger(__name__)


LONGEST_WAIT = 60.0
"""Seconds that a file may take: half of what a connection of a known secondary may rest. Whoever waited behind one that
hangs still has the other half, and is not broken off before its answer begins."""


class Increments:
    """The files of one follower; `of` waits for one that is not there yet, and is asked by one thread at a time.

    They are a cache: what a follower before this one left is dropped.
    """

    def __init__(self, database: str, folder: Path) -> None:
        self._database = database
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False
        for left in folder.glob("*"):
            left.unlink(missing_ok=True)

    def of(self, zone_id: int, identity: Identity) -> Iterable[Body] | None:
        """The messages of an increment; None where they cannot be had."""
        path = self._folder / f"{identity.zone.origin}.{identity.since_serial}-{identity.serial}"
        file = _opened(path, identity)
        if file is None and self._write(Plan(self._database, path, zone_id, identity)):
            file = _opened(path, identity)
        return None if file is None else _bodies(file)

    def close(self) -> None:
        """End what is being written; whoever waits for it is told that it cannot be had. For another thread."""
        self._closed = True
        if self._process is not None:
            self._process.kill()

    def _write(self, plan: Plan) -> bool:
        """Write a file, and drop those that lead to older serials."""
        of_zone = re.compile(rf"\.?{re.escape(plan.identity.zone.origin)}\.\d+-(\d+)(\..+)?")
        for old in self._folder.glob("*"):
            match = of_zone.fullmatch(old.name)
            if match and int(match[1]) != plan.identity.serial:
                old.unlink(missing_ok=True)
        try:
            status = self._status(plan)
        except OSError as exc:
            log.warning("the increment %s could not be written: %s", plan.path.name, exc)
            return False
        if status != 0:
            log.error("the increment %s could not be written, status %d", plan.path.name, status)
        return status == 0

    def _status(self, plan: Plan) -> int:
        """How the process ended; one that hangs is killed."""
        with started(plan) as process:
            self._process = process
            if self._closed:
                process.kill()
            try:
                status = process.wait(LONGEST_WAIT)
            except subprocess.TimeoutExpired:
                process.kill()
                status = process.wait()
        self._process = None
        return status


def _bodies(file: Snapshot) -> Iterator[Body]:
    """What a file holds; one that is damaged goes, so that it is written anew for the next one that asks."""
    try:
        for part in file.ranges():
            yield from part.bodies()
    except DamagedError:
        file.path.unlink(missing_ok=True)
        raise


def _opened(path: Path, identity: Identity) -> Snapshot | None:
    try:
        file = Snapshot(path, lambda _release, _first, _past: ())
    except FileNotFoundError:
        return None
    except (DamagedError, OSError) as exc:
        log.warning("%s cannot be used: %s", path, exc)
        return None
    return file if file.identity == identity else None
