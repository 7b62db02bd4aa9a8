"""The sockets: UDP and TCP on one port, and the door through which connections come in."""

import asyncio
import errno
import logging
import os
import socket
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import cast

from app.transfer.access import KnownAddresses, address_of
from app.transfer.exchange import Peer, respond
from app.transfer.feed import Clock, Feed
from app.transfer.limits import Limits
from app.transfer.notify import Notifier
from app.transfer.streams import Streams

log = logging.getLogger(__name__)

BACKLOG = 1024
AT_ONCE = 16
PORT_TRIES = 50
DATAGRAMS_WAITING = 1024 * 1024


def bind(host: str, port: int, limits: Limits) -> tuple[socket.socket, socket.socket]:
    """Bind UDP and TCP to one port, which is chosen where `port` is 0; raises OSError."""
    for _ in range(PORT_TRIES if port == 0 else 1):
        stream = _bound(host, port, socket.SOCK_STREAM)
        try:
            datagram = _bound(host, stream.getsockname()[1], socket.SOCK_DGRAM)
        except OSError:
            stream.close()
            if port:
                raise
            continue
        datagram.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, DATAGRAMS_WAITING)
        _limit(stream, limits)
        return datagram, stream
    raise OSError(f"no port of {host} is free for both UDP and TCP")


def _limit(stream: socket.socket, limits: Limits) -> None:
    """Bound what the system holds for a connection, and for how long a peer that says nothing more may be
    waited for (RFC 5482): accepted sockets have it from the one that listens."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, limits.send_buffer)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, limits.receive_buffer)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(limits.known_idle * 1000))


class _Bound(socket.socket):
    """A socket that finds out once what it is: it asks itself for every connection that it accepts."""

    @cached_property
    def family(self) -> socket.AddressFamily:
        return super().family

    @cached_property
    def type(self) -> socket.SocketKind:
        return super().type


def _bound(host: str, port: int, kind: socket.SocketKind) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=kind)[0]
    bound = _Bound(family, kind)
    try:
        if kind is socket.SOCK_STREAM:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host != "::"))
        bound.bind(address)
        bound.settimeout(0)
    except OSError:
        bound.close()
        raise
    return bound


class Datagrams(asyncio.DatagramProtocol):
    """Answers queries over UDP, and hands answers to our NOTIFYs on."""

    def __init__(self, feed: Feed, known: KnownAddresses, notifier: Notifier, clock: Clock) -> None:
        self._feed = feed
        self._known = known
        self._notifier = notifier
        self._clock = clock
        self._full = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Python 3.11's datagram transport is none by its class."""
        self._transport = cast(asyncio.DatagramTransport, transport)
        self._notifier.send = self._transport.sendto
        self._notifier.family = transport.get_extra_info("socket").family

    def pause_writing(self) -> None:
        """The system takes no more for now: answers are dropped meanwhile, as a full line drops them."""
        self._full = True

    def resume_writing(self) -> None:
        self._full = False

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self._notifier.take(data, addr) or self._full:
            return
        peer = Peer(address_of(addr[0]), tcp=False)
        exchange = respond(data, peer, self._feed, self._known, self._clock)
        if exchange is None:
            return
        message = next(exchange.messages)
        self._transport.sendto(message, addr)
        if (seen := exchange.sighting()) is not None:
            self._feed.seen(replace(seen, octets=len(message), proven=exchange.key is not None))

    def error_received(self, exc: Exception) -> None:
        """A port of somebody who asked is closed by now; that is theirs to know."""
        log.debug("UDP: %s", exc)


class Door:
    """Accepts connections, a few in each turn of the loop, so that a flood of them leaves turns to others.

    Where the process may open no more files, a descriptor kept for this makes room to accept a connection and
    drop it: its client learns at once, and the loop does not turn for nothing.
    """

    def __init__(self, stream: socket.socket, streams: Streams) -> None:
        self._stream = stream
        self._streams = streams
        self._spare = _spare()
        self._loop = asyncio.get_running_loop()
        self._again: asyncio.TimerHandle | None = None
        stream.listen(BACKLOG)
        self._open()

    def close(self) -> None:
        """Accept nothing more."""
        if self._again is not None:
            self._again.cancel()
        self._loop.remove_reader(self._stream)
        self._stream.close()
        if self._spare is not None:
            os.close(self._spare)

    def _open(self) -> None:
        self._again = None
        self._spare = _spare() if self._spare is None else self._spare
        self._loop.add_reader(self._stream, self._accept)

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                accepted = self._next()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as exc:
                self._pause(exc)
                return
            if accepted is not None:
                self._streams.enter(*accepted)

    def _next(self) -> tuple[socket.socket, str] | None:
        """Accept a connection; None where it was dropped, or broken off before it came in."""
        try:
            sock, peer = self._stream.accept()
        except ConnectionAbortedError:
            return None
        except OSError as exc:
            if exc.errno not in {errno.EMFILE, errno.ENFILE} or self._spare is None:
                raise
            self._shed(self._spare)
            return None
        sock.settimeout(0)
        return sock, address_of(peer[0])

    def _shed(self, spare: int) -> None:
        os.close(spare)
        try:
            sock, peer = self._stream.accept()
            self._streams.turn_away(sock, address_of(peer[0]))
        finally:
            self._spare = _spare()

    def _pause(self, failure: OSError) -> None:
        log.warning("no connection can be accepted for a tenth of a second: %s", failure)
        self._loop.remove_reader(self._stream)
        self._again = self._loop.call_later(0.1, self._open)


def _spare() -> int | None:
    with suppress(OSError):
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    return None
