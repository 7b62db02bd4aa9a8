"""Journals of any length, and their exports taken apart and put together again."""

import random
import zipfile
from collections.abc import Mapping
from pathlib import Path

from app.audit import export
from app.db import Database
from app.journal import signing
from app.journal.actor import CLOCK, Actor
from app.journal.append import Entry, append
from app.journal.events import EventType
from app.journal.notes import Signer
from app.settings import Settings
from tests.service import NOW

SOMEBODY = Actor(name="somebody", role="operator", principal_id=1, token_id=2, address="192.0.2.7")
TEXTS = ("a", 'say "this"', "=1+1", "a,b;c", "\u2028\n\r\n", "Judi \u2713 \U0001f3b2", "-", "")


def fill(database: Database, count: int, seed: int = 0) -> None:
    """Write so many events, in one transaction."""
    chance = random.Random(seed)
    with database.write() as session:
        for number in range(count):
            facts = {"number": number, "text": chance.choice(TEXTS), "list": [chance.random() < 0.5, None]}
            entry = Entry(EventType.SAMPLE_NOTED, facts, personal={"reporter": "Budi"} if number % 5 == 0 else {})
            append(session, (CLOCK, SOMEBODY)[number % 2], entry, NOW)


def started(database: Database, settings: Settings) -> None:
    """Give the journal its name and its first key."""
    with database.write() as session:
        signing.start(session, settings, NOW)


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
