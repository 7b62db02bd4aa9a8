"""`python -m bench [ROW ...]`: rows of the table of targets, Pulih beside other servers in the same run."""

import datetime as dt
import logging
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import click
import pytest

from bench import results
from bench.figures import Figure, table
from bench.run import LARGE, Run, say
from bench.table import MILLION, ROWS, Row, chosen

log = logging.getLogger(__name__)

HELD, MISSED, NOT_MEASURED = 0, 1, 2
FILLING = 0.8
"""Minutes to fill one Pulih with a million names."""

Sized = tuple[Row, int]


@click.command(epilog="\b\nRows:\n" + "\n".join(f"  {row.name:12} {row.work}" for row in ROWS))
@click.argument("rows", nargs=-1, type=click.Choice([row.name for row in ROWS]))
@click.option("--names", type=click.IntRange(min=10), help="The length of the list (default: each row's own).")
@click.option("--rounds", type=click.IntRange(min=1), help="Do nothing more often than this.")
def main(rows: Sequence[str], names: int | None, rounds: int | None) -> None:
    """Measure ROWS, or all; above a million names, all that are asked for at ten million.

    Exit status 0: every must is held; 1: one is missed; 2: something was not measured. Every value is also written
    to bench/results/.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(NOT_MEASURED))  # so that all that was started is ended
    sized = plan(rows, names)
    with tempfile.TemporaryDirectory(prefix="pulih-bench-") as folder:
        sys.exit(measure(sized, Path(folder), rounds))


def plan(rows: Sequence[str], names: int | None) -> list[Sized]:
    """Which rows, at which length; printed, with the minutes that a quiet machine of two cores needs."""
    wanted = [row for row in chosen(rows) if rows or names is None or names <= LARGE or row.large]
    sized = [(row, names or row.names) for row in wanted]
    minutes = {count: FILLING * count / MILLION for _, count in sized}
    say(f"{'plan':<14}{'names':>12}{'minutes':>9}")
    for row, count in sized:
        say(f"  {row.name:<12}{count:>12,}{row.minutes_at(count):>9.1f}  {row.work}")
    total = sum(minutes.values()) + sum(row.minutes_at(count) for row, count in sized)
    say(f"  about {total:.0f} minutes, filling included")
    return sized


def measure(sized: Sequence[Sized], folder: Path, rounds: int | None = None, to: Path = results.FOLDER) -> int:
    """Every row, those of one length on the same servers; the exit status. A row that breaks leaves the others."""
    measured: list[Figure] = []
    broken: list[str] = []
    for count in dict.fromkeys(count for _, count in sized):
        with Run(folder / str(count), count, rounds) as run:
            for row in (row for row, length in sized if length == count):
                figures = _row(row, run, to)
                measured += figures
                if not figures:
                    broken.append(row.name)
    say("\n" + table([figure for figure in measured if figure.must is not None]))
    return status(measured, broken)


def status(figures: Sequence[Figure], broken: Sequence[str]) -> int:
    """The exit status, and in words what is wrong."""
    for name in broken:
        say(f"{name}: NOT MEASURED")
    wrong = [figure for figure in figures if figure.held is False]
    for figure in wrong:
        say(f"{figure.verdict}: {figure.work}")
    if broken or any(figure.unmeasured for figure in wrong):
        return NOT_MEASURED
    return MISSED if wrong else HELD


def _row(row: Row, run: Run, to: Path) -> list[Figure]:
    """Measure, print and write down one row; nothing where it broke."""
    say(f"\n== {row.name}: {row.work}, {run.count:,} names")
    began = time.monotonic()
    try:
        figures = row.measure(run)
    except (Exception, pytest.skip.Exception, pytest.fail.Exception):
        log.exception("%s could not be measured", row.name)
        return []
    seconds = time.monotonic() - began
    say(table(figures))
    file = results.write(row.name, run.count, figures, seconds, dt.datetime.now(dt.UTC), to)
    say(f"{seconds / 60:.1f} minutes, {row.minutes_at(run.count):.1f} planned; {file.name}")
    return figures


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    main()
