"""How subscribers look over HTTP and in `--json`: never with a secret."""

import datetime as dt
import json
from collections.abc import Callable, Sequence
from ipaddress import ip_network
from operator import attrgetter
from typing import Any

from sqlalchemy.orm import Session

from app.subscribers import queries, standing
from app.subscribers.deliveries import WHOLE
from app.subscribers.lag import Lag, Standing
from app.subscribers.models import Delivery, Exchange, KeyRow, SubscriberRow
from app.subscribers.pending import Item, Names
from app.subscribers.ranges import address_of, covers

Part = dict[str, Any] | None

MOST_ITEMS = 20
"""Names that a subscriber's own document tells of each kind; `/pending` has them all."""


def subscriber(session: Session, row: SubscriberRow, lag: Lag) -> dict[str, Any]:
    """A subscriber with its live keys, by name, and how each zone stands with it."""
    return _subscriber(session, row, lag, lag.standings([row])[row.id])


def subscribers(session: Session, rows: Sequence[SubscriberRow], lag: Lag) -> list[dict[str, Any]]:
    """The same for many."""
    standings = lag.standings(rows)
    return [_subscriber(session, row, lag, standings[row.id]) for row in rows]


def _subscriber(session: Session, row: SubscriberRow, lag: Lag, standings: Sequence[Standing]) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "addresses": json.loads(row.addresses),
        "notify": json.loads(row.notify),
        "keyed": row.keyed,
        "layered": row.layered,
        "overrides": row.overrides,
        "settling_seconds": row.settling,
        "keys": [_key(key) for key in queries.keys_of(session, row, lag.now)],
        "created_at": row.created_at,
        "removed_at": row.removed_at,
        "zones": [_standing(each, lag.now) for each in standings],
    }


def own(session: Session, row: SubscriberRow, address: str | None, lag: Lag) -> dict[str, Any]:
    """The same for the ISP itself, with whether it asks from an address of its own just now."""
    networks = [ip_network(text) for text in json.loads(row.addresses)]
    return {
        "approved": True,
        "your_address": address,
        "your_address_registered": covers(networks, address_of(address)),
        "signature_needed": row.keyed,
        **subscriber(session, row, lag),
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
        "names_pending": delivery.acknowledged_pending,
        "note": delivery.acknowledged_note,
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


def _standing(one: Standing, now: dt.datetime) -> dict[str, Any]:
    behind, has, pending = one.behind, one.has, one.pending
    counting = () if has is None else has.servers
    return {
        "zone": one.zone,
        "serial": one.serial,
        "published_at": one.published_at,
        "has": None if has is None or has.serial is None else {"serial": has.serial, "at": has.since},
        **_last(one.deliveries),
        "behind": None if behind is None else {"serials": behind.serials, "seconds": behind.seconds},
        "overdue": one.overdue_since is not None,
        "overdue_since": one.overdue_since,
        "still_blocked": None if pending is None else _some(pending.still_blocked),
        "not_yet_blocked": None if pending is None else _some(pending.not_yet_blocked),
        "servers_counted": len(counting),
        "servers": [_server(each, now) for each in one.deliveries if each.address != WHOLE],
    }


def _some(names: Names) -> dict[str, Any]:
    """How many, and the first of them; `exact` is false where there are too many to be named."""
    return {"count": names.count, "exact": names.exact, "items": [item(each) for each in names.items[:MOST_ITEMS]]}


def item(item: Item) -> dict[str, Any]:
    """A name and how much of it: it alone, with all below it, or only what is below it."""
    return {"name": item.name, "match": item.match}


def exchange(row: Exchange) -> dict[str, Any]:
    """One row of the ledger. `has` is what that address was known to have afterwards."""
    return {
        "id": row.id,
        "zone": row.zone,
        "address": row.source or None,
        "at": row.at,
        "recorded_at": row.recorded_at,
        "kind": row.kind,
        "asked_serial": row.asked_serial,
        "sent_serial": row.sent_serial,
        "octets": row.octets,
        "milliseconds": row.milliseconds,
        "outcome": row.outcome,
        "has": None if row.has_serial is None else {"serial": row.has_serial, "at": row.has_since},
        "folded": row.folded,
    }


def _server(row: Delivery, now: dt.datetime) -> dict[str, Any]:
    return {
        "address": row.address,
        "counts": standing.counts(standing.server_of(row), now),
        "has": None if row.seen_serial is None else {"serial": row.seen_serial, "at": row.seen_at},
        "asked": _asked(row),
        "sent": _sent(row),
        "refused": _refused(row),
    }


def _last(rows: Sequence[Delivery]) -> dict[str, Any]:
    """The last of each that any of its servers did, null where none ever did."""
    return {
        "asked": _newest(rows, "asked_at", _asked),
        "sent": _newest(rows, "sent_at", _sent),
        "notified": _newest(rows, "notified_at", _notified),
        "refused": _newest(rows, "refused_at", _refused),
        "acknowledged": _newest(rows, "acknowledged_at", _acknowledged),
    }


def _newest(rows: Sequence[Delivery], column: str, part: Callable[[Delivery], Part]) -> Part:
    dated = [row for row in rows if getattr(row, column) is not None]
    return part(max(dated, key=attrgetter(column))) if dated else None


def _asked(row: Delivery) -> Part:
    return _part(row.asked_at, kind=row.asked_kind, serial=row.asked_serial)


def _sent(row: Delivery) -> Part:
    return _part(row.sent_at, serial=row.sent_serial, octets=row.sent_octets)


def _notified(row: Delivery) -> Part:
    return _part(row.notified_at, outcome=row.notify_outcome)


def _refused(row: Delivery) -> Part:
    return _part(row.refused_at, reason=row.refusal)


def _acknowledged(row: Delivery) -> Part:
    return _part(
        row.acknowledged_at,
        serial=row.acknowledged_serial,
        phase=row.acknowledged_phase,
        names_pending=row.acknowledged_pending,
        note=row.acknowledged_note,
    )


def _part(at: dt.datetime | None, **fields: object) -> Part:
    return None if at is None else {**fields, "at": at}
