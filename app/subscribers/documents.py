"""How subscribers look over HTTP and in `--json`: never with a secret."""

import datetime as dt
import json
from ipaddress import ip_network
from typing import Any

from sqlalchemy.orm import Session

from app.subscribers import queries
from app.subscribers.models import Delivery, KeyRow, SubscriberRow
from app.subscribers.queries import Standing
from app.subscribers.ranges import address_of, covers

OVERDUE = dt.timedelta(minutes=15)
"""Three refreshes of the SOA: whoever is behind for longer has missed every NOTIFY and every poll."""


def subscriber(session: Session, row: SubscriberRow, now: dt.datetime) -> dict[str, Any]:
    """A subscriber with its live keys, by name, and how each zone stands with it."""
    return {
        "id": row.id,
        "name": row.name,
        "addresses": json.loads(row.addresses),
        "notify": json.loads(row.notify),
        "keyed": row.keyed,
        "keys": [_key(key) for key in queries.keys_of(session, row, now)],
        "created_at": row.created_at,
        "removed_at": row.removed_at,
        "zones": [_standing(each, row, now) for each in queries.standings(session, row, now)],
    }


def own(session: Session, row: SubscriberRow, address: str | None, now: dt.datetime) -> dict[str, Any]:
    """The same for the ISP itself, with whether it asks from an address of its own just now."""
    networks = [ip_network(text) for text in json.loads(row.addresses)]
    return {
        "approved": True,
        "your_address": address,
        "your_address_registered": covers(networks, address_of(address)),
        "signature_needed": row.keyed,
        **subscriber(session, row, now),
    }


def unknown(name: str, address: str | None) -> dict[str, Any]:
    """What an ISP is told whose name is on no register, or no more."""
    return {
        "approved": False,
        "name": name,
        "your_address": address,
        "your_address_registered": False,
        "detail": f"{name} is not registered as a subscriber: transfers are refused until it is",
        "zones": [],
    }


def acknowledged(delivery: Delivery, newest: int) -> dict[str, Any]:
    """What an acknowledgement is answered: what was noted, and the serial to be at."""
    return {
        "zone": delivery.zone,
        "serial": delivery.acknowledged_serial,
        "phase": delivery.acknowledged_phase,
        "at": delivery.acknowledged_at,
        "newest": newest,
    }


def _key(key: KeyRow) -> dict[str, Any]:
    return {
        "name": key.name,
        "algorithm": key.algorithm,
        "valid_from": key.valid_from,
        "valid_until": key.valid_until,
    }


def _standing(standing: Standing, row: SubscriberRow, now: dt.datetime) -> dict[str, Any]:
    behind = standing.behind
    return {
        "zone": standing.zone,
        "serial": standing.serial,
        "published_at": standing.published_at,
        **_delivery(standing.delivery or Delivery()),
        "behind": None if behind is None else {"serials": behind.serials, "seconds": behind.seconds},
        "overdue": _overdue(standing, row, now),
    }


def _overdue(standing: Standing, row: SubscriberRow, now: dt.datetime) -> bool:
    if standing.behind is not None:
        return standing.behind.seconds > OVERDUE.total_seconds()
    return now - row.created_at > OVERDUE


def _delivery(row: Delivery) -> dict[str, Any]:
    """What is known, each part null where nothing is."""
    return {
        "has": _part(row.seen_at, serial=row.seen_serial),
        "asked": _part(row.asked_at, kind=row.asked_kind, serial=row.asked_serial),
        "sent": _part(row.sent_at, serial=row.sent_serial, octets=row.sent_octets),
        "notified": _part(row.notified_at, outcome=row.notify_outcome),
        "refused": _part(row.refused_at, reason=row.refusal),
        "acknowledged": _part(row.acknowledged_at, serial=row.acknowledged_serial, phase=row.acknowledged_phase),
    }


def _part(at: dt.datetime | None, **fields: object) -> dict[str, Any] | None:
    return None if at is None else {**fields, "at": at}
