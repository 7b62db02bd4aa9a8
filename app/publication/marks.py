"""High-water marks: the highest serial of each zone that was ever shown to anybody, kept beside the database.

A database that was restored from an older copy is behind its mark, and is moved forward before anything is served.
"""

import os
from pathlib import Path


class Marks:
    """The marks of one process, one file a zone under `folder`; other processes' marks lie in sibling folders."""

    def __init__(self, root: Path, owner: str) -> None:
        self._root = root
        self._folder = root / owner

    def own(self, zone: str) -> int:
        """What this process has shown of a zone; 0 where it never showed anything."""
        return _read(self._folder / zone)

    def highest(self, zone: str) -> int:
        """The highest mark of any process."""
        return max((_read(folder / zone) for folder in self._root.glob("*")), default=0)

    def raise_to(self, zone: str, serial: int) -> None:
        """Write a mark and make it durable before returning; a mark never sinks."""
        if serial <= self.own(zone):
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        temporary = self._folder / f".{zone}.new"
        with temporary.open("w") as file:
            file.write(f"{serial}\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._folder / zone)
        sync_folder(self._folder)


def _read(path: Path) -> int:
    try:
        return int(path.read_text().strip())
    except FileNotFoundError:
        return 0


def sync_folder(folder: Path) -> None:
    """Make what was moved or made in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
