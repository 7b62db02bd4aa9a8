"""Copying, checking and putting back a database of PostgreSQL: by pg_dump and pg_restore, which must be installed."""

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any

from sqlalchemy import URL, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from app.backup import checking
from app.backup.checking import Body
from app.backup.manifest import Manifest, Progress, describe
from app.db import Clock, Database
from app.errors import Refused
from app.journal import signing
from app.journal.append import timestamp

MAINTENANCE = "postgres"
"""The database from which others are given a name; every server has it."""

RESTORING = "_restoring"
LONGEST_NAME = 63
POLL = 0.2
USERS = """
SELECT application_name, count(*) FROM pg_stat_activity
WHERE datname = :name AND pid <> pg_backend_pid() GROUP BY application_name
"""
HEADER = re.compile(rb"COPY public\.(\S+) \((.*)\) FROM stdin;\n")
END_OF_ROWS = b"\\.\n"
ESCAPES = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
ESCAPE = re.compile(rb"\\(.)", re.DOTALL)


class Server:
    """The database of an installation, one of a server's, as backups and restores see it."""

    kind = "postgresql"

    def __init__(self, url: str, log_key: Path, clock: Clock) -> None:
        self.url = url
        self._parsed = make_url(url).set(drivername="postgresql+psycopg")
        self._log_key = log_key
        self._clock = clock

    def copy(self, target: Path, progress: Progress) -> Manifest:
        """Dump it as it is at one moment, and describe that moment; nobody waits."""
        database, made_at = Database(self.url), timestamp(self._clock())
        try:
            with database.read() as session:
                snapshot = session.scalar(text("SELECT pg_export_snapshot()"))
                size = session.scalar(text("SELECT pg_database_size(current_database())")) or 1
                command = ["--format=custom", "--schema=public", f"--snapshot={snapshot}", f"--file={target}"]
                with self._running("pg_dump", command) as dumping:
                    while dumping.poll() is None:
                        progress(min(0.99, target.stat().st_size / size) if target.exists() else 0)
                        time.sleep(POLL)
                signer = signing.held(session, self._log_key)
                note = None if signer is None else signing.checkpoint(session, signer)
                return describe(session, made_at, note)
        finally:
            database.close()

    @staticmethod
    def check(copy: Path, manifest: Manifest, progress: Progress) -> None:
        """Raise Refused where a dump is not whole, or not what its manifest says. Every row of it is read; what refers
        to what is looked at by the server, when it is restored."""
        rows = dict.fromkeys(manifest.rows, 0)
        with _reading(copy) as lines:
            checking.check_root(manifest, _bodies(lines, rows), progress)
        wrong = [f"{name} should have {count} rows and has {rows[name]}" for name, count in manifest.rows.items()
                 if rows[name] != count]  # fmt: skip
        checking.refuse(wrong)

    def check_unused(self) -> None:
        """Raise Refused while any other process is connected to it."""
        with self._maintenance() as connection:
            users = connection.execute(text(USERS), {"name": self._parsed.database}).all()
        if users:
            names = ", ".join(f"{name or 'somebody'} ({count})" for name, count in users)
            raise Refused(f"the database {self._parsed.database} is in use by {names}: stop the service first")

    def beside(self, copy: Path) -> str:
        """Restore a dump into a database of its own beside it; its address."""
        self.abandon()
        with self._maintenance() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE \"{self._beside}\" TEMPLATE template0 ENCODING 'UTF8'")
        url = self._parsed.set(database=self._beside)
        options = ["--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction", "--clean", "--if-exists"]
        with self._running("pg_restore", [*options, str(copy)], url):
            pass
        return url.render_as_string(hide_password=False)

    def before(self) -> Database | None:
        """The database that is to be replaced; None where there is none."""
        return Database(self.url) if self._exists() else None

    def swap(self, stamp: str) -> str | None:
        """Let what is beside take its place, in one transaction; the name under which the one before is kept."""
        self.check_unused()
        ending = f"_before_{stamp}"
        name, kept = str(self._parsed.database), self._exists()
        aside = name[: LONGEST_NAME - len(ending)] + ending
        renames = [f'ALTER DATABASE "{name}" RENAME TO "{aside}"'] if kept else []
        renames.append(f'ALTER DATABASE "{self._beside}" RENAME TO "{name}"')
        with self._maintenance() as connection:
            connection.exec_driver_sql("; ".join(renames))  # one message to the server is one transaction
        return f"database {aside}" if kept else None

    def abandon(self) -> None:
        """Remove what was brought beside it and is not used."""
        with self._maintenance() as connection:
            connection.exec_driver_sql(f'DROP DATABASE IF EXISTS "{self._beside}"')

    @property
    def _beside(self) -> str:
        return str(self._parsed.database)[: LONGEST_NAME - len(RESTORING)] + RESTORING

    def _exists(self) -> bool:
        query = text("SELECT count(*) FROM pg_database WHERE datname = :name")
        with self._maintenance() as connection:
            return bool(connection.execute(query, {"name": self._parsed.database}).scalar())

    @contextmanager
    def _maintenance(self) -> Iterator[Any]:
        """A connection to no database of ours; raises Refused where the account may not do what is asked there."""
        engine = create_engine(self._parsed.set(database=MAINTENANCE), isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                yield connection
        except DBAPIError as error:
            raise Refused(f"PostgreSQL refused: {error.orig} (a restore needs an account with CREATEDB)") from error
        finally:
            engine.dispose()

    def _running(
        self, program: str, arguments: list[str], url: URL | None = None
    ) -> "AbstractContextManager[subprocess.Popen[bytes]]":
        """A program of PostgreSQL at work on a database; a password is not seen among its arguments."""
        url = url or self._parsed
        parameters = {"host": url.host, "port": url.port, "user": url.username, "dbname": url.database, **url.query}
        said = " ".join(f"{key}={_quoted(str(value))}" for key, value in parameters.items() if value is not None)
        environment = {**os.environ} if url.password is None else {**os.environ, "PGPASSWORD": str(url.password)}
        return _running(program, [*arguments, f"--dbname={said}"], environment)


@contextmanager
def _reading(copy: Path) -> Iterator[Iterator[bytes]]:
    """The rows of a dump, as text; raises Refused where it cannot be read to its end."""
    with _running("pg_restore", ["--data-only", "--file=-", str(copy)]) as reading:
        assert reading.stdout is not None
        yield iter(reading.stdout)


def _bodies(lines: Iterator[bytes], rows: dict[str, int]) -> Iterator[Body]:
    """The events in a dump, and how many rows each table has in it (COPY, text format)."""
    for line in lines:
        header = HEADER.fullmatch(line)
        if header is None:
            continue
        table, columns = header[1].decode().strip('"'), header[2].decode().split(", ")
        rows.setdefault(table, 0)
        for row in takewhile(lambda line: line != END_OF_ROWS, lines):
            rows[table] += 1
            if table == "events":
                fields = dict(zip(columns, row.rstrip(b"\n").split(b"\t"), strict=True))
                yield Body(int(fields["seq"]), ESCAPE.sub(_unescaped, fields["body"]).decode())


def _unescaped(match: re.Match[bytes]) -> bytes:
    return ESCAPES.get(match[1], match[1])


def _quoted(value: str) -> str:
    """A value of a connection string (libpq)."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


@contextmanager
def _running(
    program: str, arguments: Sequence[str], environment: Mapping[str, str] = os.environ
) -> Iterator["subprocess.Popen[bytes]"]:
    """A program of PostgreSQL, until it has ended; raises Refused with what it said where it failed."""
    path = shutil.which(program)
    if path is None:
        raise Refused(f"{program} is not installed: it comes with PostgreSQL's client programs (postgresql-client)")
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(  # noqa: S603 - PostgreSQL's own
            [path, *arguments], env=environment, stdout=subprocess.PIPE, stderr=errors
        ) as process,
    ):
        try:
            yield process
        except BaseException:
            process.kill()
            raise
        process.wait()
        errors.seek(0)
        said = errors.read().decode(errors="replace").strip()
        if process.returncode != 0:
            raise Refused(said or f"{program} ended with status {process.returncode}")
