"""What a database had that a backup has not: found by the trees of both journals, and written down."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.db import Database
from app.errors import SettingInvalid
from app.journal import queries, tree
from app.keyfile import OWNER_ONLY
from app.publication import set_back, zones
from app.publication.marks import Shown

PAGE = 1_000

LOOK_AT: Mapping[str, str] = {
    "order.ended": "lifts that are undone: these names are blocked again until they are lifted again",
    "order.lifted_in_part": "names that were lifted alone and are blocked again",
    "order.suspended": "openings that are undone",
    "order.approved": "approvals that are lost: what they blocked is open until it is approved again",
    "order.activated": "scheduled blocks that wait for their moment again: it is past, so they begin at once",
    "order.proposed": "orders that are not there any more; their numbers are free again",
    "condition.met": "conditions that count as not met again",
    "token.created": "tokens that nobody knows any more: make new ones",
    "token.revoked": "tokens that are valid again: revoke them at once (pulih token list, revoke)",
    "subscriber.added": "subscribers that are not known any more, with their keys and tokens",
    "subscriber.removed": "subscribers that may transfer zones again: remove them at once",
    "subscriber.key_rotated": "TSIG keys that are the old ones again: rotate them once more",
    "subscriber.changed": "subscribers that are as they were before",
    "log.key_rotated": "the journal's key: put the LOG_KEY_FILE of that time back, or nothing is signed",
}
"""Kinds of events whose loss somebody must look at, and why."""


class Gap(NamedTuple):
    """What the database before had: its journal, what of it both have, the highest serial of each zone, and how many
    events of each type are lost."""

    before: Shown
    common: int
    serials: dict[str, int]
    types: dict[str, int]
    sha256: str

    @property
    def lost(self) -> int:
        return self.before.size - self.common

    def to_look_at(self) -> list[str]:
        """What the operator has to look at, a line each."""
        return [f"{self.types[type_]} {type_}: {why}" for type_, why in LOOK_AT.items() if type_ in self.types]


def found(before: Database, after: Database, file: Path) -> Gap | None:
    """The gap, with every event in it written to `file`, a line each; None where the one before cannot be read."""
    try:
        with before.read() as old, after.read() as new:
            shared = common(old, new)
            serials = {zone.name: zones.last_serial(old, zone) for zone in zones.active(old)}
            types, digest = _write(old, shared, file)
            return Gap(set_back.journal(old), shared, serials, types, digest)
    except (DBAPIError, SettingInvalid):
        file.unlink(missing_ok=True)
        return None


def common(one: Session, other: Session) -> int:
    """How many events both journals begin with; from there on they differ, or one of them ends."""
    low, high = 0, min(tree.size(one), tree.size(other))
    while low < high:
        middle = (low + high + 1) // 2
        same = tree.root(one, middle) == tree.root(other, middle)
        low, high = (middle, high) if same else (low, middle - 1)
    return low


def _write(session: Session, after: int, path: Path) -> tuple[dict[str, int], str]:
    """Write the events behind a number, as an export shows them; how many of each type, and the file's hash."""
    types, digest = Counter[str](), hashlib.sha256()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_ONLY), "wb") as file:
        while events := queries.page(session, after=after, limit=PAGE):
            for event in events:
                line = (json.dumps(queries.document(event), ensure_ascii=False) + "\n").encode()
                digest.update(line)
                file.write(line)
                types[event.type] += 1
            after = events[-1].seq
            session.expunge_all()
        file.flush()
        os.fsync(file.fileno())
    return dict(types), digest.hexdigest()
