"""What an export format is."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from resolver_policy.delta import Rule
from resolver_policy.wire import Zone

LINES_AT_ONCE = 1000

Rules = Iterable[tuple[str, Rule]]


@dataclass(frozen=True, slots=True)
class Format:
    """`render(rules in key order, zone, serial)` gives ASCII text in pieces; equal arguments, equal text.

    `limits` says what a zone can express and this format cannot; it is shown to whoever chooses one.
    """

    name: str
    media_type: str
    limits: str
    render: Callable[[Rules, Zone, int], Iterator[str]]


def in_pieces(lines: Iterable[str]) -> Iterator[str]:
    """Join lines, each with its newline, into pieces of some 50 kB."""
    rest = iter(lines)
    while piece := "".join(islice(rest, LINES_AT_ONCE)):
        yield piece
