"""A process that is supervised ends when its supervisor is gone, however that happened."""

import os
import signal
import threading

VARIABLE = "PULIH_LIFELINE"
"""Holds the number of a pipe whose other end only the supervisor has; it closes when the supervisor ends."""


def follow() -> None:
    """Send this process SIGTERM once the supervisor is gone; nothing happens where there is none."""
    number = os.environ.pop(VARIABLE, None)
    if number is not None:
        threading.Thread(target=_wait, args=(int(number),), name="lifeline", daemon=True).start()


def _wait(descriptor: int) -> None:
    while os.read(descriptor, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
