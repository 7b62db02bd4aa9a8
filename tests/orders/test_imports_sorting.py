"""Sorting in runs: the order of keys, whatever lies in files and whatever in memory."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.orders.imports_sorting import KeySorter
from resolver_policy.names import sort_key

LABELS = st.sampled_from(["a", "a-b", "a_b", "ab", "b", "0", "xn--a", "com"])
KEYS = st.lists(LABELS, min_size=1, max_size=4).map(lambda labels: sort_key(".".join(labels)))


@given(st.lists(KEYS), st.integers(1, 7))
def test_entries_come_back_by_key_and_then_by_line(keys: Sequence[str], run_length: int) -> None:
    entries = [(key, line) for line, key in enumerate(keys, 1)]
    with KeySorter(run_length) as sorter:
        for key, line in entries:
            sorter.add(key, line)

        assert list(sorter.entries()) == sorted(entries)
        assert sorter.count == len(entries)


def test_a_name_above_comes_first_and_its_subtree_in_one_piece() -> None:
    names = ["x.example", "a.x.example", "a-x.example", "z.a.x.example", "example"]
    with KeySorter(2) as sorter:
        for line, name in enumerate(names, 1):
            sorter.add(sort_key(name), line)

        assert [key for key, _ in sorter.entries()] == [
            "example.",
            "example.a-x.",
            "example.x.",
            "example.x.a.",
            "example.x.a.z.",
        ]


def test_what_lies_in_files_is_gone_when_the_sorter_is_closed() -> None:
    with KeySorter(1) as sorter:
        sorter.add("example.", 1)
        entries = sorter.entries()

    with pytest.raises(ValueError, match="closed"):
        next(entries)
