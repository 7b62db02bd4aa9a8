"""Reading a list: UTF-8, one name a line, `#` begins a comment; one line at a time, however long the file is."""

from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

from resolver_policy.errors import NameInvalid, NameTooLong, PolicyError

LONGEST_LINE = 4_096
"""Octets of a line, its end not counted; of a longer one no more than this is ever held."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
BLANKS = " \t"
LINE_END_OCTETS = 2
SKIPPED_AT_ONCE = 65_536


class Line(NamedTuple):
    """A line without its comment and the blanks around it; `fault` where it cannot be read at all.

    `text` is empty where the line holds nothing; where it cannot be read, it is what can be shown of it.
    """

    number: int
    text: str
    fault: PolicyError | None = None


Lines = Callable[[], Iterator[Line]]
"""A list that can be read again from its start, as often as needed."""


def of_file(stream: BinaryIO) -> Iterator[Line]:
    """The lines of a seekable file, from its start; LF or CR LF ends a line, one byte order mark may begin it."""
    stream.seek(0)
    if stream.read(len(BYTE_ORDER_MARK)) != BYTE_ORDER_MARK:
        stream.seek(0)
    number = 0
    while octets := stream.readline(LONGEST_LINE + LINE_END_OCTETS):
        number += 1
        if not octets.endswith(b"\n"):
            _skip_to_end_of_line(stream)
        yield _line(number, octets.removesuffix(b"\n").removesuffix(b"\r"))


def of_texts(texts: Sequence[str]) -> Iterator[Line]:
    """The lines of a list that came as JSON; a line feed inside a text ends no line, it is refused as a character."""
    return (_line(number, text.encode(errors="surrogatepass")) for number, text in enumerate(texts, 1))


def _line(number: int, octets: bytes) -> Line:
    if len(octets) > LONGEST_LINE:
        shown = octets[:LONGEST_LINE].decode(errors="backslashreplace")
        why = f"line {number} has more than {LONGEST_LINE} octets"
        return Line(number, shown, NameTooLong(why, value=shown, rule="line_length"))
    named = octets.partition(b"#")[0]
    try:
        return Line(number, named.decode().strip(BLANKS))
    except UnicodeDecodeError as error:
        shown = named.decode(errors="backslashreplace")
        why = f"line {number} is not UTF-8: octet {named[error.start]:#04x}"
        return Line(number, shown, NameInvalid(why, value=shown, rule="utf8"))


def _skip_to_end_of_line(stream: BinaryIO) -> None:
    while (octets := stream.readline(SKIPPED_AT_ONCE)) and not octets.endswith(b"\n"):
        pass
