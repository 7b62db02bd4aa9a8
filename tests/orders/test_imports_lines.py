"""Reading a list line by line: what ends a line, what is a comment, and what cannot be read."""

import io
import tracemalloc
from collections.abc import Iterator
from functools import partial
from typing import BinaryIO

import pytest

from app.orders import imports_plain
from app.orders.imports_lines import EXACT, LONGEST_LINE, Line, of_file, of_texts


def lines_of(stream: BinaryIO) -> Iterator[Line]:
    return imports_plain.read(partial(of_file, stream), EXACT)


def read(octets: bytes) -> list[tuple[int, str, str | None]]:
    return [
        (line.number, line.text, None if line.fault is None else line.fault.rule)
        for line in lines_of(io.BytesIO(octets))
    ]


@pytest.mark.parametrize(
    ("octets", "texts"),
    [
        (b"a.example\nb.example\n", ["a.example", "b.example"]),
        (b"a.example\nb.example", ["a.example", "b.example"]),
        (b"a.example\r\nb.example\r\n", ["a.example", "b.example"]),
        (b"\xef\xbb\xbfa.example\n", ["a.example"]),
        (b"a.example # why\n", ["a.example"]),
        (b"a.example#why\n", ["a.example"]),
        (b"# only a comment\n", [""]),
        (b"# \xff\xfe a comment of another encoding\n", [""]),
        (b"\n \t \n\r\n", ["", "", ""]),
        (b"\t a.example \t\n", ["a.example"]),
        ("bücher.example\n".encode(), ["bücher.example"]),
        (b"a.example\r\r\n", ["a.example\r"]),
        (b"a.example\rb.example\n", ["a.example\rb.example"]),
        (b"a.example\x00\n", ["a.example\x00"]),
        (b"", []),
    ],
)
def test_a_line_is_what_stands_before_its_end_and_its_comment(octets: bytes, texts: list[str]) -> None:
    assert read(octets) == [(number, text, None) for number, text in enumerate(texts, 1)]


def test_a_byte_order_mark_is_accepted_at_the_start_alone() -> None:
    assert read(b"\xef\xbb\xbf\xef\xbb\xbfa.example\n") == [(1, "\ufeffa.example", None)]
    assert read(b"a.example\n\xef\xbb\xbfb.example\n")[1] == (2, "\ufeffb.example", None)


def test_a_line_that_is_not_utf_8_is_at_fault_and_the_next_is_not() -> None:
    assert read(b"a.example\nb\xff.example\nc.example\n") == [
        (1, "a.example", None),
        (2, "b\\xff.example", "utf8"),
        (3, "c.example", None),
    ]


def test_the_longest_line_is_read_and_a_longer_one_is_at_fault() -> None:
    longest = b"x" * LONGEST_LINE
    for end in (b"\n", b"\r\n", b""):
        assert read(longest + end)[0][2] is None
        assert read(b"x" + longest + end)[0][2] == "line_length"
    assert [line[0] for line in read(longest + b"xxx\n" + b"b.example\n")] == [1, 2]


def test_a_line_without_end_is_neither_held_nor_shown_whole() -> None:
    stream = io.BytesIO(b"x" * 20_000_000 + b"\nb.example\n")
    tracemalloc.start()
    lines = list(lines_of(stream))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert [(line.number, len(line.text)) for line in lines] == [(1, LONGEST_LINE), (2, len("b.example"))]
    assert lines[0].fault is not None
    assert len(lines[0].fault.value or "") <= 200
    assert peak < 1_000_000


def test_a_file_is_read_again_from_its_start() -> None:
    stream = io.BytesIO(b"a.example\nb.example\n")

    assert list(lines_of(stream)) == list(lines_of(stream))


def test_texts_are_lines_and_a_line_feed_in_one_ends_nothing() -> None:
    texts = ["a.example # why", "a.example\nb.example", "", "x" * (LONGEST_LINE + 1)]

    lines = imports_plain.read(partial(of_texts, texts), EXACT)
    assert [(line.number, line.text[:20], line.fault is None) for line in lines] == [
        (1, "a.example", True),
        (2, "a.example\nb.example", True),
        (3, "", True),
        (4, "x" * 20, False),
    ]
