"""Lines of a table by RFC 4180 that people open in a spreadsheet."""

import csv
import io
from collections.abc import Iterable

BEGINS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What spreadsheets take for the beginning of a formula, the full-width forms included."""


def line(values: Iterable[str | int | None]) -> str:
    """One line, with its end; nothing stands for None. Text that a spreadsheet would compute begins with an apostrophe,
    which makes it text."""
    written = io.StringIO(newline="")
    csv.writer(written).writerow(["" if value is None else _cell(str(value)) for value in values])
    return written.getvalue()


def _cell(text: str) -> str:
    return f"'{text}" if text.lstrip(" ").startswith(BEGINS_A_FORMULA) else text
