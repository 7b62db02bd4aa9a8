"""Turns of the loop: few at a time, in order, none lost."""

import asyncio
import time
from functools import partial

from app.transfer.turns import AT_ONCE, LONGEST_ROUND, Turns
from tests.wire.loops import in_loop


def test_few_are_given_in_each_round_in_the_order_of_asking() -> None:
    rounds, order = in_loop(_rounds(100))
    assert order == list(range(100))
    assert rounds == [AT_ONCE] * (100 // AT_ONCE) + [100 % AT_ONCE]


async def _rounds(count: int) -> tuple[list[int], list[int]]:
    """How many got their turn in each round of the loop."""
    turns, order = Turns(), list[int]()
    for number in range(count):
        if turns.take(partial(order.append, number)):
            order.append(number)
    rounds = [len(order)]
    while len(order) < count:
        before = len(order)
        await asyncio.sleep(0)
        rounds.append(len(order) - before)
    return [each for each in rounds if each], order


def test_one_that_comes_later_waits_behind_those_who_wait() -> None:
    in_loop(_late())


async def _late() -> None:
    turns, order = Turns(), list[str]()
    for _ in range(AT_ONCE):
        assert turns.take(lambda: None)
    assert not turns.take(lambda: order.append("first"))
    await asyncio.sleep(0)
    assert order == ["first"]
    for _ in range(AT_ONCE - 1):
        assert turns.take(lambda: None)
    assert not turns.take(lambda: order.append("last"))
    assert order == ["first"]


def test_work_that_asks_again_goes_behind_the_others() -> None:
    order = in_loop(_again())
    assert order.index("other") < order.index("again")


async def _again() -> list[str]:
    turns, order = Turns(), list[str]()

    def again() -> None:
        assert not turns.take(lambda: order.append("again"))

    for _ in range(AT_ONCE):
        turns.take(lambda: None)
    turns.take(again)
    for _ in range(AT_ONCE):
        turns.take(lambda: order.append("other"))
    for _ in range(4):
        await asyncio.sleep(0)
    return order


def test_a_round_is_short_where_each_piece_takes_long() -> None:
    given = in_loop(_long_pieces())
    assert len(given) == 8
    assert max(given.count(each) for each in given) <= 3


async def _long_pieces() -> list[int]:
    """In which round of the loop each of eight pieces had its turn, of which two take as long as a round."""
    turns, given, rounds = Turns(), list[int](), 0

    def work() -> None:
        time.sleep(0.6 * LONGEST_ROUND)
        given.append(rounds)

    for _ in range(8):
        if turns.take(work):
            work()
    while len(given) < 8:
        rounds += 1
        await asyncio.sleep(0)
    return given
