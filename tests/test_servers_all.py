"""Every resolver and secondary that tests start: it answers what its configuration says, and is gone afterwards."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import dns.message
import dns.query
import pytest

from tests import servers, servers_resolvers, servers_secondaries
from tests.servers import Server

ZONE = """$TTL 60
@ IN SOA localhost. hostmaster.localhost. 1 60 60 60 60
@ IN NS localhost.
www IN A 192.0.2.1
"""

Configure = Callable[[Path, int, int, str], str]
Run = Callable[[Path, str, int], AbstractContextManager[Server]]

RESOLVERS: dict[str, tuple[Configure, Run]] = {
    "unbound": (servers_resolvers.unbound_config, servers_resolvers.unbound),
    "pdns_recursor": (lambda _, *rest: servers_resolvers.pdns_recursor_config(*rest), servers_resolvers.pdns_recursor),
    "kresd": (servers_resolvers.kresd_config, servers_resolvers.kresd),
}

SECONDARIES: dict[str, tuple[Callable[[Path, int, str], str], Run, str]] = {
    "knotd": (
        servers_secondaries.knot_config,
        servers_secondaries.knotd,
        'zone:\n  - domain: example\n    file: "{directory}/example.db"\n',
    ),
    "nsd": (
        servers_secondaries.nsd_config,
        servers_secondaries.nsd,
        'zone:\n    name: example\n    zonefile: "example.db"\n',
    ),
}


def answer(port: int) -> list[str]:
    query = dns.message.make_query("www.example", "A")
    reply = dns.query.udp(query, "127.0.0.1", port=port, timeout=5)
    return [record.to_text() for rrset in reply.answer for record in rrset]


def children(pid: int) -> list[int]:
    """Processes below `pid`, itself included."""
    found = [pid]
    for parent in found:
        for file in Path(f"/proc/{parent}/task").glob("*/children"):
            found += map(int, file.read_text().split())
    return found


def gone(pids: list[int]) -> bool:
    """Has each of these ended? (One that only waits to be collected has.)"""
    states = [Path(f"/proc/{pid}/stat") for pid in pids]
    return all(not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z" for stat in states)


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[int]:
    """BIND with the zone `example`; its port."""
    directory = tmp_path / "upstream"
    directory.mkdir()
    (directory / "example.db").write_text(ZONE)
    port = servers.free_port()
    zone = 'zone "example" { type primary; file "example.db"; };'
    with servers.named(directory, servers.named_config(directory, port, "recursion no;", zone), port):
        yield port


@pytest.mark.parametrize("name", RESOLVERS)
def test_a_resolver_answers_from_upstream_and_ends(tmp_path: Path, upstream: int, name: str) -> None:
    configure, run = RESOLVERS[name]
    port = servers.free_port()

    with run(tmp_path, configure(tmp_path, port, upstream, ""), port) as server:
        assert answer(port) == ["192.0.2.1"]
        processes = children(server.process.pid)

    servers.wait_until(lambda: gone(processes), 5, lambda: f"still there: {processes}")


@pytest.mark.parametrize("name", SECONDARIES)
def test_a_secondary_answers_from_its_zone_and_ends(tmp_path: Path, name: str) -> None:
    configure, run, zone = SECONDARIES[name]
    (tmp_path / "example.db").write_text(ZONE)
    port = servers.free_port()
    config = configure(tmp_path, port, zone.format(directory=tmp_path))

    with run(tmp_path, config, port) as server:
        servers.wait_until(lambda: answer(port) == ["192.0.2.1"], 10, server.log)
        processes = children(server.process.pid)

    servers.wait_until(lambda: gone(processes), 5, lambda: f"still there: {processes}")


@pytest.mark.parametrize("name", [*RESOLVERS, *SECONDARIES])
def test_nonsense_in_a_configuration_fails_the_test(tmp_path: Path, name: str) -> None:
    port = servers.free_port()
    if name in RESOLVERS:
        configure, run = RESOLVERS[name]
        config = configure(tmp_path, port, 53, "nonsense=nonsense=")
    else:
        secondary, run, _ = SECONDARIES[name]
        config = secondary(tmp_path, port, "nonsense=nonsense=")

    with (
        pytest.raises(pytest.fail.Exception, match=r"refuses the configuration|as it started"),
        run(tmp_path, config, port),
    ):
        pass


def test_no_binary_is_run_from_where_debian_put_it(tmp_path: Path, upstream: int) -> None:
    port = servers.free_port()
    config = servers_resolvers.unbound_config(tmp_path, port, upstream, "")

    with servers_resolvers.unbound(tmp_path, config, port) as server:
        assert Path(f"/proc/{server.process.pid}/exe").readlink() == tmp_path / "unbound"
