"""How late the event loop is: what answers DNS must never be held up for long."""

import asyncio

LOOKED_EVERY = 0.1


class Lateness:
    """Measures, from `start` to `stop`, how much later than asked the loop calls back; `worst` may be asked by any
    thread."""

    def __init__(self) -> None:
        self._worst = 0.0
        self._due = 0.0
        self._next: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin, in the loop that is measured."""
        loop = asyncio.get_running_loop()
        self._due = loop.time() + LOOKED_EVERY
        self._next = loop.call_at(self._due, self._look)

    def stop(self) -> None:
        """End it."""
        if self._next is not None:
            self._next.cancel()

    def worst(self) -> float:
        """The longest delay since this was last asked, in seconds."""
        worst, self._worst = self._worst, 0.0
        return worst

    def _look(self) -> None:
        self._worst = max(self._worst, asyncio.get_running_loop().time() - self._due)
        self.start()
