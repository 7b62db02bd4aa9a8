"""The journal against what stands beside orders: each token, subscriber, SOP, review, incident, stop and application
whose row is not what its events add up to."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from app.auth.models import Principal, Token
from app.cases.models import Application, BroughtPaper, ConcernedName, ConcernedOrder
from app.db import streamed
from app.fsck.beside import Beside
from app.fsck.register_events import ACTS, Columns, replay
from app.fsck.report import Check, Findings, Tick, found
from app.fsck.said import EVENTS_AT_ONCE, differences, name_of
from app.journal.models import Event
from app.orders import sop_templates
from app.orders.models import ConditionRow, Incident, Order, Review
from app.orders.sop_models import SopRow
from app.orders.sops import said_by
from app.publication import stops
from app.publication.models import Stop
from app.subscribers.models import KeyRow, SubscriberRow
from resolver_policy import names
from resolver_policy.errors import PolicyError

REGISTERS = "registers"
REMEDY = (
    "the tables were altered past the service, or the service has a fault: nothing here mends them. Revoke a token "
    "that nobody made (`pulih token revoke`), compare the rest with its events (`pulih audit export`), and restore a "
    "backup from before"
)
TOLD_EVERY = 1_000


class Row(NamedTuple):
    """A row, as its events would call it and its columns."""

    thing: str
    columns: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class _Known:
    """What rows refer to by number, and events by name."""

    session: Session
    people: Mapping[int, str]
    roles: Mapping[int, str]

    @classmethod
    def of(cls, session: Session) -> "_Known":
        rows = session.execute(select(Principal.id, Principal.name, Principal.role)).all()
        return cls(session, {row.id: row.name for row in rows}, {row.id: row.role for row in rows})

    def person(self, id_: int | None) -> object:
        return None if id_ is None else self.people.get(id_, id_)


def check(session: Session, tick: Tick) -> Check:
    """Replay the events of each register, and compare."""
    findings, count = Findings(), 0
    told = replay(_events(session, tick))
    for at in told.unreadable:
        findings.add(f"event {name_of(at)}", "it does not say what such an event says")
    left = dict(told.things)
    for thing, columns in _rows(_Known.of(session)):
        count += 1
        for why in _wrong_in(columns, left.pop(thing, None)):
            findings.add(thing, why)
    for thing, said in left.items():
        first = min((each.event for each in said.values()), key=lambda event: event.seq)
        findings.add(thing, f"event {name_of(first)} tells of it, and it has no row")
    _check_shipped(session, findings)
    well = f"{count:,} tokens, subscribers, SOPs, reviews, incidents, stops and applications"
    return found(REGISTERS, findings, well, REMEDY)


def events(session: Session) -> int:
    """How many steps `check` takes."""
    return session.scalar(select(func.count()).select_from(Event).where(Event.type.in_(ACTS))) or 0


def _check_shipped(session: Session, findings: Findings) -> None:
    """Templates that nobody has proposed are those that ship, as they ship."""
    left = {f"SOP {row['code']} revision {row['version']}": row for row in sop_templates.shipped()}
    for row in session.scalars(select(SopRow).where(SopRow.proposed_by_id.is_(None)).order_by(SopRow.id)):
        thing = f"SOP {row.code} revision {row.version}"
        ships = left.pop(thing, None)
        if ships is None:
            findings.add(thing, "nobody has proposed it, and Pulih does not ship it")
        elif any(getattr(row, column) != value for column, value in ships.items()):
            findings.add(thing, "nobody has proposed it, and it is not as Pulih ships it")
    for thing in left:
        findings.add(thing, "Pulih ships it, and it has no row")


def _events(session: Session, tick: Tick) -> Iterator[Event]:
    query = select(Event).where(Event.type.in_(ACTS)).order_by(Event.seq)
    for number, (event,) in enumerate(streamed(session, query, at_once=EVENTS_AT_ONCE), start=1):
        yield event
        if not number % TOLD_EVERY:
            tick(TOLD_EVERY)


def _wrong_in(columns: Mapping[str, object], said: Columns | None) -> Iterator[str]:
    if said is None:
        yield "it has a row, and no event tells of it"
    else:
        yield from differences(columns, said)


def _rows(known: _Known) -> Iterator[Row]:
    for rows in (_tokens, _subscribers, _keys, _sops, _reviews, _incidents, _stops, _applications):
        yield from rows(known)


def _tokens(known: _Known) -> Iterator[Row]:
    for (row,) in streamed(known.session, select(Token).order_by(Token.id)):
        columns = _columns(row, "created_at", "expires_at", "revoked_at", "addresses")
        who = {"principal": known.person(row.principal_id), "role": known.roles.get(row.principal_id)}
        yield Row(f"token {row.id}", columns | who)


def _subscribers(known: _Known) -> Iterator[Row]:
    for (row,) in streamed(known.session, select(SubscriberRow).order_by(SubscriberRow.id)):
        columns = _columns(row, "keyed", "layered", "overrides", "settling", "removed_at")
        asked = {name: _read(json.loads, getattr(row, name)) for name in ("addresses", "notify")}
        yield Row(f"subscriber {row.name}", columns | asked)


def _keys(known: _Known) -> Iterator[Row]:
    query = select(KeyRow, SubscriberRow.name).outerjoin(SubscriberRow, SubscriberRow.id == KeyRow.subscriber_id)
    for row, subscriber in streamed(known.session, query.order_by(KeyRow.id)):
        columns = _columns(row, "algorithm", "valid_from", "valid_until")
        yield Row(f"key {row.name}", columns | {"subscriber": subscriber})


def _sops(known: _Known) -> Iterator[Row]:
    """But for those that nobody has proposed (`_check_shipped`)."""
    query = select(SopRow).where(SopRow.proposed_by_id.is_not(None)).order_by(SopRow.id)
    for (row,) in streamed(known.session, query):
        columns = _columns(row, "number", "state", "proposed_at", "decided_at")
        who = {name: known.person(getattr(row, f"{name}_id")) for name in ("proposed_by", "decided_by")}
        said = {"said": _read(said_by, row), "digest": "sha256:" + row.sha256.hex()}
        yield Row(f"SOP {row.code} revision {row.version}", columns | who | said)


def _reviews(known: _Known) -> Iterator[Row]:
    order, another = aliased(Order), aliased(Order)
    query = select(Review, ConditionRow.uid, order.uid, another.uid)
    query = query.join(ConditionRow, ConditionRow.id == Review.condition_id).join(order, order.id == Review.order_id)
    query = query.outerjoin(another, another.id == Review.new_order_id)
    for row, condition, about, new_order in streamed(known.session, query.order_by(Review.id)):
        columns = _columns(row, "version", "cause", "missed_at", "opened_at")
        closed = _columns(row, "closed_at", "decision", "decision_reason")
        others = {"order": about, "condition": condition, "new_order": new_order}
        who = {name: known.person(getattr(row, f"{name}_id")) for name in ("opened_by", "closed_by")}
        yield Row(f"review {row.uid}", columns | closed | others | who)


def _incidents(known: _Known) -> Iterator[Row]:
    query = select(Incident, Order.uid).join(Order, Order.id == Incident.order_id)
    for row, about in streamed(known.session, query.order_by(Incident.id)):
        columns = _columns(row, "names", "reason", "recorded_at", "blocked_since")
        yield Row(f"incident {row.uid}", columns | {"order": about, "recorded_by": known.person(row.recorded_by_id)})


def _stops(known: _Known) -> Iterator[Row]:
    for (row,) in streamed(known.session, select(Stop).order_by(Stop.id)):
        columns = _columns(row, "stopped_at", "asked_at", "released_at")
        who = {name: known.person(getattr(row, f"{name}_id")) for name in ("asked_by", "released_by")}
        findings = _read(lambda stop: [stops.told(each) for each in stops.findings(stop)], row)
        yield Row(f"stop {row.id}", columns | who | {"findings": findings})


APPLICATION = (
    *("version", "kind", "standing", "hours", "received_at", "entered_at", "entered_seq", "state", "due_at"),
    *("left_seconds", "closed_at", "ground", "document"),
)


def _applications(known: _Known) -> Iterator[Row]:
    name, order, paper = ConcernedName, ConcernedOrder, BroughtPaper
    concerned = select(order.application_id, Order.uid, order.whole).join(Order, Order.id == order.order_id)
    brought = select(paper.application_id, paper).order_by(paper.application_id, paper.id)
    keys, uids, papers = (
        Beside(streamed(known.session, query), lambda row: int(row[0]))
        for query in (
            select(name.application_id, name.key).order_by(name.application_id),
            concerned.order_by(order.application_id),
            brought,
        )
    )
    appealed = dict(known.session.execute(select(Application.id, Application.uid)).all())
    for (row,) in streamed(known.session, select(Application).order_by(Application.id)):
        reason = None if row.reason_id is None else {"id": row.reason_id, "en": row.reason_en}
        about = {
            "names": sorted(str(_read(names.from_key, key)) for _, key in keys.at(row.id)),
            "orders": sorted((uid, whole) for _, uid, whole in uids.at(row.id)),
            "papers": [_paper(known, each) for _, each in papers.at(row.id)],
            "appeal_of": appealed.get(row.appeal_of_id),
            "missing": None if row.missing is None else _read(json.loads, row.missing),
            "reason": reason,
        }
        who = {name: known.person(getattr(row, f"{name}_id")) for name in ("entered_by", "decided_by")}
        yield Row(f"application {row.uid}", _columns(row, *APPLICATION) | about | who)


def _paper(known: _Known, row: BroughtPaper) -> dict[str, object]:
    by = {"brought_at": row.brought_at, "brought_by": known.person(row.brought_by_id)}
    digest = None if row.sha256 is None else row.sha256.hex()
    return {"code": row.code, "reference": row.reference, "sha256": digest, **by}


def _read(reader: Callable[[Any], object], kept: object) -> object:
    """What is kept as a text; words that no event says where it cannot be read."""
    try:
        return reader(kept)
    except (LookupError, TypeError, ValueError, AttributeError, PolicyError):
        return "what cannot be read"


def _columns(row: object, *columns: str) -> dict[str, object]:
    return {name: getattr(row, name) for name in columns}
