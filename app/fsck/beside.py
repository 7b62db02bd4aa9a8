"""Rows of two queries gone through together: each is in the order of one number, and neither is held in memory."""

from collections.abc import Callable, Iterator
from typing import Any

Row = Any


class Beside:
    """The rows of one query, taken number by number while another is gone through; `strays` are left over by it."""

    def __init__(self, rows: Iterator[Row], number_of: Callable[[Row], int]) -> None:
        self._rows = rows
        self._number_of = number_of
        self._row = next(rows, None)
        self.strays: set[int] = set()

    def at(self, number: int) -> Iterator[Row]:
        """The rows of a number; it never goes back. What was left of lower numbers is stray."""
        while self._row is not None and (of := self._number_of(self._row)) <= number:
            row, self._row = self._row, next(self._rows, None)
            if of == number:
                yield row
            else:
                self.strays.add(of)

    def end(self) -> set[int]:
        """The numbers of all rows that nobody asked for."""
        while self._row is not None:
            self.strays.add(self._number_of(self._row))
            self._row = next(self._rows, None)
        return self.strays
