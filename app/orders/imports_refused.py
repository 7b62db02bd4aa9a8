"""The refused lines of a list as a list of the same format, each under its reasons: to be corrected and given back."""

from collections.abc import Iterator

from app.orders.imports_answer import Imported
from app.orders.imports_csv import header_of
from app.orders.imports_formats import Format
from resolver_policy.errors import printable

INTRODUCTION = (
    "Baris yang ditolak; perbaiki lalu impor berkas ini apa adanya.",
    "Lines that were refused; correct them and import this file as it is.",
)
NOT_GIVEN_BACK = ("line_length",)
"""Rules whose line is not whole here: it is not to be taken for one that is."""


def texts(imported: Imported) -> Iterator[str]:
    """The lines of the file, each with its line feed."""
    mark = ";" if imported.given.format is Format.RPZ else "#"
    for text in (*INTRODUCTION, f"format {imported.given.format}"):
        yield f"{mark} {text}\n"
    yield from _header(imported)
    for line, item in imported.verdicts.refused(imported.lines, imported.rules):
        for word, reason in (("baris", item["detail_id"]), ("line", item["detail"])):
            yield f"{mark} {word} {line.number}: {printable(reason)} ({item['code']}, {item['rule']})\n"
        whole = item["rule"] not in NOT_GIVEN_BACK and "\n" not in line.text
        yield f"{line.text}\n" if whole else f"{mark} {printable(line.text)}\n"


def _header(imported: Imported) -> Iterator[str]:
    header = header_of(imported.given.octets) if imported.given.format is Format.CSV else None
    if header is not None:
        yield header.separator.join(header.columns) + "\n"
