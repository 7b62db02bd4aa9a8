"""SOP templates: named condition trees, with profiles by kind of platform, versioned and changed by two people.

An approver proposes a version and another one confirms it; until then nobody uses it, and it can be replaced or taken
back. A confirmed version never changes, so an order keeps the one that it was made under.
"""

import datetime as dt
import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.auth import four_eyes
from app.errors import Conflict, Fault, NotFound, Unprocessable, faults_of
from app.journal.actor import Actor
from app.journal.append import Entry, append
from app.journal.events import EventType
from app.orders.condition_documents import tree_document
from app.orders.schemas import DecideSop, PutSop, SopChoice
from app.orders.sop_models import SopRow, SopState
from app.orders.sop_templates import columns, digest
from resolver_policy import conditions
from resolver_policy.errors import ConditionsInvalid, PolicyError


def find(session: Session, choice: SopChoice) -> SopRow:
    """The confirmed version that is meant, the newest where none is said; raises Unprocessable (`sop_unknown`)."""
    row = _newest(session, choice.code, choice.version)
    if row is None:
        wanted = choice.code if choice.version is None else f"{choice.code} version {choice.version}"
        raise _unknown(f"there is no SOP {wanted}", choice.code, "/sop/code")
    return row


def tree(row: SopRow, profile: str | None) -> dict[str, Any]:
    """The condition tree of a profile, or the template's own; raises Unprocessable (`sop_unknown`) for no profile."""
    if profile is None:
        return dict(json.loads(row.conditions))
    profiles = json.loads(row.profiles)
    if profile not in profiles:
        raise _unknown(f"SOP {row.code} version {row.number} has no profile {profile!r}", profile, "/sop/profile")
    return dict(profiles[profile])


def put(session: Session, actor: Actor, code: str, command: PutSop, now: dt.datetime) -> SopRow:
    """Propose the next version of a template, or a new template; it takes the place of one that nobody confirmed yet.

    Raises PolicyError or Unprocessable, naming the place, for a tree that no order could have, and Conflict for a
    version that says what the newest says.
    """
    said = _said(command)
    replaced, before = _proposed(session, code), _newest(session, code)
    if before is not None and said_by(before) == said:
        raise Conflict(f"version {before.number} of SOP {code} says that already")
    if replaced is not None:
        _decide(session, actor, replaced, SopState.WITHDRAWN, now)
        session.flush()
    number = 1 if before is None else before.number + 1
    row = SopRow(
        code=code,
        number=number,
        version=1 + (session.scalar(select(func.max(SopRow.version)).where(SopRow.code == code)) or 0),
        state=SopState.PROPOSED,
        proposed_at=now,
        proposed_by_id=actor.principal_id,
        sha256=digest(code, number, said),
        **columns(said),
    )
    session.add(row)
    session.flush()
    facts = {"reason": command.reason, "replaces": None if replaced is None else replaced.version, **said}
    _record(session, actor, EventType.SOP_PROPOSED, row, facts, now)
    return row


def confirm(session: Session, actor: Actor, row: SopRow, command: DecideSop, now: dt.datetime) -> SopRow:
    """Put a proposed version into use for the orders to come; raises Forbidden (`four_eyes`) for its proposer."""
    _require_proposed(row)
    four_eyes.check(actor, row.proposed_by_id, act="confirm", first_act="proposed")
    _decide(session, actor, row, SopState.CONFIRMED, now)
    session.flush()
    _record(session, actor, EventType.SOP_CONFIRMED, row, {"reason": command.reason}, now)
    return row


def withdraw(session: Session, actor: Actor, row: SopRow, command: DecideSop, now: dt.datetime) -> SopRow:
    """Take a proposed version back, or refuse it: any approver, since nothing comes of it."""
    _require_proposed(row)
    _decide(session, actor, row, SopState.WITHDRAWN, now)
    session.flush()
    _record(session, actor, EventType.SOP_WITHDRAWN, row, {"reason": command.reason}, now)
    return row


def last_proposed(session: Session, code: str) -> SopRow:
    """The version that was proposed last, whatever has become of it; raises NotFound where none ever was."""
    query = select(SopRow).where(SopRow.code == code, SopRow.proposed_by_id.is_not(None))
    row = session.scalars(query.order_by(SopRow.version.desc()).limit(1).with_for_update()).one_or_none()
    if row is None:
        raise NotFound(f"no version of SOP {code[:64]} was ever proposed")
    return row


def versions(session: Session, code: str | None = None, number: int | None = None) -> Sequence[SopRow]:
    """Confirmed versions and those that are proposed, oldest first; raises NotFound for a code that there is not."""
    query = select(SopRow).where(SopRow.state != SopState.WITHDRAWN).order_by(SopRow.id)
    if code is not None:
        query = query.where(SopRow.code == code)
    if number is not None:
        query = query.where(SopRow.number == number)
    found = session.scalars(query).all()
    if not found and code is not None:
        raise NotFound(f"there is no SOP {code[:64]}" + ("" if number is None else f" version {number}"))
    return found


def document(row: SopRow) -> dict[str, Any]:
    """A version of a template as the interface shows it; `revision` is its `ETag`."""
    return {
        "code": row.code,
        "version": row.number,
        "state": row.state,
        "revision": row.version,
        **said_by(row),
        "digest": "sha256:" + row.sha256.hex(),
        "proposed_at": row.proposed_at,
        "confirmed_at": row.decided_at if row.state == SopState.CONFIRMED else None,
    }


def said_by(row: SopRow) -> dict[str, Any]:
    """What a version says."""
    return {
        "title": {"id": row.title_id, "en": row.title_en},
        "source": row.source,
        "conditions": json.loads(row.conditions),
        "profiles": json.loads(row.profiles),
    }


def _said(command: PutSop) -> dict[str, Any]:
    return {
        "title": command.title.model_dump(),
        "source": command.source,
        "conditions": _checked(command.conditions, "/conditions"),
        "profiles": {name: _checked(each, f"/profiles/{name}") for name, each in command.profiles.items()},
    }


def _checked(value: dict[str, Any], pointer: str) -> dict[str, Any]:
    """A tree as an order could have it, but without dates: those belong to an order."""
    try:
        parsed = conditions.parse(value)
    except PolicyError as error:
        at = pointer + (error.pointer if isinstance(error, ConditionsInvalid) else "")
        raise Unprocessable(error.detail, code=error.code, faults=faults_of(error, pointer=at)) from error
    for leaf in conditions.leaves(parsed):
        if leaf.due_at is not None:
            fault = Fault("due_in_a_template", leaf.code, pointer)
            raise Unprocessable(f"condition {leaf.code} has a date: an order has dates, no template", faults=(fault,))
    return tree_document(parsed)


def _require_proposed(row: SopRow) -> None:
    if row.state != SopState.PROPOSED:
        raise Conflict(f"version {row.number} of SOP {row.code} is {row.state}; this needs one that is proposed")


def _decide(session: Session, actor: Actor, row: SopRow, state: SopState, now: dt.datetime) -> None:
    row.state, row.decided_at, row.decided_by_id = state, now, actor.principal_id
    session.add(row)


def _record(
    session: Session, actor: Actor, type_: EventType, row: SopRow, facts: dict[str, Any], now: dt.datetime
) -> None:
    known = {"sop": row.code, "version": row.number, "revision": row.version, "digest": "sha256:" + row.sha256.hex()}
    append(session, actor, Entry(type_, {**known, **facts}), now)


def _proposed(session: Session, code: str) -> SopRow | None:
    query = select(SopRow).where(SopRow.code == code, SopRow.state == SopState.PROPOSED)
    return session.scalars(query.with_for_update()).one_or_none()


def _newest(session: Session, code: str, number: int | None = None) -> SopRow | None:
    query = select(SopRow).where(SopRow.code == code, SopRow.state == SopState.CONFIRMED)
    if number is not None:
        query = query.where(SopRow.number == number)
    return session.scalars(query.order_by(SopRow.number.desc()).limit(1)).one_or_none()


def _unknown(detail: str, value: str, pointer: str) -> Unprocessable:
    return Unprocessable(detail, code="sop_unknown", faults=(Fault("sop_unknown", value, pointer),))
