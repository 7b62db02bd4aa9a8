"""Exports over HTTP: written once for each (zone, serial, format) and served as files from then on.

A file of lines is put together from the pieces of the one before it; only what changed since is rendered. A format that
tells who holds what is written anew after an act on an order, too.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from app.errors import Conflict, NotFound
from app.publication import export_file, files, holders, zones
from app.publication.again import Again
from app.publication.models import Zone
from app.publication.store import changes_between, rules_of_release, table_of
from resolver_policy import formats, wire
from resolver_policy.actions import parse_action
from resolver_policy.delta import Rule
from resolver_policy.formats import Contents, Format, Lines
from resolver_policy.formats.pieces import cut, piece, pieces
from resolver_policy.version import ZoneVersion

KEPT_VERSIONS = 3


@dataclass(frozen=True, slots=True)
class Export:
    """A finished file, plain and gzip, of one zone at one serial.

    `digest` and `gzip_digest` are SHA-256 of the two, in hex: how the gzip form is cut depends on earlier exports.
    """

    path: Path
    serial: int
    digest: str
    gzip_digest: str
    media_type: str

    @property
    def gzip_path(self) -> Path:
        return export_file.gzip_of(self.path)

    @property
    def etag(self) -> str:
        """A strong entity tag (RFC 9110 8.8.3): the serial, and the start of the digest."""
        return f'"{self.serial}-{self.digest[:32]}"'

    @property
    def gzip_etag(self) -> str:
        """The tag of the gzip form."""
        return f'"{self.serial}-{self.gzip_digest[:32]}-gzip"'


def current(
    session: Session, data_dir: Path, zone_name: str, format_name: str, soa: wire.Soa, release_id: int | None = None
) -> Export:
    """The export of a zone as it now stands, or as it was in a release; raises NotFound for a zone or a format that is
    not there.

    Raises Conflict for a layer: of what has it from a file nobody would know which base it has, when bases are dropped.
    Of the past also for a format that tells who holds what (that is so now), and for what the zone was in an earlier
    epoch, with another action.
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
    at = zones.at_release(session, zone, newest.id if release_id is None else release_id)
    is_past = at is not None and release_id is not None and at.release_id < newest.id
    if is_past and chosen.tells_holders:
        raise Conflict(
            f"{chosen.name} tells who holds a name now: of the past take another format, and GET /blocks?at="
        )
    if at is not None and at.release_id < zone.epoch_release_id:
        raise Conflict(f"{zone.name} was another zone at serial {at.serial}: with another action, or before a restore")
    if at is None:
        raise NotFound(f"zone {zone.name} is not published yet")
    serial = at.serial
    kind = zlib.crc32(soa.record(0))
    acts = f"-{holders.version(session)}" if chosen.tells_holders else ""
    folder = data_dir / "exports" / zone.name / ("past" if is_past else "")
    path = folder / f"{zone.epoch_release_id}-{serial}-{kind:08x}{acts}.{chosen.name}"
    digest_path = export_file.digest_of(path)
    if not digest_path.exists():
        described = wire.Zone(zone.name, parse_action(zone.action), soa)
        rules = ReleaseRules(session, data_dir, zone, described, at.release_id)
        contents = Contents(described, serial, rules, Again(lambda: holders.in_force(session)))
        _write(path, chosen, contents, rules.ranges)
        export_file.drop_old(path.parent, chosen.name, KEPT_VERSIONS)
    digest, _, gzip_digest, _ = digest_path.read_text().split()
    return Export(path, serial, digest, gzip_digest, chosen.media_type)


class ReleaseRules:
    """All rules of a zone in a release: from the file of a transfer process of this machine and what changed since, if
    there is one; from the database otherwise."""

    def __init__(self, session: Session, data_dir: Path, zone: Zone, described: wire.Zone, release_id: int) -> None:
        self._session = session
        self._described = described
        self._release_id = release_id
        self._table = table_of(zone.name)
        self._version = self._from_file(data_dir, zone)

    def __iter__(self) -> Iterator[tuple[str, Rule]]:
        return self._read(self._release_id) if self._version is None else self._version.rules()

    def ranges(self) -> Iterator[bytes]:
        """The rules of neighbours together, as lines."""
        if self._version is not None:
            return (part.lines for part in self._version.ranges)
        return cut(self, self._described)

    def _from_file(self, data_dir: Path, zone: Zone) -> ZoneVersion | None:
        file = files.opened(self._session, zone, self._described, files.path_of(data_dir, zone.name), self._read)
        if file is None or file.identity.release_id > self._release_id:
            return None
        since = file.identity.release_id
        if not files.is_small_step(self._session, zone, since, self._release_id):
            return None
        version = ZoneVersion.of(file.ranges(), self._described, file.identity.serial)
        return version.changed(changes_between(self._session, since, self._release_id, self._table), version.serial + 1)

    def _read(self, release_id: int, first_key: str = "", past_key: str | None = None) -> Iterator[tuple[str, Rule]]:
        return rules_of_release(self._session, release_id, first_key, past_key, table=self._table)


def _write(path: Path, chosen: Format, contents: Contents, ranges: Callable[[], Iterable[bytes]]) -> None:
    """Write an export; raises PolicyError where the format cannot hold the zone."""
    with export_file.newest_pieces(path.parent, chosen.name) as known, export_file.written(path) as file:
        if not isinstance(chosen, Lines):
            for octets in chosen.render(contents):
                file.add(piece(octets))
            return
        for each in pieces(chosen, contents.zone, contents.serial, ranges(), known):
            file.add(each)
        file.add(piece(chosen.end(contents.serial, file.lines, file.digest)))
