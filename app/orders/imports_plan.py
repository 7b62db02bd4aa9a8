"""The id of what a list was judged to do: four digests, so that what has moved since then can be named."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence

from pydantic import ValidationError
from sqlalchemy.orm import Session

from app.db import Database
from app.errors import Conflict, Fault, Unprocessable
from app.orders import holders, sops, targets
from app.orders.holders import Overhead
from app.orders.imports_book import Template
from app.orders.imports_formats import Given
from app.orders.imports_judging import Found, Watch
from app.orders.imports_verdicts import Verdicts
from app.orders.models import Order, TargetRow
from app.orders.schemas import OrderIn, SopChoice

DIGITS = 32
"""Of each digest, in hexadecimal: 128 bits."""

MOVED = {
    "list": "the list",
    "order": "the order or how it was to be imported",
    "guard": "what the guard says of these names",
    "names": "other orders on these names",
}
"""The parts of an id, in its order. What follows from an earlier one is compared only where that has stayed."""

_is_id = re.compile(f"[0-9a-f]{{{DIGITS}}}(?:-[0-9a-f]{{{DIGITS}}}){{{len(MOVED) - 1}}}").fullmatch


def of_list(given: Given) -> str:
    """The digest of a list as it came."""
    digest = hashlib.sha256(given.format.encode())
    for line in given.octets():
        digest.update(b"\n" + line)
    return digest.hexdigest()[:DIGITS]


def of_order(order: OrderIn | Template, options: Sequence[object]) -> str:
    """The digest of what was said beside a list."""
    said = order.model_dump(mode="json") if isinstance(order, OrderIn) else dict(order)
    text = json.dumps([said, options], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def sop_version(database: Database, order: OrderIn | Template) -> int | None:
    """The version of the template that an order would be made under; None where it names none that there is."""
    said = order.model_dump(mode="json") if isinstance(order, OrderIn) else order
    try:
        choice = SopChoice.model_validate(said.get("sop"))
        with database.read() as session:
            return sops.find(session, choice).number
    except (ValidationError, Unprocessable):
        return None


def of_judgement(verdicts: Verdicts) -> str:
    """The digest of which lines are refused; to be asked before names are compared with orders."""
    return hashlib.sha256(verdicts.marks).hexdigest()[:DIGITS]


class NamesWatch(Watch):
    """Digests who holds the names of a list, and names above them, as they are looked at."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def parts(self) -> dict[str, str]:
        return {"names": self._digest.hexdigest()[:DIGITS]}

    def turn_to(self, standing: Order | None) -> None:
        self._note([] if standing is None else [standing.uid, standing.version])

    def see(self, session: Session, batch: Sequence[Found], overhead: Overhead) -> None:
        for some in targets.batches(batch):
            keys = [found.key for found in some]
            at = holders.of(session, TargetRow.key.in_(keys))
            for found in some:
                here, above = at.get(found.key, ()), overhead.above(found.key)
                if here or above.holders:
                    self._note([found.key, found.match, here, above.holders])

    def _note(self, document: object) -> None:
        self._digest.update(json.dumps(document).encode() + b"\n")


def joined(parts: Mapping[str, str]) -> str:
    """The id that has these parts."""
    return "-".join(parts[name] for name in MOVED)


def check(plan_id: str | None, now: Mapping[str, str]) -> None:
    """Raise Conflict (`plan_changed`), naming what has moved, where an id is given and has other parts than these."""
    if plan_id is None:
        return
    if not _is_id(plan_id):
        raise Unprocessable("this is no plan id: a dry run gives one", faults=(Fault("plan_id", plan_id, "/plan_id"),))
    shown = dict(zip(MOVED, plan_id.split("-"), strict=True))
    moved = [name for name, digest in now.items() if shown[name] != digest]
    if moved:
        raise changed(moved)


def changed(moved: Sequence[str]) -> Conflict:
    """The refusal that names what has moved."""
    detail = f"since this was judged, {' and '.join(MOVED[name] for name in moved)} moved: judge it again"
    return Conflict(detail, code="plan_changed", faults=[Fault(f"{name}_moved", pointer="/plan_id") for name in moved])
