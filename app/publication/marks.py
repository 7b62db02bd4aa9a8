"""High-water marks: the highest serial of each zone that was ever shown to anybody, and how far the journal had come,
kept beside the database.

A database that was restored from an older copy is behind its mark, and is moved forward before anything is served.
"""

import os
from pathlib import Path
from typing import NamedTuple

JOURNAL = "@journal"
"""The file of the journal's mark; no zone has such a name."""


class Shown(NamedTuple):
    """A journal that was there: how many events, and the root over them."""

    size: int
    root: bytes


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
        if serial > self.own(zone):
            self._write(zone, f"{serial}\n")

    def journal(self) -> Shown | None:
        """The journal as this process saw it last; None where it never did."""
        try:
            size, root = (self._folder / JOURNAL).read_text().split()
        except FileNotFoundError:
            return None
        return Shown(int(size), bytes.fromhex(root))

    def set_journal(self, shown: Shown) -> None:
        """Remember a journal durably; it may be a shorter one only where that is recorded in it."""
        if shown != self.journal():
            self._write(JOURNAL, f"{shown.size} {shown.root.hex()}\n")

    def _write(self, name: str, text: str) -> None:
        """Put a file in place whole; nothing is left of one that could not be written."""
        self._folder.mkdir(parents=True, exist_ok=True)
        temporary = self._folder / f".{name}.new"
        try:
            with temporary.open("w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._folder / name)
        finally:
            temporary.unlink(missing_ok=True)
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
