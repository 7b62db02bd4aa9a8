"""Turns of the event loop, a few at a time.

All that is ready is done before the loop looks at its sockets again. A thousand connections that are ready at
once, each with a piece of a zone to sign and send, would keep a datagram waiting for a tenth of a second; and a
few of them will do where each piece has to be rendered first.
"""

import asyncio
from collections import deque
from collections.abc import Callable

AT_ONCE = 16
LONGEST_ROUND = 0.005
"""Seconds after which no further turn is given in a round."""


class Turns:
    """Hands out so many turns in each round of the loop, and for so long, first come, first served."""

    def __init__(self) -> None:
        self._left = AT_ONCE
        self._renewing = False
        self._ends = 0.0
        self._waiting: deque[Callable[[], object]] = deque()

    def take(self, work: Callable[[], object]) -> bool:
        """True: there is a turn now, the caller goes on. False: `work` is called when its turn has come."""
        if not self._renewing:
            self._begin_round()
        if self._left and not self._waiting and not self._is_late:
            self._left -= 1
            return True
        self._waiting.append(work)
        return False

    def _renew(self) -> None:
        """The loop has looked at its sockets: those who wait longest go first."""
        self._left, self._renewing = AT_ONCE, False
        if not self._waiting:
            return
        self._begin_round()
        for _ in range(min(AT_ONCE, len(self._waiting))):
            self._left -= 1
            self._waiting.popleft()()
            if self._is_late:
                return

    def _begin_round(self) -> None:
        loop = asyncio.get_running_loop()
        self._renewing, self._ends = True, loop.time() + LONGEST_ROUND
        loop.call_soon(self._renew)

    @property
    def _is_late(self) -> bool:
        return asyncio.get_running_loop().time() > self._ends
