"""The journal as a signed zip: the same octets for the same state, in little memory, with what checks it inside.

Bodies are written as they were hashed, so personal text is in it as salted hashes only.
"""

import base64
import datetime as dt
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.audit import figures, verify
from app.db import streamed
from app.errors import Fault, Unprocessable
from app.journal import notes, signing, tree
from app.journal.append import leaf_hash, timestamp
from app.journal.models import Event
from app.journal.notes import Signer
from app.publication.models import Release, Zone, ZoneSerial
from app.publication.zones import Layer, layer_of
from resolver_policy.formats import table

BEGINNING = (1980, 1, 1, 0, 0, 0)
"""The time of every file in it: what a zip says where it says none."""

AT_ONCE = 256 * 1024
"""Octets that are gathered before they are handed on."""

ZONE_COLUMNS = ("zone", "serial", "published_at", "names", "rules", "digest")


class Sink:
    """A file that is handed on as it is written, and never gone back in."""

    def __init__(self) -> None:
        self._pieces = bytearray()

    def write(self, octets: bytes, /) -> int:
        """Take octets."""
        self._pieces += octets
        return len(octets)

    def flush(self) -> None:
        """Nothing is kept back."""

    def close(self) -> None:
        """Nothing is held open."""

    def taken(self, at_least: int) -> Iterator[bytes]:
        """What was written and not yet handed on, if it is so much."""
        if len(self._pieces) >= at_least:
            yield bytes(self._pieces)
            self._pieces.clear()


class Archive:
    """A zip in the making; remembers the digest of each file."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.digests: dict[str, str] = {}
        self._zip = ZipFile(sink, "w", ZIP_DEFLATED)

    def add(self, name: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Write a file, and give the octets of the zip as they come."""
        info, digest = ZipInfo(name, BEGINNING), hashlib.sha256()
        info.compress_type = ZIP_DEFLATED
        info.external_attr = 0o644 << 16
        with self._zip.open(info, "w", force_zip64=True) as file:
            for piece in pieces:
                file.write(piece)
                digest.update(piece)
                yield from self.sink.taken(AT_ONCE)
        self.digests[name] = digest.hexdigest()

    def end(self) -> Iterator[bytes]:
        """Write what a zip ends with."""
        self._zip.close()
        yield from self.sink.taken(1)


def checkpoint(session: Session, key_file: Path, size: int | None) -> str:
    """The signed checkpoint of now, or of a size that the journal had; raises Unprocessable, Conflict."""
    if size is not None:
        tree.check_size(session, size)
    return signing.checkpoint(session, signing.needed(session, key_file), size)


def check_since(session: Session, since: str | None) -> None:
    """Refuse an earlier checkpoint that is none of this journal's; raises Unprocessable."""
    if since is None:
        return
    earlier, known = notes.parse(since), [key for _, key in signing.keys(session)]
    if not any(notes.is_signed(since, key) for key in known):
        raise Unprocessable(
            "no key of this journal signed that checkpoint", faults=(Fault("not_signed", earlier.origin, "/since"),)
        )
    tree.consistency(session, earlier.size, tree.size(session))


def stream(session: Session, signer: Signer, since: str | None = None) -> Iterator[bytes]:
    """The octets of the zip: the journal as it now is. `since` is an earlier checkpoint, to be proved consistent."""
    size, counted = tree.size(session), figures.Figures()
    files: tuple[tuple[str, Iterable[bytes]], ...] = (
        ("consistency.json", [as_json(consistency(session, size, since))]),
        ("events.jsonl", _lines(session, size, counted)),
        ("events.csv", _rows(session, size)),
        ("zones.csv", _zones(session)),
        ("figures.json", _late(lambda: as_json(counted.rows()))),
        ("figures.csv", _late(lambda: figures.as_csv(counted.rows()).encode())),
    )
    yield from signed(session, signer, size, files)


def signed(
    session: Session, signer: Signer, size: int, files: Iterable[tuple[str, Iterable[bytes]]], **said: object
) -> Iterator[bytes]:
    """The octets of a zip of files, with what checks it and a signed list; what is `said` stands in that too."""
    archive = Archive(Sink())
    first: tuple[tuple[str, Iterable[bytes]], ...] = (
        ("verify.py", [(resources.files("app.audit") / "verify.py").read_bytes()]),
        ("checkpoint.txt", [signing.checkpoint(session, signer, size).encode()]),
        ("key.pem", [signer.public.pem.encode()]),
    )
    for name, pieces in (*first, *files):
        yield from archive.add(name, pieces)
    manifest = as_json(
        {
            "log": signer.name,
            "key": signer.public.vkey,
            "size": size,
            "root": tree.root(session, size).hex(),
            "files": dict(sorted(archive.digests.items())),
            **said,
        }
    )
    yield from archive.add("manifest.json", [manifest])
    yield from archive.add("manifest.json.sig", [signer.private.sign(manifest)])
    yield from archive.end()


def as_json(document: object) -> bytes:
    """A document as every file here holds one."""
    return json.dumps(document, indent=1, ensure_ascii=False, default=_written).encode() + b"\n"


def count(session: Session) -> list[dict[str, str | int | None]]:
    """The figures of the journal as it now is."""
    query = select(Event.body).where(Event.type.in_(sorted(figures.TYPES))).order_by(Event.seq)
    return figures.of(json.loads(row.body) for row in streamed(session, query))


def inclusion(session: Session, seq: int, size: int | None) -> dict[str, Any]:
    """The proof that an event is in the tree of `size` events, or of all, as the interface shows it."""
    size = tree.size(session) if size is None else size
    path, leaf = tree.inclusion(session, seq, size), tree.leaf(session, seq)
    return {
        "seq": seq,
        "size": size,
        "leaf": leaf.hex(),
        "path": [base64.b64encode(node).decode() for node in path],
        "root": verify.included(leaf, seq - 1, size, path).hex(),
    }


def bodies(session: Session, size: int) -> Iterator[bytes]:
    """The octets that events were hashed as, oldest first."""
    query = select(Event.body).where(Event.seq <= size).order_by(Event.seq)
    return (row.body.encode() for row in streamed(session, query))


def _lines(session: Session, size: int, counted: figures.Figures) -> Iterator[bytes]:
    query = select(Event.type, Event.body).where(Event.seq <= size).order_by(Event.seq)
    for row in streamed(session, query):
        if row.type in figures.TYPES:
            counted.take(json.loads(row.body))
        yield row.body.encode() + b"\n"


def _rows(session: Session, size: int) -> Iterator[bytes]:
    yield verify.HEADER
    for body in bodies(session, size):
        yield verify.row_of(json.loads(body), leaf_hash(body))


def _zones(session: Session) -> Iterator[bytes]:
    yield table.line(ZONE_COLUMNS).encode()
    full = [zone.id for zone in session.scalars(select(Zone)) if layer_of(zone.name) is Layer.FULL]
    query = (
        select(Zone.name, ZoneSerial.serial, Release.published_at, Release.names, Release.rules, Release.digest)
        .join(ZoneSerial, ZoneSerial.zone_id == Zone.id)
        .join(Release, Release.id == ZoneSerial.release_id)
        .where(Zone.id.in_(full))
        .order_by(Release.id, Zone.name)
    )
    for row in streamed(session, query):
        digest = "sha256:" + row.digest.hex()
        yield table.line((row.name, row.serial, timestamp(row.published_at), row.names, row.rules, digest)).encode()


def consistency(session: Session, size: int, since: str | None) -> dict[str, Any]:
    """The proof that an earlier checkpoint is of the beginning of the journal, as every zip holds it."""
    older = None if since is None else notes.parse(since).size
    path = [] if older is None else tree.consistency(session, older, size)
    return {"from": since, "path": [base64.b64encode(node).decode() for node in path]}


def _late(make: Callable[[], bytes]) -> Iterator[bytes]:
    """What is known once the files before it are written."""
    yield make()


def _written(value: object) -> str:
    assert isinstance(value, dt.datetime)
    return timestamp(value)
