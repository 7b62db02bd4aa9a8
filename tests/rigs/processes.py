"""The service's own processes, forked from one that has everything loaded: up in a third of a second, and as real.

What runs in each is what `pulih serve` runs: `app.main` (HTTP and the publisher) and `app.transfer`.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import httpx

from app import main
from app.transfer import __main__ as transfer
from tests.installation import Installation
from tests.planted import plants
from tests.servers import wait_until
from tests.service import ZONE

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.rigs.loaded"])

PARTS: Mapping[str, Callable[[], int]] = {"api": lambda: main.main([]), "transfer": transfer.main}


def forked(run: Callable[..., None], *arguments: object) -> ForkServerProcess:
    """A process that runs a function of a module, in a process group of its own."""
    process = FORKS.Process(target=run, args=arguments)
    process.start()
    return process


def enter(environment: Mapping[str, str], log: Path, plant: str | None) -> None:
    """Make a forked process the one that is wanted: its group, its environment, its log, its planted bug."""
    os.setpgid(0, 0)
    threading.Thread(target=_end_with_the_test, daemon=True).start()
    os.environ |= environment
    with log.open("ab") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    if plant is not None:
        plants()[plant]()


def _run(part: str, environment: Mapping[str, str], log: Path, plant: str | None) -> None:
    enter(environment, log, plant)
    sys.exit(PARTS[part]())


def _end_with_the_test() -> None:
    """However that ends, nothing of it is left."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.killpg(0, signal.SIGKILL)


def end(*processes: ForkServerProcess) -> None:
    """SIGKILL to processes and to what they have started, to all before any is waited for."""
    for process in processes:
        assert process.pid is not None
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
    for process in processes:
        process.join(20)


@dataclass
class Running:
    """An installation whose processes are started, and killed, one by one."""

    installation: Installation
    tokens: Mapping[str, str]
    log_file: Path
    plant: str | None = None
    processes: dict[str, ForkServerProcess] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.http = self.client()

    def client(self) -> httpx.Client:
        """Connections of one client."""
        return httpx.Client(base_url=self.installation.url, timeout=30, verify=False)  # no certificates to load

    def start(self, *parts: str) -> None:
        """Start those that do not run."""
        for part in parts or PARTS:
            if part not in self.processes:
                arguments = (part, self.environment, self.log_file, self.plant)
                self.processes[part] = forked(_run, *arguments)

    def kill(self, *parts: str) -> None:
        """`kill -9`: nothing that they do is done any more once this returns."""
        end(*[self.processes.pop(part) for part in parts or tuple(self.processes)])

    def wait_until_ready(self, seconds: float = 30) -> None:
        """Return once HTTP is answered and something is published."""
        wait_until(self.is_ready, seconds, self.log)

    def is_ready(self) -> bool:
        ended = [part for part, process in self.processes.items() if not process.is_alive()]
        assert not ended, f"{ended} ended by itself: {self.log()}"
        try:
            return self.http.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def get(self, path: str) -> httpx.Response:
        return self.http.get(f"/api/v1{path}", headers=self.headers("auditor-1"))

    def headers(self, by: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[by]}", "If-Match": "*"}

    def export(self) -> str:
        """The zone as a file, made where there is none."""
        response = self.http.get(f"/api/v1/zones/{ZONE}/export.rpz", headers=self.headers("isp-1"))
        return response.raise_for_status().text

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")[-12_000:]

    @property
    def environment(self) -> dict[str, str]:
        """What tells a process of this installation's settings."""
        keys = ("PULIH_DATA_DIR", "PULIH_DATABASE_URL", "PULIH_HTTP_LISTEN", "PULIH_DNS_LISTEN")
        ours = self.installation.environment
        return {key: ours[key] for key in keys} | dict(self.installation.settings)
