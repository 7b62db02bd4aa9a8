"""Turns of the event loop, a few at a time.

All that is ready is done before the loop looks at its sockets again. A thousand connections that are ready at
once, each with a piece of a zone to sign and send, would keep a datagram waiting for a tenth of a second.
"""

import asyncio
from collections import deque

AT_ONCE = 16


class Turns:
    """Hands out so many turns in each round of the loop, first come, first served."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self) -> None:
        """Wait for a turn: at least until the loop has looked at its sockets."""
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._give)
        self._waiting.append(turn)
        await turn

    def _give(self) -> None:
        given = 0
        while self._waiting and given < AT_ONCE:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                given += 1
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._give)
