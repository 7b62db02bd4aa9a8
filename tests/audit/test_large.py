"""A journal of a million events (PULIH_TEST_SCALE=50): what it costs to add to it, to prove, and to check all of it.

In seconds of the processor: others use the machine as well.
"""

import random
import time
import tracemalloc
from pathlib import Path
from statistics import median

import pytest

from app.audit import export, verify
from app.db import Database
from app.journal import signing, tree
from app.settings import Settings
from tests.audit.journals import checkpoint, exported, fill, fill_fast, started
from tests.policy.scale import Record, scaled, tell

pytestmark = pytest.mark.long

MILLION = 1_000_000
EVENTS = scaled(MILLION // 50)
APPENDED, PROOFS = 200, 50
SECONDS, PROOF_MS, SLOWER = 60.0, 10.0, 1.5
MEMORY = 4 * 2**20
"""Octets that Python may hold while a journal is written out, however long it is."""


def append_ms(database: Database) -> float:
    """Milliseconds for one event: the best of three."""
    took = []
    for _ in range(3):
        began = time.process_time()
        fill(database, APPENDED)
        took.append((time.process_time() - began) / APPENDED * 1e3)
    return min(took)


def proof_ms(database: Database, size: int) -> float:
    """Milliseconds for a proof of an event: the median."""
    chance, took = random.Random(size), []
    with database.read() as session:
        for _ in range(PROOFS):
            seq, began = chance.randrange(1, size), time.process_time()
            tree.inclusion(session, seq, size)
            tree.consistency(session, seq, size)
            took.append((time.process_time() - began) * 1e3 / 2)
    return median(took)


@pytest.mark.alone
def test_a_long_journal_costs_what_a_short_one_does(
    database: Database, settings: Settings, tmp_path: Path, record_property: Record
) -> None:
    started(database, settings)
    fill(database, APPENDED)
    short = append_ms(database)
    fill_fast(database, EVENTS)
    long = append_ms(database)
    size = verify.read(checkpoint(database, settings))[1]
    proof = proof_ms(database, size)
    began = time.process_time()
    path = exported(database, settings, tmp_path / "journal.zip")
    written = time.process_time() - began
    began = time.process_time()
    said = verify.verify(path)
    checked = time.process_time() - began

    tell(record_property, events=size, proof_microseconds=round(proof * 1e3), octets=path.stat().st_size)
    tell(record_property, append_microseconds_short=round(short * 1e3), append_microseconds_long=round(long * 1e3))
    tell(record_property, export_ms=round(written * 1e3), verification_ms=round(checked * 1e3))
    assert said.startswith(f"OK: {size} records")
    assert long <= SLOWER * short
    assert proof <= PROOF_MS
    assert checked <= SECONDS * max(size / MILLION, 0.05)


def test_the_memory_of_an_export_does_not_grow_with_the_journal(
    database: Database, settings: Settings, record_property: Record
) -> None:
    started(database, settings)
    fill_fast(database, 10_000)
    with database.read() as session:
        signer = signing.needed(session, settings.log_key_path)
        tracemalloc.start()
        octets = sum(map(len, export.stream(session, signer)))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

    tell(record_property, octets=octets, peak=peak)
    assert peak <= MEMORY
