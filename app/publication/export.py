"""Exports over HTTP: written once for each (zone, serial, format) and served as files from then on.

A format that tells who holds what is written anew after an act on an order, too.
"""

import gzip
import hashlib
import os
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sqlalchemy.orm import Session

from app.errors import Conflict, NotFound
from app.publication import files, holders, zones
from app.publication.again import Again
from app.publication.marks import sync_folder
from app.publication.models import Zone
from app.publication.store import changes_between, rules_of_release, table_of
from resolver_policy import formats, wire
from resolver_policy.actions import parse_action
from resolver_policy.delta import Rule
from resolver_policy.formats import Contents, Format
from resolver_policy.version import ZoneVersion

KEPT_VERSIONS = 3
GZIP_LEVEL = 6


@dataclass(frozen=True, slots=True)
class Export:
    """A finished file, plain and gzip, of one zone at one serial. `digest` is SHA-256 of the plain file, in hex."""

    path: Path
    serial: int
    digest: str
    media_type: str

    @property
    def gzip_path(self) -> Path:
        return self.path.with_name(self.path.name + ".gz")

    @property
    def etag(self) -> str:
        """A strong entity tag (RFC 9110 8.8.3): the serial, and the start of the digest."""
        return f'"{self.serial}-{self.digest[:32]}"'


def current(session: Session, data_dir: Path, zone_name: str, format_name: str, soa: wire.Soa) -> Export:
    """The export of a zone as it now stands; raises NotFound for a zone or a format that is not there.

    Raises Conflict for a layer: of what has it from a file nobody would know which base it has, when bases are dropped.
    """
    zone = zones.by_name(session, zone_name)
    if zones.layer_of(zone.name) is not zones.Layer.FULL:
        raise Conflict(f"{zone.name} is a layer, which only transfers: take {zones.without_layer(zone.name)}")
    chosen = formats.by_name(format_name)
    if chosen is None:
        known = ", ".join(each.name for each in formats.FORMATS)
        raise NotFound(f"there is no format {format_name[:40]!r}; there are {known}")
    newest = zones.head(session)
    assert newest is not None
    at = zones.at_release(session, zone, newest.id)
    if at is None:
        raise NotFound(f"zone {zone.name} is not published yet")
    serial = at.serial
    kind = zlib.crc32(soa.record(0))
    acts = f"-{holders.version(session)}" if chosen.tells_holders else ""
    path = data_dir / "exports" / zone.name / f"{zone.epoch_release_id}-{serial}-{kind:08x}{acts}.{chosen.name}"
    digest_path = path.with_name(path.name + ".sha256")
    if not digest_path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(octets(session, data_dir, zone, at.release_id, serial, chosen, soa), path, digest_path)
        _drop_old(path.parent, chosen.name)
    return Export(path, serial, digest_path.read_text().split()[0], chosen.media_type)


def octets(
    session: Session, data_dir: Path, zone: Zone, release_id: int, serial: int, chosen: Format, soa: wire.Soa
) -> Iterator[bytes]:
    """An export, in pieces; raises PolicyError where the format cannot hold the zone."""
    described = wire.Zone(zone.name, parse_action(zone.action), soa)
    rules = _rules(session, data_dir, zone, described, release_id)
    return chosen.render(Contents(described, serial, rules, Again(lambda: holders.in_force(session))))


def _rules(
    session: Session, data_dir: Path, zone: Zone, described: wire.Zone, release_id: int
) -> Iterable[tuple[str, Rule]]:
    """All rules of a release: from the file of a transfer process of this machine and what changed since, if there is
    one; from the database otherwise."""
    path, table = files.path_of(data_dir, zone.name), table_of(zone.name)

    def read(release: int, first_key: str = "", past_key: str | None = None) -> Iterator[tuple[str, Rule]]:
        return rules_of_release(session, release, first_key, past_key, table=table)

    file = files.opened(session, zone, described, path, read)
    since = release_id + 1 if file is None else file.identity.release_id
    if file is None or since > release_id or not files.is_small_step(session, zone, since, release_id):
        return Again(lambda: read(release_id))
    version = ZoneVersion.of(file.ranges(), described, file.identity.serial)
    return Again(version.changed(changes_between(session, since, release_id, table), version.serial + 1).rules)


def _write(pieces: Iterable[bytes], path: Path, digest_path: Path) -> None:
    """Write both files under other names and move them into place, the digest last and once they are durable: it says
    that they are whole."""
    hashed = hashlib.sha256()
    with _temporary(path.parent) as plain, _temporary(path.parent) as packed:
        with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=GZIP_LEVEL, mtime=0, filename="") as squeezed:
            for piece in pieces:
                hashed.update(piece)
                plain.write(piece)
                squeezed.write(piece)
        _place(packed, path.with_name(path.name + ".gz"))
        _place(plain, path)
    with _temporary(path.parent) as said:
        said.write(f"{hashed.hexdigest()}  {path.name}\n".encode())
        sync_folder(path.parent)
        _place(said, digest_path)
    sync_folder(path.parent)


def _place(file: IO[bytes], path: Path) -> None:
    """Make what was written durable, and move it into place."""
    file.flush()
    os.fsync(file.fileno())
    Path(file.name).chmod(0o640)
    Path(file.name).replace(path)


@contextmanager
def _temporary(folder: Path) -> Iterator[IO[bytes]]:
    """A file that is gone afterwards, unless it was moved into place."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".", delete=False) as file:
        try:
            yield file
        finally:
            Path(file.name).unlink(missing_ok=True)


def _drop_old(folder: Path, format_name: str) -> None:
    """Keep the newest versions: a download in progress holds its open file, and a moment's grace costs little."""
    whole = sorted(folder.glob(f"*.{format_name}.sha256"), key=lambda path: path.stat().st_mtime)
    for digest_path in whole[:-KEPT_VERSIONS]:
        path = digest_path.with_suffix("")
        for old in (digest_path, path, path.with_name(path.name + ".gz")):
            old.unlink(missing_ok=True)
