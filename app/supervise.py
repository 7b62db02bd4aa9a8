"""`pulih serve`: the API with the publisher, and the transfer server; one may fall, the other serves on."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from app import logs
from app.lifeline import VARIABLE

log = logging.getLogger(__name__)

COMMANDS = {
    "all": (("transfer", ("app.transfer",)), ("api", ("app.main",))),
    "api": (("api", ("app.main", "--without-publisher")),),
    "publisher": (("publisher", ("app.main", "--only-publisher")),),
    "transfer": (("transfer", ("app.transfer",)),),
}
REFUSED = 2
"""Exit status of a process that cannot start with these settings: there is no use in trying again."""

GRACE = 10.0
SHORTEST_LIFE = 5.0
LONGEST_PAUSE = 30.0
POLL = 0.1


@dataclass(slots=True)
class Child:
    """A supervised process, and how long to wait before it is started again."""

    name: str
    module: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    pause: float = field(default=0.5)
    start_after: float = 0.0


def serve(role: str) -> int:
    """Run the processes of a role until SIGTERM or SIGINT; the exit status.

    A process that ends by itself is started again, after a pause that doubles while it keeps ending soon. One that
    refuses its settings ends everything.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    ours, theirs = os.pipe()
    children = [Child(name, module) for name, module in COMMANDS[role]]
    status = 0
    try:
        while not stop.is_set() and status != REFUSED:
            for child in children:
                status = max(status, _tend(child, ours))
            stop.wait(POLL)
    finally:
        _end(children)
        os.close(theirs)
        os.close(ours)
    return status


def _tend(child: Child, lifeline: int) -> int:
    now = time.monotonic()
    if child.process is None:
        if now >= child.start_after:
            child.process = _start(child.module, lifeline)
            child.started_at = now
        return 0
    status = child.process.poll()
    if status is None:
        return 0
    if status == REFUSED:
        return REFUSED
    child.pause = 0.5 if now - child.started_at > SHORTEST_LIFE else min(child.pause * 2, LONGEST_PAUSE)
    child.start_after = now + child.pause
    child.process = None
    log.error("the %s process ended with status %s; it is started again in %.1f s", child.name, status, child.pause)
    return 0


def _start(module: Sequence[str], lifeline: int) -> subprocess.Popen[bytes]:
    environment = {**os.environ, VARIABLE: str(lifeline)}
    command = [sys.executable, "-m", *module]
    return subprocess.Popen(command, env=environment, pass_fds=(lifeline,))  # noqa: S603 - our own module


def _end(children: Sequence[Child]) -> None:
    running = [child.process for child in children if child.process is not None]
    for process in running:
        process.terminate()
    deadline = time.monotonic() + GRACE
    for process in running:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


if __name__ == "__main__":
    logs.to_stderr()
    sys.exit(serve(sys.argv[1]))
