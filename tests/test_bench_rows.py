"""Every row of the benchmarks runs from end to end at a tiny length, beside the peers that it names."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import bench.run
from bench import machine
from bench.figures import PULIH
from bench.rows import change, crowd
from bench.rows.resolver import ONE_ZONE
from bench.run import Run
from bench.table import ROWS, Row
from tests.policy.scale import scaled
from tests.servers import find

pytestmark = [pytest.mark.xdist_group("bench"), pytest.mark.long]

NAMES = 300
MEASURED = {
    "start": [PULIH, "Knot", "BIND"],
    "axfr": [PULIH, "Knot", "BIND"],
    "eight": [PULIH, "Knot", "BIND"],
    "memory": [PULIH, "Knot", "BIND"],
    "change": [PULIH],
    "bind": [PULIH, ONE_ZONE, "Knot", "BIND"],
    "unbound": [PULIH, ONE_ZONE],
    "powerdns": [PULIH, ONE_ZONE],
    "batch": [PULIH, "Knot", "BIND"],
    "rebuild": [PULIH],
    "import": [PULIH],
    "secondaries": [PULIH],
    "transfer": [PULIH, "Knot"],
}
"""Whose times the first figure of each row holds."""

AT_ONCE = {"axfr", "change", "transfer"}
"""One of each kind: the others wait for resolvers, or do the same with more: PULIH_TEST_SCALE=2 runs them."""


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    for command, package in (("knotd", "knot"), ("named", "bind9")):
        find(command, package)
    with (
        pytest.MonkeyPatch.context() as patch,
        TemporaryDirectory(prefix="bench-") as folder,
        Run(Path(folder) / "run", NAMES, rounds=1) as made,
    ):
        patch.setattr(bench.run, "SPACING", 0.0)
        patch.setattr(machine, "WATCHED", 0.1)
        patch.setattr(change, "BATCH", 1_100)
        patch.setattr(crowd, "SECONDARIES", 20)
        yield made


@pytest.mark.parametrize("row", [row for row in ROWS if row.name in AT_ONCE or scaled(1) > 1], ids=lambda row: row.name)
def test_a_row_measures_pulih_and_its_peers(run: Run, row: Row) -> None:
    figures = row.measure(run)

    first = figures[0]
    assert set(MEASURED[row.name]) <= set(first.taken), first
    assert all(value > 0 for figure in figures for taken in figure.taken.values() for value in taken)
