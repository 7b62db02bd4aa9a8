"""File systems of a test's own, small ones: of memory, or in a file (ext4), mounted below its directory; needs root."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers import find, missing


@dataclass(frozen=True)
class Room:
    """A file system of its own at a path."""

    path: Path

    def resize(self, kibibytes: int) -> None:
        """Make one of memory larger, or smaller."""
        _mount("-o", f"remount,size={kibibytes}k", self.path)

    def abort(self) -> None:
        """Let ext4 do what it does when its disk fails: from now on nothing is written, also to open files."""
        _mount("-o", "remount,abort", self.path)

    def fill(self) -> Path:
        """A file that takes all that is left."""
        ballast = self.path / "ballast"
        with ballast.open("wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                while _takes(file.fileno(), size):
                    pass
        return ballast


@contextmanager
def memory(path: Path, kibibytes: int) -> Iterator[Room]:
    """A file system of memory of a size."""
    with _mounted(path, "-t", "tmpfs", "-o", f"size={kibibytes}k", "tmpfs"):
        yield Room(path)


@contextmanager
def disk(path: Path, mebibytes: int) -> Iterator[Room]:
    """ext4 in a file."""
    if not Path("/dev/loop-control").exists():
        missing("this system has no loop devices")
    image = path.with_name(f"{path.name}.img")
    with image.open("wb") as file:
        file.truncate(mebibytes << 20)
    subprocess.run([find("mkfs.ext4", "e2fsprogs"), "-q", "-m", "0", image], check=True)
    with _mounted(path, "-o", "loop", image):
        yield Room(path)


@contextmanager
def _mounted(path: Path, *arguments: str | Path) -> Iterator[None]:
    if os.geteuid() != 0:
        missing("a file system of its own for a test needs root")
    path.mkdir(parents=True)
    _mount(*arguments, path)
    try:
        yield
    finally:
        subprocess.run([find("umount", "mount"), "--lazy", path], check=True)


def _mount(*arguments: str | Path) -> None:
    done = subprocess.run([find("mount", "mount"), *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        missing(f"nothing can be mounted here: {done.stderr.strip()}")


def _takes(descriptor: int, size: int) -> bool:
    try:
        return os.write(descriptor, bytes(size)) == size
    except OSError:
        return False
