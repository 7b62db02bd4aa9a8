"""Sorting more names than memory should hold: sorted runs in temporary files, merged as they are read."""

import tempfile
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import IO, Self

ENTRIES_IN_ONE_RUN = 100_000
LINE_DIGITS = 11
OCTETS_OF_ONE_BLOCK = 65_536

_new_run = partial(tempfile.TemporaryFile, "w+", encoding="ascii", newline="\n")


class KeySorter:
    """Takes (key, line number) pairs in any order and gives them back in key order, equal keys by line number.

    At most one run is held in memory; the others lie in files without a name, gone when the sorter is closed.
    """

    def __init__(self, run_length: int = ENTRIES_IN_ONE_RUN) -> None:
        self._run_length = run_length
        self._current: list[str] = []
        self._runs: list[IO[str]] = []
        self._files = ExitStack()
        self.count = 0

    def add(self, key: str, line: int) -> None:
        """Take one entry. A tab sorts before everything that a key may hold, so entries sort as their keys do."""
        self._current.append(f"{key}\t{line:0{LINE_DIGITS}}\n")
        self.count += 1
        if len(self._current) >= self._run_length:
            self._spill()

    def entries(self) -> Iterator[tuple[str, int]]:
        """Everything that was taken, in order; to be read once."""
        self._current.sort()
        for run in self._runs:
            run.seek(0)
        blocks = [iter(partial(run.readlines, OCTETS_OF_ONE_BLOCK), []) for run in self._runs]
        for entry in _merged([*blocks, iter([self._current] if self._current else [])]):
            key, _, line = entry.partition("\t")
            yield key, int(line)

    def _spill(self) -> None:
        self._current.sort()
        run = self._files.enter_context(_new_run())
        run.writelines(self._current)
        self._runs.append(run)
        self._current = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.close()


def _merged(runs: Sequence[Iterator[list[str]]]) -> Iterator[str]:
    """Merge sorted runs, each given in blocks: up to the first end of a block all are known, and sorted together.

    Sorting what consists of sorted pieces is a merge as well, and far faster than one entry at a time.
    """
    waiting = [(block, run) for run in runs for block in [next(run, [])] if block]
    while waiting:
        bound = min(block[-1] for block, _ in waiting)
        known: list[str] = []
        left = []
        for block, run in waiting:
            cut = bisect_right(block, bound)
            known += block[:cut]
            rest = block[cut:] or next(run, [])
            if rest:
                left.append((rest, run))
        waiting = left
        known.sort()
        yield from known
