"""Full transfers, increments and changes beside Knot at the length of a list that is common today."""

from collections.abc import Callable

from bench import names, sink
from bench.figures import Figure, Must
from bench.primary import ZONE, Primary
from bench.rows.change import both, timed
from bench.run import RECORDS_A_NAME, Run, in_turns, space
from bench.sink import Wanted

APEX_DIFFERENCE = 4
"""The new SOA, the old one, the new one, and the new one again (RFC 1995 section 4)."""

FEWEST_FOR_MANY = 10_000
"""In a shorter list a change of a thousand names is sent as a whole zone."""

NOT_SLOWER = Must(1.0, of="Knot")


def measure(run: Run) -> list[Figure]:
    """At least as fast as Knot, whatever is transferred; the first transfer of each kind is told apart."""
    figures = fetched(run, f"AXFR of {run.count:,} names", run.whole, 15)
    for count, changes, rounds in ((1, 4, 501), (1000, 2, 41)):
        if count == 1 or run.count >= FEWEST_FOR_MANY:
            figures += changed(run, count, changes, rounds)
    return figures


def fetched(run: Run, work: str, wanted: Callable[[Primary], Wanted], rounds: int) -> list[Figure]:
    """What is made once for all secondaries is made at the first transfer; signatures are verified at the second."""
    first, figure = Figure(f"{work}, first time asked", "ms"), Figure(work, "ms", NOT_SLOWER)
    primaries = [run.pulih, *run.peers("Knot")]
    asked = {primary.name: wanted(primary) for primary in primaries}
    for primary in primaries:
        first.add(primary.name, sink.transfer(primary.port, primary.key, asked[primary.name]).seconds)
        sink.transfer(primary.port, primary.key, asked[primary.name], verify=True)
    for primary in in_turns(figure, primaries, run.times(rounds)):
        figure.add(primary.name, sink.transfer(primary.port, primary.key, asked[primary.name]).seconds)
    return [figure, first]


def changed(run: Run, count: int, changes: int, rounds: int) -> list[Figure]:
    """A change of so many names, again and again, and then the increment of the last one, lifted in the end."""
    kind = "1 name" if count == 1 else f"{count:,} names"
    sent = Figure(f"change of {kind}: sent until SOA shows it", "ms")
    answered = Figure(f"change of {kind}: answered until SOA shows it", "ms")

    def change(primary: Primary, act: Callable[[], None]) -> None:
        space()
        answered_after, shown_after = timed(primary, act)
        sent.add(primary.name, shown_after)
        answered.add(primary.name, shown_after - answered_after)

    primaries = [run.pulih, *run.peers("Knot")]
    for number, primary in enumerate(in_turns(sent, primaries, run.times(changes))):
        for act in both(primary, names.fresh(count, f"c{count}x{number}")):
            change(primary, act)
    before = {primary.name: sink.serial_of(primary.port, ZONE) for primary in primaries}
    last = {primary.name: both(primary, names.fresh(count, f"last{count}")) for primary in primaries}
    for primary in primaries:
        change(primary, last[primary.name][0])

    def increment(primary: Primary) -> Wanted:
        serial = sink.serial_of(primary.port, ZONE)
        return Wanted(ZONE, serial, RECORDS_A_NAME * count + APEX_DIFFERENCE, before[primary.name])

    figures = fetched(run, f"IXFR of {kind}", increment, rounds)
    for primary in primaries:
        change(primary, last[primary.name][1])
    return [*figures, sent, answered]
