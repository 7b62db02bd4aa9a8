"""Places in a list that is put together from several tables and sorted by a moment: what a page begins behind."""

import base64
import binascii
import datetime as dt
import heapq
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from app.errors import Fault, Unprocessable

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MICROSECOND = dt.timedelta(microseconds=1)
HIGHEST = 2**63 - 1
LATEST = 253_402_300_799_000_000
"""Microseconds until the last second of the calendar."""


class Place(NamedTuple):
    """Where an item stands: its moment, which table it is of, its row. Items are sorted by all three."""

    moment: dt.datetime
    source: int
    row: int


class Placed(NamedTuple):
    """An item and its place."""

    place: Place
    item: dict[str, Any]


FIRST = Place(EPOCH - dt.timedelta(days=700_000), 0, 0)
"""Before every item."""


def encode(place: Place) -> str:
    """An opaque text for a place."""
    text = f"{(place.moment - EPOCH) // MICROSECOND}.{place.source}.{place.row}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(cursor: str) -> Place:
    """The place that a cursor stands for; raises Unprocessable for text that is none."""
    try:
        texts = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii").split(".")
        moment, source, row = (int(text) for text in texts)
    except (ValueError, binascii.Error):
        moment = source = row = -1
    if not (0 <= moment <= LATEST and 0 <= source <= HIGHEST and 0 <= row <= HIGHEST):
        fault = Fault(rule="cursor", value=cursor, pointer="/cursor")
        raise Unprocessable(f"{cursor!r} is not a cursor of this list", faults=(fault,))
    return Place(EPOCH + moment * MICROSECOND, source, row)


def behind(
    place: Place, source: int, moment: InstrumentedAttribute[Any], row: InstrumentedAttribute[int]
) -> ColumnElement[bool]:
    """Restricts a query of one source to what stands behind a place; an index over (moment, row) answers it."""
    if source < place.source:
        return moment > place.moment
    if source > place.source:
        return moment >= place.moment
    return tuple_(moment, row) > (place.moment, place.row)


def merged(lists: Iterable[Iterable[Placed]], limit: int) -> Sequence[Placed]:
    """The first `limit` items of sorted lists; each has given at least that many, or all it has."""
    joined = heapq.merge(*lists, key=lambda placed: placed.place)
    return [placed for placed, _ in zip(joined, range(limit), strict=False)]
