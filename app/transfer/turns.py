"""Turns of the event loop, a few at a time.

All that is ready is done before the loop looks at its sockets again. A thousand connections that are ready at
once, each with a piece of a zone to sign and send, would keep a datagram waiting for a tenth of a second; and a
few of them will do where each piece has to be rendered first.
"""

import asyncio
import selectors
import time
from collections import deque
from collections.abc import Callable
from selectors import SelectorKey

AT_ONCE = 16
LONGEST_ROUND = 0.005
"""Seconds after which no further turn is given in a round."""


class Rounds(selectors.DefaultSelector):
    """Looks at the sockets of a loop, which begins each round by that: so the rounds are counted."""

    number = 0

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        self.number += 1
        return super().select(timeout)


class Loop(asyncio.SelectorEventLoop):
    """A loop that knows its rounds. Its clock is the one that every loop has, asked without a detour."""

    time = staticmethod(time.monotonic)

    def __init__(self) -> None:
        self.rounds = Rounds()
        super().__init__(self.rounds)


class Turns:
    """Hands out so many turns in each round of a `Loop`, and for so long, first come, first served."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Loop)
        self._loop = loop
        self._rounds = loop.rounds
        self._round = self._left = 0
        self._ends = 0.0
        self._waiting: deque[Callable[[], object]] = deque()

    def take(self, work: Callable[[], object]) -> bool:
        """True: there is a turn now, the caller goes on. False: `work` is called when its turn has come."""
        if not self._waiting and self._has_turn():
            return True
        if not self._waiting:
            self._loop.call_soon(self._next_round)
        self._waiting.append(work)
        return False

    def _next_round(self) -> None:
        """The loop has looked at its sockets: those who wait longest go first."""
        while self._waiting and self._has_turn():
            self._waiting.popleft()()
        if self._waiting:
            self._loop.call_soon(self._next_round)

    def _has_turn(self) -> bool:
        now = self._loop.time()
        if self._round != self._rounds.number:
            self._round, self._left, self._ends = self._rounds.number, AT_ONCE, now + LONGEST_ROUND
        if not self._left or now > self._ends:
            return False
        self._left -= 1
        return True
