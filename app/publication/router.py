"""`/zones`: serials, digests, exports, what changed since a serial, and undoing a release."""

import base64
import datetime as dt
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import FileResponse
from sqlalchemy.orm import Session

from app.auth.access import ADMIN, APPROVER, AUDITOR, ISP, OPERATOR, Allow
from app.auth.acting import ActDep
from app.auth.idempotency import IdempotentRoute
from app.deps import DatabaseDep, NowDep, SessionDep
from app.errors import Fault, Gone, NotFound, Unprocessable
from app.journal import signing
from app.journal.actor import Actor
from app.orders import past
from app.orders.guarding import Guard
from app.orders.schemas import Moment, Undo
from app.publication import export, export_file, layering, undo, zones
from app.publication.models import Release, Zone
from app.publication.store import changes_between, table_of
from app.settings import Settings
from resolver_policy import formats, names, wire
from resolver_policy.actions import Action, parse_action, target_of
from resolver_policy.delta import Rule
from resolver_policy.targets import Decision

router = APIRouter(prefix="/api/v1/zones", tags=["zones"], route_class=IdempotentRoute)

Reader = Annotated[Actor, Depends(Allow(OPERATOR, APPROVER, AUDITOR, ISP, ADMIN))]
Fetcher = Annotated[Actor, Depends(Allow(AUDITOR, ISP))]
Approver = Annotated[Actor, Depends(Allow(APPROVER))]


FORMATS = "\n".join(f"- `{each.name}`: {each.limits}" for each in formats.FORMATS)
EXPORTS: dict[int | str, dict[str, Any]] = {
    200: {"content": {each.media_type.partition(";")[0]: {} for each in formats.FORMATS}},
    304: {"description": "What `If-None-Match` names is current"},
    410: {},
    413: {},
}
Serial = Annotated[int | None, Query(ge=0, lt=2**32)]
FormatName = Annotated[str, Path(description=f"The format, and what it cannot say:\n{FORMATS}")]


@router.get("", summary="The zones that are published")
def list_zones(actor: Reader, session: SessionDep, now: NowDep, at: Moment | None = None) -> dict[str, Any]:
    """With `at`, those that were published at a moment, each as it was then."""
    if at is None:
        newest, there = _head(session), zones.active(session)
    else:
        newest, there = _head(session, past.moment_of(at, now)), zones.active_at(session, at)
    found = [_document(session, zone, newest) for zone in there]
    return {"items": [each for each in found if each["serial"]], "next": None}


@router.get("/{zone}", responses={410: {}}, summary="One zone: serial, counts, digest")
def read_zone(
    zone: str,
    actor: Reader,
    session: SessionDep,
    now: NowDep,
    at: Moment | None = None,
    serial: Serial = None,
) -> dict[str, Any]:
    """As it is now, as it was at a moment (`at`), or as it was under a `serial` (410 for one it never had). A moment
    between a decision and its release has the release before; 404 for one before the first."""
    row = zones.by_name(session, zone)
    if serial is not None:
        return _document(session, row, session.get_one(Release, zones.needed_release(session, row, serial)))
    return _document(session, row, _head(session, None if at is None else past.moment_of(at, now)))


@router.get("/{zone}/changes", responses={410: {}}, summary="Records removed and added from one serial to another")
def read_changes(
    zone: str,
    since: Annotated[int, Query(ge=0, lt=2**32)],
    actor: Fetcher,
    session: SessionDep,
    to: Serial = None,
) -> dict[str, Any]:
    """To the newest serial where `to` is left out. `GET /differences` says it in names, in pages, with the orders."""
    row = zones.by_name(session, zone)
    newest = _head(session)
    older = zones.release_of(session, row, since)
    if older is None or older < row.epoch_release_id:
        raise Gone(f"{zone} has no increment from serial {since}: fetch the whole zone")
    newer = newest.id if to is None else zones.needed_release(session, row, to)
    now = zones.at_release(session, row, newer)
    assert now is not None
    if newer < older:
        fault = Fault("out_of_order", str(to), "/to")
        raise Unprocessable(f"serial {to} is not later than {since}", faults=(fault,))
    changes = changes_between(session, older, now.release_id, table_of(row.name))
    action = parse_action(row.action)
    return {
        "zone": row.name,
        "from": since,
        "to": now.serial,
        "removed": [line for change in changes for line in _records(action, change.key, change.old, change.new)],
        "added": [line for change in changes for line in _records(action, change.key, change.new, change.old)],
    }


@router.get(
    "/{zone}/export.{format_}.sig",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}}, 409: {}, 410: {}, 413: {}},
    summary="The signature of the zone as a file: Ed25519, 64 octets",
)
def read_signature(
    zone: str, format_: FormatName, actor: Fetcher, session: SessionDep, request: Request, serial: Serial = None
) -> Response:
    """Over the octets of the plain form, by the key of `/audit/keys`; `ETag` and `X-Zone-Serial` say of which file."""
    found = _current(session, request, zone, format_, serial)
    signature = export_file.signed(found.path, signing.needed(session, request.app.state.settings.log_key_path))
    headers = {"ETag": found.etag, "X-Zone-Serial": str(found.serial), "Cache-Control": "private, no-cache"}
    return Response(signature, media_type="application/octet-stream", headers=headers)


@router.get("/{zone}/export.{format_}", response_class=Response, responses=EXPORTS, summary="The zone as a file")
@router.head("/{zone}/export.{format_}", include_in_schema=False)
def read_export(
    zone: str, format_: FormatName, actor: Fetcher, session: SessionDep, request: Request, serial: Serial = None
) -> Response:
    """A format that cannot say all that a zone says blocks less, never more. `serial` asks for the zone as it was under
    an earlier one (`GET /zones/{zone}?at=` says which it had at a moment); what it was is read anew from the record.

    Strong `ETag`, `If-None-Match` (304), `HEAD`, `Content-Length`; gzip where `Accept-Encoding` allows it.
    `X-Content-Ed25519` signs the octets of the plain form, `X-Log-Checkpoint` is the journal's checkpoint (base64)."""
    found = _current(session, request, zone, format_, serial)
    packed = _accepts_gzip(request.headers.get("accept-encoding", ""))
    headers = {
        "ETag": found.gzip_etag if packed else found.etag,
        "Cache-Control": "private, no-cache, no-transform",
        "Vary": "Accept-Encoding, Authorization",
        "X-Content-Type-Options": "nosniff",
        "X-Zone-Serial": str(found.serial),
        "X-Content-SHA256": found.digest,
        **_proofs(session, request, found),
    }
    if _matches(request.headers.get("if-none-match"), {found.etag, found.gzip_etag}):
        return Response(status_code=304, headers=headers)
    if packed:
        headers["Content-Encoding"] = "gzip"
    return FileResponse(found.gzip_path if packed else found.path, headers=headers, media_type=found.media_type)


@router.post("/{zone}/releases/{serial}/undo", summary="Undo what a release did")
def undo_release(
    zone: str,
    serial: Annotated[int, Path(ge=0, lt=2**32)],
    command: Undo,
    actor: Approver,
    act: ActDep,
    request: Request,
    database: DatabaseDep,
) -> dict[str, Any]:
    """Act by act: what it blocked is lifted at once (`lifted`), what it lifted is `proposed`, for another person to
    approve. All zones carry the same names, so it is undone in all of them."""
    guard: Guard = request.app.state.guard
    staged = undo.stage(database, actor, zone, serial, command, guard=guard, clock=act.clock)
    release = undo.release_of(act.session, zone, serial)
    items = undo.undo(act.session, actor, release, command, act.now, guard=guard, staged=staged)
    return {"zone": zone, "serial": serial, "items": [_undone(item) for item in items]}


def _current(session: Session, request: Request, zone: str, format_: str, serial: int | None) -> export.Export:
    settings: Settings = request.app.state.settings
    soa = wire.Soa(settings.mname, settings.rname)
    release = None if serial is None else zones.needed_release(session, zones.by_name(session, zone), serial)
    return export.current(session, settings.data_dir, zone, format_, soa, release)


def _proofs(session: Session, request: Request, found: export.Export) -> dict[str, str]:
    """What goes with an export, so that many hold it; nothing on a host that has not the journal's key."""
    signer = signing.held(session, request.app.state.settings.log_key_path)
    if signer is None:
        return {}
    return {
        "X-Content-Ed25519": base64.b64encode(export_file.signed(found.path, signer)).decode(),
        "X-Log-Checkpoint": base64.b64encode(signing.checkpoint(session, signer).encode()).decode(),
    }


def _undone(item: undo.Item) -> dict[str, Any]:
    return {
        "order_id": item.order.uid,
        "order_number": item.order.number,
        "undo": item.act,
        "detail": item.detail,
        "proposal_id": None if item.proposal is None else item.proposal.uid,
    }


def _head(session: Session, at: dt.datetime | None = None) -> Release:
    newest = zones.head(session) if at is None else zones.head_at(session, at)
    if newest is None:
        raise NotFound("nothing has been published yet" if at is None else "nothing had been published by that moment")
    return newest


def _document(session: Session, zone: Zone, newest: Release) -> dict[str, Any]:
    """A zone as it was with a release: a `base` as it was cut. Nothing but its name where it has no serial yet.

    What `urgent` held is counted for the newest release alone; the action before the zone's epoch may be another.
    """
    layer = zones.layer_of(zone.name)
    at = zones.at_release(session, zone, newest.id)
    if at is None:
        return {"zone": zone.name, "layer": layer, "serial": None}
    release = session.get_one(Release, at.release_id)
    urgent = None
    if layer is zones.Layer.URGENT:
        head = zones.head(session)
        is_newest = head is not None and head.id == newest.id
        urgent = layering.contents(session) if is_newest else (None, None, None)
    names_, rules, digest = urgent or (release.names, release.rules, release.digest)
    return {
        "zone": zone.name,
        "layer": layer,
        "action": zone.action if at.release_id >= zone.epoch_release_id else None,
        "serial": at.serial,
        "names": names_,
        "rules": rules,
        "digest": None if digest is None else "sha256:" + digest.hex(),
        "published_at": release.published_at,
    }


def _records(action: Action, key: str, rule: Rule, other: Rule) -> Iterator[dict[str, str]]:
    """The records of `rule` that `other` does not have."""
    name = names.from_key(key)
    for owner, decision, opposite in ((name, rule.own, other.own), (f"*.{name}", rule.wild, other.wild)):
        if decision not in {Decision.NOTHING, opposite}:
            yield {"owner": owner, "type": "CNAME", "target": target_of(action, decision)}


def _accepts_gzip(header: str) -> bool:
    for part in header.lower().split(","):
        coding, _, parameters = part.strip().partition(";")
        if coding.strip() == "gzip":
            return parameters.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False


def _matches(header: str | None, tags: set[str]) -> bool:
    """Whether `If-None-Match` names this version, plain or gzip: both say the same."""
    if header is None:
        return False
    named = {tag.strip().removeprefix("W/") for tag in header.split(",")}
    return "*" in named or not named.isdisjoint(tags)
