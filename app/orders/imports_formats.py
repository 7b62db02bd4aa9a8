"""The formats of lists, and which of them a list is written in."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from itertools import islice

from app.orders import imports_csv, imports_hosts, imports_plain, imports_rpz
from app.orders.imports_lines import BLANKS, REACHES, Line, Lines, Octets, shown
from app.orders.models import OrderKind
from resolver_policy.targets import Match

LINES_LOOKED_AT = 200


class Format(StrEnum):
    """How a list is written."""

    PLAIN = "plain"
    HOSTS = "hosts"
    RPZ = "rpz"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class Given:
    """A list as it came: its octets, its format, and whether somebody said which (else it was looked at)."""

    octets: Octets
    format: Format
    said: bool

    @property
    def says_orders(self) -> bool:
        """Whether lines say what order they belong to."""
        header = imports_csv.header_of(self.octets) if self.format is Format.CSV else None
        return header is not None and header.says_orders

    def lines(self, match: Match, kind: str) -> Lines:
        """Its lines by the rules of its format; `match` where they do not say how far a name reaches."""
        return partial(_read, self, match, kind)


def given(octets: Octets, format_: Format | None) -> Given:
    """A list in the format that was said, or in the one that it looks like."""
    return Given(octets, format_ or looks_like(octets), format_ is not None)


def looks_like(octets: Octets) -> Format:
    """The format of a list: a table by its header, else what most of its first lines are, else plain."""
    if imports_csv.header_of(octets) is not None:
        return Format.CSV
    texts = [_without_comment(shown(line)) for line in islice(octets(), LINES_LOOKED_AT)]
    texts = [text for text in texts if text]
    counts = {
        Format.RPZ: sum(map(imports_rpz.is_record, texts)),
        Format.HOSTS: sum(map(imports_hosts.is_entry, texts)),
    }
    likely = max(counts, key=counts.__getitem__)
    return likely if 2 * counts[likely] > len(texts) else Format.PLAIN


def _without_comment(text: str) -> str:
    """What stands on a line, in whatever format."""
    return text.partition("#")[0].partition(";")[0].strip(BLANKS + "\r")


def _read(given: Given, match: Match, kind: str) -> Iterator[Line]:
    match given.format:
        case Format.PLAIN:
            return imports_plain.read(given.octets, REACHES[match])
        case Format.HOSTS:
            return imports_hosts.read(given.octets, REACHES[match])
        case Format.CSV:
            return imports_csv.read(given.octets, REACHES[match])
        case Format.RPZ:
            return imports_rpz.read(given.octets, passing=kind == OrderKind.EXCEPTION)
