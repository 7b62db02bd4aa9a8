"""The shape of the code: who may import whom, ask the time, or commit; each rule is proved by breaking it."""

import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.source_rules import RULES, Finding, findings, modules, silencers

pytestmark = pytest.mark.long

ROOT = Path(__file__).parent.parent

ALLOWED: dict[str, dict[str, str]] = {
    "clock": {
        "app.cli.context": "hands `now` to what a command does",
        "app.main": "hands `now` to the routes and to the publisher",
        "app.transfer.process": "hands `now` to the listeners: a process of its own",
    },
    "commit": {
        "app.db": "the two ways into the database begin and end there",
        "app.migrate": "all missing migrations are one transaction",
    },
    "stub resolver": {},
    "dialect": {
        "app.backup.postgresql": "a dump is made and read by PostgreSQL's own programs",
        "app.backup.sqlite": "a file is copied page by page, and checked, by SQLite itself",
        "app.postgresql": "what only PostgreSQL speaks is said there",
        "app.sqlite": "what only SQLite speaks is said there",
    },
}
"""Where a place is right, and why."""

SILENCERS = {"noqa": 15, "type: ignore": 1, "no cover": 0}
"""How often a checker is silenced. Each needs a reason beside it; the numbers change by hand only."""

IMPORT_PLANTS = {
    "rooms": ("app/journal/planted.py", "import app.orders.models"),
    "inside-a-room": ("app/orders/queries.py", "import app.orders.router"),
    "policy-below-all": ("resolver_policy/planted.py", "import app.errors"),
    "policy-pure": ("resolver_policy/planted.py", "import sqlalchemy"),
    "http-at-the-edge": ("app/orders/planted.py", "import fastapi"),
    "request-dependencies": ("app/orders/planted.py", "import app.deps"),
    "main-mounts": ("app/answers/planted.py", "import app.orders.router"),
    "one-http-client": ("app/subscribers/planted.py", "import httpx"),
}
"""For each import contract, a line that breaks it."""

SOURCE_PLANTS = [
    ("clock", "import datetime\n\nNOW = datetime.datetime.now(datetime.UTC)\n"),
    ("clock", "import datetime as dt\n\nNOW = dt.datetime.now(dt.UTC)\n"),
    ("clock", "from datetime import date\n\nTODAY = date.today()\n"),
    ("clock", "import time\n\nNOW = time.time()\n"),
    ("clock", "from time import time_ns as clock\n\nMAKE = [clock]\n"),
    ("clock", "from sqlalchemy import func\n\nNOW = func.now()\n"),
    ("commit", "def lift(session):\n    session.commit()\n"),
    ("commit", "def lift(self):\n    with self.session.begin():\n        pass\n"),
    ("stub resolver", "import dns.query\n"),
    ("stub resolver", "from dns import resolver\n"),
    ("stub resolver", "from dns.asyncquery import udp\n"),
    ("dialect", "import sqlite3\n"),
    ("dialect", "import psycopg\n"),
    ("dialect", 'LOCK = "SELECT pg_advisory_lock(1)"\n'),
    ("dialect", "from sqlalchemy.dialects.sqlite import insert\n"),
    ("dialect", 'def size(session):\n    return session.scalar("PRAGMA page_count")\n'),
]


def import_contracts() -> list[dict[str, Any]]:
    settings: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return list(settings["tool"]["importlinter"]["contracts"])


def contracts() -> dict[str, str]:
    """Identifier -> name of every import contract."""
    return {contract["id"]: contract["name"] for contract in import_contracts()}


def written_here() -> list[Path]:
    """Every Python file of the project."""
    packages = ("app", "resolver_policy", "migrations", "tests", "bench")
    return [path for name in packages for path in (ROOT / name).rglob("*.py")]


def lint_imports(directory: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the product's source, to plant in."""
    for package in ("app", "resolver_policy"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "static"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def plant(tree: Path, path: str, text: str) -> None:
    """Add lines to a module; the module, and its room, are made where they are not built yet."""
    file = tree / path
    file.parent.mkdir(exist_ok=True)
    (file.parent / "__init__.py").touch()
    with file.open("a") as stream:
        stream.write(f"\n{text}\n")


@cache
def found_here() -> tuple[Finding, ...]:
    return tuple(findings(ROOT))


def misplaced(root: Path) -> list[Finding]:
    found = found_here() if root == ROOT else findings(root)
    return [finding for finding in found if finding.module not in ALLOWED[finding.rule]]


def test_every_import_contract_is_kept(tree: Path) -> None:
    result = lint_imports(tree)

    assert result.returncode == 0, result.stdout
    assert f"Contracts: {len(contracts())} kept, 0 broken." in result.stdout
    analyzed = re.search(r"Analyzed (\d+) files", result.stdout)
    assert analyzed
    assert int(analyzed[1]) >= len(modules(tree))


def test_every_import_contract_has_a_planted_violation() -> None:
    assert set(IMPORT_PLANTS) == set(contracts())


@pytest.mark.parametrize("contract", IMPORT_PLANTS)
def test_a_planted_import_breaks_its_contract(tree: Path, contract: str) -> None:
    plant(tree, *IMPORT_PLANTS[contract])

    result = lint_imports(tree)

    assert result.returncode == 1, result.stdout
    assert f"{contracts()[contract]} BROKEN" in result.stdout


def test_a_room_that_no_layer_names_breaks_the_order(tree: Path) -> None:
    plant(tree, "app/utils/planted.py", "")

    result = lint_imports(tree)

    assert result.returncode == 1, result.stdout
    assert f"{contracts()['rooms']} BROKEN" in result.stdout


def test_clocks_commits_resolvers_and_dialects_stand_where_they_belong() -> None:
    assert misplaced(ROOT) == []


def test_every_allowance_is_used() -> None:
    used = {(finding.rule, finding.module) for finding in found_here()}

    assert {(rule, module) for rule, allowed in ALLOWED.items() for module in allowed} - used == set()


@pytest.mark.parametrize("package", ["app/orders", "resolver_policy"])
@pytest.mark.parametrize(
    ("rule", "text"), SOURCE_PLANTS, ids=[f"{rule}-{n}" for n, (rule, _) in enumerate(SOURCE_PLANTS)]
)
def test_a_planted_line_is_found(tmp_path: Path, package: str, rule: str, text: str) -> None:
    for room in ("app", "resolver_policy", package):
        plant(tmp_path, f"{room}/harmless.py", "")
    plant(tmp_path, f"{package}/planted.py", text)

    found = misplaced(tmp_path)

    assert [(finding.rule, finding.module.rpartition(".")[2]) for finding in found] == [(rule, "planted")]


def test_every_rule_has_a_planted_violation() -> None:
    assert {rule for rule, _ in SOURCE_PLANTS} == set(RULES) == set(ALLOWED)


def test_checkers_are_silenced_as_often_as_agreed() -> None:
    assert silencers(written_here()) == SILENCERS


def test_the_linter_looks_at_every_file() -> None:
    command = [sys.executable, "-m", "ruff", "check", "--show-files"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()

    assert {str(path) for path in written_here()} <= set(shown)


def test_the_type_checker_is_told_of_every_package() -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]

    assert told["strict"] is True
    assert {path.relative_to(ROOT).parts[0] for path in written_here()} <= set(told["files"])


def test_every_module_named_router_is_mounted_by_main_only() -> None:
    (contract,) = (contract for contract in import_contracts() if contract["id"] == "main-mounts")
    routers = {module.name for module in modules(ROOT) if module.name.endswith("router")}

    assert routers
    assert routers <= {f"app.{path.parent.name}.router" for path in ROOT.glob("app/*/router.py")} | set(
        contract["protected_modules"]
    )


def test_a_silencer_is_counted_in_comments_only(tmp_path: Path) -> None:
    file = tmp_path / "planted.py"
    file.write_text('TEXT = "# noqa"\nimport os  # noqa: F401\nx: int = ""  # type: ignore[assignment]\n')

    assert silencers([file]) == {"noqa": 1, "type: ignore": 1, "no cover": 0}
