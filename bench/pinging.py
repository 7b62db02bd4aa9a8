"""The SOA asked again and again, beside whatever else goes on: how long a server takes to say a word."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench import sink

EVERY = 0.01
AGAIN = 1.0


@contextmanager
def pinged(port: int, zone: str) -> Iterator[list[float]]:
    """Seconds until each answer, of as many questions as fit in while the block runs: one at least."""
    answered: list[float] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set() or not answered:
            began = time.perf_counter()
            while not _answers(port, zone):
                pass
            answered.append(time.perf_counter() - began)
            over.wait(EVERY)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answered
    finally:
        over.set()
        thread.join()


def _answers(port: int, zone: str) -> bool:
    """False where the question or its answer was lost: it has to be asked again, as a resolver does."""
    try:
        sink.serial_of(port, zone, AGAIN)
    except TimeoutError:
        return False
    return True
