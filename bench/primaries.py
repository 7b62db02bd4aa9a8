"""The two primaries: Pulih as its users run it, and Knot with the zone that Pulih exports, under the same key."""

import base64
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import dns.exception
import dns.rcode
import dns.tsig
import dns.update
import httpx

from bench import sink
from tests.installation import PULIH, Installation, Service, order_file
from tests.installation import order as an_order
from tests.servers import Server
from tests.servers_secondaries import knotd

ZONE = "block.rpz"
TTL = 60
PATIENCE = 3600.0

Act = Callable[[], None]


class Primary(Protocol):
    """A server of the zone. `blocking` and `lifting` prepare a change; what they return makes it, once."""

    @property
    def name(self) -> str: ...

    @property
    def port(self) -> int: ...

    @property
    def pid(self) -> int: ...

    @property
    def key(self) -> dns.tsig.Key: ...

    def blocking(self, names: Sequence[str]) -> Act: ...

    def lifting(self, names: Sequence[str]) -> Act: ...


@dataclass
class Pulih:
    """Pulih with all of its processes; changes are orders that one person proposes and another approves."""

    service: Service
    key: dns.tsig.Key
    client: httpx.Client
    name: str = "Pulih"
    _orders: dict[str, str] = field(default_factory=dict)

    @property
    def port(self) -> int:
        return self.service.installation.dns_port

    @property
    def pid(self) -> int:
        """The process that transfers."""
        supervisor = self.service.process.pid
        children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
        return next(int(pid) for pid in children if b"app.transfer" in Path(f"/proc/{pid}/cmdline").read_bytes())

    def blocking(self, names: Sequence[str]) -> Act:
        """Propose now; the act is the approval."""
        body = an_order(f"BENCH-{names[0]}-{time.time_ns()}", *((name, "subtree") for name in names))
        order = self._post("orders", body, "operator-1")["id"]
        self._orders[names[0]] = order
        return lambda: self._approve(order)

    def lifting(self, names: Sequence[str]) -> Act:
        order = self._orders.pop(names[0])
        body = {"ground": "wrong_block", "reason": "A benchmark"}
        return lambda: self._act(f"orders/{order}/lift", body)

    def fill(self, names: Sequence[str], folder: Path) -> float:
        """Import and approve a list; seconds until the transfer process shows it."""
        (folder / "list.txt").write_text("\n".join(names) + "\n")
        (folder / "order.toml").write_text(order_file("BENCH"))
        before = sink.serial_of(self.port, ZONE)
        began = time.perf_counter()
        printed = self.run("import", "list.txt", "--order-file", "order.toml", as_="operator-1")
        plan_hash = printed.split()[-1]
        self.run("order", "approve", "BENCH", "--reason", "A benchmark", "--plan-hash", plan_hash, as_="approver-1")
        while sink.serial_of(self.port, ZONE) == before:
            time.sleep(0.05)
        return time.perf_counter() - began

    def export(self, file: Path) -> None:
        self.run("export", ZONE, "--format", "rpz", "-o", str(file))

    def zone(self) -> dict[str, int]:
        """Serial and counts, as the API tells them."""
        answer = self.client.get(f"zones/{ZONE}", headers=self._as("auditor-1"))
        answer.raise_for_status()
        found: dict[str, int] = answer.json()
        return found

    def run(self, *arguments: str, as_: str | None = None) -> str:
        """Run a command, however long it takes; its standard output."""
        installation = self.service.installation
        environment = installation.environment
        if as_ is not None:
            environment["PULIH_TOKEN"] = installation.token(as_)
        command, folder = [*PULIH, *arguments], installation.directory
        done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        return done.stdout

    def _approve(self, order: str) -> None:
        self._act(f"orders/{order}/approve", {"reason": "A benchmark"})

    def _act(self, path: str, body: object) -> None:
        self._post(path, body, "approver-1")

    def _post(self, path: str, body: object, person: str) -> dict[str, Any]:
        answer = self.client.post(path, json=body, headers={**self._as(person), "If-Match": "*"})
        if not answer.is_success:
            raise sink.WrongTransfer(answer.text)
        document: dict[str, Any] = answer.json()
        return document

    def _as(self, person: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.service.installation.token(person)}"}


@dataclass
class Knot:
    """Knot as a primary that holds the zone in memory and its changes in its journal; changes are dynamic updates."""

    server: Server
    key: dns.tsig.Key
    name: str = "Knot"

    @property
    def port(self) -> int:
        return self.server.port

    @property
    def pid(self) -> int:
        return self.server.process.pid

    def blocking(self, names: Sequence[str]) -> Act:
        update = self._update()
        for owner in _owners(names):
            update.add(owner, TTL, "CNAME", ".")
        return self._sending(update)

    def lifting(self, names: Sequence[str]) -> Act:
        update = self._update()
        for owner in _owners(names):
            update.delete(owner, "CNAME")
        return self._sending(update)

    def _update(self) -> dns.update.UpdateMessage:
        return dns.update.UpdateMessage(f"{ZONE}.", keyring=self.key)

    def _sending(self, update: dns.update.UpdateMessage) -> Act:
        wire = update.to_wire(max_size=65_535)

        def send() -> None:
            answer = sink.send_signed(self.port, wire)
            rcode = answer[3] & 0x0F
            if rcode:
                raise sink.WrongTransfer(f"Knot refuses an update: {dns.rcode.to_text(dns.rcode.Rcode(rcode))}")

        return send


@contextmanager
def pulih(folder: Path) -> Iterator[Pulih]:
    """Pulih with an empty list and one subscriber, who has a key."""
    folder.mkdir()
    installation = Installation(folder)
    installation.pulih("upgrade")
    added = installation.add_subscriber("isp-one")["tsig"]
    key = dns.tsig.Key(added["name"], added["secret"], added["algorithm"])
    for person in ("operator-1", "approver-1", "auditor-1"):
        installation.token(person)
    with (
        installation.serving() as service,
        httpx.Client(base_url=f"{installation.url}/api/v1/", timeout=PATIENCE) as client,
    ):
        _wait_for_soa(installation.dns_port)
        yield Pulih(service, key, client)


@contextmanager
def knot(folder: Path, port: int, key: dns.tsig.Key, write_zone: Callable[[Path], None]) -> Iterator[Knot]:
    """Knot, with the zone that `write_zone` puts into a file, as soon as it shows it."""
    folder.mkdir()
    write_zone(folder / f"{ZONE}.zone")
    with knotd(folder, _knot_config(folder, port, key), port) as server:
        _wait_for_soa(port)
        yield Knot(server, key)


def _knot_config(folder: Path, port: int, key: dns.tsig.Key) -> str:
    """What a careful operator would set for one large zone on two cores; all else is Knot's default."""
    return f"""server:
    rundir: "{folder}"
    listen: 127.0.0.1@{port}
    tcp-workers: 2
    background-workers: 2
log:
  - target: stderr
    any: info
database:
    storage: "{folder}"
    journal-db-max-size: 4G
key:
  - id: {key.name.to_text(omit_final_dot=True)}
    algorithm: hmac-sha256
    secret: {base64.b64encode(key.secret).decode()}
acl:
  - id: signed
    key: {key.name.to_text(omit_final_dot=True)}
    action: [ transfer, update ]
zone:
  - domain: {ZONE}
    storage: "{folder}"
    file: "{ZONE}.zone"
    zonefile-sync: -1
    journal-content: changes
    journal-max-usage: 2G
    semantic-checks: off
    acl: signed
"""


def _owners(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        yield name
        yield f"*.{name}"


def _wait_for_soa(port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            sink.serial_of(port, ZONE)
        except (OSError, sink.WrongTransfer, dns.exception.DNSException):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
