"""One full transfer, and eight at once until the last has everything."""

from collections.abc import Sequence

from bench import sink
from bench.figures import Figure, Must
from bench.pinging import pinged
from bench.primary import ZONE, Primary
from bench.run import Run, in_turns

CLIENTS = 8


def one(run: Run) -> list[Figure]:
    """A new TCP connection each; the first transfer from each server is read with every signature computed."""
    figure = Figure(f"AXFR of {run.count:,} names", "s", Must(0.25, aim=0.1, of="Knot"))
    primaries = _verified(run)
    for primary in in_turns(figure, primaries, run.times(7)):
        figure.add(primary.name, sink.transfer(primary.port, primary.key, run.whole(primary)).seconds)
    return [figure]


def eight(run: Run) -> list[Figure]:
    """Each client is a process of its own; they share the cores with the server. SOA is asked all the while."""
    figure = Figure(f"{CLIENTS} AXFRs of {run.count:,} names at once", "s", Must(0.3, aim=0.15, of="Knot"))
    soa = Figure("SOA over UDP meanwhile", "ms", tail=True)
    for primary in in_turns(figure, _verified(run), run.times(3)):
        with pinged(primary.port, ZONE) as answered:
            seconds = sink.all_at_once(primary.port, primary.key, run.whole(primary), CLIENTS)
        figure.add(primary.name, seconds)
        soa.add(primary.name, *answered)
    return [figure, soa]


def _verified(run: Run) -> Sequence[Primary]:
    primaries = [run.pulih, *run.peers("Knot", "BIND")]
    for primary in primaries:
        sink.transfer(primary.port, primary.key, run.whole(primary), verify=True)
    return primaries
