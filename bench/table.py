"""The rows of the table of targets: what each is, how long it takes, and what measures it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.figures import Figure
from bench.rows import axfr, change, crowd, imports, memory, resolver, start, transfer
from bench.run import Run

MILLION = 1_000_000


@dataclass(frozen=True)
class Row:
    """`minutes` are those of a million names on two quiet cores. `large`: also measured at ten million.

    With `names` the row has a length of its own, where none was asked for. How figure `drawn` grows is drawn.
    """

    name: str
    work: str
    minutes: float
    measure: Callable[[Run], list[Figure]]
    large: bool = False
    drawn: int | None = None
    names: int = MILLION

    def minutes_at(self, count: int) -> float:
        """Most of it grows with the list; pauses between changes do not."""
        return self.minutes * (0.3 + 0.7 * count / self.names)


ROWS: Sequence[Row] = (
    Row("start", "start to serving", 1.0, start.start, large=True, drawn=0),
    Row("axfr", "one AXFR", 0.8, axfr.one, large=True, drawn=0),
    Row("eight", "eight AXFRs at once, until the last", 1.7, axfr.eight),
    Row("memory", "memory while serving", 0.5, memory.measure, large=True, drawn=0),
    Row("change", "one change until SOA shows it", 1.6, change.one, large=True, drawn=1),
    Row("transfer", "AXFR, IXFR and changes beside Knot", 2.0, transfer.measure, names=160_000),
    Row("batch", "10,000 names in one change until SOA shows them", 0.7, change.batch),
    Row("bind", "block and lift at a BIND resolver that holds the list", 5.0, resolver.bind),
    Row("unbound", "the same at Unbound", 3.3, resolver.unbound),
    Row("powerdns", "the same at PowerDNS Recursor, which polls", 3.2, resolver.powerdns),
    Row("rebuild", "full rebuild from the database", 0.8, start.rebuild),
    Row("import", "import of dirty lines until published", 1.0, imports.measure),
    Row("secondaries", "one change, until the last of 1,000 secondaries has it", 1.0, crowd.measure),
)
"""In the order in which they share servers: no transfer is measured any more when the batch has changed a peer."""


def chosen(names: Sequence[str]) -> list[Row]:
    """Those that are named, in their order; all where none is."""
    return [row for row in ROWS if not names or row.name in names]
