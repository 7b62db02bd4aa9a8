"""Rules of the source text that no linter knows: who may ask the time, commit, or speak one SQL dialect.

Each rule finds places in a parsed module; a place is right only in the modules that the rule names.
"""

import ast
import io
import re
import tokenize
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

PACKAGES = ("app", "resolver_policy")

CLOCKS = frozenset(
    {f"datetime.datetime.{name}" for name in ("now", "utcnow", "today")}
    | {f"time.{name}" for name in ("time", "time_ns", "localtime", "gmtime", "ctime")}
    | {"datetime.date.today"}
    | {f"{func}.{name}" for func in ("sqlalchemy.func", "sqlalchemy.sql.func") for name in ("now", "current_timestamp")}
)
STUB_RESOLVERS = ("dns.query", "dns.resolver", "dns.asyncquery", "dns.asyncresolver")
DIALECT = re.compile(r"\b(PRAGMA \w|BEGIN IMMEDIATE|INSERT OR |sqlite_master|ON DUPLICATE KEY|pg_\w+\()")
DIALECT_MODULES = ("sqlalchemy.dialects.", "pysqlite3", "sqlite3", "psycopg")


class Module(NamedTuple):
    """One source file."""

    name: str
    path: Path
    tree: ast.Module


class Finding(NamedTuple):
    """A place that a rule is about."""

    rule: str
    module: str
    line: int
    text: str


def modules(root: Path) -> list[Module]:
    """Every module of the product below `root`; raises FileNotFoundError where a package is empty."""
    found: list[Module] = []
    for package in PACKAGES:
        paths = sorted((root / package).rglob("*.py"))
        if not paths:
            raise FileNotFoundError(f"{root / package} holds no Python file")
        found += [Module(_dotted(path.relative_to(root)), path, ast.parse(path.read_text())) for path in paths]
    return found


def clocks(module: Module) -> Iterator[ast.expr]:
    """Expressions that name a clock, called or handed on."""
    names = _imported_names(module.tree)
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute | ast.Name) and _resolve(node, names) in CLOCKS:
            yield node


def commits(module: Module) -> Iterator[ast.expr]:
    """Methods that end or begin a transaction; a function `begin` of an imported module is none."""
    names = _imported_names(module.tree)
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and node.attr in {"commit", "begin"} and _resolve(node, names) is None:
            yield node


def stub_resolvers(module: Module) -> Iterator[ast.stmt]:
    """Imports of dnspython's own sockets."""
    for node, name in _imports(module.tree):
        if any(name == banned or name.startswith(f"{banned}.") for banned in STUB_RESOLVERS):
            yield node


def dialects(module: Module) -> Iterator[ast.expr | ast.stmt]:
    """Imports and texts that only one kind of database understands."""
    for node, name in _imports(module.tree):
        if name.startswith(DIALECT_MODULES):
            yield node
    prose = {id(node.value) for node in ast.walk(module.tree) if isinstance(node, ast.Expr)}
    for child in ast.walk(module.tree):
        if isinstance(child, ast.Constant) and isinstance(child.value, str) and id(child) not in prose:
            yield from [child] if DIALECT.search(child.value) else []


RULES: dict[str, Callable[[Module], Iterator[ast.expr | ast.stmt]]] = {
    "clock": clocks,
    "commit": commits,
    "stub resolver": stub_resolvers,
    "dialect": dialects,
}


def findings(root: Path) -> list[Finding]:
    """Every place below `root` that a rule is about, allowed there or not."""
    return [
        Finding(rule, module.name, node.lineno, ast.unparse(node))
        for module in modules(root)
        for rule, find in RULES.items()
        for node in find(module)
    ]


def silencers(paths: list[Path]) -> Counter[str]:
    """How often a comment silences a checker, by kind."""
    kinds = {"noqa": "# noqa", "type: ignore": "# type: ignore", "no cover": "# pragma: no cover"}
    count: Counter[str] = Counter(dict.fromkeys(kinds, 0))
    for path in paths:
        for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
            if token.type == tokenize.COMMENT:
                count.update(kind for kind, comment in kinds.items() if comment in token.string)
    return count


def _dotted(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(tree: ast.Module) -> Iterator[tuple[ast.stmt, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node, f"{node.module}.{alias.name}") for alias in node.names)


def _imported_names(tree: ast.Module) -> dict[str, str]:
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                names[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _resolve(node: ast.expr, names: dict[str, str]) -> str | None:
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        parent = _resolve(node.value, names)
        return f"{parent}.{node.attr}" if parent else None
    return None
