"""A plain list: one name a line, `#` begins a comment."""

from collections.abc import Iterator

from app.orders.imports_lines import BLANKS, Line, Octets, decoded, shown
from resolver_policy.errors import PolicyError


def read(octets: Octets, reach: int) -> Iterator[Line]:
    """The name on each line; one line for each of the list."""
    for number, line in enumerate(octets(), 1):
        try:
            yield Line(number, decoded(number, line, b"#").strip(BLANKS), None, None, reach)
        except PolicyError as fault:
            yield Line(number, "", fault, shown(line.partition(b"#")[0]))
