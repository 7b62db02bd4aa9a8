"""A list as it comes: dirty lines imported, judged, audited, approved by another person, and published."""

from collections.abc import Iterator

from bench import names
from bench.figures import PULIH, Figure, Must
from bench.pulih import fill
from bench.run import LARGE, Run

DIRT = 20
"""Of so many lines each is dirty in a way of its own."""


def measure(run: Run) -> list[Figure]:
    """From the start of `pulih import --partial` until the SOA shows the list; then the names are counted."""
    must = Must(60, aim=30) if run.count <= LARGE else None
    figure = Figure(f"import of {run.count:,} dirty lines until published", "s", must)
    memory = Figure("memory of the import at its highest", "MB")
    kept = sum(1 for number in range(run.count) if is_kept(number))
    filled = fill(run.fresh_folder("imported"), dirty(run.count), kept)
    figure.add(PULIH, filled.seconds)
    memory.add(PULIH, filled.import_mb)
    return [figure, memory]


def dirty(count: int) -> Iterator[str]:
    """So many lines: a fifth is dirty, a tenth of all is no new name."""
    before = names.LISTED
    for number, name in enumerate(names.made_up(count)):
        yield _line(number % DIRT, name, before)
        before = name


def is_kept(number: int) -> bool:
    """Whether a line becomes a name: two of twenty are refused or there already, the others only look bad."""
    return number % DIRT not in {8, 9}


def _line(kind: int, name: str, before: str) -> str:
    match kind:
        case 5:
            return name.upper()
        case 6:
            return f"\t {name}.   # from a letter\r"
        case 8:
            return before.title()
        case 9:
            return f"http://{name}/play?id=1"
        case _:
            return name
