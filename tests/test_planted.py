"""Planted bugs: how they are turned on, that each is caught somewhere, and that the product knows of none."""

import ast
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from app import sqlite
from tests.planted import ROOT, command, inherited, planted, plants, rooms

pytestmark = pytest.mark.long

MODULES = """
import subprocess, sys
from app import sqlite
from app.publication import builder

print(sqlite._prepare_connection.__qualname__, sys.argv[1:], __name__)
if len(sys.argv) == 1:
    subprocess.run([sys.executable, "-m", "asked", "again"], check=True)
    subprocess.run([*builder.COMMAND[:2], "asked", "once", "more"], check=True)
"""
"""What a process says of itself, and two that it starts as the service starts its own."""


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **inherited(), "PULIH_DATA_DIR": str(directory / "var")}
    return subprocess.run(arguments, cwd=directory, env=environment, capture_output=True, text=True, check=False)


def test_pulih_runs_with_a_bug(tmp_path: Path) -> None:
    done = run(tmp_path, *command("synchronous-normal"), "upgrade")

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "var" / "pulih.db").exists()


def test_a_bug_is_inherited_by_what_a_process_starts(tmp_path: Path) -> None:
    (tmp_path / "asked.py").write_text(MODULES)
    environment = {"TESTS_PLANTED": "synchronous-normal", "TESTS_PLANTED_PYTHON": sys.executable}
    done = subprocess.run(
        [ROOT / "tests" / "planted" / "python", "-m", "asked"],
        cwd=tmp_path,
        env={**os.environ, **inherited(), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    where = "synchronous_normal.<locals>.careless.<locals>.prepared"
    assert done.stdout.splitlines() == [f"{where} {argv} __main__" for argv in said()]
    assert "Warning" not in done.stderr


def said() -> Iterator[list[str]]:
    yield []
    yield ["again"]
    yield ["once", "more"]


def test_a_bug_that_nobody_knows_is_refused_with_the_list(tmp_path: Path) -> None:
    done = run(tmp_path, *command("no-such-bug"), "upgrade")

    assert done.returncode == 2
    assert done.stderr.startswith("'no-such-bug' is no planted bug; there are: ")
    assert set(done.stderr.partition(": ")[2].strip().split(", ")) == set(plants())


def test_a_bug_in_this_process_is_gone_after_its_block() -> None:
    before = vars(sqlite)["_prepare_connection"]
    with planted("synchronous-normal"):
        assert vars(sqlite)["_prepare_connection"] is not before
    assert vars(sqlite)["_prepare_connection"] is before


def test_no_two_rooms_have_a_bug_of_the_same_name() -> None:
    assert [
        name for name, times in Counter(name for room in rooms().values() for name in room).items() if times > 1
    ] == []


def test_each_bug_is_caught_by_one_test() -> None:
    counted = Counter(name for path in sorted((ROOT / "tests").rglob("test_*.py")) for name in caught_in(path, rooms()))

    assert {name: counted[name] for name in plants()} == dict.fromkeys(plants(), 1)


def caught_in(path: Path, known: Mapping[str, Mapping[str, object]]) -> Iterator[str]:
    """The bugs that tests of a module are parametrized with, by name or by the `PLANTS` of a room."""
    text = path.read_text()
    if '"plant"' not in text:
        return
    tree = ast.parse(text)
    imported = {
        alias.asname or alias.name: node.module.rpartition(".")[2]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("tests.planted.")
        for alias in node.names
        if alias.name == "PLANTS"
    }
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.parametrize":
            name, values = call.args[0], call.args[1]
            if isinstance(name, ast.Constant) and name.value == "plant":
                yield from named(values, imported, known)


def named(values: ast.expr, imported: Mapping[str, str], known: Mapping[str, Mapping[str, object]]) -> Iterator[str]:
    for node in ast.walk(values):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.Name) and node.id in imported:
            yield from known[imported[node.id]]


def test_the_product_knows_of_no_bug() -> None:
    product = [path for room in ("app", "resolver_policy", "migrations") for path in (ROOT / room).rglob("*.py")]
    mentions = [
        path for path in product if any(word in path.read_text() for word in ("tests.planted", "TESTS_PLANTED"))
    ]

    assert len(product) > 200
    assert mentions == []
