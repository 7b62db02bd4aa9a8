"""Reading a list, whatever its format: its octets line by line, however long the file is, and what a line gives."""

from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

from resolver_policy.errors import NameInvalid, NameTooLong, PolicyError
from resolver_policy.targets import Match

LONGEST_LINE = 4_096
"""Octets of a line, its end not counted; of a longer one hardly more than this is ever held."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
BLANKS = " \t"
READ_AT_ONCE = 65_536


EXACT, SUBTREE, BELOW = range(3)
"""What a line means of its name: the name alone, with all below it, or (in a policy zone) only what is below."""

REACHES = {Match.EXACT: EXACT, Match.SUBTREE: SUBTREE}
MATCHES = (Match.EXACT, Match.SUBTREE, Match.SUBTREE)
"""The match with which the guard looks at a name of each reach."""

Cells = tuple[tuple[str, str], ...]
"""What a line says of its order: (column, value) pairs."""


class Line(NamedTuple):
    """One name of a list, or a line without one: `name` is empty where it holds nothing or cannot be read (`fault`).

    `given` is what stood there, where that is more than the name.
    """

    number: int
    name: str
    fault: PolicyError | None = None
    given: str | None = None
    reach: int = SUBTREE
    cells: Cells = ()

    @property
    def text(self) -> str:
        """What stood in the list, without comments and the blanks around it."""
        return self.name if self.given is None else self.given


Octets = Callable[[], Iterator[bytes]]
"""The lines of a list without their line feeds; it can be read again from its start, as often as needed."""

Lines = Callable[[], Iterator[Line]]
"""The same, read by the rules of its format: one line or more for each line of the list, in its order."""


def of_file(stream: BinaryIO) -> Iterator[bytes]:
    """The lines of a seekable file, from its start; LF or CR LF ends a line, one byte order mark may begin it."""
    stream.seek(0)
    rest = stream.read(len(BYTE_ORDER_MARK)).removeprefix(BYTE_ORDER_MARK)
    more = True
    while more:
        block = stream.read(READ_AT_ONCE)
        more = bool(block)
        *whole, rest = (rest + block).split(b"\n")
        yield from whole
        rest = rest[: LONGEST_LINE + 2]  # enough to see that it is too long, a CR at its end not counted
    if rest:
        yield rest


def of_texts(texts: Sequence[str]) -> Iterator[bytes]:
    """The lines of a list that came as JSON; a line feed inside a text ends no line, it is refused as a character."""
    return (text.encode(errors="surrogatepass") for text in texts)


def decoded(number: int, octets: bytes, comment: bytes | None = None) -> str:
    """The text of a line up to a comment; raises NameTooLong or NameInvalid, whose `value` is what can be shown."""
    octets = octets.removesuffix(b"\r")
    check_length(number, octets)
    named = octets if comment is None else octets.partition(comment)[0]
    try:
        return named.decode()
    except UnicodeDecodeError as error:
        why = f"line {number} is not UTF-8: octet {named[error.start]:#04x}"
        raise NameInvalid(why, value=shown(named), rule="utf8") from error


def check_length(number: int, octets: bytes) -> None:
    """Raise NameTooLong for a line of more octets than any name, comment and order need."""
    if len(octets) > LONGEST_LINE:
        why = f"line {number} has more than {LONGEST_LINE} octets"
        raise NameTooLong(why, value=shown(octets), rule="line_length")


def shown(octets: bytes) -> str:
    """What can be shown of a line that cannot be read."""
    return octets[:LONGEST_LINE].decode(errors="backslashreplace")
