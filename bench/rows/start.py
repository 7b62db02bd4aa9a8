"""From the start of a server until it shows the zone; and what it takes where its prepared files are gone."""

import shutil
from pathlib import Path

from bench.figures import PULIH, Figure, Must
from bench.pulih import SETTINGS, copy, started
from bench.run import LARGE, Run
from tests.installation import Installation

KEPT = ("pulih.db", "pulih.db-wal", "pulih.db-shm", "secret.key", "log.key", "marks")
"""What a rebuild has: the database, its two keys, and the high-water marks."""


def start(run: Run) -> list[Figure]:
    """Pulih from what it kept when it was stopped, Knot and BIND from their zone file."""
    figure = Figure("start until SOA is answered", "s", Must(2, aim=1))
    figure.add(PULIH, run.pulih.seconds_to_serving)
    for _ in range(run.times(3) - 1):
        with run.another_pulih() as pulih:
            figure.add(PULIH, pulih.seconds_to_serving)
    for primary in run.peers("Knot", "BIND"):
        figure.add(primary.name, primary.seconds_to_serving)
    return [figure]


def rebuild(run: Run) -> list[Figure]:
    """Pulih from its database alone."""
    must = Must(20, aim=8) if run.count <= LARGE else None
    figure = Figure("start until SOA is answered, from the database alone", "s", must)
    for _ in range(run.times(2)):
        folder = run.fresh_folder("rebuilt")
        copy(run.filled, folder)
        forget(folder)
        with started(Installation(folder, SETTINGS, tokens=dict(run.filled.tokens)), run.filled.key) as pulih:
            figure.add(PULIH, pulih.seconds_to_serving)
            pulih.check_names(run.count)
    return [figure]


def forget(folder: Path) -> None:
    """Remove whatever was made from the database."""
    for made in (folder / "var").iterdir():
        if made.name in KEPT:
            continue
        if made.is_dir():
            shutil.rmtree(made)
        else:
            made.unlink()
