"""The SOA asked again and again, beside whatever else goes on: how long a server takes to say a word."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench import sink

EVERY = 0.01


@contextmanager
def pinged(port: int, zone: str) -> Iterator[list[float]]:
    """Seconds until each answer, of as many questions as fit in while the block runs: one at least."""
    answered: list[float] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set() or not answered:
            began = time.perf_counter()
            sink.serial_of(port, zone, timeout=60)
            answered.append(time.perf_counter() - began)
            over.wait(EVERY)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answered
    finally:
        over.set()
        thread.join()
