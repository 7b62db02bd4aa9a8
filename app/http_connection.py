"""One HTTP connection: uvicorn's, with an end to patience and to how many there are.

uvicorn waits for the rest of a request, and for a client to read its answer, for ever. Here a connection must move on:
a request's head within `HEAD_SECONDS` of the connection or of the answer before it, its body at `LEAST_RATE` at least
after that, an answer at any pace that is not a standstill. Where there is no more room, whoever has waited longest
without a request being answered gives way.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import h11
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from app.settings import Settings, listed

log = logging.getLogger(__name__)

HEAD_SECONDS = 10.0
LEAST_RATE = 10_000.0
"""Octets a second of a body, on the average, after `HEAD_SECONDS`."""

STILL_SECONDS = 60.0
"""How long an answer may wait without one octet of it being taken."""

LOOK_SECONDS = 1.0
MOST = 1_024
MOST_OF_ADDRESS = 256
MAX_HEAD_OCTETS = 16 * 1024


class Connection(H11Protocol):
    """A connection that is looked at once a second, and ended where it does not move on."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._began = self.loop.time()
        self._received = 0
        self._moved = self._began
        self._unsent = 0
        self._look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        super().connection_made(transport)
        self._make_room()
        self._look = self.loop.call_later(LOOK_SECONDS, self._look_again)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._look is not None:
            self._look.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        super().data_received(data)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._began, self._received = self.loop.time(), 0

    def still_since(self) -> float | None:
        """Since when it has not moved on: the rest of a request has not come, or an answer is not taken. None where
        neither is so."""
        if self.cycle is None or self.cycle.response_complete or self.cycle.more_body:
            return self._began
        return self._moved if self._unsent else None

    def end(self, why: str) -> None:
        """Cut it off."""
        log.info("a connection from %s was ended: %s", _host(self), why)
        self.connections.discard(self)
        self.transport.abort()

    def _look_again(self) -> None:
        why = self._standstill(self.loop.time())
        if why is not None:
            self.end(why)
        else:
            self._look = self.loop.call_later(LOOK_SECONDS, self._look_again)

    def _standstill(self, now: float) -> str | None:
        if self.flow.read_paused:  # it is the service that lets the client wait
            self._began += LOOK_SECONDS
        unsent = self.transport.get_write_buffer_size()
        if not unsent or unsent != self._unsent:
            self._unsent, self._moved = unsent, now
        still = self.still_since()
        if still is None:
            return None
        if self._unsent:
            return "an answer was not taken" if now - self._moved > STILL_SECONDS else None
        body = self._received / LEAST_RATE if self.conn.their_state is h11.SEND_BODY else 0.0
        return "a request did not come whole" if now - still > HEAD_SECONDS + body else None

    def _make_room(self) -> None:
        """One goes where there are too many, of an address (unless proxies bring all of them) or altogether."""
        everybody = [each for each in self.connections if isinstance(each, Connection) and each is not self]
        same = [each for each in everybody if _host(each) == _host(self)]
        if len(everybody) >= MOST or (len(same) >= MOST_OF_ADDRESS and not self.config.proxy_headers):
            crowd = everybody if len(everybody) >= MOST else same
            still = [(since, each) for each in crowd if (since := each.still_since()) is not None]
            _, oldest = min(still, key=lambda pair: pair[0], default=(0.0, self))
            oldest.end("there was no more room")


def _host(connection: Connection) -> str:
    return connection.client[0] if connection.client else ""


def config(app: Callable[..., Any], settings: Settings) -> Config:
    """How the service answers HTTP: by no more than it needs, and believing no proxy that is not named."""
    proxies = listed(settings.trusted_proxies)
    return Config(
        app,
        host=settings.http.host,
        port=settings.http.port,
        http=Connection,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=proxies,
        h11_max_incomplete_event_size=MAX_HEAD_OCTETS,
    )
