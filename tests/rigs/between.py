"""What stands between the service and PostgreSQL, and fails where it is told to.

A step is whatever the service sends until it waits for an answer (Sync, a simple query, the end of a COPY; PostgreSQL's
manual, chapter "Frontend/Backend Protocol"). A fault before it is done: it never arrives. After: it was answered, which
is not passed on. Then the connection breaks, or whoever asked is killed.
"""

import os
import shutil
import signal
import socket
import struct
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import URL, make_url

from tests import databases
from tests.rigs.checks import data_dir
from tests.rigs.faults import Fault
from tests.rigs.processes import Running

SOCKET = ".s.PGSQL.5432"
SYNC, FLUSH, QUERY, PARSE, BIND = b"S", b"H", b"Q", b"P", b"B"
COPIED = (b"c", b"f")
"""A COPY is over, or was broken off."""

ENDS = (SYNC, QUERY, *COPIED)
"""An answer is awaited behind these."""

ANSWERED = (b"Z", b"G")
"""The server is ready for a query, or for what is copied."""

PATIENCE = 20.0
"""Seconds until an answer must have come."""


class Broken(Exception):
    """The connection is to be broken here."""


class Between:
    """A socket in the place of the server's, and the faults that are planned for what goes through it."""

    def __init__(self, running: Running, folder: Path) -> None:
        self._running, self._steps = running, list[str]()
        self._fault: Fault | None = None
        self._turn = threading.Lock()
        server = make_url(running.installation.database)
        self.url = server.set(query={"host": str(folder)})
        self._kept: URL = server.set(database=f"{server.database}k")
        self._files = running.installation.directory / "kept"
        self._server = str(Path(str(server.query["host"])) / SOCKET)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / SOCKET))
        self._listener.listen()

    def tell(self, name: str, *arguments: object) -> list[str]:
        said: list[str] | None = getattr(self, f"tell_{name}")(*arguments)
        return said or []

    def tell_keep(self) -> None:
        """Remember the database and the data directory as they now are; nobody uses them."""
        databases.make(_address(self._kept), self._running.installation.database)
        shutil.copytree(data_dir(self._running), self._files)

    def tell_back(self) -> None:
        """Put back what was remembered."""
        databases.make(self._running.installation.database, _address(self._kept))
        shutil.rmtree(data_dir(self._running))
        shutil.copytree(self._files, data_dir(self._running))

    def tell_plan(self, fault: Fault | None) -> None:
        """Count steps from here on, and fail at one of them."""
        self._fault, self._steps = fault, []

    def tell_steps(self) -> list[str]:
        """What was asked since `plan`."""
        return self._steps

    def run(self) -> None:
        """Take connections until the socket is closed."""
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def close(self) -> None:
        """Take no more connections, and drop what was remembered."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        databases.drop(_address(self._kept))

    def _carry(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server:
            server.connect(self._server)
            connection = Connection(client, server)
            with suppress(OSError, Broken):
                server.sendall(connection.startup())
                threading.Thread(target=connection.answer, daemon=True).start()
                for octets, step in connection.flights():
                    self._pass_on(connection, octets, step)
            connection.hang_up()

    def _pass_on(self, connection: "Connection", octets: bytes, step: str) -> None:
        with self._turn:
            self._steps.append(step)
            fault = self._fault if self._fault is not None and self._fault.step == len(self._steps) - 1 else None
        if fault is None:
            connection.ask(octets)
            return
        if fault.is_done:
            connection.ask_alone(octets)
        if fault.kills:
            os.killpg(os.getpgid(connection.asker), signal.SIGKILL)
        raise Broken


class Connection:
    """One connection, of which both ends are here."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self._client, self._server = client, server
        self._statements: dict[bytes, bytes] = {}
        self._awaited, self._muted = 1, False  # the server is ready once by itself
        self._answered = threading.Condition()

    @property
    def asker(self) -> int:
        """The process at the other end (Linux, SO_PEERCRED)."""
        found = self._client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", found)[0])

    def startup(self) -> bytes:
        """The first message, which alone has no type."""
        size = self._client.recv(4, socket.MSG_WAITALL)
        return size + self._client.recv(int.from_bytes(size, "big") - 4, socket.MSG_WAITALL)

    def flights(self) -> Iterator[tuple[bytes, str]]:
        """Octets up to where an answer is awaited, and what they ask for."""
        octets, asked = bytearray(), ""
        for message in _messages(self._client):
            octets += message
            asked = asked or self._statement(message)
            if message[:1] in ENDS:
                yield bytes(octets), asked or ("copied" if message[:1] in COPIED else "sync")
                octets, asked = bytearray(), ""
            elif message[:1] == FLUSH:
                self._server.sendall(octets)
                octets = bytearray()
        self._server.sendall(octets)

    def ask(self, octets: bytes) -> None:
        """Send something that is answered."""
        with self._answered:
            self._awaited += 1
        self._server.sendall(octets)

    def ask_alone(self, octets: bytes) -> None:
        """Send it, and return once it has been answered; the answer is kept back."""
        self._wait()
        self._muted = True
        self.ask(octets)
        self._wait()

    def answer(self) -> None:
        """Pass on what the server says."""
        with suppress(OSError):
            for message in _messages(self._server):
                if not self._muted:
                    self._client.sendall(message)
                if message[:1] in ANSWERED:
                    with self._answered:
                        self._awaited -= 1
                        self._answered.notify_all()
        self.hang_up()

    def hang_up(self) -> None:
        """Break it, at both ends."""
        for each in (self._client, self._server):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _wait(self) -> None:
        with self._answered:
            assert self._answered.wait_for(lambda: self._awaited <= 0, PATIENCE), "the server did not answer"

    def _statement(self, message: bytes) -> str:
        """The statement that a message is about, if it is about one."""
        kind, body = message[:1], message[5:]
        if kind == QUERY:
            return _spoken(body)
        if kind == PARSE:
            name, statement, _ = body.split(b"\0", 2)
            self._statements[name] = statement
            return _spoken(statement)
        if kind == BIND:
            return _spoken(self._statements.get(body.split(b"\0", 2)[1], b""))
        return ""


def _messages(source: socket.socket) -> Iterator[bytes]:
    """Each message: an octet for its type, four for its length, and the rest."""
    buffer = bytearray()
    while octets := source.recv(65_536):
        buffer += octets
        while len(buffer) > 4 and len(buffer) > (size := int.from_bytes(buffer[1:5], "big")):
            yield bytes(buffer[: size + 1])
            del buffer[: size + 1]


def _spoken(statement: bytes) -> str:
    return " ".join(statement.rstrip(b"\0").decode().split())[:80]


def _address(url: URL) -> str:
    return url.render_as_string(hide_password=False)


@contextmanager
def between(running: Running) -> Iterator[Between]:
    """Everything that an installation's processes ask of PostgreSQL goes through here while the block runs."""
    folder = Path(tempfile.mkdtemp(prefix="pulih-", dir="/tmp"))  # a socket's path may have 107 octets
    data_dir(running).mkdir(exist_ok=True)
    made = Between(running, folder)
    threading.Thread(target=made.run, daemon=True).start()
    running.installation.settings = {**running.installation.settings, "PULIH_DATABASE_URL": _address(made.url)}
    try:
        yield made
    finally:
        running.kill()
        made.close()
        shutil.rmtree(folder)
