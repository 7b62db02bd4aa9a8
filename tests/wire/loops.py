"""What belongs into the loop of a transfer process, run in one."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from app.transfer.turns import Loop

T = TypeVar("T")


def in_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run it to its end."""
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(main)
