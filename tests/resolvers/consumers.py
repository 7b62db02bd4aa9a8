"""Every kind of consumer, real, configured by what `subscriber config` prints for it and started beside one Pulih.

What a test adds to the printed text: the resolver's port, a directory instead of /var/lib, and where `example` is
answered from (a BIND of its own that says 192.0.2.80 to everything below it).
"""

import datetime as dt
import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dns.message
import dns.query
import dns.rcode

from app.db import Database
from app.journal.actor import host
from app.settings import Settings
from app.subscribers.config import PrintConfig, config
from app.subscribers.keys import secret_key
from app.subscribers.register import Added, AddSubscriber, add
from tests.installation import Service, prepared
from tests.servers import Server, free_port, named, named_config
from tests.servers_resolvers import kresd, kresd_config, pdns_recursor, pdns_recursor_config, unbound, unbound_config
from tests.servers_secondaries import knot_config, knotd, nsd, nsd_config
from tests.service import Template

OPEN = "192.0.2.80"
BEHIND_KNOT, BEHIND_NSD = "Unbound behind Knot", "BIND behind NSD"

ZONE = f"""@ 60 IN SOA localhost. root.localhost. 1 300 60 86400 60
@ 60 IN NS localhost.
* 60 IN A {OPEN}
"""


@dataclass(frozen=True)
class Consumer:
    """A resolver that users ask, how it learns of a change, and the server that stands in front of it, if any."""

    name: str
    learns: str
    resolver: Server
    relay: Server | None = None

    def answer(self, name: str) -> str:
        """NXDOMAIN, or the address that it gives."""
        query = dns.message.make_query(name, "A")
        reply = dns.query.udp(query, "127.0.0.1", port=self.resolver.port, timeout=5)
        if reply.rcode() == dns.rcode.NXDOMAIN:
            return "NXDOMAIN"
        return str(reply.answer[0][0]) if reply.answer else dns.rcode.to_text(reply.rcode())

    def log(self) -> str:
        relay = "" if self.relay is None else self.relay.log()[-3000:]
        return f"{self.name}:\n{relay}\n{self.resolver.log()[-3000:]}"


@dataclass
class Consumers:
    """One Pulih, and everybody who takes its zone."""

    service: Service
    settings: Settings
    database: Database
    upstream: int
    stack: ExitStack
    layers: bool = False
    all: list[Consumer] = field(default_factory=list)

    def named(self, name: str) -> Consumer:
        return next(each for each in self.all if each.name == name)

    def added(self, name: str, notify_port: int | None = None, *, signs: bool = True) -> Added:
        """Register a subscriber of this machine, as `subscriber add` does."""
        notify = () if notify_port is None else (f"127.0.0.1:{notify_port}",)
        command = AddSubscriber(name, ("127.0.0.1/32",), notify, "hmac-sha256" if signs else None)
        with self.database.write() as session:
            key = secret_key(session, self.settings.secret_key_path)
            return add(session, host("root"), command, dt.datetime.now(dt.UTC), secret_key=key)

    def printed(self, name: str, software: str, **options: str) -> str:
        """What `subscriber config` prints."""
        with self.database.write() as session:
            command = PrintConfig(name, software, layers=self.layers, **options)
            return config(session, host("root"), command, dt.datetime.now(dt.UTC), settings=self.settings)

    def folder(self, name: str) -> Path:
        folder = self.service.installation.directory / name
        folder.mkdir()
        return folder

    def start_bind(self) -> None:
        port, folder = free_port(), self.folder("bind")
        self.added("isp-bind", port)
        (folder / "pulih.conf").write_text(self.printed("isp-bind", "bind"))
        (folder / "pulih-options.conf").write_text(self.printed("isp-bind", "bind", part="options"))
        text = bind_config(folder, port, 'include "pulih-options.conf";', 'include "pulih.conf";')
        self._add("BIND", "NOTIFY, IXFR, TSIG", self.stack.enter_context(named(folder, text, port, debug=3)))

    def start_unbound(self) -> None:
        """It has no key, so it is known by its address."""
        port, folder = free_port(), self.folder("unbound")
        self.added("isp-unbound", port, signs=False)
        self._add("Unbound", "NOTIFY, IXFR", self._unbound(folder, port, self.printed("isp-unbound", "unbound")))

    def start_unbound_behind_knot(self) -> None:
        port, relay_port = free_port(), free_port()
        folder, relay_folder = self.folder("unbound-behind-knot"), self.folder("knot")
        self.added("isp-knot", relay_port)
        relay_text, text = (
            self.printed("isp-knot", "unbound", relay="knot", resolver=f"127.0.0.1:{port}", part=part)
            for part in ("relay", "resolver")
        )
        relay = self.stack.enter_context(
            knotd(relay_folder, knot_config(relay_folder, relay_port, relay_text), relay_port)
        )
        self._add(BEHIND_KNOT, "NOTIFY, IXFR, TSIG by Knot", self._unbound(folder, port, text), relay)

    def start_bind_behind_nsd(self) -> None:
        port, relay_port = free_port(), free_port()
        folder, relay_folder = self.folder("bind-behind-nsd"), self.folder("nsd")
        self.added("isp-nsd", relay_port)
        printed = self.printed("isp-nsd", "nsd", resolver=f"127.0.0.1:{port}")
        text = nsd_config(relay_folder, relay_port, printed.replace("/var/lib/nsd", str(relay_folder)))
        relay = self.stack.enter_context(nsd(relay_folder, text, relay_port))
        zone = f"""zone "block.rpz" {{
    type secondary; file "block.rpz.db"; primaries {{ 127.0.0.1 port {relay_port}; }};
}};"""
        policy = 'response-policy { zone "block.rpz" policy given min-update-interval 0; } qname-wait-recurse no;'
        resolver = self.stack.enter_context(named(folder, bind_config(folder, port, policy, zone), port, debug=3))
        self._add(BEHIND_NSD, "NOTIFY, IXFR, TSIG by NSD", resolver, relay)

    def start_powerdns(self) -> None:
        port, folder = free_port(), self.folder("powerdns")
        self.added("isp-powerdns")
        policy = self.printed("isp-powerdns", "powerdns", part="policy")
        settings = self.printed("isp-powerdns", "powerdns", part="settings")
        if self.layers:  # what would be waited for: polls of 5 and 60 seconds, answers kept for 5
            policy = re.sub(r"refresh = \d+", "refresh = 2", policy)
            settings = re.sub(r"packetcache-ttl=\d+", "packetcache-ttl=1", settings)
        (folder / "pulih.lua").write_text(policy.replace("/var/lib/pulih", str(folder)))
        settings += f"lua-config-file={folder / 'pulih.lua'}\n"
        text = pdns_recursor_config(port, self.upstream, settings)
        self._add("PowerDNS", "polls, IXFR, TSIG", self.stack.enter_context(pdns_recursor(folder, text, port)))

    def start_knot_resolver(self) -> None:
        """Its timer is played by a thread that keeps to the seconds of the printed unit."""
        port, folder = free_port(), self.folder("knot-resolver")
        header = folder / "pulih.header"
        header.write_text(f"Authorization: Bearer {self.added('isp-kresd').token}\n")
        header.chmod(0o600)
        policy, text, unit = (
            self.printed("isp-kresd", "knot-resolver", part=part)
            .replace("/var/lib/pulih", str(folder))
            .replace("/etc/knot-resolver/pulih.header", str(header))
            for part in ("policy", "script", "timer")
        )
        script = folder / "pulih-fetch"
        script.write_text(text)
        script.chmod(0o755)
        every = re.search(r"OnUnitInactiveSec=(\d+)", unit)
        assert every is not None
        self.stack.enter_context(timer(script, int(every[1])))
        resolver = self.stack.enter_context(kresd(folder, kresd_config(folder, port, self.upstream, policy), port))
        self._add("Knot Resolver", "polls a file by HTTP", resolver)

    def _unbound(self, folder: Path, port: int, printed: str) -> Server:
        statements = printed.replace("/var/lib/unbound", str(folder))
        return self.stack.enter_context(unbound(folder, unbound_config(folder, port, self.upstream, statements), port))

    def _add(self, name: str, learns: str, resolver: Server, relay: Server | None = None) -> None:
        self.all.append(Consumer(name, learns, resolver, relay))


STARTS = (
    Consumers.start_bind,
    Consumers.start_unbound,
    Consumers.start_unbound_behind_knot,
    Consumers.start_bind_behind_nsd,
    Consumers.start_powerdns,
    Consumers.start_knot_resolver,
)


def bind_config(folder: Path, port: int, options: str, statements: str) -> str:
    """A named.conf that answers for `example` itself."""
    (folder / "example.db").write_text(ZONE)
    zone = 'zone "example" { type primary; file "example.db"; };'
    return named_config(folder, port, options, f"{statements}\n{zone}")


@contextmanager
def timer(script: Path, every: int) -> Iterator[None]:
    """Run a script once, then again `every` seconds after each end, as a systemd timer does."""
    log = script.with_suffix(".log")
    over = threading.Event()

    def run() -> None:
        with log.open("ab") as file:
            subprocess.run([script], stdout=file, stderr=file, stdin=subprocess.DEVNULL, check=False)

    def repeat() -> None:
        while not over.wait(every):
            run()

    run()
    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def consumers(
    directory: Path,
    template: Template,
    starts: Sequence[Callable[[Consumers], None]] = STARTS,
    *,
    layers: bool = False,
) -> Iterator[Consumers]:
    """Pulih with every consumer, or with some, beside it; with `layers` they take its zone in two."""
    with ExitStack() as stack:
        upstream_port = free_port()
        upstream = directory / "upstream"
        upstream.mkdir()
        stack.enter_context(named(upstream, bind_config(upstream, upstream_port, "recursion no;", ""), upstream_port))
        installation = prepared(directory, template)
        installation.settings = {"PULIH_PUBLIC_URL": installation.url}
        settings = Settings(
            data_dir=directory / "var",
            dns_listen=f"127.0.0.1:{installation.dns_port}",
            public_url=installation.url,
        )
        database = Database(settings.database)
        stack.callback(database.close)
        service = stack.enter_context(installation.serving())
        made = Consumers(service, settings, database, upstream_port, stack, layers)
        for start in starts:
            start(made)
        yield made
