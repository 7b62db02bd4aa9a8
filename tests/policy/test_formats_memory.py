"""Exports of long lists: what is held in memory does not grow with the list."""

import tracemalloc
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import pytest

from resolver_policy import formats
from resolver_policy.formats import Contents, Format, unbound
from resolver_policy.formats.pieces import Piece, cut, pieces
from tests.policy.holders import holder
from tests.policy.scale import Record, scaled, tell
from tests.policy.zones import SUBTREE, zone

pytestmark = pytest.mark.long

NAMES, CUT = scaled(20_000), scaled(40_000)
MOST = 0.4
"""Share of the octets written that may be held at once: of 20,000 lines, a piece of 1,000 as text and as octets."""

A_NAME_IN_CDB = 10
"""Octets more for each name: its hash and its position, in arrays that grow by an eighth."""

Item = TypeVar("Item")


class Again(Generic[Item]):
    """A list that is made anew, item by item, each time it is read."""

    def __init__(self, make: Callable[[str], Item], count: int) -> None:
        self._make, self._count = make, count

    def __iter__(self) -> Iterator[Item]:
        return (self._make(f"example.n{number:07}.") for number in range(self._count))


@pytest.mark.parametrize("chosen", formats.FORMATS, ids=lambda chosen: str(chosen.name))
def test_memory_does_not_grow_with_the_list(chosen: Format, record_property: Record) -> None:
    rules = Again(lambda key: (key, SUBTREE), NAMES)
    template = holder("x.example")
    contents = Contents(zone(), 7, rules, Again(lambda key: template._replace(key=key), NAMES))
    tracemalloc.start()
    try:
        size = sum(len(piece) for piece in chosen.render(contents))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    tell(record_property, names=NAMES, octets=size, peak=peak)
    assert size > 10 * NAMES
    assert peak < MOST * size + (A_NAME_IN_CDB * NAMES if chosen.name == "cdb" else 0)


def test_memory_does_not_grow_with_the_list_where_it_is_cut(record_property: Record) -> None:
    rules = Again(lambda key: (key, SUBTREE), CUT)
    nothing: dict[bytes, Piece] = {}
    tracemalloc.start()
    try:
        size = sum(len(piece.plain) for piece in pieces(unbound.FORMAT, zone(), 7, cut(rules, zone()), nothing.get))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    tell(record_property, names=CUT, octets=size, peak=peak)
    assert size > 10 * CUT
    assert peak < MOST * size
