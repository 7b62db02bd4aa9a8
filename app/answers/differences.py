"""What differs between two moments, as the interface shows it: of decisions, of a zone, of what an ISP lacked."""

import base64
import binascii
import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy.orm import Session

from app.errors import Fault, Gone, Unprocessable
from app.orders import difference as decided
from app.orders import targets
from app.orders.difference import Change, Changed, Turn
from app.orders.targets import Held
from app.publication import zones
from app.publication.models import Zone
from app.subscribers import difference as published
from app.subscribers import standing
from app.subscribers.difference import FIRST, Touch
from app.subscribers.models import SubscriberRow
from resolver_policy import names
from resolver_policy.formats import table

COLUMNS = (
    "name",
    "change",
    "blocked_before",
    "blocked_after",
    "below_blocked_before",
    "below_blocked_after",
    "orders_before",
    "orders_after",
)


@dataclass(frozen=True, slots=True)
class Step:
    """Two releases and, of a zone, its serials then: from what, to what."""

    zone: str
    older: int
    newer: int
    from_serial: int
    to_serial: int

    def document(self) -> dict[str, Any]:
        """As the head of a list."""
        return {"zone": self.zone, "from_serial": self.from_serial, "to_serial": self.to_serial}


def of_decisions(
    session: Session, older: dt.datetime, newer: dt.datetime, only: Change | None = None, *, after: int = 0
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Names that were decided on differently at two moments, with the orders that held them; each with its place."""
    found = decided.between(session, older, newer, after=after)
    return ((each.place, document(each)) for each in found if only in {None, each.change})


def of_zone(
    session: Session, step: Step, only: Change | None = None, *, after: Touch = FIRST
) -> Iterator[tuple[Touch, dict[str, Any]]]:
    """Names that a zone blocked at one of two serials alone; each with its place."""
    found = published.between(session, step.older, step.newer, after=after)
    return ((place, document(each)) for place, each in found if only in {None, each.change})


def check_order(older: dt.datetime, newer: dt.datetime) -> None:
    """Raise Unprocessable where the first moment is not before the second."""
    if older > newer:
        fault = Fault("out_of_order", newer.isoformat(), "/to")
        raise Unprocessable("the first moment is later than the second", faults=(fault,))


def between_serials(session: Session, zone: Zone, older: int, newer: int | None) -> Step:
    """From one serial of a zone to another, or to its newest; raises Gone, Unprocessable."""
    head = zones.head(session)
    to = zones.last_serial(session, zone) if newer is None and head is not None else newer
    first, last = (zones.needed_release(session, zone, serial) for serial in (older, to or 0))
    if first > last:
        raise Unprocessable(f"serial {to} is not later than {older}", faults=(Fault("out_of_order", str(to), "/to"),))
    return Step(zone.name, first, last, older, to or 0)


def between_moments(session: Session, zone: Zone, older: dt.datetime, newer: dt.datetime) -> Step:
    """From the serial that a zone had at one moment to that of another; before its first it blocks nothing."""
    first, last = (_at(session, zone, at) for at in (older, newer))
    return Step(zone.name, first[0], last[0], first[1], last[1])


def lacked_by(session: Session, row: SubscriberRow, zone: Zone, older: dt.datetime, newer: dt.datetime) -> Step:
    """From what an ISP had last been seen with by a moment to what was published at another: what it had to add and to
    drop. Raises Gone where it had been seen with nothing of the zone by then."""
    seen = standing.by_slot(standing.past(session, [row.id], older), older).get((row.id, zone.name))
    if seen is None or seen.release is None or seen.serial is None:
        fault = Fault("not_known", older.isoformat(), "/from")
        raise Gone(f"{row.name} had been seen with no serial of {zone.name} by then: not known", faults=(fault,))
    last = _at(session, zone, newer)
    return Step(zone.name, seen.release, max(last[0], seen.release), seen.serial, max(last[1], seen.serial))


def document(changed: Changed) -> dict[str, Any]:
    """One name that changed."""
    return {
        "name": changed.name,
        "change": changed.change,
        "itself": _turn(changed.itself),
        "below": None if changed.below is None else _turn(changed.below),
        "holders_before": [_held(each) for each in changed.before],
        "holders_after": [_held(each) for each in changed.after],
    }


def as_csv(items: Iterable[dict[str, Any]]) -> Iterator[str]:
    """The same as a table (RFC 4180), safe for spreadsheets."""
    yield table.line(COLUMNS)
    for item in items:
        below = item["below"] or {"before": None, "after": None}
        orders = (_numbers(item["holders_before"]), _numbers(item["holders_after"]))
        verdicts = (item["itself"]["before"], item["itself"]["after"], below["before"], below["after"])
        yield table.line((item["name"], item["change"], *map(_word, verdicts), *orders))


def page(items: Iterable[tuple[Touch, dict[str, Any]]], limit: int) -> dict[str, Any]:
    """So many of them, and the cursor behind them if there are more."""
    found = list(islice(items, limit + 1))
    last = found[limit - 1][0] if len(found) > limit else None
    text = "" if last is None else f"{last.release} {last.key}"
    cursor = None if last is None else base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
    return {"items": [item for _, item in found[:limit]], "next": cursor}


def place_of(cursor: str | None) -> Touch:
    """The place that a cursor stands for; raises Unprocessable for text that is none."""
    if cursor is None:
        return FIRST
    try:
        release, _, key = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition(" ")
        place = Touch(int(release), names.sort_key(names.from_key(key)))
    except (ValueError, binascii.Error):
        place = FIRST
    if not 0 < place.release < 2**63:
        raise Unprocessable(f"{cursor!r} is not a cursor of this list", faults=(Fault("cursor", cursor, "/cursor"),))
    return place


def _at(session: Session, zone: Zone, at: dt.datetime) -> tuple[int, int]:
    head = zones.head_at(session, at)
    found = None if head is None else zones.at_release(session, zone, head.id)
    return (0, 0) if found is None else (found.release_id, found.serial)


def _turn(turn: Turn) -> dict[str, bool]:
    return {"before": turn.before, "after": turn.after}


def _held(held: Held) -> dict[str, Any]:
    return {
        "order_id": held.order.uid,
        "order_number": held.order.number,
        "kind": held.order.kind,
        "target": names.from_key(held.target.key),
        "match": str(targets.MATCHES[held.target.match]),
    }


def _numbers(holders: Sequence[dict[str, Any]]) -> str:
    return " ".join(str(each["order_number"] or each["order_id"]) for each in holders)


def _word(value: object) -> str:
    return {None: "", True: "yes", False: "no"}[bool(value) if value is not None else None]
