"""Bugs by which `urgent` in front of a base answers otherwise than was decided: for `pulih fsck` to find."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from resolver_policy import layers
from resolver_policy.delta import Change
from resolver_policy.targets import Decision
from tests.planted import replace

Method = Callable[..., Any]


def lifts_that_urgent_leaves_out() -> None:
    """What is no longer blocked is taken for what needs no record, as it would in a zone that stands alone."""

    def careless(recompute: Method) -> Method:
        def recomputed(*how: object, **more: object) -> Iterator[list[Change]]:
            for changes in recompute(*how, **more):
                yield [change for change in changes if Decision.PASS not in change.new]

        return recomputed

    replace(layers, "recompute", careless)


def regions_without_what_is_between() -> None:
    """A name that is there for what is below it alone hides the wildcard above it, and has no record of its own."""
    replace(layers, "_between", lambda _: lambda *_: iter(()))


PLANTS: Mapping[str, Callable[[], None]] = {
    "lifts-that-urgent-leaves-out": lifts_that_urgent_leaves_out,
    "regions-without-what-is-between": regions_without_what_is_between,
}
