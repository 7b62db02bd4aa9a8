"""The rules against what a server sends: a whole transfer of each zone, and which serial it is."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from itertools import chain
from json import loads

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db import Clock, Database
from app.errors import AppError, NotFound, SettingInvalid
from app.fsck import compare, transfer
from app.fsck.compare import OutOfOrderError
from app.fsck.reader import NS, Part, Reader, UnreadableError
from app.fsck.report import Check, Findings, Tick, could_not_look, found, not_checked
from app.fsck.transfer import RefusedError
from app.orders.imports_sorting import KeySorter
from app.publication import zones
from app.publication.models import Release, Zone
from app.settings import Endpoint, Settings
from app.subscribers import keys, pulse, queries
from app.subscribers.keys import Tsig
from app.subscribers.models import SubscriberRow
from resolver_policy.actions import parse_action

LATE = dt.timedelta(seconds=30)
"""A server that has not had a release for so long after it came out is behind."""

REMEDY = (
    "where `rules` and `file` are well, start the transfer process anew (`pulih serve`); a secondary that differs is "
    "to take the whole zone again"
)
SUBSCRIBE = "pulih subscriber add fsck --address ADDRESS/32 --tsig"


@dataclass(frozen=True, slots=True)
class Asking:
    """Which server is asked, as which subscriber; None: the one of the settings, as whoever may ask from here."""

    endpoint: Endpoint | None = None
    subscriber: str | None = None

    def server(self, settings: Settings) -> Endpoint:
        """Where to ask: this service where no other was named, by loopback where it listens everywhere."""
        at = self.endpoint or settings.dns
        if at.host == "localhost" or not ip_address(at.host).is_unspecified:
            return at
        return at._replace(host="::1" if ":" in at.host else "127.0.0.1")


@dataclass(frozen=True, slots=True)
class Fetch:
    """How a zone is fetched."""

    database: Database
    endpoint: Endpoint
    zone: Zone
    key: Tsig | None
    clock: Clock

    def parts(self, zone: Reader) -> Iterator[Part]:
        """Each time over a connection of its own."""
        with transfer.connected(self.endpoint) as connection:
            yield from transfer.parts(connection, zone, self.zone.name, self.key, self.clock)


def check(
    database: Database, settings: Settings, zone: Zone, asking: Asking, clock: Clock, served: dict[str, int], tick: Tick
) -> Check:
    """One zone, as a server sends it, against the rules of the serial that it says; `served` is told the serial."""
    endpoint = asking.server(settings)
    name = f"transfer {zone.name}"
    try:
        with database.read() as session:
            key = _key(session, settings, asking, transfer.source_towards(endpoint))
        return _compared(Fetch(database, endpoint, zone, key, clock), name, served, tick)
    except OSError as error:
        return _silent(database, name, f"{endpoint}: {error.strerror or error}", asking, clock)
    except (AppError, SettingInvalid) as error:
        why = error.detail if isinstance(error, AppError) else str(error)
        return could_not_look(name, why) if asking.subscriber or asking.endpoint else not_checked(name, why)
    except RefusedError as error:
        return could_not_look(name, f"{endpoint}: {error}; the log of the service says why")


def _compared(fetch: Fetch, name: str, served: dict[str, int], tick: Tick) -> Check:
    findings = Findings()
    try:
        count = _names(fetch, findings, served, tick)
    except OutOfOrderError:
        findings = Findings()
        with KeySorter() as sorter:
            count = _names(fetch, findings, served, tick, sorter)
    except UnreadableError as error:
        findings.add(f"{fetch.endpoint}, zone {fetch.zone.name}", f"no secondary would take it: {error}")
        return found(name, findings, "", REMEDY)
    serial = served[fetch.zone.name]
    return found(name, findings, f"{fetch.endpoint} sends serial {serial}: {count:,} names, as the rules say", REMEDY)


def _names(
    fetch: Fetch, findings: Findings, served: dict[str, int], tick: Tick, sorter: KeySorter | None = None
) -> int:
    """Compare as it comes; what another server sends in an order of its own is sorted in files first (`sorter`)."""
    zone = fetch.zone
    with fetch.database.read() as session:
        due = _due(session, zone, fetch.clock() - LATE)
    reader = Reader(zone.name, parse_action(zone.action))
    parts = fetch.parts(reader)
    all_parts = chain([first for first in [next(parts, None)] if first is not None], parts)
    serial = served[zone.name] = reader.serials[0]
    where = f"{fetch.endpoint}, zone {zone.name}"
    with fetch.database.read() as session:  # opened after the serial is known: the database knows its release
        release_id = zones.release_of(session, zone, serial)
        if release_id is None:
            findings.add(where, f"sends serial {serial}, which this database never had")
            return 0
        theirs = compare.in_order(all_parts) if sorter is None else compare.sorted_out(all_parts, sorter)
        count = compare.names(session, zone, release_id, theirs, findings, tick)
    if serial < due:
        findings.add(where, f"still sends serial {serial}, and {due} came out more than {LATE.seconds} s ago")
    if NS not in reader.apex:
        findings.add(where, "has no NS record at its apex")
    return count


def _due(session: Session, zone: Zone, before: dt.datetime) -> int:
    """The newest serial of a zone that came out by a moment; 0 for none."""
    newest = session.scalar(
        select(Release.id).where(Release.published_at <= before).order_by(Release.id.desc()).limit(1)
    )
    at = None if newest is None else zones.at_release(session, zone, newest)
    return 0 if at is None else at.serial


def _key(session: Session, settings: Settings, asking: Asking, source: str) -> Tsig | None:
    """The key of whoever may fetch zones from this address; raises NotFound where nobody may."""
    if asking.subscriber is not None:
        row = queries.live_by_name(session, asking.subscriber)
    else:
        rows = session.scalars(
            select(SubscriberRow).where(SubscriberRow.removed_at.is_(None)).order_by(SubscriberRow.id)
        )
        here = [row for row in rows if _is_of(source, loads(row.addresses))]
        if not here:
            command = SUBSCRIBE.replace("ADDRESS", source)
            raise NotFound(f"no subscriber may fetch zones from {source}: {command}, or --as NAME")
        row = here[0]
    return keys.opened(session, row, settings.secret_key_path)


def _is_of(address: str, ranges: Sequence[str]) -> bool:
    at = ip_address(address.partition("%")[0])
    return any(at in ip_network(each) for each in ranges)


def _silent(database: Database, name: str, why: str, asking: Asking, clock: Clock) -> Check:
    """A server that does not answer: one that should is not looked at, one that was stopped is not there to be."""
    with database.read() as session:
        runs = any(clock() - row.seen_at < pulse.SILENT_AFTER for row in pulse.processes(session))
    if asking.endpoint is None and not runs:
        return not_checked(name, f"{why}; no transfer process runs")
    return could_not_look(name, why)
