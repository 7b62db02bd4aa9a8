"""Bugs by which what is published is not what was decided, or the journal not what was done: for `pulih fsck` to find.

Each is a bug of a whole process, so that nothing else in it stops what comes of it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count
from typing import Any

from app.journal import tree
from app.orders import states, touched
from app.orders.guarding import Guard
from app.publication import publisher, zones
from resolver_policy import version
from resolver_policy.delta import Change, Rule
from resolver_policy.targets import Match
from resolver_policy.wire import Chunk
from tests.planted import replace

MILLION = 1_000_000

Method = Callable[..., Any]


def a_release_without_its_note() -> None:
    """A name is let go of, and nothing tells the publisher."""
    replace(touched, "target", lambda _: lambda *_: None)


def an_end_without_its_event() -> None:
    """An order ends, and the journal does not say so."""
    replace(states, "append", lambda _: lambda *_: 0)


def an_interval_that_stays_open() -> None:
    """An order that is suspended is recorded as in force all the while."""

    def careless(_leave: Method) -> Method:
        return touched.order

    replace(states, "leave_force", careless)


def a_version_that_is_not_counted() -> None:
    """Whoever was shown the version before an act may act as if it was not."""
    replace(states, "revise", lambda _: lambda _order: None)


def a_guard_in_the_api_alone() -> None:
    """What must never be blocked is asked when a request comes in, and not again."""
    replace(Guard, "never", lambda _: lambda *_: False)
    replace(Guard, "check_again", lambda _: lambda *_, **__: None)


def children_that_do_not_come_back() -> None:
    """A parent is lifted, and what was redundant because of it is not there again."""

    def careless(recompute: Method) -> Method:
        def recomputed(touched: Iterable[tuple[str, Match]], *rest: object) -> Iterator[list[Change]]:
            roots = {key for key, _ in touched}
            for changes in recompute(touched, *rest):
                yield [change for change in changes if change.key in roots]

        return recomputed

    replace(publisher, "recompute", careless)


def a_rule_that_is_not_sent() -> None:
    """What is rendered lacks the last name of a chunk."""

    def careless(render: Method) -> Method:
        def rendered(rules: Iterable[tuple[str, Rule]], *rest: object) -> Iterator[Chunk]:
            chunks: Iterator[Chunk] = render(list(rules)[:-1], *rest)
            return chunks

        return rendered

    replace(version, "render", careless)


def a_tree_over_something_else() -> None:
    """Events are hashed, and the tree is built over other hashes than theirs."""
    replace(tree, "grow", lambda grow: lambda session, size, _leaf: grow(session, size, bytes(32)))


def a_serial_that_goes_back() -> None:
    """Every release but the first gets a serial below those before it."""

    def careless(next_serial: Method) -> Method:
        turns = count(1)
        return lambda previous, *rest: next_serial(previous, *rest) - (MILLION * next(turns) if previous else 0)

    replace(zones, "next_serial", careless)


PLANTS: Mapping[str, Callable[[], None]] = {
    "a-release-without-its-note": a_release_without_its_note,
    "an-end-without-its-event": an_end_without_its_event,
    "an-interval-that-stays-open": an_interval_that_stays_open,
    "a-version-that-is-not-counted": a_version_that_is_not_counted,
    "a-guard-in-the-api-alone": a_guard_in_the_api_alone,
    "children-that-do-not-come-back": children_that_do_not_come_back,
    "a-rule-that-is-not-sent": a_rule_that_is_not_sent,
    "a-tree-over-something-else": a_tree_over_something_else,
    "a-serial-that-goes-back": a_serial_that_goes_back,
}
