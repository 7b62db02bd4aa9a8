"""What became of each line of a list: one verdict a line, four octets each, told again in the order of the file."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from app.errors import TooLarge
from app.orders.guarding import Guard
from app.orders.imports_lines import Line, Lines
from resolver_policy import names
from resolver_policy.errors import PolicyError, printable
from resolver_policy.targets import Match

MOST_LINES = 50_000_000


class Verdict(StrEnum):
    """What became of a line that holds something."""

    ACCEPTED = "accepted"
    UNCHANGED = "unchanged"
    DUPLICATE = "duplicate"
    COVERED = "covered"
    REFUSED = "refused"


EMPTY, ACCEPTED, UNCHANGED, REFUSED, HELD_ABOVE = range(5)
"""How a line is marked. A mark above these says: duplicate of line (mark - HELD_ABOVE); one below zero: covered by
line (-mark)."""

PLAIN = {ACCEPTED: Verdict.ACCEPTED, UNCHANGED: Verdict.UNCHANGED, REFUSED: Verdict.REFUSED}


@dataclass(frozen=True, slots=True)
class Rules:
    """What each name of a list is held against: the guard, the match of the list, and whether an override is given."""

    guard: Guard
    match: Match
    overridden: bool

    def key_of(self, line: Line) -> str:
        """The key of the name on a line; raises PolicyError."""
        if line.fault is not None:
            raise line.fault
        return self.guard.checked_key(line.text, self.match, overridden=self.overridden)


@dataclass(slots=True)
class Verdicts:
    """The marks of all lines, how many hold something (`total`), and how many of each verdict there are."""

    marks: "array[int]" = field(default_factory=lambda: array("i"))
    counts: dict[Verdict, int] = field(default_factory=lambda: dict.fromkeys(Verdict, 0))
    total: int = 0

    def empty(self) -> None:
        """The next line holds nothing."""
        self._mark_next(EMPTY)

    def named(self) -> None:
        """The next line holds a name; what becomes of it is said later."""
        self._mark_next(ACCEPTED)
        self.total += 1

    def refuse(self) -> None:
        """The next line is refused."""
        self._mark_next(REFUSED)
        self.total += 1
        self.counts[Verdict.REFUSED] += 1

    def accept(self) -> None:
        self.counts[Verdict.ACCEPTED] += 1

    def unchanged(self, line: int) -> None:
        self.marks[line - 1] = UNCHANGED
        self.counts[Verdict.UNCHANGED] += 1

    def duplicate(self, line: int, first: int) -> None:
        self.marks[line - 1] = HELD_ABOVE + first
        self.counts[Verdict.DUPLICATE] += 1

    def cover(self, line: int, by_line: int | None) -> None:
        """A name above stands in the list, or (`by_line` None) is held by an order in force."""
        self.marks[line - 1] = HELD_ABOVE if by_line is None else -by_line
        self.counts[Verdict.COVERED] += 1

    def items(
        self, lines: Lines, rules: Rules, *, refused: int = MOST_LINES, others: int = MOST_LINES
    ) -> Iterator[dict[str, Any]]:
        """A document for each line that holds something, in the order of the file, which is read again for it.

        At most so many that are refused, and so many that are not; it ends as soon as there are no more of either.
        """
        left = {True: min(refused, self.counts[Verdict.REFUSED]), False: min(others, self.not_refused)}
        for line, mark in zip(lines(), self.marks, strict=False):
            if not any(left.values()):
                break
            if mark != EMPTY and left[mark == REFUSED]:
                left[mark == REFUSED] -= 1
                yield item(line, mark, rules)

    @property
    def not_refused(self) -> int:
        """Lines that hold a good name, stored or not."""
        return self.total - self.counts[Verdict.REFUSED]

    def _mark_next(self, mark: int) -> None:
        if len(self.marks) >= MOST_LINES:
            raise TooLarge(f"the list has more than {MOST_LINES} lines")
        self.marks.append(mark)


def item(line: Line, mark: int, rules: Rules) -> dict[str, Any]:
    """One line as it is answered: what was given, the name it means, the verdict and why."""
    document: dict[str, Any] = {"line": line.number, "input": printable(line.text), "name": None}
    if mark == REFUSED:
        return {**document, "verdict": str(Verdict.REFUSED), **_reason(line, rules)}
    document["name"] = names.canonical(line.text)
    if mark in PLAIN:
        return {**document, "verdict": str(PLAIN[mark])}
    if mark > HELD_ABOVE:
        return {**document, "verdict": str(Verdict.DUPLICATE), "detail": f"stands in line {mark - HELD_ABOVE} already"}
    above = "an order in force holds a name above it" if mark == HELD_ABOVE else f"line {-mark} holds a name above it"
    return {**document, "verdict": str(Verdict.COVERED), "detail": above}


def _reason(line: Line, rules: Rules) -> dict[str, Any]:
    try:
        rules.key_of(line)
    except PolicyError as error:
        return {"code": error.code, "rule": error.rule or error.code, "detail": error.detail}
    raise AssertionError(f"line {line.number} was refused, and is not refused now")
