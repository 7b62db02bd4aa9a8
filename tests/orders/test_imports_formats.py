"""Which format a list is in: said, or seen by its first lines; and that none is held in memory."""

import io
import tracemalloc
from functools import partial
from itertools import chain, repeat

import pytest

from app.orders import imports_formats, imports_lines
from app.orders.imports_formats import Format, Given
from resolver_policy.targets import Match
from tests.orders.importing import judged
from tests.service import Service

SEEN = {
    "a.example\n": Format.PLAIN,
    "": Format.PLAIN,
    "# nothing\n": Format.PLAIN,
    "# a list\n\na.example # CNAME\n": Format.PLAIN,
    "127.0.0.1 localhost\n0.0.0.0 a.example\n": Format.HOSTS,
    "a.example\nb.example\n0.0.0.0 c.example\n": Format.PLAIN,
    "a.example\n0.0.0.0 c.example\n": Format.PLAIN,
    "192.0.2.1\n192.0.2.2\n": Format.PLAIN,
    "$TTL 60\n@ SOA . . 1 2 3 4 5\n": Format.RPZ,
    "; our zone\na.example CNAME .\n": Format.RPZ,
    "rpz.example. 3600 IN SOA . . 1 2 3 4 5\na.rpz.example. 60 IN CNAME .\n": Format.RPZ,
    "name\na.example\n": Format.CSV,
    "\ufeffName;Match\n": Format.CSV,
    '# table\n"number","name"\n': Format.CSV,
    "name,colour\n": Format.PLAIN,
    "name\xff,\n": Format.PLAIN,
}


@pytest.mark.parametrize("text", SEEN)
def test_the_format_is_seen_by_most_of_the_first_lines(text: str) -> None:
    encoding = "latin-1" if "\xff" in text else "utf-8"
    octets = partial(imports_lines.of_file, io.BytesIO(text.encode(encoding)))

    assert imports_formats.looks_like(octets) is SEEN[text]


def test_what_is_said_counts(service: Service) -> None:
    answer = judged(service, ["0.0.0.0 a.example"], query="?format=plain")

    assert answer["format"] == {"name": "plain", "said": True}
    assert answer["items"][0]["rule"] == "space"


@pytest.mark.parametrize(
    ("format_", "line"),
    [
        (Format.PLAIN, b"a.example"),
        (Format.HOSTS, b"0.0.0.0 a.example b.example"),
        (Format.RPZ, b"a.example CNAME . ; x"),
        (Format.RPZ, b"a.example TXT ("),
        (Format.CSV, b"a.example,L-1"),
        (Format.CSV, b'a.example,"'),
    ],
)
def test_no_list_is_held_in_memory(format_: Format, line: bytes) -> None:
    given = Given(lambda: chain([b"name,number"], repeat(line, 5_000)), format_, said=True)
    lines = given.lines(Match.EXACT, "block")

    tracemalloc.start()
    count = sum(1 for _ in lines())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert count >= 5_001
    assert peak < 200_000
