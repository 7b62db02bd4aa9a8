"""What subscribers have, derived from what their servers are known to have: now, or at a past moment.

A subscriber has a serial when all of its servers that count have it: what it has is what the one furthest behind has.
A server counts from when it first showed a serial of the zone, until nothing of the kind was written down for 30 days:
so long (the SOA's expire) a secondary that is cut off goes on answering by what it last took. An address that once took
the zone and never came back (somebody who looked at it by hand) does not count, nor does one that was forgotten. What
an ISP acknowledges for itself counts where no server does. Behind a relay only the relay is seen.
"""

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import TypeVar

from sqlalchemy import ColumnElement, ScalarSelect, Select, and_, func, select
from sqlalchemy.orm import Session, aliased

from app.orders import targets
from app.subscribers import deliveries
from app.subscribers.deliveries import WHOLE
from app.subscribers.ledger import FORGOTTEN
from app.subscribers.models import Delivery, Exchange

LIVE = dt.timedelta(days=30)
"""SOA expire, see `resolver_policy.wire`."""

Value = TypeVar("Value")

Slot = tuple[int, str]
"""A subscriber's id and a zone."""


@dataclass(frozen=True, slots=True)
class Server:
    """What one address is known to have: nothing (`serial` None), or one that the zone never had (`release` None).

    `had_at` is when it was last written down as having one that the zone had.
    """

    subscriber_id: int
    zone: str
    address: str
    serial: int | None
    release: int | None
    since: dt.datetime | None
    had_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Has:
    """What a subscriber has of a zone; `since` is when the last of the servers that are at it came to have it."""

    serial: int | None
    release: int | None
    since: dt.datetime | None
    servers: tuple[Server, ...]


def present(session: Session, subscriber_ids: Collection[int]) -> list[Server]:
    """What every address is known to have now."""
    columns = (
        Delivery.subscriber_id,
        Delivery.zone,
        Delivery.address,
        Delivery.seen_serial,
        Delivery.seen_release,
        Delivery.seen_at,
        Delivery.had_at,
    )
    return [
        Server(*row)
        for ids in targets.batches(subscriber_ids)
        for row in session.execute(select(*columns).where(Delivery.subscriber_id.in_(ids)))
    ]


def server_of(row: Delivery) -> Server:
    """What one address is known to have now, by its row."""
    return Server(row.subscriber_id, row.zone, row.address, row.seen_serial, row.seen_release, row.seen_at, row.had_at)


def past(session: Session, subscriber_ids: Collection[int], at: dt.datetime) -> list[Server]:
    """What every address was known to have at a moment, by the ledger."""
    found: list[tuple[int, int, dt.datetime | None]] = []
    for ids in targets.batches(subscriber_ids):
        query = select(Delivery.subscriber_id, _newest(at), _had(at)).where(Delivery.subscriber_id.in_(ids))
        found += [(id_, newest, had_at) for id_, newest, had_at in session.execute(query) if newest is not None]
    had = {newest: had_at for _, newest, had_at in found}
    rows: list[Exchange] = []
    for some in targets.batches(had):
        rows += session.scalars(select(Exchange).where(Exchange.id.in_(some)))
    return [
        Server(row.subscriber_id, row.zone, row.address, row.has_serial, row.has_release, row.has_since, had[row.id])
        for row in rows
    ]


def known(session: Session, subscriber_ids: Collection[int], at: dt.datetime | None) -> list[Server]:
    """What every address is known to have, or was at a moment."""
    return present(session, subscriber_ids) if at is None else past(session, subscriber_ids, at)


def by_slot(servers: Iterable[Server], now: dt.datetime) -> Mapping[Slot, Has]:
    """What each subscriber has of each zone; nothing for one of which nothing is known."""
    whole = ((slot, has_of(list(some), now)) for slot, some in _grouped(servers))
    return {slot: has for slot, has in whole if has is not None}


def has_of(servers: Sequence[Server], now: dt.datetime) -> Has | None:
    """What the servers of one subscriber and zone add up to; None where nothing is known of any."""
    servers = sorted(servers, key=attrgetter("address"))
    counting = [server for server in servers if counts(server, now)]
    counting = counting or [server for server in servers if server.address == WHOLE and server.release is not None]
    counting = counting or [server for server in servers if server.serial is not None]
    if not counting:
        return None
    worst = min(counting, key=_order)
    since = max((each.since for each in counting if each.serial == worst.serial and each.since), default=None)
    return Has(worst.serial, worst.release, since, tuple(counting))


def counts(server: Server, now: dt.datetime) -> bool:
    """Whether a server is one of those that must have a serial."""
    return server.address != WHOLE and server.had_at is not None and now - server.had_at <= LIVE


def live(session: Session, zone: str, now: dt.datetime) -> list[Server]:
    """Every server that may still answer by a zone, also one that does not count for its subscriber."""
    recent = select(Delivery.subscriber_id, Delivery.address).where(
        Delivery.zone == zone, Delivery.address != WHOLE, Delivery.asked_at >= now - LIVE
    )
    places = {(id_, address) for id_, address in session.execute(recent)}
    servers = present(session, {id_ for id_, _ in places})
    return [each for each in servers if each.zone == zone and (each.subscriber_id, each.address) in places]


def live_of(session: Session, subscriber_id: int, zones: Iterable[str], now: dt.datetime) -> list[str]:
    """The addresses of one subscriber that may still answer by any of these zones."""
    servers = (server for zone in zones for server in live(session, zone, now))
    return sorted({server.address for server in servers if server.subscriber_id == subscriber_id})


def not_told_apart(session: Session, zone: str, now: dt.datetime) -> set[int]:
    """The subscribers with more servers than are told apart: so many rows of a zone, and one that asks besides."""
    recent = select(Delivery.subscriber_id).where(
        Delivery.zone == zone, Delivery.address == WHOLE, Delivery.asked_at >= now - LIVE
    )
    counted = select(Delivery.subscriber_id).where(Delivery.zone == zone, Delivery.subscriber_id.in_(recent))
    full = counted.group_by(Delivery.subscriber_id).having(func.count() >= deliveries.MOST_SERVERS)
    return set(session.scalars(full))


def lacking(session: Session, zone: str, release: int, now: dt.datetime) -> list[Server]:
    """Those of them that are not known to have a release of the zone, or a later one."""
    return [each for each in live(session, zone, now) if each.release is None or each.release < release]


def _grouped(servers: Iterable[Server]) -> Iterator[tuple[Slot, Iterator[Server]]]:
    ordered = sorted(servers, key=_slot)
    return groupby(ordered, key=_slot)


def _slot(server: Server) -> Slot:
    return server.subscriber_id, server.zone


def _order(server: Server) -> tuple[int, int]:
    """The one furthest behind first: nothing, then what the zone never had, then by release."""
    return server.release or 0, 0 if server.serial is None else 1


def _newest(at: dt.datetime) -> ScalarSelect[int]:
    """The newest row of an address by a moment."""
    query = select(Exchange.id).where(_of_address(), Exchange.recorded_at <= at)
    return _last(query).correlate(Delivery).scalar_subquery()


def _had(at: dt.datetime) -> ScalarSelect[dt.datetime]:
    """When an address was last written down as having something: within the time that it counts for, and since it
    was last forgotten."""
    gone = aliased(Exchange)
    forgotten = select(func.coalesce(func.max(gone.id), 0)).where(
        _of_address(gone), gone.kind == FORGOTTEN, gone.recorded_at <= at
    )
    within = and_(Exchange.recorded_at <= at, Exchange.recorded_at >= at - LIVE)
    later = Exchange.id > forgotten.correlate(Delivery).scalar_subquery()
    query = select(Exchange.recorded_at).where(_of_address(), within, later, Exchange.has_release.is_not(None))
    return _last(query).correlate(Delivery).scalar_subquery()


def _of_address(row: type[Exchange] = Exchange) -> ColumnElement[bool]:
    return and_(row.subscriber_id == Delivery.subscriber_id, row.zone == Delivery.zone, row.address == Delivery.address)


def _last(query: Select[Value]) -> Select[Value]:
    return query.order_by(Exchange.recorded_at.desc(), Exchange.id.desc()).limit(1)
