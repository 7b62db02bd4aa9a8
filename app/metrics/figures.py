"""Figures as the database has them, in the terms of Prometheus; taken anew each time they are asked for.

Their cost follows the number of orders and subscribers, never of names: orders are counted by state with the names
they were proposed with, lifts are those of the newest releases.
"""

import datetime as dt
import math
from collections.abc import Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db import database_now
from app.journal.models import JournalHead
from app.orders.models import Order, OrderState, Touched
from app.publication import stops, zones
from app.publication.models import BaseRow, PublisherLease, Release, ReleaseAct
from app.subscribers import pulse, queries
from app.subscribers.lag import Lag
from app.subscribers.models import ExchangeCount, SubscriberRow

PAGE = 500
LIFTS_WITHIN = dt.timedelta(hours=1)
RELEASES_WITHIN = 3_600
"""At most so many releases are made within an hour: one a second."""

QUANTILES = (0.5, 0.99, 1.0)


def collect(session: Session, now: dt.datetime, overdue_after: dt.timedelta) -> Iterator[Metric]:
    """All of them, in a fixed order."""
    yield from _zones(session)
    yield from _orders(session)
    yield from _publication(session, now)
    yield from _lifts(session, now)
    yield _counter("pulih_journal_events", "Events in the journal", session.scalar(select(JournalHead.size)) or 0)
    yield from _subscribers(session, now, overdue_after)
    yield from _exchanges(session)
    yield from _transfer_processes(session, now)


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(name, what, value=value)


def _counter(name: str, what: str, value: float) -> Metric:
    return CounterMetricFamily(name, what, value=value)


def _zones(session: Session) -> Iterator[Metric]:
    serial = GaugeMetricFamily("pulih_zone_serial", "Serial that a zone is published with", labels=["zone"])
    published = GaugeMetricFamily(
        "pulih_zone_published_timestamp_seconds", "When that serial was published", labels=["zone"]
    )
    head = zones.head(session)
    if head is not None:
        for zone in zones.active(session):
            at = zones.at_release(session, zone, head.id)
            if at is not None:
                serial.add_metric([zone.name], at.serial)
                published.add_metric([zone.name], session.get_one(Release, at.release_id).published_at.timestamp())
    yield serial
    yield published
    yield _gauge("pulih_names", "Names under a published rule", 0 if head is None else head.names)
    yield _gauge("pulih_rules", "Records of a published zone", 0 if head is None else head.rules)


def _orders(session: Session) -> Iterator[Metric]:
    orders = GaugeMetricFamily("pulih_orders", "Orders by kind and state", labels=["kind", "state"])
    targets = GaugeMetricFamily("pulih_blocks", "Targets of those orders", labels=["kind", "state"])
    query = select(Order.kind, Order.state, func.count(), func.sum(Order.targets_count)).group_by(
        Order.kind, Order.state
    )
    for kind, state, count, names in session.execute(query.order_by(Order.kind, Order.state)):
        if state != OrderState.IMPORTING:
            orders.add_metric([kind, state], count)
            targets.add_metric([kind, state], int(names))
    yield orders
    yield targets


def _publication(session: Session, now: dt.datetime) -> Iterator[Metric]:
    oldest = session.scalar(select(func.min(Touched.touched_at)))
    waiting = 0.0 if oldest is None else max(0.0, (now - oldest).total_seconds())
    yield _gauge("pulih_unpublished_seconds", "Age of the oldest change that is not published yet", waiting)
    yield _gauge("pulih_stops", "Findings that keep blocks from being published", len(stops.standing(session)))
    expires_at = session.scalar(select(PublisherLease.expires_at))
    left = 0.0 if expires_at is None else (expires_at - database_now(session)).total_seconds()
    yield _gauge("pulih_publisher_lease_seconds", "For how long somebody publishes; below zero: nobody does", left)
    late = select(func.count()).where(BaseRow.late_at.is_not(None), BaseRow.dropped_release_id.is_(None))
    yield _gauge("pulih_bases_late", "Bases that servers keep from being let go", session.scalar(late) or 0)


def _lifts(session: Session, now: dt.datetime) -> Iterator[Metric]:
    """Only orders that ended: an opening that ends is no lift."""
    newest = session.scalar(select(func.max(Release.id))) or 0
    query = (
        select(Release.published_at, Order.ended_at)
        .join(ReleaseAct, ReleaseAct.release_id == Release.id)
        .join(Order, Order.id == ReleaseAct.order_id)
        .where(Release.id > newest - RELEASES_WITHIN, Release.published_at > now - LIFTS_WITHIN)
        .where(ReleaseAct.ends, ReleaseAct.whole)
    )
    took = sorted((published - ended).total_seconds() for published, ended in session.execute(query) if ended)
    yield _gauge("pulih_lifts_last_hour", "Orders whose lift was published within the last hour", len(took))
    latency = GaugeMetricFamily(
        "pulih_lift_publication_seconds",
        "From the act that lifted to the release that carried it, within the last hour",
        labels=["quantile"],
    )
    for share in QUANTILES if took else ():
        latency.add_metric([str(share)], quantile(took, share))
    yield latency


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that is not below `share` (0 to 1) of them; they are in order, and not none."""
    return ordered[math.ceil(share * len(ordered)) - 1]


def _subscribers(session: Session, now: dt.datetime, overdue_after: dt.timedelta) -> Iterator[Metric]:
    labels = ["subscriber", "zone"]
    has = GaugeMetricFamily("pulih_subscriber_serial", "Serial that a subscriber is known to have", labels=labels)
    serials = GaugeMetricFamily("pulih_subscriber_lag_serials", "Serials that it lacks", labels=labels)
    seconds = GaugeMetricFamily("pulih_subscriber_lag_seconds", "For how long it has lacked the first", labels=labels)
    overdue = GaugeMetricFamily("pulih_subscriber_overdue", "1: it has lacked one for too long", labels=labels)
    lag = Lag(session, now, overdue_after, with_names=False)
    for rows in _pages(session):
        standings = lag.standings(rows)
        for row in rows:
            for each in standings[row.id]:
                place = [row.name, each.zone]
                overdue.add_metric(place, 0 if each.overdue_since is None else 1)
                if each.has is not None and each.has.serial is not None:
                    has.add_metric(place, each.has.serial)
                if each.behind is not None:
                    serials.add_metric(place, each.behind.serials)
                    seconds.add_metric(place, each.behind.seconds)
    yield from (has, serials, seconds, overdue)


def _pages(session: Session) -> Iterator[Sequence[SubscriberRow]]:
    rows = queries.page(session, after=0, limit=PAGE)
    while rows:
        yield rows
        rows = queries.page(session, after=rows[-1].id, limit=PAGE)


def _exchanges(session: Session) -> Iterator[Metric]:
    labels = ["subscriber", "zone", "kind", "result"]
    counts = CounterMetricFamily("pulih_exchanges", "What subscribers asked, or were told by NOTIFY", labels=labels)
    octets = CounterMetricFamily("pulih_sent_octets", "Octets of the answers", labels=labels)
    query = select(SubscriberRow.name, ExchangeCount).join(
        SubscriberRow, SubscriberRow.id == ExchangeCount.subscriber_id
    )
    rows = session.execute(query.where(SubscriberRow.removed_at.is_(None))).all()
    for name, row in sorted(rows, key=lambda found: (found[0], found[1].zone, found[1].kind, found[1].result)):
        place = [name, row.zone, row.kind, row.result]
        counts.add_metric(place, row.count)
        octets.add_metric(place, row.octets)
    yield from (counts, octets)


def _transfer_processes(session: Session, now: dt.datetime) -> Iterator[Metric]:
    labels = ["process"]
    up = GaugeMetricFamily("pulih_transfer_up", "1: a transfer process was heard of lately", labels=labels)
    connections = GaugeMetricFamily("pulih_transfer_connections", "Its open connections over TCP", labels=labels)
    late = GaugeMetricFamily(
        "pulih_transfer_loop_late_seconds", "The longest that its loop was late in ten seconds", labels=labels
    )
    for row in pulse.processes(session):
        up.add_metric([row.name], 1 if now - row.seen_at < pulse.SILENT_AFTER else 0)
        connections.add_metric([row.name], row.connections)
        late.add_metric([row.name], row.late_microseconds / 1_000_000)
    yield from (up, connections, late)
