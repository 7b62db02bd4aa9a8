"""Increments too large to be rendered where DNS is answered: another process writes them into files, once for all
that ask, and they are read from there."""

import logging
import subprocess
from collections.abc import Iterable
from pathlib import Path

from app.publication.builder import started
from app.publication.plan import Plan
from app.publication.snapshot import DamagedError, Identity, Snapshot
from resolver_policy.wire import Body

log = logging.getLogger(__name__)


class Increments:
    """The files of one follower; `of` waits for one that is not there yet, and is asked by one thread at a time."""

    def __init__(self, database: str, folder: Path) -> None:
        self._database = database
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    def of(self, zone_id: int, identity: Identity) -> Iterable[Body] | None:
        """The messages of an increment; None where they cannot be had."""
        path = self._folder / f"{identity.zone.origin}.{identity.since_serial}-{identity.serial}"
        file = _opened(path, identity)
        if file is None and self._write(Plan(self._database, path, zone_id, identity)):
            file = _opened(path, identity)
        return None if file is None else (body for part in file.ranges() for body in part.bodies())

    def close(self) -> None:
        """End what is being written; whoever waits for it is told that it cannot be had. For another thread."""
        self._closed = True
        if self._process is not None:
            self._process.kill()

    def _write(self, plan: Plan) -> bool:
        """Write a file, and drop those that lead to older serials."""
        for old in self._folder.glob(f"{plan.identity.zone.origin}.*"):
            if not old.name.endswith(f"-{plan.identity.serial}"):
                old.unlink(missing_ok=True)
        with started(plan) as process:
            self._process = process
            if self._closed:
                process.kill()
            status = process.wait()
        self._process = None
        if status != 0:
            log.error("the increment %s could not be written, status %d", plan.path.name, status)
        return status == 0


def _opened(path: Path, identity: Identity) -> Snapshot | None:
    try:
        file = Snapshot(path, lambda _release, _first, _past: ())
    except FileNotFoundError:
        return None
    except (DamagedError, OSError) as exc:
        log.warning("%s cannot be used: %s", path, exc)
        return None
    return file if file.identity == identity else None
