"""Crowds of bad clients, kept up by one thread: they read slowly, say nothing, or stop in the middle of a length."""

import errno
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from struct import pack

from tests.wire.clients import query

KINDS = {"slow": "127.11", "silent": "127.12", "half": "127.13"}
"""Each from the addresses of a subscriber (`served.CROWD`): strangers would have far fewer connections."""

TURN = 1.0
"""Seconds between two octets that a slow reader takes."""


class Crowd:
    """So many clients of each kind; whoever is turned away or cut off comes again in the next turn."""

    def __init__(self, port: int, each: int) -> None:
        self.port = port
        self.each = each
        self.came_again = 0
        self._open: dict[tuple[str, int], socket.socket] = {}
        self._stop = threading.Event()

    def open(self) -> int:
        """How many connections there are."""
        return len(self._open)

    def keep_up(self) -> None:
        """One turn after the other, until told to stop."""
        while not self._stop.is_set():
            self.turn()
            self._stop.wait(TURN)

    def turn(self) -> None:
        """Every client does what it does, and those that are gone come again."""
        for kind in KINDS:
            for number in range(self.each):
                place = (kind, number)
                sock = self._open.get(place)
                if sock is not None and not _goes_on(sock, reads=kind == "slow"):
                    sock.close()
                    del self._open[place]
                    self.came_again += 1
                if place not in self._open:
                    self._come(place)

    def _come(self, place: tuple[str, int]) -> None:
        kind, number = place
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.bind((f"{KINDS[kind]}.{number // 250}.{number % 250 + 1}", 0))
        try:
            sock.settimeout(5)
            sock.connect(("127.0.0.1", self.port))
            if kind == "slow":
                wire = query("AXFR").to_wire()
                sock.sendall(pack("!H", len(wire)) + wire)
            elif kind == "half":
                sock.sendall(b"\0")
        except OSError:
            sock.close()
            return
        sock.settimeout(0)
        self._open[place] = sock

    def close(self) -> None:
        """Stop, and let go of all connections."""
        self._stop.set()
        for sock in self._open.values():
            sock.close()


def _goes_on(sock: socket.socket, *, reads: bool) -> bool:
    """Is the connection still there? A slow reader takes one octet to find out, others would get none."""
    try:
        return sock.recv(1, 0 if reads else socket.MSG_PEEK) != b""
    except OSError as exc:
        return exc.errno == errno.EAGAIN


@contextmanager
def crowd(port: int, each: int) -> Iterator[Crowd]:
    made = Crowd(port, each)
    made.turn()
    thread = threading.Thread(target=made.keep_up)
    thread.start()
    try:
        yield made
    finally:
        with suppress(RuntimeError):
            made.close()
        thread.join()
        made.close()
