"""The process that writes snapshot files, as the one that wants them sees it."""

import logging
import subprocess
import sys
import time
from contextlib import suppress

from app.publication.plan import Plan

log = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "app.publication.building")
PAUSE = 15.0
"""Seconds before the next try for a zone, after one has failed; other zones have their turn meanwhile."""

GRACE = 5.0


def started(plan: Plan) -> "subprocess.Popen[bytes]":
    """Start a process that writes one file; it ends early when this one does. Raises OSError where it cannot."""
    process = subprocess.Popen(COMMAND, bufsize=0, stdin=subprocess.PIPE)  # noqa: S603 - our own module
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it has ended already, and its status says so
        process.stdin.write(plan.dump())
    return process


class Builder:
    """Has one file written at a time. Belongs to one thread."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._zone = ""
        self._not_before: dict[str, float] = {}

    def start(self, plan: Plan) -> None:
        """Begin to write a file, unless one is being written, or the last try for this zone has just failed."""
        zone = plan.identity.zone.origin
        if self._process is not None or time.monotonic() < self._not_before.get(zone, 0.0):
            return
        self._zone = zone
        try:
            self._process = started(plan)
        except OSError as exc:
            self._fail(f"no process could be started: {exc}")

    @property
    def has_ended(self) -> bool:
        """Whether a process has ended since `ended` was asked."""
        return self._process is not None and self._process.poll() is not None

    def ended(self) -> str | None:
        """The zone whose file was tried to write, said once."""
        if self._process is None or not self.has_ended:
            return None
        status, zone = self._process.returncode, self._zone
        self._close()
        self._not_before.pop(zone, None)
        if status != 0:
            self._fail(f"status {status}")
        return zone

    def has_failed(self, zone: str) -> bool:
        """Whether the last try was in vain."""
        return zone in self._not_before

    def close(self) -> None:
        """End what is running; what it has written is swept by the next one."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(GRACE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._close()

    def _fail(self, why: str) -> None:
        log.error("zone %s: the snapshot could not be written, %s", self._zone, why)
        self._not_before[self._zone] = time.monotonic() + PAUSE

    def _close(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process = None
