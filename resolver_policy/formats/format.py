"""What an export format is, and what every format is made of."""

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from resolver_policy.delta import Rule
from resolver_policy.targets import Decision, Match
from resolver_policy.wire import Zone

LINES_AT_ONCE = 1000


class Holder(NamedTuple):
    """A target in force and what may be told of its order to those who enforce it; never a person, never an id.

    `emergency` says of an emergency order whether it is `confirmed` or `unconfirmed`; None for any other.
    """

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
    emergency: str | None


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Format(ABC):
    """A format that cannot say all that a zone says blocks less, never more; `limits` says what is lost, to whoever
    chooses one.

    Text that an operator wrote is only in formats that no resolver reads. `tells_holders`: the file may change while
    the zone's serial does not, where a second order takes hold of a name.
    """

    name: str
    media_type: str
    limits: str
    tells_holders: bool = False

    @abstractmethod
    def render(self, contents: Contents) -> Iterator[bytes]:
        """Give a file's octets, some at a time; equal contents, equal octets."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole(Format):
    """A format of which no part can be made without all the others: one rule may change any octet of it."""

    octets: Callable[[Contents], Iterator[bytes]]

    def render(self, contents: Contents) -> Iterator[bytes]:
        """Give what `octets` gives."""
        return self.octets(contents)


def joined(lines: Iterable[str]) -> Iterator[bytes]:
    """Join lines, each with its line end, to some 50 kB at a time; what is not ASCII becomes UTF-8."""
    rest = iter(lines)
    while some := "".join(islice(rest, LINES_AT_ONCE)):
        yield some.encode()
