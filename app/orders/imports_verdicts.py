"""What became of each line of a list: one verdict a line, four octets each, told again in the order of the file."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from app.errors import TooLarge, Unprocessable
from app.orders import imports_texts
from app.orders.guarding import Guard
from app.orders.imports_book import Book, Entered
from app.orders.imports_lines import MATCHES, Line, Lines
from resolver_policy import names
from resolver_policy.errors import NameInvalid, PolicyError, printable

MOST_LINES = 50_000_000


class Verdict(StrEnum):
    """What became of a line that holds something."""

    ACCEPTED = "accepted"
    UNCHANGED = "unchanged"
    DUPLICATE = "duplicate"
    COVERED = "covered"
    REFUSED = "refused"


EMPTY, ACCEPTED, UNCHANGED, REFUSED, ALONE, HELD_ABOVE = range(6)
"""How a line is marked. A mark above these says: duplicate of entry (mark - HELD_ABOVE); one below zero: covered by
entry (-mark)."""

PLAIN = {ACCEPTED: Verdict.ACCEPTED, UNCHANGED: Verdict.UNCHANGED}
REFUSALS = (REFUSED, ALONE)

Refusal = PolicyError | Unprocessable
"""What may be wrong with a line: its name, or what it says of its order."""

Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rules:
    """What each name of a list is held against: the guard, and the orders of the list."""

    guard: Guard
    book: Book

    def place_of(self, line: Line) -> str:
        """Where a name is sorted: its key, behind its order where lines say orders; raises a Refusal."""
        _, name, fault, _, reach, cells = line
        if fault is not None:
            raise fault
        key = self.guard.checked_key(name, MATCHES[reach], overridden=self.book.lenient)
        return self.book.place(cells) + key if cells else key


@dataclass(slots=True)
class Verdicts:
    """The marks of all entries, how many hold something (`total`), and how many of each verdict there are.

    An entry is a line, or one name of several on a line; `numbers` says the line of each once that is not the same.
    """

    marks: "array[int]" = field(default_factory=lambda: array("i"))
    numbers: "array[int]" = field(default_factory=lambda: array("i"))
    counts: dict[Verdict, int] = field(default_factory=lambda: dict.fromkeys(Verdict, 0))
    total: int = 0

    def empty(self, line: int) -> None:
        """The next entry holds nothing."""
        self._mark_next(EMPTY, line)

    def named(self, line: int) -> int:
        """The next entry holds a name; what becomes of it is said later, by the number that this gives."""
        self.total += 1
        return self._mark_next(ACCEPTED, line)

    def refuse(self, line: int) -> None:
        """The next entry is refused."""
        self._mark_next(REFUSED, line)
        self.total += 1
        self.counts[Verdict.REFUSED] += 1

    def alone(self, entry: int) -> None:
        """An entry means all names below one that is not in the list itself: refused."""
        self.marks[entry - 1] = ALONE
        self.counts[Verdict.REFUSED] += 1

    def accept(self) -> None:
        self.counts[Verdict.ACCEPTED] += 1

    def unchanged(self, entry: int) -> None:
        self.marks[entry - 1] = UNCHANGED
        self.counts[Verdict.UNCHANGED] += 1

    def duplicate(self, entry: int, first: int) -> None:
        self.marks[entry - 1] = HELD_ABOVE + first
        self.counts[Verdict.DUPLICATE] += 1

    def cover(self, entry: int, by_entry: int | None) -> None:
        """A name above stands in the list, or (`by_entry` None) is held by an order in force."""
        self.marks[entry - 1] = HELD_ABOVE if by_entry is None else -by_entry
        self.counts[Verdict.COVERED] += 1

    def together(self, entry: int, other: int) -> None:
        """An entry says one target together with another, whose verdict it shares."""
        mark = self.marks[entry - 1] = self.marks[other - 1]
        self.counts[PLAIN.get(mark, Verdict.COVERED)] += 1

    def items(
        self, lines: Lines, rules: Rules, *, refused: int = MOST_LINES, others: int = MOST_LINES
    ) -> Iterator[Item]:
        """A document for each entry that holds something, in the order of the file, which is read again for it.

        At most so many that are refused, and so many that are not; it ends as soon as there are no more of either.
        """
        left = {True: min(refused, self.counts[Verdict.REFUSED]), False: min(others, self.not_refused)}
        for line, mark in zip(lines(), self.marks, strict=False):
            if not any(left.values()):
                break
            bad = mark in REFUSALS
            if mark != EMPTY and left[bad]:
                left[bad] -= 1
                yield self.item(line, mark, rules)

    def refused(self, lines: Lines, rules: Rules) -> Iterator[tuple[Line, Item]]:
        """Every refused entry as it was read, with its document."""
        left = self.counts[Verdict.REFUSED]
        for line, mark in zip(lines(), self.marks, strict=False):
            if not left:
                break
            if mark in REFUSALS:
                left -= 1
                yield line, self.item(line, mark, rules)

    def new(self, lines: Lines, book: Book, entered: Entered) -> Iterator[Line]:
        """Lines that one order of the list would get, of what has been judged so far."""
        for line, mark in zip(lines(), self.marks, strict=False):
            if (mark in {ACCEPTED, HELD_ABOVE} or mark < 0) and book.order_of(line.cells) is entered:
                yield line

    @property
    def not_refused(self) -> int:
        """Entries that hold a good name, stored or not."""
        return self.total - self.counts[Verdict.REFUSED]

    def item(self, line: Line, mark: int, rules: Rules) -> Item:
        """One entry as it is answered: what was given, the name it means, the verdict and why."""
        document: Item = {"line": line.number, "input": printable(line.text), "name": None}
        if mark in REFUSALS:
            return {**document, "verdict": str(Verdict.REFUSED), **_reason(line, mark, rules)}
        document["name"] = names.canonical(line.name)
        if mark in PLAIN:
            return {**document, "verdict": str(PLAIN[mark])}
        if mark > HELD_ABOVE:
            number = self._line_of(mark - HELD_ABOVE)
            said = imports_texts.Text(f"sudah ada di baris {number}", f"stands in line {number} already")
            return {**document, "verdict": str(Verdict.DUPLICATE), "detail": said.en, "detail_id": said.id}
        if mark == HELD_ABOVE:
            said = imports_texts.HELD_ABOVE
        else:
            number = self._line_of(-mark)
            said = imports_texts.Text(f"baris {number} memuat nama di atasnya", f"line {number} holds a name above it")
        return {**document, "verdict": str(Verdict.COVERED), "detail": said.en, "detail_id": said.id}

    def _line_of(self, entry: int) -> int:
        return self.numbers[entry - 1] if self.numbers else entry

    def _mark_next(self, mark: int, line: int) -> int:
        entry = len(self.marks) + 1
        if entry > MOST_LINES:
            raise TooLarge(f"the list has more than {MOST_LINES} lines")
        self.marks.append(mark)
        if self.numbers:
            self.numbers.append(line)
        elif line != entry:
            self.numbers = array("i", range(1, entry))
            self.numbers.append(line)
        return entry


def _reason(line: Line, mark: int, rules: Rules) -> Item:
    try:
        if mark == ALONE:
            why = f"'{printable(line.text)}': {imports_texts.RULES['wildcard_alone'].en}"
            raise NameInvalid(why, rule="wildcard_alone")
        rules.place_of(line)
    except PolicyError as error:
        return _told(error.code, error.rule or error.code, error.detail)
    except Unprocessable as error:
        return _told(error.code, error.faults[0].rule if error.faults else error.code, error.detail)
    raise AssertionError(f"line {line.number} was refused, and is not refused now")


def _told(code: str, rule: str, detail: str) -> Item:
    known = imports_texts.RULES.get(rule, imports_texts.VERDICTS[Verdict.REFUSED])
    return {"code": code, "rule": rule, "detail": detail, "detail_id": known.id}
