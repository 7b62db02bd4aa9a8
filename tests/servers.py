"""Real daemons for tests: on free loopback ports, each in a directory of its own, ended by its process id.

Where a server is not installed a test is skipped and says so; where CI=true is set it fails instead.
"""

import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, NoReturn

import dns.exception
import dns.message
import dns.query
import pytest

SYSTEM_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
LOWEST_PORT = 10_000
GIVEN_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
"""From which to which port the system picks one for a connection, or for whoever asks for any."""

PATIENCE = 20.0
"""Seconds until a daemon must answer."""


class Server(NamedTuple):
    """A daemon that answers at `port` of 127.0.0.1."""

    process: subprocess.Popen[bytes]
    port: int
    directory: Path
    log_file: Path

    def log(self) -> str:
        """Everything it has written so far."""
        return self.log_file.read_text(errors="replace")

    def wait_for_log(self, text: str, timeout: float = 10) -> None:
        """Return once `text` stands in the log; fails the test after `timeout` seconds."""
        wait_until(lambda: text in self.log(), timeout, lambda: f"{text!r} is not in the log:\n{self.log()}")


def wait_until(condition: Callable[[], bool], timeout: float, otherwise: Callable[[], str]) -> None:
    """Return once `condition` holds; fails the test after `timeout` seconds, saying `otherwise`."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"after {timeout} s: {otherwise()}")
        time.sleep(0.02)


def find(command: str, package: str, path: str = SYSTEM_PATH) -> Path:
    """Where `command` of Debian's `package` is installed."""
    found = shutil.which(command, path=path)
    if found is None:
        missing(f"{command} is not installed: scripts/test-deps installs it (package {package})")
    return Path(found)


def missing(reason: str) -> NoReturn:
    """Skip a test for want of something; where CI=true is set it fails, for there nothing may be missing."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def free_port() -> int:
    """A loopback port from 10000 up that nobody listens on, by UDP or by TCP."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(type=socket.SOCK_DGRAM) as udp,
        ):
            tcp.bind(("127.0.0.1", 0))
            port = int(tcp.getsockname()[1])
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            if port >= LOWEST_PORT:
                return port


def lasting_port() -> int:
    """A loopback port for a server that goes down and comes back: the system gives it to no connection meanwhile."""
    lowest_given = int(GIVEN_PORTS.read_text().split()[0])
    while True:
        port = random.SystemRandom().randrange(LOWEST_PORT, lowest_given)
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(type=socket.SOCK_DGRAM) as udp,
            suppress(OSError),
        ):
            tcp.bind(("127.0.0.1", port))
            udp.bind(("127.0.0.1", port))
            return port


def answers_dns(port: int) -> bool:
    """Does anything answer DNS over UDP at `port`, whatever it says?"""
    try:
        dns.query.udp(dns.message.make_query("version.bind.", "TXT", "CH"), "127.0.0.1", port=port, timeout=0.5)
    except (OSError, dns.exception.DNSException):
        return False
    return True


@contextmanager
def running(
    command: Sequence[str | Path],
    directory: Path,
    port: int,
    ready: Callable[[int], bool] = answers_dns,
    patience: float = PATIENCE,
) -> Iterator[Server]:
    """Start a daemon in the foreground; yields once it is `ready`; fails with its log after `patience` seconds.

    The binary is copied into `directory` and run from there: an AppArmor profile holds for a path, and
    Debian's profiles keep these daemons from reading a configuration under /tmp.
    """
    binary, *arguments = command
    own_binary = directory / Path(binary).name
    shutil.copy(binary, own_binary)
    log_file = directory / f"{own_binary.name}.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [own_binary, *arguments],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            process_group=0,
        )
    server = Server(process, port, directory, log_file)
    try:
        _wait_ready(server, ready, patience)
        yield server
    finally:
        _end(process)


def _wait_ready(server: Server, ready: Callable[[int], bool], patience: float) -> None:
    def ready_or_dead() -> bool:
        return server.process.poll() is not None or ready(server.port)

    wait_until(ready_or_dead, patience, lambda: f"no answer at port {server.port}:\n{server.log()}")
    if server.process.poll() is not None:
        pytest.fail(f"ended with status {server.process.returncode} as it started:\n{server.log()}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # its children with it (NSD has some)
        process.wait(10)


def named_config(directory: Path, port: int, options: str, statements: str) -> str:
    """A whole named.conf that keeps to `directory` and 127.0.0.1; `options` goes into its options block."""
    return f"""options {{
    directory "{directory}";
    pid-file "{directory}/named.pid";
    session-keyfile "{directory}/session.key";
    listen-on port {port} {{ 127.0.0.1; }};
    listen-on-v6 {{ none; }};
    dnssec-validation no;
{options}
}};
controls {{ }};
{statements}
"""


@contextmanager
def named(directory: Path, config: str, port: int, debug: int = 0) -> Iterator[Server]:
    """BIND, started with exactly this configuration, answering at `port`; `debug` 3 tells of each transfer's kind."""
    binary = find("named", "bind9")
    file = directory / "named.conf"
    file.write_text(config)
    checked = subprocess.run(
        [find("named-checkconf", "bind9-utils"), file],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    if checked.returncode != 0:
        pytest.fail(f"named-checkconf refuses the configuration:\n{checked.stdout}{checked.stderr}\n{config}")
    with running([binary, "-g", "-d", str(debug), "-n", "1", "-c", file], directory, port) as server:
        yield server
