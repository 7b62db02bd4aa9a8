"""How late the loop is, measured by the loop itself."""

import asyncio
import time

from app.transfer.lateness import LOOKED_EVERY, Lateness


def hold_up() -> None:
    time.sleep(LOOKED_EVERY + 0.2)


def test_what_holds_the_loop_up_is_seen_once() -> None:
    async def held_up() -> tuple[float, float]:
        lateness = Lateness()
        lateness.start()
        await asyncio.sleep(0)
        hold_up()
        await asyncio.sleep(0.01)
        first = lateness.worst()
        second = lateness.worst()
        lateness.stop()
        return first, second

    first, second = asyncio.run(held_up())
    assert first >= 0.19
    assert second == 0


def test_it_ends_without_having_begun() -> None:
    Lateness().stop()
