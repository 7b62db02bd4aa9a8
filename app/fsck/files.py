"""The rules against the file of a zone, from which the transfer process reads: its lines, and the octets it sends."""

from collections.abc import Iterator

from app.db import Database
from app.fsck import compare, reader
from app.fsck.reader import Reader, UnreadableError
from app.fsck.report import Check, Findings, Tick, could_not_look, found, not_checked
from app.publication import files, layering, zones
from app.publication.follower import SMALL
from app.publication.models import Zone
from app.publication.snapshot import DamagedError, Snapshot
from app.publication.zones import Layer
from app.settings import Settings
from resolver_policy import wire
from resolver_policy.actions import parse_action
from resolver_policy.delta import Rule

REMEDY = (
    "delete the file: the transfer process makes it anew from the database, and serves the zone meanwhile. Then look "
    "for what altered it"
)


def check(database: Database, settings: Settings, zone: Zone, tick: Tick) -> Check:
    """The file of one zone, read as it lies there, against the rules of its release."""
    name, path = f"file {zone.name}", files.path_of(settings.data_dir, zone.name)
    findings = Findings()
    try:
        file = Snapshot(path, _nothing_else)
    except FileNotFoundError:
        return _without(database, name, zone)
    except DamagedError as error:
        findings.add(str(path), f"cannot be read: {error}")
        return found(name, findings, "", REMEDY)
    except OSError as error:
        return could_not_look(name, f"{path}: {error.strerror}")
    rendered = wire.Zone(zone.name, parse_action(zone.action), wire.Soa(settings.mname, settings.rname))
    with database.read() as session:  # opened after the file: it knows the file's release
        if files.identity(session, zone, rendered, file.identity.release_id) != file.identity:
            findings.add(str(path), f"says serial {file.identity.serial}: of another past, or made with other settings")
            return found(name, findings, "", REMEDY)
        try:
            count = compare.names(session, zone, file.identity.release_id, _lines(file), findings, tick)
        except (DamagedError, UnreadableError, ValueError) as error:
            findings.add(str(path), str(error))
            return found(name, findings, "", REMEDY)
    if file.is_damaged:
        findings.add(str(path), "octets of it are not those that were written")
    return found(name, findings, f"serial {file.identity.serial}: {count:,} names, as the rules say", REMEDY)


def _without(database: Database, name: str, zone: Zone) -> Check:
    with database.read() as session:
        newest = zones.head(session)
        is_urgent = zones.layer_of(zone.name) is Layer.URGENT
        count = layering.counts(session)[0] if is_urgent else 0 if newest is None else newest.names
    if count <= SMALL:
        return not_checked(name, f"there is none: a zone of up to {SMALL:,} names is held in memory")
    return not_checked(name, "there is none: it is being made, or the zone is served from another host")


def _lines(file: Snapshot) -> Iterator[tuple[str, Rule]]:
    """The rules as the file has them, each chunk held against the message body that is sent of it."""
    zone = file.identity.zone
    prefix = bytes(reader.HEADER) + wire.wire_name(zone.origin) + bytes(4)
    for number, chunk in enumerate(file.ranges()):
        lines = list(chunk.rules())
        body = prefix + file.body(number)
        parts, end = Reader(zone.origin, zone.action).read(body, len(prefix), chunk.records)
        sent = list(compare.in_order(parts))
        if sent != lines or end != len(body):
            raise UnreadableError(f"chunk {number}: what it sends is not what it says")
        yield from sent


def _nothing_else(_release_id: int, _first_key: str, _past_key: str | None) -> tuple[tuple[str, Rule], ...]:
    """The file is read as it is: a chunk that is damaged is not made anew from the database."""
    return ()
