"""The snapshot file of a zone: where it lies, and whether it may be used with this database."""

import logging
from collections.abc import Iterable
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.publication.models import Release, Zone, ZoneSerial
from app.publication.snapshot import DamagedError, Identity, RulesOf, Snapshot
from app.publication.store import Reading, rows_between, rules_of_release, table_of
from resolver_policy import wire
from resolver_policy.delta import Rule
from resolver_policy.version import MOST_CHANGES

log = logging.getLogger(__name__)

FOLDER = "snapshots"
"""Below DATA_DIR."""

ENDING = ".snapshot"


def path_of(data_dir: Path, zone: str) -> Path:
    """Where the file of a zone lies."""
    return data_dir / FOLDER / f"{zone}{ENDING}"


def rules_of(reading: Reading, zone: Zone) -> RulesOf:
    """What the file of a zone asks for the rules of a chunk that is damaged."""
    table = table_of(zone.name)

    def rules(release_id: int, first_key: str, past_key: str | None) -> Iterable[tuple[str, Rule]]:
        with reading() as session:
            return list(rules_of_release(session, release_id, first_key, past_key, table=table))

    return rules


def opened(session: Session, zone: Zone, rendered: wire.Zone, path: Path, rules: RulesOf) -> Snapshot | None:
    """The file of a zone, if there is one, and it is whole, and rendered like that, and of the past that this
    database has; None otherwise, and the log says why."""
    try:
        found = Snapshot(path, rules)
    except FileNotFoundError:
        return None
    except (DamagedError, OSError) as exc:
        log.warning("%s cannot be used: %s", path, exc)
        return None
    if identity(session, zone, rendered, found.identity.release_id) == found.identity:
        return found
    log.warning("%s is of another zone or another past: it is not used", path)
    return None


def identity(session: Session, zone: Zone, rendered: wire.Zone, release_id: int) -> Identity | None:
    """What a file of this release would be; None where the zone had no serial then."""
    query = select(ZoneSerial.serial, Release.digest).join(Release, Release.id == ZoneSerial.release_id)
    query = query.where(ZoneSerial.zone_id == zone.id, ZoneSerial.release_id == release_id)
    found = session.execute(query).one_or_none()
    if found is None:
        return None
    return Identity(rendered, zone.epoch_release_id, release_id, found.serial, found.digest.hex())


def is_small_step(session: Session, zone: Zone, older: int, newer: int) -> bool:
    """Whether what changed from one release to another may be held in memory."""
    return rows_between(session, older, newer, MOST_CHANGES + 1, table_of(zone.name)) <= MOST_CHANGES
