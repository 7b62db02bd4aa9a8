"""Other primaries of the same zone, under the same key, as a careful operator would run them; changes are dynamic
updates (RFC 2136)."""

import base64
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path

import dns.rcode
import dns.tsig
import dns.update

from bench import machine, sink
from bench.names import owners
from bench.primary import PATIENCE, ZONE, Act
from tests.servers import Server, answers_dns, find, free_port, named_config, running

TTL = 60
OWNERS_A_MESSAGE = 2000
"""Of an update: 64 KiB hold them."""


@dataclass
class Peer:
    """A primary that takes dynamic updates."""

    name: str
    server: Server
    key: dns.tsig.Key
    seconds_to_serving: float

    @property
    def port(self) -> int:
        return self.server.port

    @property
    def serving(self) -> list[int]:
        return self.all_processes

    @property
    def all_processes(self) -> list[int]:
        return machine.family(self.server.process.pid)

    def blocking(self, names: Sequence[str]) -> Act:
        return self._updating(names, lambda update, owner: update.add(owner, TTL, "CNAME", "."))

    def lifting(self, names: Sequence[str]) -> Act:
        return self._updating(names, lambda update, owner: update.delete(owner, "CNAME"))

    def _updating(self, names: Sequence[str], change: Callable[[dns.update.UpdateMessage, str], None]) -> Act:
        """As many messages as it needs; the act returns with the answer to the last."""
        wires, left = [], owners(names)
        while batch := list(islice(left, OWNERS_A_MESSAGE)):
            update = dns.update.UpdateMessage(f"{ZONE}.", keyring=self.key)
            for owner in batch:
                change(update, owner)
            wires.append(update.to_wire(max_size=65_535))
        return lambda: self._send(wires)

    def _send(self, wires: Sequence[bytes]) -> None:
        for wire in wires:
            rcode = sink.send_signed(self.port, wire)[3] & 0x0F
            if rcode:
                raise sink.WrongTransfer(f"{self.name} refuses an update: {dns.rcode.to_text(dns.rcode.Rcode(rcode))}")


def _shows(port: int) -> bool:
    return sink.shows(port, ZONE)


@contextmanager
def knot(folder: Path, key: dns.tsig.Key, zone_file: Path, notify: int) -> Iterator[Peer]:
    """Knot, as soon as it shows the zone of that file; `notify` is the port of the resolver that it wakes."""
    folder.mkdir()
    port, file = free_port(), folder / "knot.conf"
    file.write_text(_knot_config(folder, port, key, zone_file, notify))
    with running([find("knotd", "knot"), "-c", file], folder, port, _shows, PATIENCE) as server:
        yield Peer("Knot", server, key, machine.age(server.process.pid))


@contextmanager
def bind(folder: Path, key: dns.tsig.Key, zone_file: Path, notify: int) -> Iterator[Peer]:
    """BIND, likewise."""
    folder.mkdir()
    port = free_port()
    config = named_config(folder, port, BIND_OPTIONS, _bind_zone(key, zone_file, notify))
    with named_of_two_threads(folder, config, port, _shows) as server:
        yield Peer("BIND", server, key, machine.age(server.process.pid))


def named_of_two_threads(
    folder: Path, config: str, port: int, ready: Callable[[int], bool] = answers_dns
) -> AbstractContextManager[Server]:
    """BIND, started with exactly this configuration, with two cores for itself."""
    file = folder / "named.conf"
    file.write_text(config)
    return running([find("named", "bind9"), "-g", "-n", "2", "-c", file], folder, port, ready, PATIENCE)


STARTS = {"Knot": knot, "BIND": bind}


@cache
def versions() -> dict[str, str]:
    """What is measured beside Pulih."""
    return {
        "Knot": machine.version([find("knotd", "knot"), "--version"]),
        "BIND": machine.version([find("named", "bind9"), "-v"]),
    }


def _knot_config(folder: Path, port: int, key: dns.tsig.Key, zone_file: Path, notify: int) -> str:
    """What is not said here is Knot's default."""
    return f"""server:
    rundir: "{folder}"
    listen: 127.0.0.1@{port}
    tcp-workers: 2
    background-workers: 2
    tcp-io-timeout: 120000
log:
  - target: stderr
    any: info
control:
    listen: "{folder}/control"
database:
    storage: "{folder}"
    journal-db-max-size: 4G
key:
  - id: {_key_name(key)}
    algorithm: hmac-sha256
    secret: {_secret(key)}
remote:
  - id: resolver
    address: 127.0.0.1@{notify}
acl:
  - id: signed
    key: {_key_name(key)}
    action: [ transfer, update ]
zone:
  - domain: {ZONE}
    storage: "{folder}"
    file: "{zone_file}"
    zonefile-sync: -1
    journal-content: changes
    journal-max-usage: 2G
    semantic-checks: off
    notify: resolver
    acl: signed
"""


BIND_OPTIONS = """    recursion no;
    transfers-out 100;
    tcp-clients 200;
    notify explicit;
    notify-delay 0;
    notify-rate 1000;
    max-journal-size 512m;
    check-names primary ignore;"""


def _bind_zone(key: dns.tsig.Key, zone_file: Path, notify: int) -> str:
    name = _key_name(key)
    return f"""key "{name}" {{ algorithm hmac-sha256; secret "{_secret(key)}"; }};
zone "{ZONE}" {{
    type primary;
    file "{zone_file}";
    journal "{ZONE}.jnl";
    allow-update {{ key "{name}"; }};
    allow-transfer {{ key "{name}"; }};
    also-notify {{ 127.0.0.1 port {notify}; }};
}};
"""


def _key_name(key: dns.tsig.Key) -> str:
    return key.name.to_text(omit_final_dot=True)


def _secret(key: dns.tsig.Key) -> str:
    assert isinstance(key.secret, bytes)
    return base64.b64encode(key.secret).decode()
