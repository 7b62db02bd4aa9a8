"""What is installed and what is vendored: pinned, hashed, from nowhere in particular."""

import hashlib
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
SERVICE = [*PROJECT["project"]["dependencies"], *PROJECT["build-system"]["requires"], *EXTRAS["postgres"]]
LOCKS = {"requirements.lock": SERVICE, "requirements-dev.lock": [*SERVICE, *EXTRAS["dev"]]}
ENTRY = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>[0-9][0-9a-z.]*)(?P<hashes>( --hash=sha256:[0-9a-f]{64})+)")
VENDORED = ROOT / "app" / "static" / "swagger-ui"


def entries(lock: str) -> dict[str, str]:
    """Name -> version; fails on any line that is not a pinned, hashed package."""
    lines = [line for line in (ROOT / lock).read_text().splitlines() if not line.startswith("#")]
    found: dict[str, str] = {}
    for line in re.sub(r" \\\n +", " ", "\n".join(lines)).splitlines():
        entry = ENTRY.fullmatch(line)
        assert entry, f"{lock}: {line[:100]!r} is not NAME==VERSION with hashes"
        found[entry["name"]] = entry["version"]
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_what_the_project_asks_for_pinned_and_hashed(lock: str) -> None:
    locked = entries(lock)
    wanted = [Requirement(text) for text in LOCKS[lock]]

    assert {canonicalize_name(one.name) for one in wanted} <= set(locked)
    assert [str(one) for one in wanted if not one.specifier.contains(locked[canonicalize_name(one.name)])] == []


def test_tests_run_on_the_versions_that_the_service_runs_on() -> None:
    development = entries("requirements-dev.lock")

    assert {name: development.get(name) for name in entries("requirements.lock")} == entries("requirements.lock")


def test_vendored_files_are_those_of_their_note() -> None:
    noted = dict(re.findall(r"^  ([0-9a-f]{64})  (\S+)$", (VENDORED / "VERSION").read_text(), re.MULTILINE))
    standing = {
        hashlib.sha256(file.read_bytes()).hexdigest(): file.name
        for file in VENDORED.iterdir()
        if file.name != "VERSION"
    }

    assert len(standing) == 5
    assert standing == noted
