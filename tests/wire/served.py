"""A transfer server in a process of its own, so that its clients' work is not measured with its own.

As a program it serves made-up names and does what the lines on its standard input say: `figures` prints how it
fares, `files N` lets it open N more files and no further. It ends when its input does.
"""

import asyncio
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from app import logs
from app.subscribers.directory import Directory, Subscriber
from app.transfer.process import Transfer, settle
from tests.policy.zones import SUBTREE, version
from tests.wire.feeds import MadeFeed, directory

ROOT = Path(__file__).parents[2]
CROWD = {"isp-slow": "127.11.0.0/16", "isp-silent": "127.12.0.0/16", "isp-half": "127.13.0.0/16"}
"""Subscribers with many addresses and without keys, beside the two of every other test."""

PROBED_EVERY = 0.005


class Probe:
    """How late the loop comes to what is due, by the clock and by the CPU time that it was busy with, in seconds."""

    def __init__(self) -> None:
        self.late = self.busy = 0.0

    async def run(self) -> None:
        while True:
            began, worked = time.monotonic(), time.thread_time()
            await asyncio.sleep(PROBED_EVERY)
            self.late = max(self.late, time.monotonic() - began - PROBED_EVERY)
            self.busy = max(self.busy, time.thread_time() - worked)

    def figures(self) -> dict[str, float]:
        """What was seen since the last time."""
        late, busy = self.late, self.busy
        self.late = self.busy = 0.0
        return {"late_ms": late * 1000, "busy_ms": busy * 1000, "cpu_s": time.process_time()}


class Quiet(MadeFeed):
    """Takes note of nothing: floods would fill it."""

    def seen(self, sighting: object) -> None:
        """Forget it."""


def main(names: int) -> None:
    crowd = {name: Subscriber(name, (ip_network(net),), (), keyed=False) for name, net in CROWD.items()}
    known = directory()
    feed = Quiet(
        {"block.rpz": version({f"example.name{number:07}.": SUBTREE for number in range(names)}, serial=100)},
        Directory({**known.subscribers, **crowd}, known.keys),
    )
    probe, tasks = Probe(), set()

    def started(server: Transfer) -> None:
        tasks.add(asyncio.get_running_loop().create_task(probe.run()))
        threading.Thread(target=_obey, args=(server, probe), daemon=True).start()
        _say({"port": server.port})

    logs.to_stderr()
    settle()
    Transfer(feed, "127.0.0.1", 0).run(started)


def _obey(server: Transfer, probe: Probe) -> None:
    for line in sys.stdin:
        match line.split():
            case ["figures"]:
                _say(probe.figures())
            case ["files", more]:
                files = len(tuple(Path("/proc/self/fd").iterdir())) + int(more)
                resource.setrlimit(resource.RLIMIT_NOFILE, (files, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
                _say({"files": files})
    server.stop()


def _say(facts: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


class Apart:
    """The other side: a server to be asked how it fares."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.port = int(self._read()["port"])

    def figures(self) -> dict[str, float]:
        return self.order("figures")

    def rss_mb(self) -> float:
        """Memory that is its own, in megabytes; from outside, where it may have no file left to look."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 1e6

    def order(self, line: str) -> dict[str, float]:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, float]:
        assert self.process.stdout is not None
        facts: dict[str, float] = json.loads(self.process.stdout.readline() or "{}")
        return facts


@contextmanager
def apart(names: int, log: Path | None = None) -> Iterator[Apart]:
    """A server of so many names; fails the test where it logged a fault of its own."""
    log = log or Path(os.devnull)
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "tests.wire.served", str(names)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            yield Apart(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                ended = process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
    assert ended == 0
    assert log == Path(os.devnull) or "Traceback" not in log.read_text()


if __name__ == "__main__":
    main(int(sys.argv[1]))
