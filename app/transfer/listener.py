"""The sockets: UDP and TCP on one port, with limits that keep one client from another's way.

A resolver that loads millions of names stops reading for tens of seconds, so known addresses may pause for
long; unknown ones get seconds. What waits for a slow reader is bounded by its send buffer and one batch.
"""

import asyncio
import logging
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from itertools import chain
from struct import pack
from typing import cast

from app.subscribers.directory import Address
from app.transfer.access import KnownAddresses, address_of
from app.transfer.exchange import Exchange, Peer, respond
from app.transfer.feed import Clock, Feed
from app.transfer.notify import PAUSES, Notifier
from app.transfer.precheck import LONGEST_TCP

log = logging.getLogger(__name__)

BATCH = 64 * 1024
BACKLOG = 1024
PORT_TRIES = 50


@dataclass(frozen=True, slots=True)
class Limits:
    """Connections in all and of one address, for addresses of subscribers and for others; times in seconds.

    A connection may rest `known_idle` between queries and while it does not read; `send_buffer` is in octets.
    A NOTIFY without an answer is repeated after each of `notify_pauses`.
    """

    connections: int = 4096
    unknown_connections: int = 256
    per_known_address: int = 1024
    per_unknown_address: int = 8
    known_idle: float = 120
    unknown_idle: float = 5
    send_buffer: int = 256 * 1024
    notify_pauses: tuple[float, ...] = PAUSES


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
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, limits.send_buffer)
        return datagram, stream
    raise OSError(f"no port of {host} is free for both UDP and TCP")


def _bound(host: str, port: int, kind: socket.SocketKind) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=kind)[0]
    bound = socket.socket(family, kind)
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

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Python 3.11's datagram transport is none by its class."""
        self._transport = cast(asyncio.DatagramTransport, transport)
        self._notifier.send = self._transport.sendto

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self._notifier.take(data, addr):
            return
        peer = Peer(address_of(addr[0]), tcp=False)
        exchange = respond(data, peer, self._feed, self._known, self._clock)
        if exchange is None:
            return
        message = next(exchange.messages)
        self._transport.sendto(message, addr)
        if exchange.sighting is not None:
            self._feed.seen(replace(exchange.sighting, octets=len(message), proven=exchange.key is not None))

    def error_received(self, exc: Exception) -> None:
        """A port of somebody who asked is closed by now; that is theirs to know."""
        log.debug("UDP: %s", exc)


class Streams:
    """Answers queries over TCP, any number on one connection, in order."""

    def __init__(self, feed: Feed, known: KnownAddresses, limits: Limits, clock: Clock) -> None:
        self._feed = feed
        self._known = known
        self._limits = limits
        self._clock = clock
        self._open: Counter[Address] = Counter()
        self._all = 0
        self._unknown = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end; nothing is above this task, so it swallows its own cancellation."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._admit(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError) as exc:
            log.debug("connection ended: %r", exc)
            _break_off(writer)
        finally:
            self._tasks.discard(task)

    async def close(self) -> None:
        """Break off whatever is open."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _admit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = address_of(writer.get_extra_info("peername")[0])
        known = bool(self._known.names(self._feed.directory, address))
        if not self._has_room(address, known=known):
            log.info("connection of %s refused: too many are open", address)
            raise ConnectionAbortedError("too many connections")
        idle = self._limits.known_idle if known else self._limits.unknown_idle
        self._count(address, 1, known=known)
        try:
            await self._converse(reader, writer, Peer(address, tcp=True, idle=idle))
        finally:
            self._count(address, -1, known=known)

    def _has_room(self, address: Address, *, known: bool) -> bool:
        limits, held = self._limits, self._open[address]
        if self._all >= limits.connections:
            return False
        if known:
            return held < limits.per_known_address
        return held < limits.per_unknown_address and self._unknown < limits.unknown_connections

    def _count(self, address: Address, step: int, *, known: bool) -> None:
        self._all += step
        self._unknown += 0 if known else step
        self._open[address] += step
        if not self._open[address]:
            del self._open[address]

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: Peer) -> None:
        writer.transport.set_write_buffer_limits(high=BATCH)
        while True:
            async with asyncio.timeout(peer.idle):
                data = await _read_message(reader)
            if data is None:
                break
            exchange = respond(data, peer, self._feed, self._known, self._clock)
            if exchange is not None:
                await self._answer(writer, exchange, peer)
        async with asyncio.timeout(peer.idle):
            writer.close()
            await writer.wait_closed()

    async def _answer(self, writer: asyncio.StreamWriter, exchange: Exchange, peer: Peer) -> None:
        """Send all messages and report what became of them."""
        octets, whole, began = 0, False, time.monotonic()
        try:
            async for batch in self._batches(exchange):
                writer.write(batch)
                octets += len(batch)
                async with asyncio.timeout(peer.idle):
                    await writer.drain()
                await asyncio.sleep(0)
            whole = True
        finally:
            seen = exchange.sighting
            if seen is not None and not whole:
                seen = replace(seen, sent_serial=None, outcome="broken off before the end")
            if seen is not None:
                self._feed.seen(replace(seen, octets=octets, seconds=time.monotonic() - began))

    async def _batches(self, exchange: Exchange) -> AsyncIterator[bytes]:
        """Join framed messages (RFC 1035 section 4.2.2); ends with an error once their key is revoked."""
        messages = exchange.messages
        if exchange.slow:
            messages = chain((await asyncio.to_thread(next, messages),), messages)
        parts: list[bytes] = []
        size = 0
        for message in messages:
            parts += pack("!H", len(message)), message
            size += len(message)
            if size >= BATCH:
                yield b"".join(parts)
                parts, size = [], 0
                if exchange.key is not None and exchange.key not in self._feed.directory.keys:
                    raise ConnectionAbortedError("the key was revoked")
        if parts:
            yield b"".join(parts)


def _break_off(writer: asyncio.StreamWriter) -> None:
    """Drop a connection at once, with what the system still holds of it: without the zero linger time that
    would wait for a reader that stopped. One that is closed with nothing left to send is over already."""
    if writer.transport.get_write_buffer_size() or not writer.is_closing():
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack("ii", 1, 0))
        writer.transport.abort()


async def _read_message(reader: asyncio.StreamReader) -> bytes | None:
    """Read one framed message; None at the end of the stream, or where one is longer than any query."""
    prefix = await reader.read(1)
    if not prefix:
        return None
    size = int.from_bytes(prefix + await reader.readexactly(1), "big")
    return None if size > LONGEST_TCP else await reader.readexactly(size)


async def listen(streams: Streams, sock: socket.socket) -> asyncio.Server:
    """Begin to accept connections on a bound socket."""
    return await asyncio.start_server(streams.accept, sock=sock, backlog=BACKLOG, limit=LONGEST_TCP)
