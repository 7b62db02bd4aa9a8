"""A change until the SOA shows it: of one name, and of ten thousand."""

import time
from collections.abc import Sequence

from bench import names, sink
from bench.figures import PULIH, Figure, Must
from bench.primary import ZONE, Act, Primary
from bench.run import Run, in_turns, space

BATCH = 10_000
POLL = 0.0005


def one(run: Run) -> list[Figure]:
    """One name blocked and lifted again; from the answer to the act, which is its commit, and from sending it."""
    committed = Figure("change of 1 name: committed until SOA shows it", "ms", Must(0.05, aim=0.02))
    sent = Figure("change of 1 name: sent until SOA shows it", "ms")
    for number, primary in enumerate(in_turns(sent, [run.pulih, *run.peers("Knot", "BIND")], run.times(10))):
        for act in both(primary, names.fresh(1, f"one{number}")):
            space()
            answered_after, shown_after = timed(primary, act)
            sent.add(primary.name, shown_after)
            if primary.name == PULIH:
                committed.add(PULIH, shown_after - answered_after)
    return [committed, sent]


def batch(run: Run) -> list[Figure]:
    """Ten thousand names blocked at once, and lifted; a peer blocks them once, in as many updates as it needs."""
    blocked = Figure(f"{BATCH:,} names in one change: sent until SOA shows it", "s", Must(2, aim=1))
    lifted = Figure(f"{BATCH:,} names lifted: sent until SOA shows it", "s")
    for number in range(run.times(2)):
        for act, figure in zip(both(run.pulih, names.fresh(BATCH, f"b{number}")), (blocked, lifted), strict=True):
            space()
            figure.add(PULIH, timed(run.pulih, act)[1])
    for primary in run.peers("Knot", "BIND"):
        blocked.add(primary.name, timed(primary, primary.blocking(names.fresh(BATCH, "b")))[1])
    return [blocked, lifted]


def both(primary: Primary, changed: Sequence[str]) -> tuple[Act, Act]:
    """A block and its lift, in this order."""
    return primary.blocking(changed), primary.lifting(changed)


def timed(primary: Primary, act: Act) -> tuple[float, float]:
    """Make a change: seconds until it is answered, and until the SOA shows it."""
    before = after = sink.serial_of(primary.port, ZONE)
    began = time.perf_counter()
    act()
    answered = time.perf_counter() - began
    while after == before:
        time.sleep(POLL)
        after = sink.serial_of(primary.port, ZONE)
    return answered, time.perf_counter() - began
