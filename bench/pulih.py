"""Pulih as its users run it: with all of its processes, filled by an import that two people saw to."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dns.tsig
import httpx

from bench import machine, sink
from bench.figures import PULIH
from bench.primary import PATIENCE, ZONE, Act
from tests.installation import PULIH as COMMAND
from tests.installation import Installation, Service, order_file
from tests.installation import order as an_order

ISP = "isp-one"
PEOPLE = ("operator-1", "approver-1")
MOST_TARGETS = 1000
"""Of one request; more go as an import."""

SETTINGS = {"PULIH_UNSEEN_WINDOW": "1s"}
"""A thousand names are approved again and again, and nobody reads their plan."""

Order = tuple[str, str | None]
"""The id of an order, and the hash of its plan where an approval needs that."""


@dataclass(frozen=True)
class Filled:
    """A data directory with a list in it that nobody serves: to be copied, not to be changed."""

    folder: Path
    tokens: dict[str, str]
    key: dns.tsig.Key
    seconds: float
    """From the start of the import until the SOA showed it."""
    import_mb: float
    """How much memory the import held at its highest."""


@dataclass
class Pulih:
    """A running one; changes are orders that one person proposes and another approves."""

    service: Service
    key: dns.tsig.Key
    client: httpx.Client
    seconds_to_serving: float
    name: str = PULIH
    _orders: dict[str, Order] = field(default_factory=dict)

    @property
    def installation(self) -> Installation:
        return self.service.installation

    @property
    def port(self) -> int:
        return self.installation.dns_port

    @property
    def serving(self) -> list[int]:
        return [pid for pid in self.all_processes if b"app.transfer" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    @property
    def all_processes(self) -> list[int]:
        return machine.family(self.service.process.pid)

    def blocking(self, names: Sequence[str]) -> Act:
        """Propose now; the act is the approval."""
        order, plan_hash = self._propose(names)
        self._orders[names[0]] = order, plan_hash
        confirmed = {} if plan_hash is None else {"plan_hash": plan_hash}
        return lambda: self._act(f"orders/{order}/approve", {"reason": "A benchmark", **confirmed})

    def lifting(self, names: Sequence[str]) -> Act:
        order, _ = self._orders.pop(names[0])
        return lambda: self._act(f"orders/{order}/lift", {"ground": "wrong_block", "reason": "A benchmark"})

    def zone(self) -> dict[str, int]:
        """Serial and counts, as the API tells them."""
        answer = self.client.get(f"zones/{ZONE}", headers=self._as("approver-1"))
        answer.raise_for_status()
        found: dict[str, int] = answer.json()
        return found

    def check_names(self, count: int) -> None:
        """Raises WrongTransfer where it does not publish so many names."""
        zone = self.zone()
        if zone["names"] != count:
            raise sink.WrongTransfer(f"Pulih was given {count} names and publishes {zone}")

    def _propose(self, names: Sequence[str]) -> Order:
        number = f"BENCH-{names[0]}-{time.time_ns()}"
        if len(names) <= MOST_TARGETS:
            body = an_order(number, *((name, "subtree") for name in names))
            return self._post("orders", body, "operator-1")["id"], None
        order = an_order(number)
        del order["targets"]
        made = self._post("imports?match=subtree", {"order": order, "lines": names}, "operator-1")
        return made["order_id"], made["plan_hash"]

    def _act(self, path: str, body: object) -> None:
        self._post(path, body, "approver-1")

    def _post(self, path: str, body: object, person: str) -> dict[str, Any]:
        answer = self.client.post(path, json=body, headers={**self._as(person), "If-Match": "*"})
        if not answer.is_success:
            raise sink.WrongTransfer(answer.text)
        document: dict[str, Any] = answer.json()
        return document

    def _as(self, person: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.installation.token(person)}"}


def fill(folder: Path, lines: Iterable[str], count: int) -> Filled:
    """Import and approve a list that holds so many names; what is not a name is left out (`--partial`)."""
    folder.mkdir()
    installation = Installation(folder, SETTINGS)
    installation.pulih("upgrade")
    added = installation.add_subscriber(ISP)["tsig"]
    key = dns.tsig.Key(added["name"], added["secret"], added["algorithm"])
    for person in PEOPLE:
        installation.token(person)
    with (folder / "list.txt").open("w", buffering=1 << 20) as file:
        file.writelines(f"{line}\n" for line in lines)
    (folder / "order.toml").write_text(order_file("BENCH"))
    with started(installation, key) as pulih:
        before = sink.serial_of(pulih.port, ZONE)
        began = time.perf_counter()
        import_mb = _import(installation)
        while sink.serial_of(pulih.port, ZONE) == before:
            time.sleep(0.05)
        seconds = time.perf_counter() - began
        pulih.check_names(count)
        machine.wait_idle(pulih.service.process.pid)
    (folder / "list.txt").unlink()
    return Filled(folder, installation.tokens, key, seconds, import_mb)


def _import(installation: Installation) -> float:
    """Import and approve, however long it takes; the memory that the import held at its highest, in MB."""
    said = installation.directory / "import.txt"
    command = ("import", "list.txt", "--order-file", "order.toml", "--partial")
    environment = {**installation.environment, "PULIH_TOKEN": installation.token("operator-1")}
    with said.open("w") as output:
        process = subprocess.Popen([*COMMAND, *command], cwd=installation.directory, env=environment, stdout=output)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    plan_hash = re.search(r"^plan_hash (\S+)$", said.read_text(), re.MULTILINE)
    if process.returncode != 0 or plan_hash is None:
        raise sink.WrongTransfer(f"the import ended with status {process.returncode}: {said.read_text()[-500:]}")
    approve = ("order", "approve", "BENCH", "--reason", "A benchmark", "--plan-hash", plan_hash[1])
    installation.pulih(*approve, as_="approver-1", patience=PATIENCE)
    return usage.ru_maxrss / 1024


@contextmanager
def copied(filled: Filled, folder: Path) -> Iterator[Pulih]:
    """A Pulih that serves a copy of what is filled."""
    copy(filled, folder)
    with started(Installation(folder, SETTINGS, tokens=dict(filled.tokens)), filled.key) as pulih:
        yield pulih


def copy(filled: Filled, folder: Path) -> None:
    """The data directory once more, for an installation of its own."""
    shutil.copytree(filled.folder, folder)


@contextmanager
def started(installation: Installation, key: dns.tsig.Key) -> Iterator[Pulih]:
    """Pulih from the moment at which its transfer process shows the zone."""
    aged: list[float] = []

    def serves(service: Service) -> bool:
        if not aged and sink.shows(installation.dns_port, ZONE):
            aged.append(machine.age(service.process.pid))
        return bool(aged) and service.ready()

    with (
        installation.serving(serves, PATIENCE) as service,
        httpx.Client(base_url=f"{installation.url}/api/v1/", timeout=PATIENCE) as client,
    ):
        yield Pulih(service, key, client, aged[0])
