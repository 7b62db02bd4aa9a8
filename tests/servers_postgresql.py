"""PostgreSQL for tests: a server of one's own behind a Unix socket, in its own directory, ended by its process id."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import URL

from tests.servers import SYSTEM_PATH, find, wait_until

INSTALLED = ":".join(str(folder) for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True))
ACCOUNT = "postgres"

SETTINGS = {
    "listen_addresses": "",
    "max_connections": "300",
    "shared_buffers": "64MB",
    "autovacuum": "off",
    "jit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "4GB",
}
UNSAFE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""For speed, where no test is about a crash of the server."""


class PostgreSQL(NamedTuple):
    """A running server; anybody of this machine may use it as its owner."""

    process: subprocess.Popen[bytes]
    directory: Path

    def url(self, database: str) -> URL:
        return URL.create(
            "postgresql+psycopg", username=ACCOUNT, database=database, query={"host": str(self.directory)}
        )

    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")


@contextmanager
def postgresql(settings: dict[str, str] | None = None) -> Iterator[PostgreSQL]:
    """A server with databases whose texts sort as people do (ICU), so that what must sort by octets has to say so.

    It refuses to run as root, so root starts it as its own account; its directory is a short path (a socket's may
    have 107 octets) that this account can reach. It ends with whoever started it, however that ended.
    """
    initdb, server = (find(command, "postgresql", f"{SYSTEM_PATH}:{INSTALLED}") for command in ("initdb", "postgres"))
    directory = Path(tempfile.mkdtemp(prefix="pulih-pg-", dir="/tmp"))
    account = _account(directory)
    made = subprocess.run(
        [*account, initdb, "--pgdata", directory / "data", "--username", ACCOUNT, "--auth", "trust", "--no-sync",
         "--encoding", "UTF8", "--locale", "C.UTF-8", "--locale-provider", "icu", "--icu-locale", "en-US"],
        cwd=directory, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode != 0:
        pytest.fail(f"initdb: {made.stdout}{made.stderr}")
    options = SETTINGS | UNSAFE | (settings or {}) | {"unix_socket_directories": str(directory)}
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [*account, server, "-D", directory / "data", *(f"--{key}={value}" for key, value in options.items())],
            cwd=directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0,
        )  # fmt: skip
    running = PostgreSQL(process, directory)
    try:
        wait_until(lambda: process.poll() is not None or "ready to accept" in running.log(), 30, running.log)
        assert process.poll() is None, running.log()
        yield running
    finally:
        process.send_signal(signal.SIGINT)  # ends sessions, not only new ones
        process.wait(30)
        shutil.rmtree(directory)


def _account(directory: Path) -> list[str]:
    """What starts a command as an account that may run the server; the directory is made this account's."""
    become = ["setpriv", "--pdeathsig", "INT"]
    if os.geteuid() == 0:
        account = pwd.getpwnam(ACCOUNT)
        os.chown(directory, account.pw_uid, account.pw_gid)
        become += [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    directory.chmod(0o755)
    return become
