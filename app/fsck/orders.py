"""The journal against the tables of orders: every order whose rows are not what its events add up to, and the event
that says otherwise."""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from sqlalchemy import Executable, func, select
from sqlalchemy.orm import Session

from app.auth.models import Principal
from app.db import streamed
from app.fsck.beside import Beside
from app.fsck.replay import Replayed, replay
from app.fsck.report import Check, Findings, Tick, found
from app.fsck.said import EVENTS_AT_ONCE, Said, differences, name_of, shown
from app.journal.merkle import MerkleRoot
from app.journal.models import Event
from app.orders import commitments, evidence, propose, states, targets, trees
from app.orders.condition_documents import tree_document
from app.orders.models import LEAF, ORDINAL_BITS, ConditionRow, Evidence, InForce, Order, OrderState, TargetRow
from app.orders.propose import target_line
from resolver_policy import names
from resolver_policy.errors import PolicyError

ORDERS = "orders"
REMEDY = (
    "the tables were altered past the service, or the service has a fault: nothing here mends them. Compare each order "
    "with its events (`pulih audit export`), and restore a backup from before"
)
COLUMNS = (
    *("state", "version", "proposed_at", "decided_at", "plan_seen", "lift_ground", "lift_planned_at", "lift_document"),
    *("suspended_until", "notice_due_at", "end_proposed", "ended_at", "ground", "review_at", "stale_since"),
)
PEOPLE = ("proposed_by", "approved_by", "rejected_by", "lift_planned_by", "end_proposed_by", "ended_by")
MARKS = ("state", "version", "delegate", "delegated_until", "commitment_due_at")
MARKED_BY = ("claimed_by", "verified_by")
TARGETS_AT_ONCE = 5_000
NEVER_SEEN = frozenset({OrderState.IMPORTING})


@dataclass(frozen=True, slots=True)
class Tables:
    """The rows of all orders, gone through in the order of their ids."""

    session: Session
    people: Mapping[int, str]
    uids: Mapping[int, str]
    events: Beside
    in_force: Beside
    conditions: Beside
    targets: Beside

    @classmethod
    def of(cls, session: Session) -> "Tables":
        """Open all of it at the first order."""
        columns = (TargetRow.id, TargetRow.order_id, TargetRow.key, TargetRow.match, TargetRow.released_at)
        of_orders = select(Event).where(Event.order_id.is_not(None)).order_by(Event.order_id, Event.seq)
        undone = select(Order.id, Order.uid).where(Order.id.in_(select(Order.undoes_id)))
        return cls(
            session,
            dict(session.execute(select(Principal.id, Principal.name)).all()),
            dict(session.execute(undone).all()),
            Beside(streamed(session, of_orders, at_once=EVENTS_AT_ONCE), lambda row: int(row[0].order_id)),
            _beside(session, select(InForce).order_by(InForce.order_id, InForce.id)),
            _beside(session, select(ConditionRow).order_by(ConditionRow.order_id, ConditionRow.position)),
            Beside(streamed(session, select(*columns).order_by(TargetRow.id)), lambda row: int(row.id) >> ORDINAL_BITS),
        )

    def strays(self) -> set[int]:
        """Orders of which there are events, or rows, and no row of their own."""
        return self.events.end() | self.in_force.end() | self.conditions.end() | self.targets.end()


def check(session: Session, tick: Tick) -> Check:
    """Replay the events of every order, and compare."""
    findings, tables, count = Findings(), Tables.of(session), 0
    for (order,) in streamed(session, select(Order).order_by(Order.id)):
        known = [row[0] for row in tables.events.at(order.id)]
        rows = [row[0] for row in tables.conditions.at(order.id)]
        in_force = [row[0] for row in tables.in_force.at(order.id)]
        if order.state in NEVER_SEEN and not known:
            _pass_over(tables.targets.at(order.id))
            continue
        count += 1
        for why in _wrong_in(tables, order, known, rows, in_force, tick):
            findings.add(f"order {order.number or order.uid}", why)
    for order_id in sorted(tables.strays()):
        findings.add(f"order with database id {order_id}", "has no row, and events or rows that are about it")
    return found(
        ORDERS, findings, f"{count:,} orders, their names, conditions and times are as their events say", REMEDY
    )


def rows(session: Session) -> int:
    """How many steps `check` takes: one for each name."""
    return session.scalar(select(func.count()).select_from(TargetRow)) or 0


def _wrong_in(
    tables: Tables, order: Order, known: list[Event], rows: list[ConditionRow], in_force: list[InForce], tick: Tick
) -> Iterator[str]:
    said = replay(known)
    if said.proposed is None:
        _pass_over(tables.targets.at(order.id))
        yield f"its row says {order.state}, and no event says that it was proposed"
        return
    yield from (f"event {name_of(event)}: {why}" for event, why in said.against_the_rules)
    yield from _wrong_proposal(tables, order, said, rows)
    row = {name: getattr(order, name) for name in COLUMNS} | _people(tables, order, PEOPLE)
    yield from differences(row, said.columns)
    if order.due_at != _due_at(tables.session, order):
        yield f"its row says that the clock looks at it at {shown(order.due_at)}, and its dates say otherwise"
    times = [(each.began_at, each.ended_at) for each in in_force]
    for mine, theirs in zip_longest(times, said.in_force):
        if mine != theirs:
            yield f"its row of time in force says {_span(mine)}, its events {_span(theirs)}"
    for leaf in (row for row in rows if row.op == LEAF):
        yield from _wrong_condition(tables, said, leaf)
    yield from _wrong_evidence(tables, said, rows)
    yield from _wrong_targets(tables.targets.at(order.id), said, tick)


def _wrong_proposal(tables: Tables, order: Order, said: Replayed, rows: list[ConditionRow]) -> Iterator[str]:
    assert said.proposed is not None
    first = said.columns["proposed_at"].event
    try:
        facts = propose.proposal_facts(order, tree_document(trees.tree_of(rows)) if rows else None)
    except (AssertionError, LookupError, ValueError, PolicyError):
        yield "its row or its conditions cannot be read"
        return
    facts["undoes"] = None if order.undoes_id is None else tables.uids.get(order.undoes_id)
    for name, value in facts.items():
        if said.proposed.get(name) != value:
            yield f"its row says {name} {value!r}; event {name_of(first)} says {said.proposed.get(name)!r}"


def _wrong_condition(tables: Tables, said: Replayed, row: ConditionRow) -> Iterator[str]:
    columns = said.conditions.get(row.uid, {})
    proposed = said.columns["proposed_at"].event
    assert said.proposed is not None
    first = (said.proposed.get("condition_states") or {}).get(row.code, "pending")
    columns = {"state": Said(first, proposed), "version": Said(1, proposed), **columns}
    known = {name: getattr(row, name) for name in MARKS} | _people(tables, row, MARKED_BY)
    yield from differences(known, columns, f"condition {row.code}: ")


def _wrong_evidence(tables: Tables, said: Replayed, rows: list[ConditionRow]) -> Iterator[str]:
    uids = {row.id: row.uid for row in rows}
    kept: dict[str, list[str]] = {}
    if said.evidence:
        columns = (Evidence.condition_id, Evidence.sha256, Evidence.text, Evidence.file_content)
        query = select(*columns).where(Evidence.condition_id.in_(uids)).order_by(Evidence.id)
        for condition_id, digest, text, content in streamed(tables.session, query, at_once=1):
            kept.setdefault(uids[condition_id], []).append(evidence.SHA256_PREFIX + digest.hex())
            if (text, content) == (None, None) or evidence.evidence_digest(text, content) != digest:
                yield "a piece of evidence is not what was submitted"
    for uid in said.evidence:
        if kept.get(uid, []) != said.evidence[uid]:
            yield f"the evidence of condition {uid} is not what its events name"


def _wrong_targets(rows: Iterable[Any], said: Replayed, tick: Tick) -> Iterator[str]:
    root, left = MerkleRoot(), dict(said.released)
    lines: list[bytes] = []
    for row in rows:
        lines.append(target_line(row.key, row.match))
        if row.released_at is not None or said.released:
            name = (names.from_key(row.key), targets.MATCH_TEXTS[row.match])
            let_go = left.pop(name, None)
            if row.released_at != (None if let_go is None else let_go.value):
                why = "no event says so" if let_go is None else f"event {name_of(let_go.event)} says"
                yield f"{name[0]} ({name[1]}): its row says released {shown(row.released_at)}; {why}"
        if len(lines) == TARGETS_AT_ONCE:
            root.extend(lines)
            lines.clear()
            tick(TARGETS_AT_ONCE)
    root.extend(lines)
    tick(len(lines))
    assert said.proposed is not None
    wanted = (said.proposed.get("targets_count"), said.proposed.get("targets_root"))
    if (root.count, "sha256:" + root.digest().hex()) != wanted:
        first = said.columns["proposed_at"].event
        yield f"its {root.count} names are not the {wanted[0]} of event {name_of(first)}: some are not"
    for name, let_go in left.items():
        yield f"{name[0]} ({name[1]}): event {name_of(let_go.event)} lets it go, and the order has no such name"


def _due_at(session: Session, order: Order) -> dt.datetime | None:
    """When the clock must look at an order next, from its other columns, which were compared already."""
    if not commitments.left_some(order):
        return states.next_due(order)
    dates = (row.commitment_due_at for row in commitments.open_ones(session, order))
    return min((date for date in dates if date is not None), default=None)


def _people(tables: Tables, row: Order | ConditionRow, columns: Iterable[str]) -> dict[str, object]:
    ids = {name: getattr(row, f"{name}_id") for name in columns}
    return {name: None if id_ is None else tables.people.get(id_, id_) for name, id_ in ids.items()}


def _beside(session: Session, query: Executable) -> Beside:
    """The rows of a query that have an order_id, in its order."""
    return Beside(streamed(session, query), lambda row: int(row[0].order_id))


def _pass_over(rows: Iterator[Any]) -> None:
    for _ in rows:
        pass


def _span(times: tuple[dt.datetime, dt.datetime | None] | None) -> str:
    return "nothing" if times is None else f"{shown(times[0])} to {shown(times[1])}"
