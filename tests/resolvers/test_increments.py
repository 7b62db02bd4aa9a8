"""Increments at real secondaries: BIND from 200 old serials at once, and PowerDNS's ixfrdist, which makes its own."""

import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from ipaddress import ip_network
from itertools import cycle
from pathlib import Path

import dns.exception
import dns.query
import dns.rdatatype
import dns.versioned
import dns.xfr
import pytest

from app.main import make_publisher
from app.publication.follower import Follower
from app.publication.marks import Marks
from app.settings import Settings
from app.subscribers.directory import Directory, Subscriber
from resolver_policy import wire
from resolver_policy.actions import parse_action
from resolver_policy.targets import Decision, Match, Target
from resolver_policy.xfr import LARGEST_DIFFERENCE
from tests.installation import Installation
from tests.policy.scale import Record, seeded, tell
from tests.policy.zones import Rules, parsed, records_of
from tests.publication.pasts import Past, records, secondary_at, write_past
from tests.publication.worlds import World, random_act
from tests.servers import Server, find, free_port, named_config, running, wait_until
from tests.service import NOW, FrozenClock, Template, copy_of
from tests.subscribers.worlds import registered
from tests.wire.clients import connection, query, receive, send
from tests.wire.feeds import MadeFeed, serving

ACTIONS = ("nxdomain", "nodata", "redirect:landing.test")
ZONES = 200
NAMES = 1_500
RELEASES = 210
"""Of which the oldest 40 or so are further from the newest than an increment may reach."""

SOA = wire.Soa("localhost", "normalisation.invalid")


def some_zones(count: int) -> dict[str, wire.Zone]:
    made = zip([f"z{number:03}.rpz" for number in range(count)], cycle(ACTIONS), strict=False)
    return {name: wire.Zone(name, parse_action(action), SOA) for name, action in made}


def setting(zones: Mapping[str, wire.Zone]) -> str:
    return ",".join(f"{name}={action}" for name, action in zip(zones, cycle(ACTIONS), strict=False))


@contextmanager
def transfers(installation: Installation) -> Iterator[int]:
    """The transfer process, on a database that is there; the port it serves."""
    log_file = installation.directory / "transfer.log"
    with (
        log_file.open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-m", "app.transfer"], env=installation.environment, stdout=log, stderr=log
        ) as process,
    ):
        try:
            wait_until(lambda: "zones served" in log_file.read_text(), 60, log_file.read_text)
            yield installation.dns_port
        finally:
            process.terminate()
            process.wait(20)
    assert "Traceback" not in log_file.read_text()


@contextmanager
def bind(directory: Path, zones: Mapping[str, wire.Zone], primary: int) -> Iterator[Server]:
    """A secondary that holds a file of every zone, and asks for what is newer a second after its start."""
    statements = [
        f'zone "{name}" {{ type secondary; primaries {{ 127.0.0.1 port {primary}; }}; file "{name}.db"; }};'
        for name in zones
    ]
    statements.append(
        "logging { channel all { stderr; severity debug 3; print-category yes; };"
        " category default { default_stderr; }; category xfer-in { all; }; category general { default_stderr; }; };"
    )
    options = """recursion no; notify no; request-ixfr yes; masterfile-format text; allow-transfer { any; };
    min-retry-time 1; max-retry-time 1; serial-query-rate 1000; transfers-in 20; transfers-per-ns 20;"""
    port = free_port()
    file = directory / "named.conf"
    file.write_text(named_config(directory, port, options, "\n".join(statements)))
    with running([find("named", "bind9"), "-f", "-n", "1", "-c", file], directory, port) as server:
        yield server


def write_file(directory: Path, zone: wire.Zone, serial: int, rules: Rules) -> None:
    """The zone as it stood under a serial, spelled out from the rules themselves."""
    numbers = f"{serial} {SOA.refresh} {SOA.retry} {SOA.expire} {SOA.minimum}"
    apex = [
        f"{zone.origin}. 60 IN SOA {SOA.mname}. {SOA.rname}. {numbers}",
        f"{zone.origin}. 60 IN NS localhost.",
    ]
    (directory / f"{zone.origin}.db").write_text("\n".join([*apex, *records_of(rules, zone), ""]))


def held_by(server: Server, zones: Mapping[str, wire.Zone]) -> dict[str, set[str]]:
    """Every record of every zone, as dig prints them."""
    questions = server.directory / "questions"
    questions.write_text("".join(f"{name} AXFR\n" for name in zones))
    dig: list[str | Path] = [
        find("dig", "bind9-dnsutils"),
        "@127.0.0.1",
        "-p",
        str(server.port),
        "+noall",
        "+answer",
        "-f",
        questions,
    ]
    found: dict[str, set[str]] = defaultdict(set)
    for line in subprocess.run(dig, capture_output=True, text=True, check=True).stdout.splitlines():
        fields = line.split()
        if len(fields) > 3 and fields[3] in {"CNAME", "SOA"}:
            zone = ".".join(fields[0].rstrip(".").split(".")[-2:])
            found[zone].add(" ".join(fields))
    return found


@pytest.fixture
def past_of_many_zones(tmp_path: Path, template: Template) -> tuple[Installation, Past]:
    """A database of 200 zones of one past, with this machine for a subscriber without a key."""
    zones = setting(some_zones(ZONES))
    installation = Installation(tmp_path, {"PULIH_ZONES": zones})
    settings = Settings(data_dir=tmp_path / "var", zones=zones)
    database = copy_of(template, settings)
    make_publisher(settings, database).start(NOW)
    past = write_past(database, RELEASES, NAMES, seeded("200 serials"))
    registered(database, "isp-one", "127.0.0.1/32", now=NOW)
    database.close()
    return installation, past


def test_bind_follows_from_200_old_serials(
    past_of_many_zones: tuple[Installation, Past], tmp_path: Path, record_property: Record
) -> None:
    """One BIND with 200 zones, each at another release; its own log tells differences from zones in full."""
    installation, past = past_of_many_zones
    zones = some_zones(ZONES)
    directory = tmp_path / "bind"
    directory.mkdir()
    *older, newest = sorted(past.held)
    stood = dict(zip(zones, seeded("stood").sample(older, ZONES), strict=True))
    for name, release in stood.items():
        write_file(directory, zones[name], past.serials[name][release], past.held[release])

    with transfers(installation) as primary, bind(directory, zones, primary) as server:
        wait_until(lambda: server.log().count("Transfer completed") >= ZONES, 60, lambda: server.log()[-3000:])
        log = server.log()
        found = held_by(server, zones)

    near = {
        name
        for name, release in stood.items()
        if past.rows_since(release) <= LARGEST_DIFFERENCE * len(past.held[newest])
    }
    assert said(log, r"requesting IXFR for serial \d+") == set(zones)
    assert said(log, "got incremental response") == near
    assert said(log, "got nonincremental response") == zones.keys() - near
    assert said(log, "Transfer status: success") == set(zones)
    assert "requesting AXFR" not in log
    assert "no effect" not in log
    assert len(near) > ZONES / 2
    for name, zone in zones.items():
        soa = next(line for line in found[name] if " SOA " in line)
        assert soa.split()[6] == str(past.serials[name][newest])
        assert found[name] - {soa} == records_of(past.held[newest], zone), name
    tell(record_property, serials=len(stood), differences=len(near), full=ZONES - len(near))


def said(log: str, text: str) -> set[str]:
    """The zones of whose transfers BIND says this."""
    return set(re.findall(rf"transfer of '(\S+)/IN' from \S+: {text}", log))


CONFIG = """work-dir: {directory}
listen: ['127.0.0.1:{port}']
keep: 100
failed-soa-retry: 1
domains:
{domains}"""

STEPS = 6


@contextmanager
def ixfrdist(directory: Path, zones: Mapping[str, wire.Zone], primary: int) -> Iterator[Server]:
    """A second maker of increments: it knows a zone by AXFR alone, and compares what it got with what it had."""
    port = free_port()
    domains = "".join(f"  - domain: {name}\n    master: 127.0.0.1:{primary}\n" for name in zones)
    file = directory / "ixfrdist.yml"
    file.write_text(CONFIG.format(directory=directory, port=port, domains=domains))
    command: list[str | Path] = [find("ixfrdist", "pdns-ixfrdist"), "--verbose", "--config", file]
    with running(command, directory, port, lambda port: all(soa_serial(port, name) for name in zones)) as server:
        yield server


def wait_for_serial(server: Server, zone: str, serial: int) -> None:
    wait_until(lambda: soa_serial(server.port, zone) == serial, 20, server.log)


@pytest.fixture
def world(tmp_path: Path, template: Template, clock: FrozenClock) -> Iterator[World]:
    """Three zones of 40 orders of ten names each."""
    settings = Settings(data_dir=tmp_path, zones=setting(some_zones(3)))
    database = copy_of(template, settings)
    world = World(database, make_publisher(settings, database), clock, template, settings)
    world.publisher.start(clock())
    random = seeded("ixfrdist")
    for order in range(40):
        names = [f"{random.choice('abcxyz')}{random.getrandbits(24):x}.n{order}.example" for _ in range(10)]
        world.add(Target(name, random.choice(tuple(Match)), Decision.BLOCK) for name in names)
    yield world
    database.close()


@pytest.fixture
def feed(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "FollowingFeed":
    """Zones to be asked for each second: ixfrdist knows no NOTIFY."""
    monkeypatch.setattr(wire, "Soa", partial(wire.Soa, refresh=1))
    settings = Settings(data_dir=tmp_path)
    follower = Follower(settings, Marks(tmp_path / "marks", "transfer"), world.database.read)
    return FollowingFeed(world, follower)


class FollowingFeed(MadeFeed):
    """What a transfer process serves of a world; `publish` gives a new serial to every zone."""

    def __init__(self, world: World, follower: Follower) -> None:
        here = Subscriber("isp-one", (ip_network("127.0.0.1/32"),), (), keyed=False)
        super().__init__({}, Directory({here.name: here}, {}))
        self._world, self._follower = world, follower

    def publish(self) -> dict[str, int]:
        serials = self._world.publish()
        with self._world.database.read() as session:
            self._follower.refresh(session)
        self.zones = self._follower.zones
        return serials


def soa_serial(port: int, zone: str) -> int:
    """What a server says it has; 0 before it has the zone, when ixfrdist says nothing."""
    try:
        answer = dns.query.udp(query("SOA", f"{zone}."), "127.0.0.1", timeout=0.5, port=port).answer
    except (OSError, dns.exception.Timeout):
        return 0
    return int(str(answer[0][0]).split()[2]) if answer else 0


def follow(port: int, secondary: dns.versioned.Zone, zone: str, newest: int) -> bool:
    """Bring a secondary to the newest serial by IXFR; whether it took differences alone.

    ixfrdist ends its answer after each release, where a client stops to read and asks again.
    """
    incremental = True
    while (serial := _serial_of(secondary)) != newest:
        with dns.xfr.Inbound(secondary, dns.rdatatype.IXFR, serial) as inbound, connection(port) as sock:
            send(sock, query("IXFR", f"{zone}.", serial=serial).to_wire())
            while not inbound.process_message(parsed(receive(sock))):
                pass
            incremental = incremental and inbound.incremental
        assert _serial_of(secondary) > serial
    return incremental


def _serial_of(secondary: dns.versioned.Zone) -> int:
    with secondary.reader() as reader:
        soa = reader.get(secondary.origin, "SOA")
    return int(str(soa[0]).split()[2])


def test_increments_mean_what_those_of_ixfrdist_mean(
    world: World, feed: FollowingFeed, tmp_path: Path, record_property: Record
) -> None:
    """Orders begin and end, both make their increments, dnspython applies either to the zone as it stood."""
    zones, random = some_zones(3), seeded("acts")
    feed.publish()
    held: dict[str, dict[int, Rules]] = {name: {} for name in zones}
    compared, differences = 0, {"ours": 0, "of_ixfrdist": 0}
    directory = tmp_path / "ixfrdist"
    directory.mkdir()
    with serving(feed) as server, ixfrdist(directory, zones, server.port) as other:
        for step in range(STEPS):
            serials = feed.publish() if step else {name: feed.zones[name].serial for name in zones}
            for name, serial in serials.items():
                held[name][serial] = world.rules()
                wait_for_serial(other, name, serial)
            for _ in range(3):
                random_act(world, random)
        for name, zone in zones.items():
            *older, newest = held[name]
            for serial in older:
                by = {"ours": server.port, "of_ixfrdist": other.port}
                made = {each: secondary_at(held[name][serial], zone, serial) for each in by}
                for each, port in by.items():
                    differences[each] += follow(port, made[each], name, newest)
                    assert records(made[each]) == records_of(held[name][newest], zone), (each, name, serial)
                compared += 1
    tell(record_property, compared=compared, **differences)
    assert differences["of_ixfrdist"] == compared
    assert differences["ours"] > 0  # where orders happened to end that held much, ours sends the zone in full
