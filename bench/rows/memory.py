"""Memory while serving: after transfers, and at its highest."""

from bench import machine, sink
from bench.figures import Figure, Must
from bench.rows.axfr import CLIENTS
from bench.run import LARGE, Run


def measure(run: Run) -> list[Figure]:
    """Each server has sent the zone once, and eight times at once, when it is looked at."""
    after = Figure("memory of what serves the zone", "MB", Must(200 if run.count <= LARGE else 300))
    highest = Figure("the same at its highest", "MB")
    everything = Figure("memory of all its processes", "MB")
    for primary in [run.pulih, *run.peers("Knot", "BIND")]:
        sink.all_at_once(primary.port, primary.key, run.whole(primary), CLIENTS if primary is run.pulih else 1)
        after.add(primary.name, machine.resident_mb(primary.serving))
        highest.add(primary.name, machine.highest_mb(primary.serving))
        everything.add(primary.name, machine.resident_mb(primary.all_processes))
    return [after, highest, everything]
