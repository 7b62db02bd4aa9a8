"""Every NOTIFY is lost, and still each secondary has the new serial by its refresh: they lose time, never a change."""

import base64
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rdatatype
import pytest

from app.subscribers.directory import Directory, NotifyTarget
from app.transfer.limits import Limits
from app.transfer.process import Transfer
from tests import servers_secondaries
from tests.namespaces import counted, filter_packets, in_own_network
from tests.policy.scale import Record
from tests.policy.zones import SUBTREE, many_rules, version, zone
from tests.servers import Server, free_port, named, named_config, wait_until
from tests.servers_secondaries import knot_config, knotd, nsd_config
from tests.wire.feeds import ISP_ONE, SECRET, MadeFeed, directory, serving

pytestmark = pytest.mark.long

REFRESH, SLACK = 5, 2.0
"""Seconds: what the SOA of the test's zone says (ours says 300), and what a transfer may take beyond it."""

SECRET_TEXT = base64.b64encode(SECRET).decode()
LOSES_NOTIFY = """
table inet test {
    counter lost { }
    chain input {
        type filter hook input priority 0;
        udp dport { %s } @th,80,5 4 counter name lost drop comment "no answer, opcode NOTIFY"
    }
}
"""


@contextmanager
def bind(directory: Path, primary: int, port: int) -> Iterator[Server]:
    statements = f"""key "{ISP_ONE.name}" {{ algorithm hmac-sha256; secret "{SECRET_TEXT}"; }};
zone "block.rpz" {{ type secondary; primaries {{ 127.0.0.1 port {primary} key "{ISP_ONE.name}"; }}; notify no;
    min-refresh-time 1; min-retry-time 1; }};"""
    with named(directory, named_config(directory, port, "    recursion no;", statements), port) as server:
        yield server


@contextmanager
def knot(directory: Path, primary: int, port: int) -> Iterator[Server]:
    statements = f"""key:
  - id: {ISP_ONE.name}
    algorithm: hmac-sha256
    secret: {SECRET_TEXT}
remote:
  - id: pulih
    address: 127.0.0.1@{primary}
    key: {ISP_ONE.name}
acl:
  - id: notifies
    address: 127.0.0.1
    key: {ISP_ONE.name}
    action: notify
zone:
  - domain: block.rpz
    master: pulih
    acl: notifies
"""
    with knotd(directory, knot_config(directory, port, statements), port) as server:
        yield server


@contextmanager
def nsd(directory: Path, primary: int, port: int) -> Iterator[Server]:
    statements = f"""key:
    name: "{ISP_ONE.name}"
    algorithm: hmac-sha256
    secret: "{SECRET_TEXT}"
zone:
    name: block.rpz
    zonefile: "block.rpz.zone"
    allow-notify: 127.0.0.1 {ISP_ONE.name}
    request-xfr: 127.0.0.1@{primary} {ISP_ONE.name}
"""
    with servers_secondaries.nsd(directory, nsd_config(directory, port, statements), port) as server:
        yield server


SECONDARIES = {"bind": bind, "knot": knot, "nsd": nsd}


@dataclass
class Rig:
    """A server whose zone has a short refresh, and where each secondary listens."""

    feed: MadeFeed
    server: Transfer
    ports: Mapping[str, int]

    def publish(self) -> float:
        """A new serial with one more name; when it was announced."""
        held = self.feed.zones["block.rpz"]
        rules = dict(held.rules()) | {f"example.new{held.serial}.": SUBTREE}
        self.feed.zones = {"block.rpz": version(rules, held.serial + 1, held.zone)}
        self.server.announce("block.rpz")
        return time.monotonic()

    def seconds_until(self, serial: int, began: float, timeout: float) -> dict[str, float]:
        """How long each secondary took to have it."""
        took: dict[str, float] = {}

        def all_have_it() -> bool:
            for name, port in self.ports.items():
                if name not in took and serial_at(port) == serial:
                    took[name] = time.monotonic() - began
            return len(took) == len(self.ports)

        wait_until(all_have_it, timeout, lambda: f"only {took} have {serial}")
        return took


def serial_at(port: int) -> int | None:
    try:
        reply = dns.query.udp(dns.message.make_query("block.rpz.", "SOA"), "127.0.0.1", port=port, timeout=2)
        return int(reply.answer[0][0].serial) if reply.answer else None
    except (OSError, dns.exception.DNSException):
        return None


@contextmanager
def rig(tmp_path: Path, told: Mapping[str, int], ports: Mapping[str, int]) -> Iterator[Rig]:
    """Secondaries that have the first serial; NOTIFY goes where `told` says."""
    targets = tuple(NotifyTarget("127.0.0.1", port) for port in told.values())
    subscriber = replace(directory().subscribers["isp-one"], targets=targets)
    short = replace(zone(), soa=replace(zone().soa, refresh=REFRESH, retry=REFRESH))
    feed = MadeFeed(
        {"block.rpz": version(many_rules(500), 100, short)},
        Directory({"isp-one": subscriber}, {ISP_ONE.name: ISP_ONE}),
    )
    with ExitStack() as stack:
        server = stack.enter_context(serving(feed, Limits(notify_pauses=(0.5, 0.5, 0.5))))
        for name, port in ports.items():
            (tmp_path / name).mkdir()
            stack.enter_context(SECONDARIES[name](tmp_path / name, server.port, port))
        made = Rig(feed, server, ports)
        made.seconds_until(100, time.monotonic(), 20)
        feed.wait_for(lambda seen: seen.kind == "notify")
        yield made


def tell_seconds(record_property: Record, lost: int, took: Mapping[str, float]) -> None:
    record_property("notifies_lost", lost)
    for name, seconds in took.items():
        record_property(name, f"{seconds:.1f} s of {REFRESH}")


def test_all_notifies_dropped_on_the_way(tmp_path: Path, record_property: Record) -> None:
    """By a packet filter in a network of its own; once it is gone, NOTIFY alone brings the next serial."""
    ports = {name: free_port() for name in SECONDARIES}

    def lost() -> tuple[dict[str, float], int, dict[str, float]]:
        filter_packets(LOSES_NOTIFY % ", ".join(map(str, ports.values())))
        with rig(tmp_path, ports, ports) as made:
            took = made.seconds_until(101, made.publish(), REFRESH + SLACK + 10)
            dropped = counted("lost")
            assert {seen.outcome for seen in made.feed.sightings if seen.kind == "notify"} == {"no answer"}
            filter_packets("flush ruleset")
            return took, dropped, made.seconds_until(102, made.publish(), REFRESH + SLACK + 10)

    took, dropped, by_notify = in_own_network(lost)
    tell_seconds(record_property, dropped, took)
    for name, seconds in by_notify.items():
        record_property(f"{name}_by_notify", f"{seconds:.1f} s")
    assert dropped >= 2 * len(ports)
    assert max(took.values()) <= REFRESH + SLACK
    assert min(by_notify.values()) < 1


def test_all_notifies_swallowed_where_they_go(tmp_path: Path, record_property: Record) -> None:
    """The same without a packet filter: NOTIFY goes to a port where nobody answers."""
    ports = {"bind": free_port()}
    with socket.socket(type=socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        with rig(tmp_path, {"sink": sink.getsockname()[1]}, ports) as made:
            took = made.seconds_until(101, made.publish(), REFRESH + SLACK + 10)
        tell_seconds(record_property, _waiting_in(sink), took)
    assert max(took.values()) <= REFRESH + SLACK


def _waiting_in(sink: socket.socket) -> int:
    count = 0
    sink.settimeout(0)
    while True:
        try:
            sink.recv(2048)
        except BlockingIOError:
            return count
        count += 1
