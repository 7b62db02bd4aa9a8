"""The table of threats is whole, and every test that it names is there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TABLE = (ROOT / "docs" / "threats.md").read_text("utf-8")
ROWS = dict(re.findall(r"^\| ([AD]\d+) \|(.*)\|$", TABLE, re.MULTILINE))
THREATS = [f"A{number}" for number in range(1, 11)] + [f"D{number}" for number in range(1, 11)]


def named_tests(row: str) -> list[tuple[str, str]]:
    """Files and functions that a row names."""
    return re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)


def missing(row: str) -> list[str]:
    """Those of them that there are not."""
    found = []
    for path, function in named_tests(row):
        file = ROOT / path
        tree = ast.parse(file.read_text("utf-8")) if file.exists() else ast.Module([], [])
        if function not in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}:
            found.append(f"{path}::{function}")
    return found


def test_every_threat_has_a_row() -> None:
    assert list(ROWS) == THREATS


@pytest.mark.parametrize("threat", THREATS)
def test_every_row_names_a_control_and_tests_that_there_are(threat: str) -> None:
    row = ROWS[threat]
    assert [cell.strip() for cell in row.split("|")].count("") == 0
    assert named_tests(row)
    assert missing(row) == []


def test_a_test_that_is_gone_is_noticed() -> None:
    assert missing("`tests/test_threats.py::test_gone` `tests/gone.py::test_x`") == [
        "tests/test_threats.py::test_gone",
        "tests/gone.py::test_x",
    ]
