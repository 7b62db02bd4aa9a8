"""What an export format is, and what every format is made of."""

import datetime as dt
import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from resolver_policy.delta import Rule
from resolver_policy.targets import Decision, Match
from resolver_policy.wire import Zone

LINES_AT_ONCE = 1000


class Holder(NamedTuple):
    """A target in force and what may be told of its order to those who enforce it; never a person, never an id."""

    key: str
    match: Match
    decision: Decision
    order_number: str | None
    number_note: str | None
    sample: bool
    authority: str
    category: str
    reason_id: str
    reason_en: str
    since: dt.datetime


@dataclass(frozen=True, slots=True)
class Contents:
    """What an export tells: a zone at one serial, and who holds what in it.

    `rules` and `holders` come in key order and from their beginning each time they are iterated; neither is read
    into memory.
    """

    zone: Zone
    serial: int
    rules: Iterable[tuple[str, Rule]]
    holders: Iterable[Holder] = ()


@dataclass(frozen=True, slots=True)
class Format:
    """`render` gives a file's octets in pieces; equal contents, equal octets.

    A format that cannot say all that a zone says blocks less, never more; `limits` says what is lost, to whoever
    chooses one. Text that an operator wrote is only in formats that no resolver reads. `tells_holders`: the file
    may change while the zone's serial does not, where a second order takes hold of a name.
    """

    name: str
    media_type: str
    limits: str
    render: Callable[[Contents], Iterator[bytes]]
    tells_holders: bool = False


def in_pieces(lines: Iterable[str]) -> Iterator[bytes]:
    """Join lines, each with its line end, into pieces of some 50 kB; what is not ASCII becomes UTF-8."""
    rest = iter(lines)
    while piece := "".join(islice(rest, LINES_AT_ONCE)):
        yield piece.encode()


def with_end_line(lines: Iterable[str], comment: str, serial: int) -> Iterator[bytes]:
    """Join lines as `in_pieces` does; a last line, a comment, lets a reader notice a file that was cut off.

    It says the serial, how many lines stand above it, and the SHA-256 of all octets above it.
    """
    hashed, count = hashlib.sha256(), 0
    for piece in in_pieces(lines):
        hashed.update(piece)
        count += piece.count(b"\n")
        yield piece
    yield f"{comment} end: serial={serial} lines={count} sha256={hashed.hexdigest()}\n".encode()
