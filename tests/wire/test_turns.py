"""Turns of the loop: few at a time, in order, none lost."""

import asyncio

from app.transfer.turns import AT_ONCE, Turns


def test_few_are_given_in_each_round_in_the_order_of_asking() -> None:
    rounds, order = asyncio.run(_rounds(100))
    assert order == list(range(100))
    assert rounds == [AT_ONCE] * (100 // AT_ONCE) + [100 % AT_ONCE]


async def _rounds(count: int) -> tuple[list[int], list[int]]:
    """How many got their turn in each round of the loop."""
    turns, order, rounds = Turns(), list[int](), list[int]()

    async def wait(number: int) -> None:
        await turns.take()
        order.append(number)

    tasks = [asyncio.create_task(wait(number)) for number in range(count)]
    while not all(task.done() for task in tasks):
        before = len(order)
        await asyncio.sleep(0)
        rounds.append(len(order) - before)
    return [each for each in rounds if each], order


def test_one_that_no_longer_waits_takes_no_turn_from_others() -> None:
    asyncio.run(_with_cancelled())


async def _with_cancelled() -> None:
    turns = Turns()
    tasks = [asyncio.create_task(turns.take()) for _ in range(3 * AT_ONCE)]
    await asyncio.sleep(0)
    for task in tasks[: 2 * AT_ONCE]:
        task.cancel()
    for _ in range(4):
        await asyncio.sleep(0)
    assert all(task.done() for task in tasks)
    await asyncio.wait_for(turns.take(), 1)
