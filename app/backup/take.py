"""Making a backup while the service runs, and checking one: nothing is called good that was not opened again."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from sqlalchemy import make_url

from app import schema
from app.backup import archive
from app.backup.manifest import Manifest, Progress
from app.backup.postgresql import Server
from app.backup.sqlite import Files
from app.db import Clock, Database
from app.errors import Refused
from app.settings import Settings

Begin = Callable[[str], Progress]
"""Begins a stretch of work, by its name; what it gives is told how far it is."""


class Place(Protocol):
    """Where the database of an installation lies: what copies it, checks a copy, and puts one back."""

    kind: str
    url: str

    def copy(self, target: Path, progress: Progress) -> Manifest: ...
    def check_unused(self) -> None: ...
    def beside(self, copy: Path) -> str: ...
    def before(self) -> Database | None: ...
    def swap(self, stamp: str) -> str | None: ...
    def abandon(self) -> None: ...


Check = Callable[[Path, Manifest, Progress], None]
CHECKS: Mapping[str, Check] = {Files.kind: Files.check, Server.kind: Server.check}
"""What checks a copy of each kind of database."""


def place_of(settings: Settings, clock: Clock) -> Place:
    """The database that settings name."""
    is_file = make_url(settings.database).get_backend_name() == Files.kind
    made = Files if is_file else Server
    return made(settings.database, settings.log_key_path, clock)


def take(settings: Settings, path: Path, clock: Clock, begin: Begin) -> Manifest:
    """Write a backup; raises Refused where it cannot be made, or is not right once it is read again.

    Its name appears with the last step, when all of it is durable and checked.
    """
    if path.exists():
        raise Refused(f"{path} is there already: a backup takes the place of nothing")
    with archive.workplace(path) as folder:
        copy, draft = folder / archive.COPY, folder / archive.DRAFT
        manifest = place_of(settings, clock).copy(copy, begin("copying"))
        manifest = archive.write(draft, manifest, copy, begin("packing"))
        copy.unlink()
        unpacked(draft, copy, begin)
        archive.put_in_place(draft, path)
    return manifest


def verify(path: Path, begin: Begin) -> Manifest:
    """Check a backup without any other database; raises Refused, saying what is wrong."""
    with archive.workplace(path) as folder:
        return unpacked(path, folder / archive.COPY, begin)


def unpacked(path: Path, copy: Path, begin: Begin) -> Manifest:
    """Take the database out of a backup and check it: whole, of rows that fit together, with the journal's root."""
    manifest = archive.read_manifest(path)
    schema.refuse_newer(manifest.schema)
    archive.unpack(path, manifest, copy, begin("reading"))
    CHECKS[manifest.database](copy, manifest, begin("checking"))
    return manifest
