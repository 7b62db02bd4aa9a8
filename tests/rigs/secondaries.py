"""Real secondaries of a rig: BIND and NSD by NOTIFY and IXFR, as `subscriber config` prints them, and `dig`."""

import datetime as dt
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from app.db import Database
from app.journal.actor import host
from app.settings import Settings
from app.subscribers.config import PrintConfig, config
from app.subscribers.keys import secret_key
from tests.installation import Installation
from tests.rigs.checks import Zone, dug, serial_at
from tests.servers import free_port, named, named_config, wait_until
from tests.servers_secondaries import nsd, nsd_config
from tests.subscribers.worlds import registered

OURS = "Pulih"
PATIENCE = 10.0
"""Seconds after a start within which every secondary has what the database says."""

POLL = 0.1


@dataclass
class Secondaries:
    """Servers by name, with their ports; Pulih itself is asked as well. Every serial that any showed is kept."""

    ports: Mapping[str, int]
    shown: dict[str, int] = field(default_factory=dict)
    went_back: list[str] = field(default_factory=list)
    looks: int = 0

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look at every serial now and then, for as long as the block runs."""
        stop = threading.Event()
        thread = threading.Thread(target=self._watch, args=(stop,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def wait_for(self, names: set[str]) -> None:
        """Return once all hold exactly these names, under one serial; fails the test after `PATIENCE` seconds."""
        held: dict[str, Zone | None] = {}

        def are_equal() -> bool:
            if len({serial_at(port) for port in self.ports.values()}) > 1:
                return False
            held.update({name: dug(port) for name, port in self.ports.items()})
            zones = [zone for zone in held.values() if zone is not None]
            return len(zones) == len(held) and all(zone == (zones[0].serial, names) for zone in zones)

        wait_until(are_equal, PATIENCE, lambda: f"wanted {sorted(names)}\n{_differences(held, names)}")
        self._look()
        assert self.went_back == []

    def _watch(self, stop: threading.Event) -> None:
        while not stop.wait(POLL):
            self._look()

    def _look(self) -> None:
        for name, port in self.ports.items():
            serial = serial_at(port)
            if serial is None:
                continue
            self.looks += 1
            if serial < self.shown.get(name, 0):
                self.went_back.append(f"{name} showed {self.shown[name]}, and then {serial}")
            self.shown[name] = serial


def _differences(held: Mapping[str, Zone | None], names: set[str]) -> str:
    return "\n".join(
        f"{name}: nothing" if zone is None else f"{name}: {zone.serial}, {sorted(zone.names ^ names)} differ"
        for name, zone in held.items()
    )


@contextmanager
def secondaries(installation: Installation) -> Iterator[Secondaries]:
    """BIND and NSD beside an installation that is not started yet, and `dig`, which asks without a key."""
    settings = Settings(
        data_dir=installation.directory / "var",
        database_url=installation.database,
        dns_listen=f"127.0.0.1:{installation.dns_port}",
    )
    database = Database(settings.database)
    bind_port, nsd_port = free_port(), free_port()
    now = dt.datetime.now(dt.UTC)
    with database.write() as session:
        key = secret_key(session, settings.secret_key_path)
    for name, port in (("isp-bind", bind_port), ("isp-nsd", nsd_port)):
        registered(database, name, "127.0.0.1/32", now=now, notify=[f"127.0.0.1:{port}"], secret_key=key)

    def printed(command: PrintConfig) -> str:
        with database.write() as session:
            return config(session, host("root"), command, now, settings=settings)

    bind_text = printed(PrintConfig("isp-bind", "bind", part="statements"))
    nsd_text = printed(PrintConfig("isp-nsd", "nsd", resolver="127.0.0.1:1"))
    database.close()
    with ExitStack() as stack:
        stack.enter_context(_bind(_folder(installation, "bind"), bind_port, bind_text))
        stack.enter_context(_nsd(_folder(installation, "nsd"), nsd_port, nsd_text))
        yield Secondaries({OURS: installation.dns_port, "BIND": bind_port, "NSD": nsd_port})


@contextmanager
def _bind(folder: Path, port: int, printed: str) -> Iterator[None]:
    """As printed, but that `dig` may have the zone from it."""
    text = printed.replace("allow-transfer { none; }", "allow-transfer { 127.0.0.1; }")
    with named(folder, named_config(folder, port, "recursion no;", text), port):
        yield


@contextmanager
def _nsd(folder: Path, port: int, printed: str) -> Iterator[None]:
    """As printed, but for its folder, and that it tells nobody."""
    text = re.sub(r"\n +notify: .*", "", printed.replace("/var/lib/nsd", str(folder)))
    with nsd(folder, nsd_config(folder, port, text), port):
        yield


def _folder(installation: Installation, name: str) -> Path:
    folder = installation.directory / name
    folder.mkdir()
    return folder
