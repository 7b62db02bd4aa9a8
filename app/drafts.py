"""Files that are written under another name first, so that they appear whole or not at all.

Whoever writes a draft holds its lock (flock), until after it was moved into place: what nobody holds was left by a
writer that was killed, and the next one takes it away.
"""

import fcntl
import glob
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

BUFFER = 1024 * 1024
"""Octets."""

MODE = 0o640
"""Of a file that is in its place: the group of the service may read it."""


@contextmanager
def draft(folder: Path, name: str) -> Iterator[IO[bytes]]:
    """A file for its owner alone, gone afterwards unless it was moved; those left under the same name go first."""
    sweep(folder, name)
    with _held(folder, name) as path, path.open("wb", BUFFER) as file:
        try:
            yield file
        finally:
            path.unlink(missing_ok=True)


def place(file: IO[bytes], path: Path) -> None:
    """Make a draft durable, and move it into its place; the folder is not synced."""
    file.flush()
    os.fsync(file.fileno())
    Path(file.name).chmod(MODE)
    Path(file.name).replace(path)


def sweep(folder: Path, name: str) -> None:
    """Remove what killed writers have left of drafts of a name: nobody holds it. No other hidden file is touched."""
    ours = re.compile(re.escape(_prefix(name)) + r"[a-z0-9_]{8}")
    for path in folder.glob(glob.escape(_prefix(name)) + "*"):
        if ours.fullmatch(path.name):
            with suppress(OSError), path.open("rb") as file:  # it may be held, or finished by now
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Nobody else is in here for the same folder meanwhile."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _prefix(name: str) -> str:
    return f".{name}.draft-"


@contextmanager
def _held(folder: Path, name: str) -> Iterator[Path]:
    """A new file under a lock; another writer may sweep it away before it is locked."""
    while True:
        descriptor, path = tempfile.mkstemp(prefix=_prefix(name), dir=folder)
        with os.fdopen(descriptor, "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:
                yield Path(path)
                return
