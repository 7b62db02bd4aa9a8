"""Conversations over TCP: any number of queries on one connection, answered in order (RFC 7766).

A resolver that loads millions of names stops reading for tens of seconds, so known addresses may pause for
long; unknown ones get seconds. What waits for a slow reader is bounded by its send buffer and one batch.
"""

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from struct import pack

from app.subscribers.directory import Address
from app.transfer.access import KnownAddresses
from app.transfer.exchange import Exchange, Peer, respond
from app.transfer.feed import Clock, Feed
from app.transfer.limits import Limits
from app.transfer.precheck import LONGEST_TCP
from app.transfer.room import Room, Seat
from app.transfer.turns import Turns

log = logging.getLogger(__name__)

BATCH = 64 * 1024
WAITING = 16 * 1024
"""Octets of a batch that the system has not taken, over which no next batch is made."""

TOLD_EVERY = 10.0
"""Seconds between two log lines about connections that were refused."""


class Streams:
    """All connections. `enter` takes over an accepted socket: it serves it to its end, or drops it."""

    def __init__(self, feed: Feed, known: KnownAddresses, limits: Limits, clock: Clock) -> None:
        self._feed = feed
        self._known = known
        self._limits = limits
        self._clock = clock
        self.room = Room(limits)
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns = Turns()
        self._renderer = ThreadPoolExecutor(1, "render")
        self._refused = 0
        self._told_at = -TOLD_EVERY

    def enter(self, sock: socket.socket, address: Address) -> None:
        """Serve a connection, or drop it at once where there is no room for it."""
        loop = asyncio.get_running_loop()
        names = self._known.names(self._feed.directory, address)
        seat = self.room.take(address, names, loop.time(), lambda: None)
        if seat is None:
            self.turn_away(sock, address)
            return
        task = loop.create_task(self._serve(sock, seat))
        seat.end = task.cancel
        self._tasks.add(task)
        task.add_done_callback(lambda ended: self._over(ended, sock, seat))

    def _over(self, task: asyncio.Task[None], sock: socket.socket, seat: Seat) -> None:
        """Forget a connection; one whose task was cancelled before it began is still to be closed."""
        self._tasks.discard(task)
        if task.cancelled():
            self.room.leave(seat)
            drop(sock)

    def turn_away(self, sock: socket.socket, address: Address) -> None:
        """Drop a connection, and say so, but not for each of a flood of them."""
        drop(sock)
        self._refused += 1
        now = asyncio.get_running_loop().time()
        if now - self._told_at >= TOLD_EVERY:
            log.warning("connections refused, too many are open: %d, the last of %s", self._refused, address)
            self._refused, self._told_at = 0, now

    async def close(self) -> None:
        """Break off whatever is open."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._renderer.shutdown(wait=False, cancel_futures=True)

    async def _serve(self, sock: socket.socket, seat: Seat) -> None:
        """Serve one connection to its end; nothing is above this task, so it swallows its own cancellation."""
        reader = asyncio.StreamReader(limit=LONGEST_TCP)
        protocol = asyncio.StreamReaderProtocol(reader)
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, sock)
        except (OSError, asyncio.CancelledError):
            sock.close()
            self.room.leave(seat)
            return
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        await self.converse(reader, writer, seat)

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seat: Seat) -> None:
        """Answer whatever comes, until either side ends it; gives up the seat."""
        try:
            await self._converse(reader, writer, seat)
        except (OSError, asyncio.IncompleteReadError) as exc:
            log.debug("connection ended: %r", exc)
            await self._end(writer)
        except asyncio.CancelledError:
            _break_off(writer)
        except Exception:
            log.exception("a connection of %s was broken off by a fault of ours", seat.address)
            _break_off(writer)
        finally:
            self.room.leave(seat)

    async def _end(self, writer: asyncio.StreamWriter) -> None:
        """Break off when there is a turn: those that came together are given up together."""
        with suppress(asyncio.CancelledError):
            await self._turns.take()
        _break_off(writer)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seat: Seat) -> None:
        idle = self._limits.known_idle if seat.known else self._limits.unknown_idle
        peer = Peer(seat.address, tcp=True, idle=idle)
        writer.transport.set_write_buffer_limits(high=WAITING)
        pace = _Pace(self._limits, asyncio.get_running_loop().time())
        while (data := await self._next(reader, idle)) is not None:
            await self._turns.take()
            exchange = respond(data, peer, self._feed, self._known, self._clock)
            sent = 0 if exchange is None else await self._answer(writer, exchange, seat, idle)
            if not seat.known:
                pace.keep(asyncio.get_running_loop().time(), len(data) + sent)
        async with asyncio.timeout(idle):
            writer.close()
            await writer.wait_closed()

    async def _next(self, reader: asyncio.StreamReader, idle: float) -> bytes | None:
        """Read one framed message; None at the end of the stream, or where one is longer than any query."""
        async with asyncio.timeout(idle):
            prefix = await reader.read(1)
        if not prefix:
            return None
        async with asyncio.timeout(min(self._limits.message, idle)):
            size = int.from_bytes(prefix + await reader.readexactly(1), "big")
            return None if size > LONGEST_TCP else await reader.readexactly(size)

    async def _answer(self, writer: asyncio.StreamWriter, exchange: Exchange, seat: Seat, idle: float) -> int:
        """Send all messages and report what became of them; gives the octets sent."""
        octets, whole, began = 0, False, time.monotonic()
        try:
            async for batch in self._batches(exchange):
                octets += len(batch)
                writer.write(batch)
                del batch
                async with asyncio.timeout(idle):
                    await writer.drain()
                self.room.move(seat, asyncio.get_running_loop().time())
                await self._turns.take()
            whole = True
        finally:
            seen = exchange.sighting
            if seen is not None and not whole:
                seen = replace(seen, sent_serial=None, outcome="broken off before the end")
            if seen is not None:
                self._feed.seen(replace(seen, octets=octets, seconds=time.monotonic() - began))
        return octets

    async def _batches(self, exchange: Exchange) -> AsyncIterator[bytes]:
        """Join framed messages (RFC 1035 section 4.2.2); ends with an error once their key is revoked.

        What takes long to render is rendered in one other thread, however many ask: more would keep this one
        from its turns.
        """
        messages = exchange.messages
        if exchange.slow:
            first = await asyncio.get_running_loop().run_in_executor(self._renderer, next, messages)
            messages = chain((first,), messages)
        parts: list[bytes] = []
        size = 0
        for message in messages:
            parts += pack("!H", len(message)), message
            size += len(message)
            if size >= BATCH:
                batch = b"".join(parts)
                parts, size = [], 0
                del message
                yield batch
                del batch
                if exchange.key is not None and exchange.key not in self._feed.directory.keys:
                    raise ConnectionAbortedError("the key was revoked")
        if parts:
            yield b"".join(parts)


class _Pace:
    """What a stranger's connection has moved since it began."""

    def __init__(self, limits: Limits, began: float) -> None:
        self._limits = limits
        self._began = began
        self._octets = 0

    def keep(self, now: float, octets: int) -> None:
        """Count octets; raises ConnectionAbortedError where a connection that is old enough moved too few."""
        self._octets += octets
        age = now - self._began
        if age > self._limits.unknown_grace and self._octets < age * self._limits.unknown_rate:
            raise ConnectionAbortedError("too slow for a stranger")


def drop(sock: socket.socket) -> None:
    """Close a connection and forget what the system still holds of it, with no wait for its reader."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack("ii", 1, 0))
    sock.close()


def _break_off(writer: asyncio.StreamWriter) -> None:
    """Drop a connection at once; one that is closed with nothing left to send is over already."""
    if writer.transport.get_write_buffer_size() or not writer.is_closing():
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack("ii", 1, 0))
        writer.transport.abort()
