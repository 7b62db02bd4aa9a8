"""Resolvers beside BIND for tests: Unbound, PowerDNS Recursor and Knot Resolver 5, each with a checked configuration.

Each has a function that makes a whole configuration which keeps to one directory and one loopback port, and asks
`upstream` (a port of 127.0.0.1) for everything below `example`; and a context manager that checks it and runs it.
"""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers import Server, find, running


def checked(command: Sequence[str | Path], directory: Path, config: str) -> str:
    """What a daemon's own checker says of a configuration that it accepts; fails the test where it does not."""
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=30)
    said = done.stdout + done.stderr
    if done.returncode != 0:
        pytest.fail(f"{Path(command[0]).name} refuses the configuration:\n{said}\n{config}")
    return said


def unbound_config(directory: Path, port: int, upstream: int, statements: str) -> str:
    """A whole unbound.conf; `statements` (or what they include) must set `module-config`, if anything does."""
    return f"""server:
    directory: "{directory}"
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    logfile: ""
    verbosity: 4
    interface: 127.0.0.1
    port: {port}
    do-ip6: no
    do-not-query-localhost: no
    domain-insecure: "example"
    num-threads: 1
remote-control:
    control-enable: no
stub-zone:
    name: "example"
    stub-addr: 127.0.0.1@{upstream}
{statements}
"""


@contextmanager
def unbound(directory: Path, config: str, port: int) -> Iterator[Server]:
    """Unbound, started with exactly this configuration."""
    binary = find("unbound", "unbound")
    file = directory / "unbound.conf"
    file.write_text(config)
    checked([find("unbound-checkconf", "unbound"), file], directory, config)
    with running([binary, "-d", "-d", "-p", "-c", file], directory, port) as server:
        yield server


def pdns_recursor_config(port: int, upstream: int, settings: str) -> str:
    """A whole recursor.conf (the form of 4.x and 5.0).

    Its control socket has a relative path: a whole one, in a test's directory, is longer than a socket's may be.
    """
    return f"""local-address=127.0.0.1
local-port={port}
socket-dir=.
daemon=no
write-pid=no
disable-syslog=yes
loglevel=6
threads=1
dnssec=off
dont-query=
security-poll-suffix=
forward-zones=example=127.0.0.1:{upstream}
{settings}
"""


@contextmanager
def pdns_recursor(directory: Path, config: str, port: int) -> Iterator[Server]:
    """PowerDNS Recursor, started with exactly this configuration.

    Its checker reads the settings alone; what is wrong in a Lua file ends it as it starts.
    """
    binary = find("pdns_recursor", "pdns-recursor")
    (directory / "recursor.conf").write_text(config)
    checked([binary, "--config=check", f"--config-dir={directory}"], directory, config)
    with running([binary, f"--config-dir={directory}"], directory, port) as server:
        yield server


def kresd_config(directory: Path, port: int, upstream: int, statements: str) -> str:
    """A whole kresd.conf of Knot Resolver 5; `statements` stand in front of the rule for `example`."""
    return f"""net.listen('127.0.0.1', {port}, {{ kind = 'dns' }})
cache.open(10 * MB, 'lmdb://{directory}/cache')
trust_anchors.remove('.')
modules.unload('ta_update')
modules.unload('ta_signal_query')
modules.unload('priming')
modules.unload('detect_time_skew')
{statements}
policy.add(policy.suffix(policy.STUB({{'127.0.0.1@{upstream}'}}), policy.todnames({{'example'}})))
"""


@contextmanager
def kresd(directory: Path, config: str, port: int) -> Iterator[Server]:
    """Knot Resolver 5, started with exactly this configuration; it has no checker, and ends where it is wrong."""
    binary = find("kresd", "knot-resolver")
    file = directory / "kresd.conf"
    file.write_text(config)
    with running([binary, "-n", "-c", file, directory], directory, port) as server:
        yield server
