"""The journal in itself: its numbers, the hash of every event, the tree over them, a checkpoint that somebody kept."""

import datetime as dt
import json
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db import streamed
from app.errors import Unprocessable
from app.fsck.beside import Beside
from app.fsck.report import Check, Findings, Tick, found, not_checked
from app.fsck.said import EVENTS_AT_ONCE
from app.journal import merkle, notes, signing, tree
from app.journal.append import leaf_hash, salted_hash, timestamp
from app.journal.models import Event, EventPersonal, TreeNode

EVENTS, TREE, CHECKPOINT = "journal", "tree", "checkpoint"
ALTERED = (
    "the database was altered past the service: keep a copy of it as it is, find the first bad event with "
    "`pulih audit verify` on the newest export that is good, and restore a backup from before"
)
TOLD_EVERY = 1_000


def check_events(session: Session, tick: Tick) -> Check:
    """Number, hash and columns of each event, and the texts behind its salted hashes."""
    findings, last = Findings(), 0
    texts = Beside(
        streamed(session, select(EventPersonal).order_by(EventPersonal.seq, EventPersonal.field)),
        lambda row: int(row[0].seq),
    )
    for (event,) in streamed(session, select(Event).order_by(Event.seq), at_once=EVENTS_AT_ONCE):
        if event.seq != last + 1:
            findings.add(f"event {last + 1}", f"is missing: behind {last} comes {event.seq}")
        last = event.seq
        for why in _wrong_in(event, [row[0] for row in texts.at(event.seq)]):
            findings.add(f"event {event.seq} ({event.type}, {timestamp(event.recorded_at)})", why)
        if not last % TOLD_EVERY:
            tick(TOLD_EVERY)
    size = tree.size(session)
    if size != last:
        findings.add("the journal's head", f"says {size} events, and the last one is {last}")
    return found(EVENTS, findings, f"{last:,} events, numbered without a gap, each as it was hashed", ALTERED)


def check_tree(session: Session, tick: Tick) -> Check:
    """Every stored node over the hashes of the events, level by level; so the root that is signed is theirs."""
    findings, size = Findings(), tree.size(session)
    for level in range(1, size.bit_length()):
        for position, (made, stored) in enumerate(zip_longest(_made(session, level), _level(session, level))):
            if made != stored:
                first, past = position << level, (position + 1) << level
                what = "is missing" if stored is None else "is over none" if made is None else "is another"
                findings.add(f"tree over events {first + 1} to {past}", f"its stored hash {what}")
            tick(1)
    root = b"" if findings.count else tree.root(session, size)
    return found(TREE, findings, f"root {root.hex()} is that of {size:,} events", ALTERED)


def check_checkpoint(session: Session, note: str | None) -> Check:
    """A checkpoint that somebody else kept: signed by a key of this journal, and of the beginning of it."""
    if note is None:
        why = "none was given (--checkpoint FILE): a journal that was cut short or written anew is found only by one"
        return not_checked(CHECKPOINT, f"{why} that somebody else kept")
    findings = Findings()
    try:
        held = notes.parse(note)
    except Unprocessable as error:
        findings.add("the checkpoint", error.detail)
        return found(CHECKPOINT, findings, "", "give the file as it was fetched from /api/v1/audit/checkpoint")
    where, size = f"checkpoint of {held.size:,} events", tree.size(session)
    if not any(notes.is_signed(note, key) for _, key in signing.keys(session)):
        findings.add(where, f"no key of this journal signed it; it says it is of {held.origin}")
    elif held.size > size:
        findings.add(where, f"the journal has {size:,}: those behind are gone")
    elif _root(session, held.size) != held.root:
        findings.add(where, f"the first {held.size:,} events are not those that were signed")
    return found(CHECKPOINT, findings, f"the first {held.size:,} events are those that were signed", ALTERED)


def events(session: Session) -> int:
    """How many steps `check_events` takes."""
    return session.scalar(select(func.count()).select_from(Event)) or 0


def _root(session: Session, size: int) -> bytes | None:
    """The root over the first events; None where nodes of it are gone."""
    try:
        return tree.root(session, size)
    except KeyError:
        return None


def _wrong_in(event: Event, texts: list[EventPersonal]) -> Iterator[str]:
    if leaf_hash(event.body.encode()) != event.leaf:
        yield "its text is not the one that was hashed"
    try:
        body = json.loads(event.body)
        said = (body["seq"], body["type"], body["recorded_at"], body["occurred_at"], body["actor"]["name"])
        role, facts, personal = body["actor"]["role"], body["facts"], body["personal"]
    except (ValueError, LookupError, TypeError):
        yield "its text cannot be read"
        return
    columns = (event.seq, event.type, *map(_written, (event.recorded_at, event.occurred_at)), event.actor)
    if (*said, role) != (*columns, event.role):
        yield "its columns say something else than its text"
    if event.order_id is None and str(event.type).startswith(("order.", "condition.")) and facts.get("order"):
        yield f"it is about order {facts['order']}, and its row names no order"
    yield from _wrong_texts(personal, texts)


def _wrong_texts(personal: dict[str, Any], texts: list[EventPersonal]) -> Iterator[str]:
    for row in texts:
        if row.text is not None and personal.get(row.field) != salted_hash(row.salt, row.text):
            yield f"the text behind {row.field} is not the one that was hashed"


def _written(moment: dt.datetime) -> str:
    return timestamp(moment)


def _made(session: Session, level: int) -> Iterator[bytes]:
    """The nodes of a level, from what is stored one below it, which was looked at before."""
    below = _level(session, level - 1)
    return (merkle.parent(left, right) for left, right in zip(below, below, strict=False))


def _level(session: Session, level: int) -> Iterator[bytes]:
    if level == 0:
        query = select(Event.leaf).order_by(Event.seq)
    else:
        query = select(TreeNode.hash).where(TreeNode.level == level).order_by(TreeNode.position)
    return (row[0] for row in streamed(session, query))
