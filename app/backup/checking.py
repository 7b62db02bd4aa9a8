"""Whether a database is what a manifest says: looked at anew, and the journal's root from the text of its events."""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import select

from app.backup.manifest import Manifest, Progress, describe
from app.db import Database, streamed
from app.errors import Refused
from app.journal.merkle import MerkleRoot
from app.journal.models import Event

AT_ONCE = 10_000


class Body(NamedTuple):
    """An event as the root is computed from it."""

    seq: int
    text: str


def check(url: str, manifest: Manifest, progress: Progress) -> None:
    """Raise Refused where a database is not what a manifest says."""
    database = Database(url)
    try:
        with database.read() as session:
            refuse(differences(manifest, describe(session, manifest.made_at)))
            query = select(Event.seq, Event.body).order_by(Event.seq)
            check_root(manifest, map(Body._make, streamed(session, query, at_once=AT_ONCE)), progress)
    finally:
        database.close()


def check_root(manifest: Manifest, bodies: Iterable[Body], progress: Progress) -> None:
    """Raise Refused unless these are the events of a journal: each once, and with its root.

    They come nearly in order, as a table of them is stored; what comes early waits for those before it.
    """
    root, early = MerkleRoot(), dict[int, str]()
    for seq, text in bodies:
        early[seq] = text
        if len(early) >= AT_ONCE:
            _take(root, early)
            progress(root.count / max(manifest.size, 1))
    _take(root, early)
    if early or root.count != manifest.size:
        refuse([f"event {root.count + 1} of the journal is missing"])
    if root.digest().hex() != manifest.root:
        refuse([f"the journal's root should be {manifest.root}, and its events have {root.digest().hex()}"])


def differences(said: Manifest, found: Manifest) -> list[str]:
    """Where a database is not what a manifest says of it, in words."""
    fields = ("database", "schema", "log", "size", "root", "serials", "rows")
    pairs = ((field, getattr(said, field), getattr(found, field)) for field in fields)
    return [f"{field} should be {_short(a, b)} and is {_short(b, a)}" for field, a, b in pairs if a != b]


def refuse(wrong: list[str]) -> None:
    """Raise Refused if anything is wrong."""
    if wrong:
        raise Refused(f"what was backed up is not right: {'; '.join(wrong)}")


def _take(root: MerkleRoot, early: dict[int, str]) -> None:
    """Take those whose turn it is."""
    ready: list[bytes] = []
    while (seq := root.count + len(ready) + 1) in early:
        ready.append(early.pop(seq).encode())
    root.extend(ready)


def _short(value: object, other: object) -> object:
    """Of two tables of numbers only what differs."""
    if isinstance(value, dict) and isinstance(other, dict):
        return {key: value.get(key) for key in sorted({*value, *other}) if value.get(key) != other.get(key)}
    return value
