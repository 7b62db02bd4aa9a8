"""Authoritative servers for tests, as secondaries and relays: Knot (knotd) and NSD, checked before they start."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.servers import Server, find, running
from tests.servers_resolvers import checked


def knot_config(directory: Path, port: int, statements: str) -> str:
    """A whole knot.conf that keeps to `directory`; it listens on 127.0.0.1, unless `statements` say where."""
    listen = "" if "listen:" in statements else f"\n    listen: 127.0.0.1@{port}"
    return f"""server:
    rundir: "{directory}"{listen}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: debug
database:
    storage: "{directory}"
template:
  - id: default
    storage: "{directory}"
{statements}
"""


@contextmanager
def knotd(directory: Path, config: str, port: int) -> Iterator[Server]:
    """Knot DNS, started with exactly this configuration.

    Only its control socket lies elsewhere: a path in a test's directory is longer than a socket's may be.
    """
    binary = find("knotd", "knot")
    file = directory / "knot.conf"
    with TemporaryDirectory(prefix="knot") as short:
        file.write_text(f"{config}\ncontrol:\n    listen: {short}/control\n")
        checked([find("knotc", "knot"), "-c", file, "conf-check"], directory, config)
        with running([binary, "-c", file], directory, port) as server:
            yield server


def nsd_config(directory: Path, port: int, statements: str) -> str:
    """A whole nsd.conf that keeps to `directory`; it listens on 127.0.0.1, unless `statements` say where."""
    listen = "" if "ip-address:" in statements else f"\n    ip-address: 127.0.0.1@{port}"
    return f"""server:
    server-count: 1{listen}
    username: ""
    chroot: ""
    database: ""
    zonesdir: "{directory}"
    zonelistfile: "{directory}/zone.list"
    xfrdfile: "{directory}/xfrd.state"
    xfrdir: "{directory}"
    cookie-secret-file: ""
    pidfile: "{directory}/nsd.pid"
    verbosity: 2
remote-control:
    control-enable: no
{statements}
"""


@contextmanager
def nsd(directory: Path, config: str, port: int) -> Iterator[Server]:
    """NSD, started with exactly this configuration."""
    binary = find("nsd", "nsd")
    file = directory / "nsd.conf"
    file.write_text(config)
    checked([find("nsd-checkconf", "nsd"), file], directory, config)
    with running([binary, "-d", "-c", file], directory, port) as server:
        yield server
