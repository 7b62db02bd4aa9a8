"""A table (RFC 4180): a header, then one name a line, with what its order says if the header has columns for it.

A field may stand in quotes, but ends on its line: every line has a verdict of its own.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.errors import Fault, Unprocessable
from app.orders.imports_lines import BLANKS, REACHES, Cells, Line, Octets, decoded, shown
from resolver_policy.errors import NameInvalid, PolicyError, printable
from resolver_policy.targets import Match

NAME, MATCH = "name", "match"
ORDER_COLUMNS = (
    "number",
    "dated",
    "authority",
    "instrument",
    "article",
    "category",
    "reason_id",
    "reason_en",
    "review_due_at",
)
COLUMNS = (NAME, MATCH, *ORDER_COLUMNS)
SEPARATORS = ",;"
"""Spreadsheets set to Indonesian write semicolons."""


@dataclass(frozen=True, slots=True)
class Header:
    """The line that names the columns, and what separates them."""

    number: int
    columns: tuple[str, ...]
    separator: str

    @property
    def says_orders(self) -> bool:
        """Whether lines say what order they belong to."""
        return not {NAME, MATCH}.issuperset(self.columns)


def header_of(octets: Octets) -> Header | None:
    """The header, if the first line that holds something is one: all its columns are known, and one is the name."""
    for number, line in enumerate(octets(), 1):
        try:
            text = _text(number, line)
        except PolicyError:
            return None
        if text:
            separator = max(SEPARATORS, key=text.count)
            columns = tuple(cell.strip(BLANKS).strip('"').lower() for cell in text.split(separator))
            known = NAME in columns and set(columns) <= set(COLUMNS) and len(set(columns)) == len(columns)
            return Header(number, columns, separator) if known else None
    return None


def read(octets: Octets, reach: int) -> Iterator[Line]:
    """The name on each line with its reach and its order's data; one line for each of the list."""
    header = header_of(octets)
    if header is None:
        detail = f"the first line names the columns: {NAME}, and what is wanted of {', '.join(COLUMNS[1:])}"
        raise Unprocessable(detail, faults=(Fault("csv_header", line=1),))
    table = _Table(header, reach)
    for number, line in enumerate(octets(), 1):
        if number <= header.number:
            yield Line(number, "")
            continue
        try:
            yield table.line(number, line)
        except PolicyError as fault:
            yield Line(number, "", fault, shown(line.removesuffix(b"\r")))


class _Table:
    """Reads line after line; remembers in which line a quoted field was left open."""

    def __init__(self, header: Header, reach: int) -> None:
        self._header = header
        self._reach = reach
        self._opened_in = 0
        field = f'(?:"(?:[^"]|"")*+"|[^"{header.separator}]*+)'
        self._record = re.compile(f"{field}(?:{header.separator}{field})*+").fullmatch
        self._left_open = re.compile(f'(?:{field}{header.separator})*"(?:[^"]|"")*+').fullmatch
        self._fields = re.compile(f"(?:^|{header.separator})({field})").findall

    def line(self, number: int, octets: bytes) -> Line:
        """One line; raises PolicyError where it cannot be read."""
        if self._opened_in:
            began = self._opened_in
            if octets.count(b'"') % 2:
                self._opened_in = 0
            why = f"line {number} stands inside a quoted field that line {began} began"
            raise NameInvalid(why, value=shown(octets), rule="csv_quotes")
        text = _text(number, octets)
        return self._of(number, text, self._cells(number, text)) if text else Line(number, "")

    def _cells(self, number: int, text: str) -> Sequence[str]:
        if not self._record(text):
            if self._left_open(text):
                self._opened_in = number
            raise NameInvalid(f"line {number}: quotes where none may stand", value=text, rule="csv_quotes")
        cells = [_unquoted(cell) for cell in self._fields(text)]
        if len(cells) != len(self._header.columns):
            why = f"line {number} has {len(cells)} columns, the header {len(self._header.columns)}"
            raise NameInvalid(why, value=text, rule="csv_columns")
        return cells

    def _of(self, number: int, text: str, cells: Sequence[str]) -> Line:
        said = dict(zip(self._header.columns, cells, strict=True))
        order: Cells = tuple((column, said[column]) for column in ORDER_COLUMNS if column in said)
        fault = None if said[NAME] else NameInvalid(f"line {number} has no name", value=text, rule="empty")
        return Line(number, said[NAME], fault, text, self._reach_of(said.get(MATCH, ""), number), order)

    def _reach_of(self, match: str, number: int) -> int:
        if not match:
            return self._reach
        if match not in set(Match):
            why = f"line {number}: the match '{printable(match)}' is neither exact nor subtree"
            raise NameInvalid(why, value=match, rule="match_unknown")
        return REACHES[Match(match)]


def _text(number: int, octets: bytes) -> str:
    """A line's text; empty where it is blank or a comment, which no name begins with."""
    text = "" if octets.startswith(b"#") else decoded(number, octets)
    return "" if not text.strip(BLANKS) else text


def _unquoted(cell: str) -> str:
    if cell.startswith('"'):
        cell = cell[1:-1].replace('""', '"')
    return cell.strip(BLANKS)
