"""`/audit`: checkpoints and keys for anyone; proofs; the signed export; figures."""

import base64
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import PlainTextResponse, Response, StreamingResponse

from app.audit import export, figures
from app.auth.access import APPROVER, AUDITOR, OPERATOR, Allow, Everybody
from app.deps import DatabaseDep, SessionDep
from app.journal import signing, tree
from app.journal.actor import Actor

router = APIRouter(prefix="/api/v1/audit", tags=["audit"])

Auditor = Annotated[Actor, Depends(Allow(AUDITOR))]
Reader = Annotated[Actor, Depends(Allow(OPERATOR, APPROVER, AUDITOR))]
Size = Annotated[int | None, Query(ge=1, lt=2**63)]
Since = Annotated[str | None, Query(max_length=2_000, description="A checkpoint that was given before, as it is")]


@router.get(
    "/checkpoint",
    response_class=PlainTextResponse,
    responses={409: {}},
    summary="The journal's size and root, signed: keep it, it proves later that nothing went",
)
def read_checkpoint(actor: Everybody, session: SessionDep, request: Request, size: Size = None) -> PlainTextResponse:
    """A C2SP signed note. `size` asks for one of the past. 409 on a host that has not the journal's key."""
    note = export.checkpoint(session, request.app.state.settings.log_key_path, size)
    return PlainTextResponse(note, headers={"Cache-Control": "no-cache"})


@router.get("/keys", summary="Every key that ever signed, oldest first, with the event that put it in force")
def read_keys(actor: Everybody, session: SessionDep) -> dict[str, Any]:
    items = [{"seq": seq, "vkey": key.vkey, "pem": key.pem} for seq, key in signing.keys(session)]
    return {"items": items, "next": None}


@router.get("/proofs/inclusion", summary="Proof that an event is in the journal (RFC 9162 2.1.3)")
def read_inclusion(
    seq: Annotated[int, Query(ge=1, lt=2**63)], actor: Auditor, session: SessionDep, size: Size = None
) -> dict[str, Any]:
    """`leaf` is the hash of the event, `path` from the leaf up; of the tree of `size` events, else of all."""
    return export.inclusion(session, seq, size)


@router.get("/proofs/consistency", summary="Proof that nothing of an earlier journal was changed (RFC 9162 2.1.4)")
def read_consistency(
    actor: Everybody,
    session: SessionDep,
    from_: Annotated[int, Query(alias="from", ge=1, lt=2**63)],
    to: Size = None,
) -> dict[str, Any]:
    """Between the checkpoints of two sizes; the second is that of now where it is left out."""
    size = tree.size(session) if to is None else to
    path = tree.consistency(session, from_, size)
    return {"from": from_, "to": size, "path": [base64.b64encode(node).decode() for node in path]}


@router.get(
    "/export",
    response_class=Response,
    responses={200: {"content": {"application/zip": {}}}, 409: {}},
    summary="The whole journal as a signed zip, with what checks it",
)
def read_export(actor: Auditor, database: DatabaseDep, request: Request, since: Since = None) -> Response:
    """`since`: an earlier checkpoint, which the zip proves to be the beginning of this journal."""
    path = request.app.state.settings.log_key_path
    with database.read() as session:
        signing.needed(session, path)
        export.check_since(session, since)

    def octets() -> Iterator[bytes]:
        with database.read() as session:
            yield from export.stream(session, signing.needed(session, path), since)

    headers = {"Content-Disposition": 'attachment; filename="pulih-journal.zip"', "Cache-Control": "no-store"}
    return StreamingResponse(octets(), media_type="application/zip", headers=headers)


@router.get(
    "/figures.{format_}",
    response_class=Response,
    responses={200: {"content": {"application/json": {}, "text/csv": {}}}},
    summary="What was blocked and lifted, and how fast, by category and authority",
)
def read_figures(format_: Literal["json", "csv"], actor: Reader, session: SessionDep) -> Response:
    """From the journal alone: `pulih audit figures EXPORT.zip` makes the same of an export."""
    rows = export.count(session)
    if format_ == "csv":
        return Response(figures.as_csv(rows), media_type="text/csv; charset=utf-8; header=present")
    return Response(export.as_json(rows), media_type="application/json")
