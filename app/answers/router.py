"""`/names`, `/clocks` and `/audit/events`."""

from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from app.answers import clocks, differences, documents, held, held_words, proof, reach, said
from app.answers.clocks import Clocks
from app.answers.names import explain, history
from app.audit import export
from app.auth.access import APPROVER, AUDITOR, ISP, OPERATOR, Allow, Everybody
from app.deps import DatabaseDep, NowDep, PageDep, PlaceDep, SessionDep
from app.errors import Forbidden, Unauthenticated
from app.journal import queries as journal
from app.journal import signing
from app.journal.actor import Actor
from app.journal.events import EventType
from app.orders import past, review_queue
from app.orders.difference import Change
from app.orders.schemas import Moment
from app.publication import zones
from app.regime import ClockCode
from app.settings import Settings
from app.subscribers import queries as subscribers

router = APIRouter(prefix="/api/v1")

ZIPPED: dict[int | str, dict[str, Any]] = {200: {"content": {"application/zip": {}}}, 409: {}}
READERS = frozenset({OPERATOR, APPROVER, AUDITOR})
Reader = Annotated[Actor, Depends(Allow(*READERS))]
Auditor = Annotated[Actor, Depends(Allow(AUDITOR))]
Serial = Annotated[int, Query(ge=0, lt=2**32)]
Limit = Annotated[int, Query(ge=1, le=500)]
Cursor = Annotated[str | None, Query(max_length=512)]


@router.get(
    "/names/{name}",
    responses={403: {}},
    tags=["public"],
    summary="Is it blocked, by what, since when, what lifts it, who has it",
)
def read_name(
    name: str,
    actor: Everybody,
    session: SessionDep,
    now: NowDep,
    request: Request,
    at: Moment | None = None,
    isp: Annotated[str | None, Query(max_length=64)] = None,
) -> dict[str, Any]:
    """`at` asks about a past moment: what had been recorded and decided then. Without a token, a redacted answer.

    `isp` asks whether that ISP has what holds (operators, approvers, auditors; an ISP of itself). Without it, those
    people are told how many ISPs have it.

    Three things are told apart. `blocked`, with `holders`, is what was **decided**. `published` is what the newest
    release of that moment said. `isp.held` is what the **ISP held**: `answer` is `yes`, `no`, `partly` (some of its
    servers) or `not_known`; for each server what it was seen with `before` and `after`, what was `sent` meanwhile, and
    which serials it `may_have_held`. It is certain where all of those say the same of the name; nothing is guessed.
    `words` says all of it in sentences.
    """
    if isp is not None:
        _check_may_ask(actor, isp)
    answer = explain(session, name, past.moment_of(at, now))
    settings: Settings = request.app.state.settings
    if actor is None:
        return documents.redacted(answer, clocks.how_to_apply(settings.regime, settings.public_url))
    found = documents.whole(answer)
    if isp is not None or actor.role in READERS:
        found |= held_words.published(session, answer)
    if isp is not None:
        row = (subscribers.live_by_name if actor.role == ISP else subscribers.by_name)(session, isp)
        changed_at = reach.changed_at(session, answer, at)
        due_at = None if changed_at is None else changed_at + settings.overdue
        there, told = reach.at_isp(session, answer, row, at), said.of(session, answer, row.name)
        at_isp = documents.at_isp(row.name, there, answer, due_at, told)
        at_moment = held_words.document(session, answer, held.at_isp(session, answer, row, told))
        return {**found, "isp": {**at_isp, "held": at_moment}}
    if actor.role in READERS:
        pending = clocks.pending(session, settings.regime, answer, now=now if at is None else None)
        due = [review_queue.at(session, holder.order, answer.at) for holder in answer.holders]
        reached = documents.reached(reach.reach(session, answer, at))
        return {**found, "reach": reached, "applications": pending, "reviews": due}
    return found


@router.get("/names/{name}/history", tags=["audit"], summary="Everything that happened to a name, oldest first")
def read_history(name: str, actor: Reader, session: SessionDep, page: PageDep) -> dict[str, Any]:
    events = history(session, name, after=page.after, limit=page.limit + 1)
    return page.answer([journal.document(event) for event in events], [event.seq for event in events])


@router.get(
    "/names/{name}/proof",
    response_class=Response,
    responses=ZIPPED,
    tags=["audit"],
    summary="The answer about a name at a moment, to be checked offline",
)
def read_proof(
    name: str,
    actor: Auditor,
    database: DatabaseDep,
    now: NowDep,
    request: Request,
    at: Moment | None = None,
    isp: Annotated[str | None, Query(max_length=64)] = None,
    since: Annotated[str | None, Query(max_length=2_000, description="A checkpoint that was given before")] = None,
) -> Response:
    """A zip, for `verify.py` in it: the answer, every event until then of the orders that ever named the name, each
    proved to be in the journal of a signed checkpoint, and that the name is among the names of those orders.
    `answer.json` says what that shows and what it does not: that there was no other event only the export of the whole
    journal shows.
    """
    settings: Settings = request.app.state.settings
    asked = proof.Asked(name, past.moment_of(at, now), isp)
    with database.read() as session:
        signing.needed(session, settings.log_key_path)
        export.check_since(session, since)
        octets = b"".join(proof.stream(session, signing.needed(session, settings.log_key_path), asked, since))
    headers = {"Content-Disposition": 'attachment; filename="pulih-proof.zip"', "Cache-Control": "no-store"}
    return Response(octets, media_type="application/zip", headers=headers)


@router.get("/differences", tags=["audit"], summary="What was decided differently at two moments, name by name")
def read_differences(
    actor: Reader,
    session: SessionDep,
    page: PageDep,
    now: NowDep,
    from_: Annotated[Moment, Query(alias="from")],
    to: Moment | None = None,
    change: Change | None = None,
) -> dict[str, Any]:
    """Names newly `blocked`, `lifted`, or held by other orders (`holders`), with the orders before and after; `to` is
    now where it is left out. `itself` is the name, `below` what lies under it and has no target of its own nearer by.
    By decisions, not by releases: what a zone said is `/zones/{zone}/differences`. A page may cost as much as what
    happened in between, never as much as the list.
    """
    older, newer = past.moment_of(from_, now, "/from"), past.moment_of(to, now, "/to")
    differences.check_order(older, newer)
    found = differences.of_decisions(session, older, newer, change, after=page.after)
    some = list(islice(found, page.limit + 1))
    answer = page.answer([item for _, item in some], [place for place, _ in some])
    return {"from": older, "to": newer, **answer}


@router.get(
    "/zones/{zone}/differences",
    responses={410: {}},
    tags=["zones"],
    summary="Names that a zone blocked at one of two serials alone",
)
def read_zone_differences(
    zone: str,
    actor: Reader,
    session: SessionDep,
    since: Serial,
    to: Serial | None = None,
    change: Change | None = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """From serial `since` to serial `to` (else the newest), as published. 410 for a serial the zone never had."""
    step = differences.between_serials(session, zones.by_name(session, zone), since, to)
    found = differences.of_zone(session, step, change, after=differences.place_of(cursor))
    return {**step.document(), **differences.page(found, limit)}


@router.get(
    "/subscribers/{isp}/differences",
    responses={410: {}},
    tags=["subscribers"],
    summary="What an ISP had to add and to drop",
)
def read_isp_differences(
    isp: str,
    zone: str,
    actor: Reader,
    session: SessionDep,
    now: NowDep,
    from_: Annotated[Moment, Query(alias="from")],
    to: Moment | None = None,
    change: Change | None = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """From the serial that it had last been seen with by `from` to what was published at `to` (else now). 410 where it
    had been seen with none: then it is not known."""
    older, newer = past.moment_of(from_, now, "/from"), past.moment_of(to, now, "/to")
    differences.check_order(older, newer)
    row = subscribers.by_id_or_name(session, isp)
    step = differences.lacked_by(session, row, zones.by_name(session, zone), older, newer)
    found = differences.of_zone(session, step, change, after=differences.place_of(cursor))
    return {"isp": row.name, **step.document(), **differences.page(found, limit)}


@router.get("/clocks", tags=["clocks"], summary="The law's clocks that run, the one due first at the front")
def list_clocks(
    actor: Reader,
    session: SessionDep,
    page: PlaceDep,
    now: NowDep,
    request: Request,
    *,
    clock: ClockCode | None = None,
    overdue: bool = False,
) -> dict[str, Any]:
    """On proposals until they are decided, on applications until they are (not while papers lack), and on ISPs until
    they have applied what was published. `overdue`: those alone whose time is over."""
    settings: Settings = request.app.state.settings
    running = Clocks(session, settings.regime, settings.overdue, now)
    return page.answer(running.page(only=clock, overdue=overdue, after=page.after, limit=page.limit + 1))


@router.get("/audit/events", tags=["audit"], summary="The journal, oldest first")
def list_events(
    actor: Auditor,
    session: SessionDep,
    page: PageDep,
    type_: Annotated[EventType | None, Query(alias="type")] = None,
    by: Annotated[str | None, Query(max_length=63)] = None,
    until: Moment | None = None,
) -> dict[str, Any]:
    events = journal.page(session, after=page.after, limit=page.limit + 1, type_=type_, actor=by, until=until)
    return page.answer([journal.document(event) for event in events], [event.seq for event in events])


def _check_may_ask(actor: Actor | None, isp: str) -> None:
    """What an ISP has is for those who watch over all of them, and for itself."""
    if actor is None:
        raise Unauthenticated("what an ISP has is not public", code="token_missing")
    if actor.role not in READERS and not (actor.role == ISP and actor.name == isp):
        raise Forbidden(f"what an ISP has is for {', '.join(sorted(READERS))}, and for itself")
