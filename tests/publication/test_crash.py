"""`kill -9` in a burst of changes: whatever was answered with success is in the zone, and no serial goes back."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest

from tests import databases
from tests.policy.scale import Record, scaled, tell
from tests.servers import free_port, wait_until
from tests.service import ZONE, Template, an_order, records, targets

pytestmark = pytest.mark.long

KILLS = 20
COMMAND = (sys.executable, "-m", "app.main")
"""The process that answers HTTP and publishes; `pulih serve` starts it just so."""

CLIENTS = 3


class Process:
    """The service as a process of its own, started and killed again and again on one database."""

    def __init__(self, directory: Path, template: Template) -> None:
        self.directory = directory
        self.port = free_port()
        self.tokens = template.tokens
        self.database = databases.url_in(directory)
        databases.make(self.database, template.url)
        self.log = (directory / "log").open("ab")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {
            **os.environ,
            "PULIH_DATA_DIR": str(self.directory),
            "PULIH_DATABASE_URL": self.database,
            "PULIH_HTTP_LISTEN": f"127.0.0.1:{self.port}",
            "PULIH_UNSEEN_WINDOW": "1s",
        }
        self.process = subprocess.Popen(COMMAND, env=environment, stdout=self.log, stderr=self.log)
        wait_until(self._ready, 30, lambda: (self.directory / "log").read_text()[-4000:])

    def _ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.directory / "log").read_text()[-4000:]
        try:
            return self.request("GET", "/readyz", None).status_code == 200
        except httpx.TransportError:
            return False

    def request(self, method: str, path: str, by: str | None, body: object = None) -> httpx.Response:
        headers = {"If-Match": "*", **({} if by is None else {"Authorization": f"Bearer {self.tokens[by]}"})}
        with httpx.Client(base_url=f"http://127.0.0.1:{self.port}", verify=False, timeout=30) as client:
            return client.request(method, path, headers=headers, json=body)

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(10)
            self.process = None

    def zone(self) -> tuple[int, set[str]]:
        """The serial and the names of the zone, once everything that was touched is published."""
        response = self.request("GET", f"/api/v1/zones/{ZONE}/export.rpz", "isp-1")
        assert response.status_code == 200
        names = {line.split()[0] for line in records(response.text) if not line.startswith("*.")}
        return int(response.headers["X-Zone-Serial"]), names


@pytest.fixture
def process(tmp_path: Path, template: Template) -> Iterator[Process]:
    process = Process(tmp_path, template)
    yield process
    process.kill()
    process.log.close()
    databases.drop(process.database)


class Client(threading.Thread):
    """Blocks names and lifts some of them again, as fast as it can, until the service is gone.

    `blocked` and `lifted` hold what was answered with success; `unsure` what was sent and not answered.
    """

    def __init__(self, process: Process, prefix: str) -> None:
        super().__init__(daemon=True)
        self.process, self.prefix = process, prefix
        self.blocked: set[str] = set()
        self.lifted: set[str] = set()
        self.unsure: set[str] = set()

    @property
    def answered(self) -> int:
        """How many changes were answered with success."""
        return len(self.blocked) + len(self.lifted)

    def run(self) -> None:
        for number in range(10_000):
            name = f"{self.prefix}-{number}.example"
            try:
                self._toggle(name, lift=number % 3 == 0)
            except httpx.TransportError:
                self.unsure.add(name)
                return

    def _toggle(self, name: str, *, lift: bool) -> None:
        body = an_order(number=f"EX-{name}", targets=targets(name), review_due_at="2036-01-01T00:00:00Z")
        order = self.process.request("POST", "/api/v1/orders", "operator-1", body)
        assert order.status_code == 201, order.text
        path = f"/api/v1/orders/{order.json()['id']}"
        approved = self.process.request("POST", f"{path}/approve", "approver-1", {"reason": "in order"})
        assert approved.status_code == 200, approved.text
        self.blocked.add(name)
        if lift:
            lifted = self.process.request(
                "POST", f"{path}/lift", "approver-1", {"ground": "wrong_block", "reason": "x"}
            )
            assert lifted.status_code == 200, lifted.text
            self.lifted.add(name)


def burst(clients: Sequence[Client], changes: int) -> None:
    """Let so many changes be answered, however fast the machine is."""
    wait_until(lambda: sum(client.answered for client in clients) >= changes, 30, lambda: "too few were answered")


def wait_for_zone(process: Process, expected: set[str], unsure: set[str]) -> None:
    """Return once the zone holds what is expected, whatever became of the changes that were not answered."""

    def settled() -> set[str]:
        return process.zone()[1] - unsure

    wait_until(
        lambda: settled() == expected,
        10,
        lambda: f"missing {expected - settled()}, too many {settled() - expected}",
    )


def test_no_change_that_was_answered_is_lost_and_no_serial_goes_back(process: Process, record_property: Record) -> None:
    chance = random.Random(11)
    expected: set[str] = set()
    unsure: set[str] = set()
    seen = answered = 0
    process.start()
    for kill in range(scaled(KILLS)):
        clients = [Client(process, f"k{kill}c{number}") for number in range(CLIENTS)]
        for client in clients:
            client.start()
        burst(clients, chance.randint(11, 40))
        time.sleep(chance.uniform(0.0, 0.05))
        seen = max(seen, process.zone()[0])
        process.kill()
        for client in clients:
            client.join(30)
            expected |= client.blocked - client.lifted
            unsure |= client.unsure
            answered += client.answered
        process.start()
        wait_for_zone(process, expected - unsure, unsure)
        serial = process.zone()[0]
        assert serial >= seen
        seen = serial

    assert answered > 10 * scaled(KILLS)
    tell(record_property, kills=scaled(KILLS), changes_answered=answered, not_answered=len(unsure))
