"""A block, and its lift, until a resolver that holds the list answers accordingly; and what that costs it."""

import time
from functools import partial
from itertools import count

from bench import machine, names
from bench.figures import PULIH, Figure, Must
from bench.primary import Act
from bench.resolvers import Isp, Resolver, Resolvers, resolvers
from bench.rows.change import both
from bench.run import Run, say, space

ONE_ZONE = "one zone"
ROUNDS = 25
"""Blocks, and as many lifts."""

MOST_WAITED = 120.0
_numbers = count()

Figures = tuple[Figure, Figure, Figure, Figure]


def measure(run: Run, kind: str, *, must: Must | None, cost: Must | None, enough: float) -> list[Figure]:
    """Over the one zone, from Pulih and from peers (BIND alone); then over two layers, as they are printed.

    Who has waited `enough` seconds in all is toggled no more.
    """
    figures = (
        Figure(f"{kind}: block sent until answered", "ms", must, tail=True),
        Figure(f"{kind}: lift sent until answered", "ms", must, tail=True),
        Figure(f"{kind}: processor time of the resolver a change", "ms", cost),
        Figure(f"{kind}: memory of the resolver", "MB"),
    )
    isp = Isp(run.pulih, kind, signs=kind != "unbound")
    with resolvers(run, isp) as made:
        made.of_pulih(ONE_ZONE)
        if kind == "bind":
            made.of_peers(run.peers("Knot", "BIND"))
        _all_measured(run, made, figures, enough)
    with resolvers(run, isp) as made:
        made.of_pulih(PULIH, "--layers")
        _all_measured(run, made, figures, enough)
    isp.remove()
    return list(figures)


def _all_measured(run: Run, made: Resolvers, figures: Figures, enough: float) -> None:
    block, lift, burned, memory = figures
    for resolver in made.all:
        loaded = resolver.wait_for(names.LISTED, blocked=True)
        say(f"  {resolver.label}: the resolver has the list, after {loaded:.0f} s more")
    for resolver in made.all:
        machine.wait_idle(resolver.pid)
        before = machine.processor_seconds(resolver.pid)
        changes = _toggle(run, resolver, block, lift, enough)
        machine.wait_idle(resolver.pid)
        burned.add(resolver.label, (machine.processor_seconds(resolver.pid) - before) / changes)
        memory.add(resolver.label, machine.highest_mb([resolver.pid]))


def _toggle(run: Run, resolver: Resolver, block: Figure, lift: Figure, enough: float) -> int:
    """Block a name and lift it, again and again; how many changes that were."""
    label, changes = resolver.label, 0
    for _ in range(run.times(ROUNDS)):
        if block.sum_of(label) + lift.sum_of(label) > enough:
            break
        name = f"toggle{next(_numbers)}.example"
        acts = both(resolver.primary, [name])
        for act, figure, blocked in zip(acts, (block, lift), (True, False), strict=True):
            space()
            figure.add(label, _until_answered(resolver, name, act, blocked=blocked))
            changes += 1
    return changes


def _until_answered(resolver: Resolver, name: str, act: Act, *, blocked: bool) -> float:
    began = time.perf_counter()
    act()
    resolver.wait_for(name, blocked=blocked, patience=MOST_WAITED)
    return time.perf_counter() - began


bind = partial(measure, kind="bind", must=Must(0.2, aim=0.08), cost=Must(0.02, aim=0.005), enough=30.0)
unbound = partial(measure, kind="unbound", must=None, cost=None, enough=60.0)
powerdns = partial(measure, kind="powerdns", must=None, cost=None, enough=60.0)
