"""Journals of any length, and their exports taken apart and put together again."""

import random
import zipfile
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from sqlalchemy import update
from sqlalchemy.orm import Session

from app.audit import export
from app.db import Database, insert_rows, refusal_triggers
from app.journal import merkle, signing, tree
from app.journal.actor import CLOCK, Actor
from app.journal.append import Entry, append, canonical_body, leaf_hash
from app.journal.events import EventType
from app.journal.models import Event, JournalHead, TreeNode
from app.journal.notes import Signer
from app.settings import Settings
from tests import databases
from tests.service import NOW

SOMEBODY = Actor(name="operator-1", role="operator", principal_id=1, token_id=2, address="192.0.2.7")
AT_ONCE = 20_000
REFUSALS = import_module("migrations.versions.0001_ground").REFUSALS
TRIGGERS = {"events": "events_insert", "journal_head": "journal_head_update", "tree_nodes": "tree_nodes_insert"}
TEXTS = ("a", 'say "this"', "=1+1", "a,b;c", "\u2028\n\r\n", "Judi \u2713 \U0001f3b2", "-", "")


def fill(database: Database, count: int, seed: int = 0) -> None:
    """Write so many events, in one transaction."""
    chance = random.Random(seed)
    with database.write() as session:
        for number in range(count):
            facts = {"number": number, "text": chance.choice(TEXTS), "list": [chance.random() < 0.5, None]}
            entry = Entry(EventType.SAMPLE_NOTED, facts, personal={"reporter": "Budi"} if number % 5 == 0 else {})
            append(session, (CLOCK, SOMEBODY)[number % 2], entry, NOW)


def fill_fast(database: Database, size: int) -> None:
    """Make the journal so long, past the ORM and past the triggers, which stand again afterwards."""
    for table, refusal in TRIGGERS.items():
        databases.allow(database, table, refusal)
    with database.write() as session:
        first, peaks = tree.size(session) + 1, []
        for node in merkle.Span(0, first - 1).nodes():
            leaves = merkle.Span(node.position << node.level, (node.position + 1) << node.level)
            peaks += tree.hashes(session, [leaves])
        for begin in range(first, size + 1, AT_ONCE):
            _insert(session, range(begin, min(begin + AT_ONCE, size + 1)), peaks)
        session.execute(update(JournalHead).values(size=size))
    with database.engine.begin() as connection:
        again = [refusal for refusal in REFUSALS if refusal[0] in TRIGGERS.values()]
        for statement in refusal_triggers(databases.KIND, again):
            connection.exec_driver_sql(statement)


def _insert(session: Session, numbers: range, peaks: list[bytes]) -> None:
    events, nodes = [], []
    for seq in numbers:
        facts = {"number": seq, "text": TEXTS[seq % len(TEXTS)]}
        body = canonical_body(seq, CLOCK, Entry(EventType.SAMPLE_NOTED, facts), NOW, {})
        node = leaf_hash(body)
        events.append((seq, "sample.noted", NOW, NOW, "clock", "clock", None, None, body.decode(), node))
        for beside in merkle.waiting(seq):
            node = merkle.parent(peaks.pop(), node)
            nodes.append({"level": beside.level + 1, "position": beside.position // 2, "hash": node})
        peaks.append(node)
    columns = [column.name for column in Event.__table__.columns]
    insert_rows(session, Event, [dict(zip(columns, row, strict=True)) for row in events])
    insert_rows(session, TreeNode, nodes)


def started(database: Database, settings: Settings) -> None:
    """Give the journal its name and its first key."""
    signing.start(database, settings, lambda: NOW)


def signer(database: Database, settings: Settings) -> Signer:
    with database.read() as session:
        return signing.needed(session, settings.log_key_path)


def checkpoint(database: Database, settings: Settings, size: int | None = None) -> str:
    with database.read() as session:
        return export.checkpoint(session, settings.log_key_path, size)


def exported(database: Database, settings: Settings, path: Path, since: str | None = None) -> Path:
    """The journal's export as a file."""
    with database.read() as session, path.open("wb") as target:
        target.writelines(export.stream(session, signing.needed(session, settings.log_key_path), since))
    return path


def contents(path: Path) -> dict[str, bytes]:
    """What is in a zip."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(path: Path, files: Mapping[str, bytes]) -> Path:
    """A zip of these files, without a fault of its own."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, octets in files.items():
            archive.writestr(name, octets)
    return path
