"""A real list of 323,000 lines, dirty as it is: no good line is refused, and memory does not follow its length."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from pathlib import Path

import idna
import pytest
from publicsuffixlist import PublicSuffixList

from app.db import Database
from app.settings import Settings
from tests.orders.test_imports_cli import ORDER
from tests.service import Json, Template, environment_of

pytestmark = pytest.mark.long

MEGABYTES = 150

PROGRAM = """
import sys
from pathlib import Path
from app.cli import main
try:
    main(sys.argv[1:])
finally:
    print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0], file=sys.stderr)
"""
"""The command line, which says at its end how many KiB of memory it held at most."""

SERVICES = {"mail.instagram.com", "micronews.debian.org", "relay.firefox.com", "support.facebook.com"}
"""Names of big services on the list: an override lets them through, and nothing else does."""

OVERRIDE = '\noverride = { reason = "As listed", expires_at = 2098-11-01T00:00:00Z }\n'


@cache
def real_lines() -> tuple[str, ...]:
    """Two published lists of throw-away mail domains: comments, blank lines, Unicode and duplicates among them."""
    burners = resources.files("is_burner_email") / "data" / "blacklist.txt"
    disposable = resources.files("isdisposable") / "domains.json"
    return (*burners.read_text("utf-8").splitlines(), *json.loads(disposable.read_text("utf-8")))


def distinct(lines: Iterable[str]) -> set[str]:
    """The names on the list, by the plainest means."""
    names = {line.strip() for line in lines if line.strip() and not line.startswith("#")}
    return {name if name.isascii() else idna.encode(name, uts46=True).decode() for name in names}


@pytest.fixture
def folder(database: Database, template: Template, tmp_path: Path) -> Path:
    """Where the list and its order lie, with and without an override."""
    assert database
    head, basis, rest = ORDER.partition("[[legal_basis]]")
    (tmp_path / "list.txt").write_text("\n".join(real_lines()) + "\n")
    (tmp_path / "order.toml").write_text(ORDER)
    (tmp_path / "overridden.toml").write_text(head + OVERRIDE + basis + rest)
    (tmp_path / "token").write_text(template.tokens["operator-1"])
    return tmp_path


def pulih_import(folder: Path, settings: Settings, order: str, *options: str) -> tuple[list[Json], int]:
    """What the command printed, and how many MB it needed."""
    command = [sys.executable, "-c", PROGRAM, "import", "list.txt", "--order-file", order, "--token-file", "token"]
    environment: Mapping[str, str] = {**os.environ, **environment_of(settings)}
    done = subprocess.run(
        [*command, "--json", "--partial", *options],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()], int(done.stderr.split()[-1]) // 1024


def refused(items: Iterable[Json]) -> dict[str, str]:
    """What was refused -> the rule."""
    return {item["input"]: item["rule"] for item in items if item.get("verdict") == "refused"}


def test_every_line_has_the_right_verdict_and_memory_stays_small(folder: Path, settings: Settings) -> None:
    (*items, summary), megabytes = pulih_import(folder, settings, "order.toml")

    held = [item["name"] for item in items if item["verdict"] in {"accepted", "covered"}]
    with_text = [number for number, line in enumerate(real_lines(), 1) if line.strip() and not line.startswith("#")]
    assert [item["line"] for item in items] == with_text
    assert len(held) == len(set(held))
    assert set(held) == distinct(real_lines()) - set(refused(items))
    assert summary["counts"]["accepted"] + summary["counts"]["covered"] == len(held) > 172_000
    assert summary["order_id"]
    assert megabytes < MEGABYTES
    assert_no_good_line_is_refused(refused(items))


def assert_no_good_line_is_refused(by_rule: dict[str, str]) -> None:
    """What is refused is a public suffix, a service that many depend on, or under no top-level domain."""
    suffixes, icann = PublicSuffixList(accept_unknown=False), PublicSuffixList(only_icann=True)

    assert len(by_rule) < 100
    for name, rule in by_rule.items():
        if rule == "public_suffix":
            assert icann.publicsuffix(name) == name
        elif rule == "private_suffix":
            assert suffixes.publicsuffix(name) == name
        elif rule == "tld_unknown":
            assert suffixes.publicsuffix(name) is None
    assert {name for name, rule in by_rule.items() if rule == "protected_service"} >= SERVICES
    assert set(by_rule.values()) == {"public_suffix", "private_suffix", "tld_unknown", "protected_service"}


def test_an_override_leaves_public_suffixes_alone_refused(folder: Path, settings: Settings) -> None:
    """Of what is refused without one, and every twentieth line besides."""
    icann = PublicSuffixList(only_icann=True)
    suffixes = {line for line in real_lines() if icann.publicsuffix(line) == line}
    (folder / "list.txt").write_text("\n".join([*real_lines()[::20], *suffixes, *SERVICES]) + "\n")

    items, _ = pulih_import(folder, settings, "overridden.toml", "--dry-run")

    assert set(refused(items).values()) == {"public_suffix"}
