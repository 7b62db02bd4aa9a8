"""Bugs of backups, restores and disks: what tests/backup and tests/disk must find."""

import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pysqlite3
from sqlalchemy import Connection

from app import sqlite
from app.backup import archive, restore, take
from app.backup.manifest import Manifest, Progress
from app.backup.sqlite import Files
from app.publication import set_back
from app.publication.marks import Marks
from tests.planted import replace

Method = Callable[..., Any]


def synchronous_off() -> None:
    """Nothing is ever waited for."""

    def careless(prepare: Method) -> Method:
        def prepared(connection: pysqlite3.dbapi2.Connection, record: object) -> None:
            prepare(connection, record)
            connection.execute("PRAGMA synchronous=OFF")

        return prepared

    replace(sqlite, "_prepare_connection", careless)


def begin_deferred() -> None:
    """Who writes begins as a reader does, and has the lock from the first change on."""

    def deferred(begin: Method) -> Method:
        def begun(connection: Connection) -> None:
            begin(connection)
            connection.exec_driver_sql("ROLLBACK")
            connection.exec_driver_sql("BEGIN")

        return begun

    replace(sqlite, "_begin", deferred)


def full_disk_is_a_fault() -> None:
    """That there is no room is told as a fault of the service."""
    replace(sqlite, "is_full", lambda _: lambda _error: False)


def mark_half_written() -> None:
    """What could not be written is left lying."""

    def left(_write: Method) -> Method:
        def written(marks: Marks, name: str, text: str) -> None:
            folder = vars(marks)["_folder"]
            folder.mkdir(parents=True, exist_ok=True)
            temporary = folder / f".{name}.new"
            temporary.write_text(text)
            temporary.replace(folder / name)

        return written

    replace(Marks, "_write", left)


def backup_not_checked() -> None:
    """A backup is called good without having been read again."""
    replace(take, "unpacked", lambda _: lambda path, _copy, _begin: _manifest(path))


def backup_by_file_copy() -> None:
    """The file is copied as it lies there, while others write, and without what they wrote last."""

    def copied(copy: Method) -> Method:
        def plainly(files: Files, target: Path, progress: Progress) -> Manifest:
            manifest: Manifest = copy(files, target, progress)
            target.unlink()
            shutil.copy(files.path, target)
            return manifest

        return plainly

    replace(Files, "copy", copied)


def backup_leaves_its_draft() -> None:
    """What was needed while a backup was made stays beside it."""

    def untidy(_workplace: Method) -> Method:
        @contextmanager
        def workplace(path: Path) -> Iterator[Path]:
            folder = path.with_name(f".{path.name}.partial")
            folder.mkdir(mode=0o700)
            yield folder

        return workplace

    replace(archive, "workplace", untidy)


def restore_goes_on_from_the_database() -> None:
    """Serials go on from what was restored, whatever was shown, and by whom."""
    replace(Marks, "raise_to", lambda _: lambda _self, _zone, _serial: None)
    replace(Marks, "highest", lambda _: lambda _self, _zone: 0)
    replace(Marks, "own", lambda _: lambda _self, _zone: 0)
    replace(set_back, "is_recorded", lambda _: lambda _session: False)


def restore_not_recorded() -> None:
    """The journal goes on as if nothing had been lost."""
    replace(restore, "append", lambda _: lambda *_arguments: None)


def restore_under_the_service() -> None:
    """Nobody looks whether the database is in use."""
    replace(Files, "check_unused", lambda _: lambda _self: None)


def older_database_unnoticed() -> None:
    """Nobody compares the journal with what was shown of it."""
    replace(set_back, "finding", lambda _: lambda _session, _marks: None)


def _manifest(path: Path) -> Manifest:
    with zipfile.ZipFile(path) as packed:
        return Manifest.load(packed.read(archive.MANIFEST))


PLANTS: Mapping[str, Callable[[], None]] = {
    "synchronous-off": synchronous_off,
    "begin-deferred": begin_deferred,
    "full-disk-is-a-fault": full_disk_is_a_fault,
    "mark-half-written": mark_half_written,
    "backup-not-checked": backup_not_checked,
    "backup-by-file-copy": backup_by_file_copy,
    "backup-leaves-its-draft": backup_leaves_its_draft,
    "restore-goes-on-from-the-database": restore_goes_on_from_the_database,
    "restore-not-recorded": restore_not_recorded,
    "restore-under-the-service": restore_under_the_service,
    "older-database-unnoticed": older_database_unnoticed,
}
