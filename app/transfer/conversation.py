"""One connection over TCP: any number of queries, answered in order (RFC 7766).

A secondary opens a connection for each increment, so what a connection costs is what an increment costs: its
socket is read and written as it is, for a stream of asyncio takes several times as long as the answer. What
waits for a slow reader is one batch, and what the system holds for the socket.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from itertools import chain
from struct import pack
from typing import NamedTuple

from app.transfer.access import KnownAddresses
from app.transfer.exchange import Exchange, Peer, respond
from app.transfer.feed import Clock, Feed
from app.transfer.limits import Limits
from app.transfer.precheck import LONGEST_TCP
from app.transfer.room import Room, Seat
from app.transfer.turns import Turns
from resolver_policy.xfr import Effort

log = logging.getLogger(__name__)

BATCH = 64 * 1024
PREFIX = 2
NOTHING = memoryview(b"")


class Hall(NamedTuple):
    """What all conversations share; of `renderers` each makes what takes long in one thread, one after the other:
    more threads would keep the loop from its turns."""

    feed: Feed
    known: KnownAddresses
    limits: Limits
    clock: Clock
    room: Room
    turns: Turns
    renderers: Mapping[Effort, Executor]


class Answer:
    """An answer on its way: what is left of it, and how much has gone."""

    __slots__ = ("batches", "began", "exchange", "sent")

    def __init__(self, exchange: Exchange, began: float) -> None:
        self.exchange = exchange
        self.batches = batched(exchange.messages)
        self.began = began
        self.sent = 0

    def report(self, feed: Feed, now: float, *, whole: bool) -> None:
        """Note down what became of it."""
        seen = self.exchange.sighting()
        if seen is None:
            return
        if not whole:
            seen = replace(seen, sent_serial=None, outcome="broken off before the end")
        feed.seen(replace(seen, octets=self.sent, seconds=now - self.began))


class Conversation:
    """Serves one connection from `start` to its end, when `over` is called.

    It is reading, or it is answering: no query is looked at before the answer to the last one has gone.
    `deadline` is the time of the loop by which it must have got on.
    """

    __slots__ = (
        "_answer",
        "_began",
        "_hall",
        "_idle",
        "_listening",
        "_loop",
        "_moved",
        "_over",
        "_peer",
        "_received",
        "_sock",
        "_unsent",
        "deadline",
        "seat",
    )

    def __init__(
        self, sock: socket.socket, seat: Seat, hall: Hall, over: Callable[["Conversation"], object], now: float
    ) -> None:
        self.seat = seat
        self._sock = sock
        self._hall = hall
        self._over = over
        self._loop = asyncio.get_running_loop()
        self._idle = hall.limits.known_idle if seat.known else hall.limits.unknown_idle
        self._peer = Peer(seat.address, tcp=True, idle=self._idle)
        self._received = b""
        self._listening = False
        self._answer: Answer | None = None
        self._unsent = NOTHING
        self._moved = 0
        self._began = now
        self.deadline = now + self._idle

    def start(self) -> None:
        """Look for a query: it often is there as soon as its connection."""
        self._run(self._read)

    def expire(self) -> None:
        """Break the connection off, unless it got on meanwhile."""
        if self.deadline < self._loop.time():
            self.end()

    def end(self) -> None:
        """Break the connection off, whatever is under way; nothing happens where it is over."""
        if self._sock.fileno() < 0:
            return
        if self._unsent:
            self._loop.remove_writer(self._sock.fileno())
        self._leave()
        drop(self._sock)
        if self._answer is not None:
            self._answer.report(self._hall.feed, self._loop.time(), whole=False)

    def _close(self) -> None:
        """End with nothing under way: whatever was answered has gone."""
        self._leave()
        self._sock.close()

    def _leave(self) -> None:
        self._listen(wanted=False)
        self._hall.room.leave(self.seat)
        self._over(self)

    def _run(self, step: Callable[[], None]) -> None:
        """Take a step: the outermost edge of a connection, whose faults end it alone."""
        if self._sock.fileno() < 0:
            return
        try:
            step()
        except OSError as exc:
            log.debug("connection ended: %r", exc)
            self.end()
        except Exception:
            log.exception("a connection of %s was broken off by a fault of ours", self.seat.address)
            self.end()

    def _in_turn(self, step: Callable[[], None]) -> None:
        """Take a step as soon as there is a turn for it; nothing is read before."""
        if self._hall.turns.take(lambda: self._run(step)):
            step()
        else:
            self._listen(wanted=False)

    def _listen(self, *, wanted: bool) -> None:
        """Have the loop watch, or not: by number, for of a socket that it does not know it would print all it is."""
        if wanted == self._listening:
            return
        self._listening = wanted
        if wanted:
            self._loop.add_reader(self._sock.fileno(), self._run, self._read)
        else:
            self._loop.remove_reader(self._sock.fileno())

    def _read(self) -> None:
        try:
            piece = self._sock.recv(PREFIX + LONGEST_TCP - len(self._received))
        except BlockingIOError:
            self._listen(wanted=True)
            return
        if not piece:
            self._close()
            return
        begins = not self._received
        self._received += piece
        self._look(begins=begins)

    def _look(self, *, begins: bool) -> None:
        """Answer the next query, if all of it is there; what is longer than any query ends the connection.

        `begins`: what is there of it came just now, and the rest must follow soon.
        """
        size = int.from_bytes(self._received[:PREFIX], "big")
        if size > LONGEST_TCP:
            self._close()
        elif len(self._received) >= PREFIX + size:
            self._in_turn(self._respond)
        else:
            if begins:
                self.deadline = self._loop.time() + min(self._hall.limits.message, self._idle)
            self._listen(wanted=True)

    def _respond(self) -> None:
        received = self._received
        past = PREFIX + int.from_bytes(received[:PREFIX], "big")
        query, self._received = received[PREFIX:past], received[past:]
        self._moved += len(query)
        hall = self._hall
        exchange = respond(query, self._peer, hall.feed, hall.known, hall.clock)
        if exchange is None:
            self._go_on()
            return
        self._answer = Answer(exchange, self._loop.time())
        self.deadline = self._answer.began + self._idle
        if exchange.effort is Effort.AT_ONCE:
            self._send()
        else:
            self._render(exchange, hall.renderers[exchange.effort])

    def _render(self, exchange: Exchange, renderer: Executor) -> None:
        """Have the first message made elsewhere; who waits too long for it is better off asking again."""
        self._listen(wanted=False)
        made = self._loop.run_in_executor(renderer, next, exchange.messages)
        made.add_done_callback(lambda _: self._run(lambda: self._rendered(exchange, made)))

    def _rendered(self, exchange: Exchange, made: "asyncio.Future[bytes]") -> None:
        assert self._answer is not None
        self._answer.batches = batched(chain((made.result(),), exchange.messages))
        self._got_on()
        self._in_turn(self._send)

    def _send(self) -> None:
        """Send as much as there are turns for, and as the system takes; nothing more once the key is revoked."""
        answer = self._answer
        assert answer is not None
        key = answer.exchange.key
        if answer.sent and key is not None and key not in self._hall.feed.directory.keys:
            raise ConnectionAbortedError("the key was revoked")
        batch = next(answer.batches, None)
        if batch is None:
            self._answered()
        elif self._put(memoryview(batch)):
            self._in_turn(self._send)
        else:
            self._listen(wanted=False)
            self._loop.add_writer(self._sock.fileno(), self._run, self._flush)

    def _flush(self) -> None:
        if self._put(self._unsent):
            self._loop.remove_writer(self._sock.fileno())
            self._in_turn(self._send)

    def _put(self, octets: memoryview) -> bool:
        """Hand octets on; False where some are left that the system does not take yet.

        Only a whole batch counts as getting on: who reads octet by octet would hold a connection for ever.
        """
        assert self._answer is not None
        try:
            sent = self._sock.send(octets)
        except BlockingIOError:
            sent = 0
        self._answer.sent += sent
        if sent < len(octets):
            self._unsent = octets[sent:]
            return False
        self._unsent = NOTHING
        self._got_on()
        return True

    def _got_on(self) -> None:
        now = self._loop.time()
        self.deadline = now + self._idle
        self._hall.room.move(self.seat, now)

    def _answered(self) -> None:
        assert self._answer is not None
        self._moved += self._answer.sent
        self._answer.report(self._hall.feed, self._loop.time(), whole=True)
        self._answer = None
        self._go_on()

    def _go_on(self) -> None:
        """Look for the next query; what came of it already must be followed by the rest soon."""
        self._keep_pace()
        self.deadline = self._loop.time() + self._idle
        self._look(begins=bool(self._received))

    def _keep_pace(self) -> None:
        """A stranger's connection that is old enough must have moved enough; else raises ConnectionAbortedError."""
        limits, age = self._hall.limits, self._loop.time() - self._began
        if not self.seat.known and age > limits.unknown_grace and self._moved < age * limits.unknown_rate:
            raise ConnectionAbortedError("too slow for a stranger")


def batched(messages: Iterable[bytes]) -> Iterator[bytes]:
    """Frame messages (RFC 1035 section 4.2.2) and join them; holds on to nothing while it waits."""
    parts: list[bytes] = []
    size = 0
    for message in messages:
        parts += pack("!H", len(message)), message
        size += len(message)
        del message
        if size >= BATCH:
            batch = b"".join(parts)
            parts, size = [], 0
            yield batch
            del batch
    if parts:
        yield b"".join(parts)


def drop(sock: socket.socket) -> None:
    """Close a connection and forget what the system still holds of it, with no wait for its reader."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack("ii", 1, 0))
    sock.close()
