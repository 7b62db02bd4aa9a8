"""All connections over TCP: who is let in, and who is given up because nothing moves.

A resolver that loads millions of names stops reading for tens of seconds, so known addresses may pause for
long; unknown ones get seconds.
"""

import asyncio
import logging
import socket
from concurrent.futures import ThreadPoolExecutor

from app.transfer.access import KnownAddresses
from app.transfer.conversation import Conversation, Hall, drop
from app.transfer.feed import Clock, Feed
from app.transfer.limits import Limits
from app.transfer.room import Room
from app.transfer.turns import Turns
from resolver_policy.xfr import Effort

log = logging.getLogger(__name__)

SWEPT_EVERY = 0.1
"""Seconds between two looks for connections that did not get on."""

TOLD_EVERY = 10.0
"""Seconds between two log lines about connections that were refused."""


class Streams:
    """All connections. `enter` takes over an accepted socket, which does not block: it serves it to its end, or
    drops it."""

    def __init__(self, feed: Feed, known: KnownAddresses, limits: Limits, clock: Clock) -> None:
        self.room = Room(limits)
        self._renderers = {effort: ThreadPoolExecutor(1, f"render-{effort.name.lower()}") for effort in Effort}
        self._hall = Hall(feed, known, limits, clock, self.room, Turns(), self._renderers)
        self._open: set[Conversation] = set()
        self._sweeping = False
        self._refused = 0
        self._told_at = -TOLD_EVERY

    def enter(self, sock: socket.socket, address: str) -> None:
        """Serve a connection, or drop it at once where there is no room for it."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        names = self._hall.known.neighbour(self._hall.feed.directory, address).names
        seat = self.room.take(address, names, now, lambda: None)
        if seat is None:
            self.turn_away(sock, address)
            return
        conversation = Conversation(sock, seat, self._hall, self._open.discard, now)
        seat.end = conversation.end
        self._open.add(conversation)
        conversation.start()
        if not self._sweeping:
            self._sweeping = True
            loop.call_later(SWEPT_EVERY, self._sweep)

    def _sweep(self) -> None:
        """Give up whoever is late, in turns: those that came together are late together."""
        now = asyncio.get_running_loop().time()
        for conversation in [each for each in self._open if each.deadline < now]:
            if self._hall.turns.take(conversation.expire):
                conversation.expire()
        self._sweeping = bool(self._open)
        if self._sweeping:
            asyncio.get_running_loop().call_later(SWEPT_EVERY, self._sweep)

    def turn_away(self, sock: socket.socket, address: str) -> None:
        """Drop a connection, and say so, but not for each of a flood of them."""
        drop(sock)
        self._refused += 1
        now = asyncio.get_running_loop().time()
        if now - self._told_at >= TOLD_EVERY:
            log.warning("connections refused, too many are open: %d, the last of %s", self._refused, address)
            self._refused, self._told_at = 0, now

    def close(self) -> None:
        """Break off whatever is open."""
        for conversation in tuple(self._open):
            conversation.end()
        for renderer in self._renderers.values():
            renderer.shutdown(wait=False, cancel_futures=True)
