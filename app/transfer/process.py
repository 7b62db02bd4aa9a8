"""The transfer process: its clock, its loop, and its way to begin and to end."""

import asyncio
import gc
import logging
import resource
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from app.subscribers.pulse import Pulse
from app.transfer import listener
from app.transfer.access import KnownAddresses
from app.transfer.feed import Clock, Feed
from app.transfer.lateness import Lateness
from app.transfer.limits import Limits
from app.transfer.listener import Datagrams, Door
from app.transfer.notify import Notifier
from app.transfer.streams import Streams
from app.transfer.turns import Loop

log = logging.getLogger(__name__)

POLL_SECONDS = 0.02
FILES_FOR_OURSELVES = 128


def system_clock() -> datetime:
    """The one place in this room where the time is asked for."""
    return datetime.now(UTC)


def settle() -> None:
    """Leave what is loaded by now out of every later garbage collection, which would hold up the loop for tens of
    milliseconds: modules stay as long as the process."""
    gc.collect()
    gc.freeze()


class Transfer:
    """Serves the zones of a feed on one host and port, until it is told to stop.

    `run` belongs to the thread it is called in; `stop`, `announce` and `pulse` may be called from any other, once
    `started` was called.
    """

    def __init__(
        self,
        feed: Feed,
        host: str,
        port: int,
        *,
        limits: Limits | None = None,
        stop: threading.Event | None = None,
        clock: Clock = system_clock,
    ) -> None:
        self.port = port
        self._feed = feed
        self._host = host
        self._limits = limits or Limits()
        self._clock = clock
        self._stopping = stop or threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lateness = Lateness()
        self._streams: Streams | None = None
        self._notifier = Notifier(feed, clock, self._limits.notify_pauses)

    def run(self, started: Callable[["Transfer"], None] | None = None) -> None:
        """Wait until the feed has zones, bind, call `started` (`port` is the real one by then), and serve.

        Returns after `stop`, or SIGTERM or SIGINT where this is the main thread. Raises OSError where the
        port cannot be had.
        """
        with asyncio.Runner(loop_factory=Loop) as runner:
            runner.run(self._serve(started))

    def stop(self) -> None:
        """End `run`; what is being sent is broken off."""
        self._stopping.set()

    def announce(self, zone: str) -> None:
        """Send NOTIFY for a zone whose new version the feed has; nothing happens before the start."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop may have closed meanwhile
                self._loop.call_soon_threadsafe(self._notifier.announce, zone)

    def pulse(self) -> Pulse:
        """How it does; nothing is open before the start."""
        connections = 0 if self._streams is None else len(self._streams.room)
        return Pulse(connections, self._lateness.worst())

    async def _serve(self, started: Callable[["Transfer"], None] | None) -> None:
        loop = asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self.stop)
        while not self._feed.zones:
            if self._stopping.is_set():
                return
            await asyncio.sleep(POLL_SECONDS)
        self._limits = within_files(self._limits, _raise_file_limit())
        datagram, stream = listener.bind(self._host, self.port, self._limits)
        self.port = stream.getsockname()[1]
        known = KnownAddresses()
        streams = self._streams = Streams(self._feed, known, self._limits, self._clock)
        transport, _ = await loop.create_datagram_endpoint(
            lambda: Datagrams(self._feed, known, self._notifier, self._clock), sock=datagram
        )
        door = Door(stream, streams)
        self._loop = loop
        self._lateness.start()
        try:
            await self._until_stopped(started)
        finally:
            self._lateness.stop()
            door.close()
            transport.close()
            await self._notifier.close()
            streams.close()

    async def _until_stopped(self, started: Callable[["Transfer"], None] | None) -> None:
        log.info("zones served on %s, port %d, UDP and TCP", self._host, self.port)
        for zone in self._feed.zones:
            self._notifier.announce(zone)
        if started is not None:
            started(self)
        try:
            await asyncio.to_thread(self._stopping.wait)
        finally:
            self._stopping.set()


def _raise_file_limit() -> int:
    """Allow as many open files as the system lets us have, and say how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def within_files(limits: Limits, files: int) -> Limits:
    """Keep connections to what the files of this process allow, so that the database is never short of one."""
    if files == resource.RLIM_INFINITY or files >= limits.connections + FILES_FOR_OURSELVES:
        return limits
    connections = max(1, files - FILES_FOR_OURSELVES)
    log.warning("at most %d files may be open, so at most %d connections: raise LimitNOFILE", files, connections)
    unknown = min(limits.unknown_connections, connections // 4)
    return replace(limits, connections=connections, unknown_connections=unknown)


def run(
    host: str,
    port: int,
    feed: Feed,
    stop: threading.Event | None = None,
    started: Callable[[Transfer], None] | None = None,
) -> None:
    """Serve the zones of `feed` until `stop` is set, or SIGTERM or SIGINT comes to the main thread.

    Blocks. Listens as soon as `feed.zones` holds something; `started` then gets the server: its real `port`,
    and `announce(zone)`, to be called from any thread after a new version was put into the feed.
    """
    Transfer(feed, host, port, stop=stop).run(started)
