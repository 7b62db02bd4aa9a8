"""`/imports`: orders from a list, as a file or as JSON."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError

from app.auth.access import APPROVER, OPERATOR, Allow
from app.auth.idempotency import IdempotentRoute
from app.deps import SessionDep, get_database
from app.errors import Fault, TooLarge, Unprocessable, WrongMediaType
from app.journal.actor import Actor
from app.orders import imports, imports_formats, imports_lines, imports_refused, ranks
from app.orders.imports_answer import REFUSED_SHOWN, Options
from app.orders.imports_book import Template
from app.orders.imports_formats import Format, Given
from app.orders.imports_lines import Octets
from app.orders.schemas import OrderIn, Schema
from resolver_policy.targets import Match

Value = TypeVar("Value")

MOST_JSON_OCTETS = 8 * 1024 * 1024
MOST_ORDER_OCTETS = 1024 * 1024
MOST_REFUSED_TEXTS = 3 * REFUSED_SHOWN
CREATED, LOOKED_AT = 201, 200
ANY_OBJECT = TypeAdapter(dict[str, Any])

router = APIRouter(prefix="/api/v1", tags=["orders"], route_class=IdempotentRoute)

Proposer = Annotated[Actor, Depends(Allow(OPERATOR, APPROVER))]


class ImportIn(Schema):
    """An order, or what the lines do not say of theirs, and the lines of its list."""

    order: dict[str, Any]
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Upload:
    """An order and a list, in whichever way they came."""

    order: OrderIn | Template
    given: Given


def _schema(model: type[Schema]) -> dict[str, Any]:
    """A body's schema; the parts that orders share with `POST /orders` are in the document already."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    return schema


ORDER_SCHEMA = _schema(OrderIn)
BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["order", "file"],
                "properties": {"order": ORDER_SCHEMA, "file": {"type": "string", "format": "binary"}},
            },
            "encoding": {"order": {"contentType": "application/json"}, "file": {"contentType": "text/plain"}},
        },
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["order", "lines"],
                "properties": {"order": ORDER_SCHEMA, "lines": {"type": "array", "items": {"type": "string"}}},
            }
        },
    },
}


async def read_upload(
    request: Request,
    actor: Proposer,
    *,
    format_: Annotated[
        Format | None, Query(alias="format", description="How the list is written; where it is not said, it is seen.")
    ] = None,
) -> AsyncIterator[Upload]:
    """One JSON document, or the two parts of a multipart body; not a word of it is read before the token is."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        yield _from_json(await request.body(), format_)
    elif kind == "multipart/form-data":
        async with request.form(max_files=2, max_fields=2) as form:
            order, file = form.get("order"), form.get("file")
            if order is None or file is None or isinstance(file, str):
                raise _parts_missing(order=order is not None)
            text = order if isinstance(order, str) else await order.read(MOST_ORDER_OCTETS)
            said = _valid(ANY_OBJECT.validate_json, text, "order")
            yield _upload(said, partial(imports_lines.of_file, file.file), format_)
    else:
        raise WrongMediaType("send multipart/form-data (order, file) or application/json (order, lines)")


def get_options(
    *,
    match: Annotated[Match, Query(description="How far a name reaches; said once for the whole list.")] = Match.SUBTREE,
    dry_run: Annotated[bool, Query(description="Judge every line and store nothing.")] = False,
    partial: Annotated[bool, Query(description="Store the good lines although others are refused.")] = False,
    plan_id: Annotated[
        str | None, Query(description="Store only what the dry run that gave this id has shown.", max_length=200)
    ] = None,
) -> Options:
    """Read `?match=`, `?dry_run=`, `?partial=` and `?plan_id=`."""
    return Options(match, dry_run, partial, plan_id)


@router.post(
    "/imports",
    status_code=CREATED,
    responses={LOOKED_AT: {}},
    openapi_extra={"requestBody": BODY},
    summary="Propose an order by list",
)
def import_list(
    request: Request,
    actor: Proposer,
    upload: Annotated[Upload, Depends(read_upload)],
    options: Annotated[Options, Depends(get_options)],
    session: SessionDep,
    response: Response,
    *,
    refused: Annotated[
        bool, Query(description="Answer the refused lines as a list to correct (`refused_file`) as well.")
    ] = False,
) -> dict[str, Any]:
    """A verdict for every line. One refused line, and nothing is stored, unless `partial`.

    201 with the proposal's id; 200 where nothing was to be stored: a dry run, or names that the order of this number
    holds already. An answer shows every refused line and the first 1,000 others; `counts` are about all. A dry run
    gives a `plan_id`: with it the same list is stored only if nothing that its verdicts depend on has moved (409).
    A table whose header names columns of orders makes a proposal of each order that its lines name.
    """
    state = request.app.state
    imported = imports.import_list(
        get_database(request),
        session,
        actor,
        upload.order,
        upload.given,
        options,
        guard=ranks.up_to_date(state.database, state.guard),
        clock=state.clock,
    )
    if imported.refused:
        raise imported.refusal()
    response.status_code = CREATED if imported.stored else LOOKED_AT
    if imported.order is not None:
        response.headers["ETag"] = f'"{imported.order.version}"'
    document = imported.document()
    if refused:
        document["refused_file"] = "".join(islice(imports_refused.texts(imported), MOST_REFUSED_TEXTS))
    return document


def _upload(said: dict[str, Any], octets: Octets, format_: Format | None) -> Upload:
    """An order, unless it is the lines that say theirs: then what is common to all."""
    given = imports_formats.given(octets, format_)
    return Upload(said if given.says_orders else _valid(OrderIn.model_validate, said, "order"), given)


def _from_json(octets: bytes, format_: Format | None) -> Upload:
    if len(octets) > MOST_JSON_OCTETS:
        raise TooLarge(f"a list of over {MOST_JSON_OCTETS} octets is sent as a file: multipart/form-data")
    sent = _valid(ImportIn.model_validate_json, octets)
    return _upload(sent.order, partial(imports_lines.of_texts, sent.lines), format_)


def _parts_missing(*, order: bool) -> Unprocessable:
    missing = "file" if order else "order"
    fault = Fault("missing", pointer=f"/{missing}")
    return Unprocessable(f"the body needs a part {missing!r}: order (JSON) and file (the list)", faults=(fault,))


def _valid(read: Callable[[Any], Value], sent: object, *where: str) -> Value:
    """A body by its schema; raises RequestValidationError, with pointers from the start of the body."""
    try:
        return read(sent)
    except ValidationError as error:
        faults = [{**fault, "loc": ("body", *where, *fault["loc"])} for fault in error.errors(include_url=False)]
        raise RequestValidationError(faults) from error
