"""Copying, checking and putting back a database of SQLite: a file."""

import os
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from pysqlite3 import dbapi2
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError

from app.backup import checking
from app.backup.manifest import Manifest, Progress, describe
from app.db import Clock, Database
from app.errors import Refused
from app.journal import signing
from app.journal.append import timestamp
from app.publication.marks import sync_folder

PAGES_AT_ONCE = 2_000
RESTORING = ".restoring"


class Files:
    """The database of an installation, a file at a path, as backups and restores see it."""

    kind = "sqlite"

    def __init__(self, url: str, log_key: Path, clock: Clock) -> None:
        self.url = url
        self.path = Path(str(make_url(url).database))
        self._log_key = log_key
        self._clock = clock

    def copy(self, target: Path, progress: Progress) -> Manifest:
        """Copy it as it is at one moment, and describe the copy; nobody waits: it is read as any reader reads it."""
        made_at = timestamp(self._clock())
        with closing(_connected(self.path)) as source, closing(_connected(target)) as copy:
            source.execute("PRAGMA query_only=ON")
            source.execute("BEGIN")
            source.execute("SELECT count(*) FROM sqlite_master").fetchall()  # from here on it is of one moment
            source.backup(
                copy, pages=PAGES_AT_ONCE, progress=lambda _status, left, all_: progress(1 - left / max(all_, 1))
            )
            source.execute("ROLLBACK")
        with opened(target) as database, database.read() as session:
            signer = signing.held(session, self._log_key)
            note = None if signer is None else signing.checkpoint(session, signer)
            manifest = describe(session, made_at, note)
        settle(target)
        return manifest

    @staticmethod
    def check(copy: Path, manifest: Manifest, progress: Progress) -> None:
        """Raise Refused where a copy is not whole, or not what its manifest says."""
        try:
            with closing(_connected(copy)) as connection:
                found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(3)").fetchall()]
                checking.refuse([] if found == ["ok"] else found)
                astray = connection.execute("PRAGMA foreign_key_check").fetchall()
            checking.refuse([f"a row of {row[0]} refers to one of {row[2]} that is not there" for row in astray[:3]])
            checking.check(f"sqlite:///{copy}", manifest, progress)
            settle(copy)
        except (dbapi2.DatabaseError, DBAPIError) as error:
            raise Refused(f"what was backed up cannot be read: {error}") from error

    def check_unused(self) -> None:
        """Raise Refused while any process has it open."""
        if self.path.exists():
            try:
                settle(self.path)
            except dbapi2.OperationalError as error:
                raise Refused(f"{self.path} is in use ({error}): stop the service first") from error
            except dbapi2.DatabaseError:
                return  # damaged, so nobody uses it: it is put aside as it is

    def beside(self, copy: Path) -> str:
        """Bring a copy to where it takes the place of the database; its address there."""
        target = self._beside
        self.abandon()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        copy.rename(target)
        return f"sqlite:///{target}"

    def before(self) -> Database | None:
        """The database that is to be replaced; None where there is none."""
        return Database(self.url) if self.path.exists() else None

    def swap(self, stamp: str) -> str | None:
        """Let what is beside take its place, in one step; where the one before is kept."""
        settle(self._beside)
        self.check_unused()
        aside = self.path.with_name(f"{self.path.name}.before-{stamp}")
        kept = self.path.exists()
        if kept:
            _owned_like(self.path, self._beside)
            aside.hardlink_to(self.path)
            for ending in ("-wal", "-shm"):  # left where the database was damaged: they belong to it
                left = self.path.with_name(self.path.name + ending)
                if left.exists():
                    left.rename(aside.with_name(aside.name + ending))
        with self._beside.open("rb") as file:
            os.fsync(file.fileno())
        self._beside.replace(self.path)
        sync_folder(self.path.parent)
        return str(aside) if kept else None

    def abandon(self) -> None:
        """Remove what was brought beside it and is not used."""
        for left in self.path.parent.glob(f"{self._beside.name}*"):
            left.unlink()

    @property
    def _beside(self) -> Path:
        return self.path.with_name(self.path.name + RESTORING)


@contextmanager
def opened(path: Path) -> Iterator[Database]:
    """A database file as the service opens it."""
    database = Database(f"sqlite:///{path}")
    try:
        yield database
    finally:
        database.close()


def _owned_like(model: Path, path: Path) -> None:
    """Let a file belong to whom another belongs: the service may run under an account of its own."""
    known = model.stat()
    os.chown(path, known.st_uid, known.st_gid)
    path.chmod(stat.S_IMODE(known.st_mode))


def settle(path: Path) -> None:
    """Make a database one file, with nothing beside it; fails while another has it open."""
    with closing(_connected(path)) as connection:
        connection.execute("PRAGMA busy_timeout=1000")
        connection.execute("PRAGMA journal_mode=DELETE").fetchall()


def _connected(path: Path) -> dbapi2.Connection:
    connection = dbapi2.connect(str(path), isolation_level=None)
    connection.execute("PRAGMA busy_timeout=60000")
    return connection
