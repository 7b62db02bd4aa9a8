"""The file of a backup: a zip with the manifest and a copy of the database, whole under its name or not there."""

import dataclasses
import fcntl
import hashlib
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from app.backup.manifest import Manifest, Progress
from app.errors import Refused
from app.keyfile import OWNER_ONLY
from app.publication.marks import sync_folder

MANIFEST = "manifest.json"
COPY = "database"
DRAFT = "draft"
PARTIAL = ".partial"
OURS = {COPY, f"{COPY}-journal", f"{COPY}-wal", f"{COPY}-shm", DRAFT}
PIECE = 1024 * 1024
DEFLATE_LEVEL = 1
"""Pages of a database shrink to a third even so, and faster than most disks write."""

SEAL_OCTETS = 64
"""A hash in hexadecimal, as the comment of the zip, which is its end."""

LONGEST_MANIFEST = 16 * PIECE


@contextmanager
def workplace(path: Path) -> Iterator[Path]:
    """A folder beside a file that is to be made, for its owner alone; nothing is left of it.

    What killed ones left there is swept away first. Raises Refused where another one is at work on the same file.
    """
    for left in path.parent.glob(f".*{PARTIAL}"):
        if {each.name for each in left.iterdir()} <= OURS and (lock := _locked(left)) is not None:
            shutil.rmtree(left, ignore_errors=True)
            os.close(lock)
    folder = path.with_name(f".{path.name}{PARTIAL}")
    folder.mkdir(mode=0o700, exist_ok=True)
    descriptor = _locked(folder)
    if descriptor is None:
        raise Refused(f"{path}: another command is at work on it")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _locked(folder: Path) -> int | None:
    """A folder for this process alone, until what is given is closed; None where another has it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def write(draft: Path, manifest: Manifest, copy: Path, progress: Progress) -> Manifest:
    """Pack a copy with its manifest, which is given back with the copy's size and hash; durable when it returns.

    The file ends with the hash of all that stands before it, so no octet of it can change unseen.
    """
    octets = copy.stat().st_size
    digest, done = hashlib.sha256(), 0
    with _owned(draft) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=DEFLATE_LEVEL) as packed:
        with copy.open("rb") as source, packed.open(COPY, "w", force_zip64=True) as target:
            while piece := source.read(PIECE):
                digest.update(piece)
                target.write(piece)
                done += len(piece)
                progress(done / octets)
        manifest = dataclasses.replace(manifest, sha256=digest.hexdigest(), octets=octets)
        packed.writestr(MANIFEST, manifest.dump())
        packed.comment = bytes(SEAL_OCTETS)
    with draft.open("r+b") as file:
        seal = _seal(file)
        file.seek(-SEAL_OCTETS, os.SEEK_END)
        file.write(seal)
        file.flush()
        os.fsync(file.fileno())
    return manifest


def read_manifest(path: Path) -> Manifest:
    """The manifest of a backup; raises Refused for a file that is none, or is not as it was written."""
    with path.open("rb") as file:
        expected = _seal(file)
        if file.read() != expected:
            raise Refused(f"{path} is damaged, or no backup of Pulih: it does not end with the hash of the rest")
    try:
        with zipfile.ZipFile(path) as packed:
            if sorted(packed.namelist()) != [COPY, MANIFEST]:
                raise Refused(f"{path} is not a backup of Pulih: it holds {', '.join(packed.namelist()[:5])}")
            if packed.getinfo(MANIFEST).file_size > LONGEST_MANIFEST:
                raise Refused(f"{path}: its manifest is too long")
            return Manifest.load(packed.read(MANIFEST))
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise Refused(f"{path} is not a whole backup of Pulih: {error}") from error


def unpack(path: Path, manifest: Manifest, copy: Path, progress: Progress) -> None:
    """Take the copy of the database out again; raises Refused where it is not the one that was put in."""
    digest, done = hashlib.sha256(), 0
    try:
        with zipfile.ZipFile(path) as packed, packed.open(COPY) as source, _owned(copy) as target:
            while piece := source.read(PIECE):
                digest.update(piece)
                target.write(piece)
                done += len(piece)
                progress(done / max(manifest.octets, 1))
    except (zipfile.BadZipFile, EOFError, ValueError, zlib.error) as error:
        raise Refused(f"{path} is damaged: {error}") from error
    if (done, digest.hexdigest()) != (manifest.octets, manifest.sha256):
        raise Refused(f"{path} is damaged: the database in it is not the one that was put in")


def put_in_place(draft: Path, path: Path) -> None:
    """Give a whole file its name, durably."""
    if path.exists():
        raise Refused(f"{path} is there already: a backup takes the place of nothing")
    draft.rename(path)
    sync_folder(path.parent)


def _seal(file: IO[bytes]) -> bytes:
    """The hash of a file but for the octets that should hold it, from which is read next; none for a file too short."""
    left = max(0, file.seek(0, os.SEEK_END) - SEAL_OCTETS)
    file.seek(0)
    digest = hashlib.sha256()
    while left and (piece := file.read(min(left, PIECE))):
        digest.update(piece)
        left -= len(piece)
    return digest.hexdigest().encode()


def _owned(path: Path) -> IO[bytes]:
    """A new file for its owner alone."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "wb")
