"""A list of what was seen of names: a table `name,what,seen_at,source`, a line a note, as long as you like.

It is checked as a whole before anything is kept, then kept in short transactions; a list that was broken off is given
again, and what was kept is known.
"""

import csv
import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import BinaryIO

from pydantic import ValidationError

from app.db import Clock, Database
from app.errors import Fault, Unprocessable
from app.journal.actor import Actor
from app.journal.moment import moment
from app.orders import imports_lines, notes
from app.orders.imports_book import moment_of
from app.orders.review_schemas import MOST_NOTES, NoteIn
from resolver_policy.errors import PolicyError

COLUMNS = ("name", "what", "seen_at", "source")
FAULTS_SHOWN = 1_000


def import_file(database: Database, actor: Actor, stream: BinaryIO, *, clock: Clock) -> Counter[str]:
    """Keep every note of a seekable file; how many were new, known, and of no standing order.

    Raises Unprocessable, with line number and value of each that is refused (the first 1,000); then none is kept.
    """
    faults = list(islice(_faults(stream, clock()), FAULTS_SHOWN))
    if faults:
        raise Unprocessable(f"{len(faults)} lines are refused, and nothing is kept", faults=faults)
    counts: Counter[str] = Counter()
    lines = _lines(stream)
    while some := [_note(cells) for _, cells in islice(lines, MOST_NOTES)]:
        with database.write() as session:
            counts.update(each["verdict"] for each in notes.note(session, actor, some, moment(session, clock)))
    return counts


def _faults(stream: BinaryIO, now: dt.datetime) -> Iterator[Fault]:
    for number, cells in _lines(stream):
        try:
            notes.key_of(_note(cells), now, line=number)
        except Unprocessable as error:
            yield from error.faults
        except ValidationError as error:
            for each in error.errors(include_url=False):
                yield Fault(str(each["msg"]), ",".join(cells), line=number)


def _note(cells: Sequence[str]) -> NoteIn:
    name, what, seen_at, source = cells
    return NoteIn.model_validate({"name": name, "what": what, "seen_at": moment_of(seen_at), "source": source})


def _lines(stream: BinaryIO) -> Iterator[tuple[int, Sequence[str]]]:
    """The lines that hold something, with their numbers, behind the header; raises Unprocessable for other columns."""
    header = None
    for number, octets in enumerate(imports_lines.of_file(stream), 1):
        cells = _cells(number, octets)
        if not cells:
            continue
        if header is None:
            header = tuple(cell.lower() for cell in cells)
            if header != COLUMNS:
                detail = f"the first line names the columns: {','.join(COLUMNS)}"
                raise Unprocessable(detail, faults=(Fault("csv_header", ",".join(cells), line=number),))
        elif len(cells) != len(COLUMNS):
            fault = Fault("csv_columns", ",".join(cells), line=number)
            raise Unprocessable(f"line {number} has {len(cells)} columns, not {len(COLUMNS)}", faults=(fault,))
        else:
            yield number, cells


def _cells(number: int, octets: bytes) -> list[str]:
    """The cells of a line; none for one that is blank or a comment."""
    try:
        text = imports_lines.decoded(number, octets)
        rows = [] if text.startswith("#") or not text.strip() else list(csv.reader([text], strict=True))
    except PolicyError as error:
        raise Unprocessable(
            error.detail, faults=(Fault(error.rule or error.code, error.value, line=number),)
        ) from error
    except csv.Error as error:
        fault = Fault("csv_quotes", text, line=number)
        raise Unprocessable(f"line {number}: {error}", faults=(fault,)) from error
    return [cell.strip() for row in rows for cell in row]
