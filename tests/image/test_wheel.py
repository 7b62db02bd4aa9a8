"""What is installed is what stands in the tree: no module and no data file is left behind."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("app", "migrations", "resolver_policy")


@pytest.fixture
def wheel(tmp_path: Path) -> zipfile.ZipFile:
    """The project built from a copy, so that nothing of an earlier build gets in."""
    source = tmp_path / "source"
    source.mkdir()
    for name in (*PACKAGES, "pyproject.toml", "README.md", "LICENSE"):
        subprocess.run(["cp", "-r", str(ROOT / name), str(source)], check=True)
    build = [sys.executable, "-m", "pip", "wheel", "-qq", "--no-deps", "--no-build-isolation", str(source)]
    subprocess.run(build, cwd=tmp_path, check=True)
    (file,) = tmp_path.glob("*.whl")
    return zipfile.ZipFile(file)


def test_the_wheel_holds_every_file_of_the_packages(wheel: zipfile.ZipFile) -> None:
    with wheel:
        packed = {name for name in wheel.namelist() if not name.partition("/")[0].endswith(".dist-info")}
    standing = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }

    assert len(standing) > 50
    assert packed == standing
