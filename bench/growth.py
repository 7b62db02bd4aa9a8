"""`python -m bench.growth`: the rows that grow with the list, at each length, and a drawing of the newest results."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from bench import __main__ as bench
from bench import results
from bench.drawing import Panel, svg
from bench.figures import FACTORS, Unit
from bench.run import say
from bench.table import ROWS, Row

LENGTHS = (10_000, 100_000, 1_000_000, 10_000_000)
DRAWING = Path(__file__).parent.parent / "docs" / "growth.svg"
TITLE = "What a longer list costs (medians; names across)"


@click.command()
@click.option("--up-to", type=int, default=LENGTHS[-1], show_default=True, help="The longest list.")
@click.option("--only-draw", is_flag=True, help="Measure nothing: draw what bench/results/ holds.")
def main(up_to: int, *, only_draw: bool) -> None:
    """Measure, and draw to docs/growth.svg. The exit status is that of the measuring."""
    drawn = [row for row in ROWS if row.drawn is not None]
    lengths = [length for length in LENGTHS if length <= up_to]
    status = 0
    if not only_draw:
        sized = [each for length in lengths for each in bench.plan([row.name for row in drawn], length)]
        with tempfile.TemporaryDirectory(prefix="pulih-bench-") as folder:
            status = bench.measure(sized, Path(folder))
    DRAWING.parent.mkdir(exist_ok=True)
    DRAWING.write_text(svg(TITLE, [panel for row in drawn for panel in panels(row, LENGTHS)]))
    say(f"drawn: {DRAWING}")
    sys.exit(status)


def panels(row: Row, lengths: Sequence[int], folder: Path = results.FOLDER) -> list[Panel]:
    """One for the row's figure; none where nothing was measured."""
    series: dict[str, dict[int, float]] = {}
    figure: dict[str, Any] = {}
    for length in lengths:
        found = results.newest(row.name, length, folder)
        if found is None or row.drawn is None:
            continue
        figure = found["figures"][row.drawn]
        for server, value in figure["median"].items():
            series.setdefault(server, {})[length] = value
    if not figure:
        return []
    return [Panel(row.work, figure["unit"], series, limit(figure))]


def limit(figure: dict[str, Any]) -> float | None:
    """The must of the longest list, in the unit that is drawn; None where it is a share of a peer's time."""
    must = figure["must"]
    unit: Unit = figure["unit"]
    if must is None or must["of"] is not None:
        return None
    most: float = must["most"] * FACTORS[unit]
    return most


if __name__ == "__main__":
    main()
