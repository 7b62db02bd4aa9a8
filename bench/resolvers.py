"""Resolvers that take the zone, each configured by exactly what `pulih subscriber config` prints for it.

What is added: the resolver's port, a directory instead of /var/lib, little to log, and where `example` is answered
from (a BIND that says the same address to everything below it).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import dns.exception

from bench.peers import named_of_two_threads
from bench.primary import PATIENCE, Primary
from bench.pulih import ISP, Pulih
from bench.run import Run
from tests.resolvers.consumers import Consumer, bind_config
from tests.servers import Server, free_port, named
from tests.servers_resolvers import pdns_recursor, pdns_recursor_config, unbound, unbound_config

BLOCKED = "NXDOMAIN"
POLL = 0.005
"""Seconds between two questions, at first: their cost is in what the resolver computes."""

EXACT = 0.01
"""So much of the time that has gone by already lies between two questions later on."""

Printed = Callable[[str], str]
"""A part of the configuration, `whole` being all of it."""


@dataclass(frozen=True)
class Resolver:
    """A running one; `label` is its column in the figures."""

    label: str
    consumer: Consumer
    primary: Primary

    @property
    def pid(self) -> int:
        return self.consumer.resolver.process.pid

    def wait_for(self, name: str, *, blocked: bool, patience: float = PATIENCE) -> float:
        """Seconds until it answers for a name as it should; TimeoutError where it never does."""
        began = time.perf_counter()
        while (self._answer(name) == BLOCKED) != blocked:
            gone = time.perf_counter() - began
            if gone > patience:
                raise TimeoutError(f"{self.label}: {name} is answered {self._answer(name)} after {patience:.0f} s")
            time.sleep(max(POLL, EXACT * gone))
        return time.perf_counter() - began

    def _answer(self, name: str) -> str:
        try:
            return self.consumer.answer(name)
        except dns.exception.Timeout:
            return "nothing"


@dataclass
class Isp:
    """Who has the resolvers of one kind. One that does not sign is known by the address that all here have."""

    pulih: Pulih
    kind: str
    signs: bool
    ports: list[int] = field(init=False)
    """Where NOTIFY goes: one for each resolver that is started, one after the other."""

    def __post_init__(self) -> None:
        self.ports = [free_port(), free_port()]
        notify = [word for port in self.ports for word in ("--notify", f"127.0.0.1:{port}")]
        signs = ["--tsig"] if self.signs else []
        self._subscriber("add", self.name, "--address", "127.0.0.1/32", *notify, *signs)

    @property
    def name(self) -> str:
        return f"isp-{self.kind}"

    def printed(self, name: str, options: Sequence[str], part: str) -> str:
        which = [] if part == "whole" else ["--part", part]
        return self._subscriber("config", name, "--for", self.kind, *which, *options)

    def remove(self) -> None:
        """So that nobody is notified who is gone."""
        self._subscriber("remove", self.name)

    def _subscriber(self, *arguments: str) -> str:
        return self.pulih.installation.pulih("subscriber", *arguments)


@dataclass
class Resolvers:
    """Resolvers of one ISP beside the primaries of a run."""

    run: Run
    isp: Isp
    stack: ExitStack
    all: list[Resolver] = field(default_factory=list)

    def of_pulih(self, label: str, *options: str) -> None:
        """Start one that takes what Pulih publishes, woken by NOTIFY; `options` are those of `subscriber config`."""
        printed = partial(self.isp.printed, self.isp.name, options)
        self._start(label, self.isp.pulih, self.isp.ports.pop(), printed)

    def of_peers(self, peers: Sequence[Primary]) -> None:
        """Start BINDs that take the zone from peers, by the same configuration but for the port that they ask."""
        texts = {part: self.isp.printed(ISP, [], part) for part in ("whole", "options")}
        for peer in peers:
            ports = f"port {self.isp.pulih.port}", f"port {peer.port}"
            theirs = {part: text.replace(*ports) for part, text in texts.items()}
            self._start(peer.name, peer, self.run.notified[peer.name], theirs.__getitem__)

    def _start(self, label: str, primary: Primary, port: int, printed: Printed) -> None:
        folder = self.run.fresh_folder(self.isp.kind)
        folder.mkdir()
        start = {"bind": _bind, "unbound": self._unbound, "powerdns": self._powerdns}[self.isp.kind]
        server = self.stack.enter_context(start(folder, port, printed))
        self.all.append(Resolver(label, Consumer(label, "", server), primary))

    @cached_property
    def _upstream(self) -> int:
        """The port of what answers for `example`."""
        port, folder = free_port(), self.run.fresh_folder("upstream")
        folder.mkdir()
        self.stack.enter_context(named(folder, bind_config(folder, port, "recursion no;", ""), port))
        return port

    def _unbound(self, folder: Path, port: int, printed: Printed) -> AbstractContextManager[Server]:
        text = printed("whole").replace("/var/lib/unbound", str(folder))
        text = unbound_config(folder, port, self._upstream, text)
        return unbound(folder, text.replace("verbosity: 4", "verbosity: 1"), port)

    def _powerdns(self, folder: Path, port: int, printed: Printed) -> AbstractContextManager[Server]:
        (folder / "pulih.lua").write_text(printed("policy").replace("/var/lib/pulih", str(folder)))
        settings = f"{printed('settings')}lua-config-file={folder / 'pulih.lua'}\n"
        text = pdns_recursor_config(port, self._upstream, settings)
        return pdns_recursor(folder, text.replace("loglevel=6", "loglevel=4"), port)


@contextmanager
def resolvers(run: Run, isp: Isp) -> Iterator[Resolvers]:
    """None yet; all that are started are ended with the block."""
    with ExitStack() as stack:
        yield Resolvers(run, isp, stack)


def _bind(folder: Path, port: int, printed: Printed) -> AbstractContextManager[Server]:
    """It answers for `example` itself."""
    (folder / "pulih.conf").write_text(printed("whole"))
    (folder / "pulih-options.conf").write_text(printed("options"))
    text = bind_config(folder, port, 'include "pulih-options.conf";', 'include "pulih.conf";')
    return named_of_two_threads(folder, text, port)
