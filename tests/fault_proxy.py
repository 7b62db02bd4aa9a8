"""A TCP proxy that cuts connections: after so many octets of a request, or of its answer."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class FaultProxy:
    """Between a client and a server on loopback. The next connection is cut as `cut` says: `("request", 17)` after 17
    octets on the way there, `("answer", 0)` before an octet comes back; None lets everything through."""

    server: tuple[str, int]
    listener: socket.socket
    cut: tuple[str, int] | None = None
    cuts: int = 0
    _threads: list[threading.Thread] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def run(self) -> None:
        """Take one connection after the other, until the listener is closed."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                thread = threading.Thread(target=self._carry, args=(client, self.cut), daemon=True)
                thread.start()
                self._threads.append(thread)

    def _carry(self, client: socket.socket, cut: tuple[str, int] | None) -> None:
        with client, socket.create_connection(self.server, timeout=20) as server:
            way, most = cut or ("none", 0)
            back = threading.Thread(
                target=self._pump, args=(server, client, most if way == "answer" else None), daemon=True
            )
            back.start()
            self._pump(client, server, most if way == "request" else None)
            back.join(20)

    def _pump(self, source: socket.socket, sink: socket.socket, most: int | None) -> None:
        """Octets from one side to the other; both ends are closed once `most` have gone through."""
        left = most
        with contextlib.suppress(OSError):
            while left is None or left > 0:
                octets = source.recv(65_536 if left is None else min(left, 65_536))
                if not octets:
                    sink.shutdown(socket.SHUT_WR)
                    return
                sink.sendall(octets)
                left = None if left is None else left - len(octets)
            if source is not sink and most == 0:
                source.recv(1, socket.MSG_PEEK)
        if left == 0:
            self.cuts += 1
            for each in (source, sink):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def join(self) -> None:
        """Wait until nothing is carried any more."""
        for thread in self._threads:
            thread.join(20)


@contextlib.contextmanager
def fault_proxy(address: str) -> Iterator[FaultProxy]:
    """A proxy in front of an HTTP server's address; ended with the block."""
    there = urlsplit(address)
    assert there.hostname
    assert there.port
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = FaultProxy((there.hostname, there.port), listener)
        thread = threading.Thread(target=proxy.run, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            proxy.join()
