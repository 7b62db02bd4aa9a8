"""The stand-alone verifier: every change of an exported journal is found, and told by the number of its record."""

import ast
import json
import random
import subprocess
import sys
from copy import copy
from hashlib import sha256
from io import BytesIO
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import pytest

from app.audit import verify
from app.audit.verify import Bad, Log
from app.db import Database
from app.journal import notes, signing
from app.journal.notes import Signer
from app.settings import Settings
from tests.audit.journals import checkpoint, contents, exported, fill, packed, signer, started
from tests.policy.scale import Record, scaled, seeded, tell

RECORDS = 120
KINDS = ("flip", "delete", "insert", "exchange")
MUTATIONS, ARCHIVES, FLIPS, SIGNATURES = 20_000, 24, 100, 12
WINDOW = 3
SOURCE = Path(verify.__file__)

Pieces = list[bytes]


class Taken(NamedTuple):
    """An export taken apart: its two files of records, its checkpoint, and what the verifier knows before each one."""

    lines: Pieces
    rows: Pieces
    note: str
    before: list[Log]


@pytest.fixture
def journal(database: Database, settings: Settings) -> Database:
    started(database, settings)
    fill(database, RECORDS)
    return database


@pytest.fixture
def export(journal: Database, settings: Settings, tmp_path: Path) -> Path:
    return exported(journal, settings, tmp_path / "journal.zip")


def known(log: Log) -> Log:
    """A copy of what a verifier knows."""
    same = copy(log)
    same.peaks, same.keys, same.roots = log.peaks.copy(), log.keys.copy(), log.roots.copy()
    return same


def taken_apart(path: Path) -> Taken:
    files = contents(path)
    lines, rows = files["events.jsonl"].splitlines(keepends=True), files["events.csv"].split(b"\r\n")
    note = files["checkpoint.txt"].decode()
    taken = Taken(lines, [row + b"\r\n" for row in rows[1:-1]], note, [])
    log = Log()
    log.end = verify.read(note)[1]
    log.roots[log.end] = b""
    for line, row in zip(taken.lines, taken.rows, strict=True):
        taken.before.append(known(log))
        log.take(line, row)
    log.check(note, log.keys)
    return taken


def judged(taken: Taken, number: int, lines: Pieces, rows: Pieces, *, to_the_end: bool) -> int | None:
    """What the verifier says of pieces that stand from record `number` on; at the end of them its checkpoint too."""
    log = known(taken.before[number - 1])
    try:
        for line, row in zip_longest(split(lines), rows):
            log.take(line, row)
        if to_the_end:
            log.check(taken.note, log.keys)
    except Bad as bad:
        return int(bad.args[0])
    return None


def split(lines: Pieces) -> Pieces:
    """Lines as they are read: a line feed that was changed into another octet ends none."""
    return BytesIO(b"".join(lines)).readlines()


def flipped(chance: random.Random, octets: bytes) -> bytes:
    changed = bytearray(octets)
    changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def mutated(chance: random.Random, kind: str, taken: Taken, number: int) -> tuple[Pieces, Pieces]:
    """The records from `number` on, as many as the verifier may need to see, with one change."""
    whole = (taken.lines, taken.rows)
    changed = [pieces[number - 1 : number - 1 + WINDOW] for pieces in whole]
    other = chance.randrange(number, len(taken.lines)) if number < len(taken.lines) else 0
    for file in [chance.randrange(2)] if kind == "flip" else chance.choice(([0], [1], [0, 1])):
        if kind == "flip":
            changed[file][0] = flipped(chance, changed[file][0])
        elif kind == "delete":
            del changed[file][0]
        elif kind == "insert":
            changed[file].insert(0, whole[file][other])
        else:
            changed[file][0] = whole[file][other]
    return changed[0], changed[1]


def first_changed(taken: Taken, number: int, lines: Pieces, rows: Pieces) -> int:
    """The number of the first record that is not as it was."""
    now = zip_longest(split(lines), rows)
    before = zip(taken.lines[number - 1 :], taken.rows[number - 1 :], strict=True)
    return next(number + at for at, (new, old) in enumerate(zip_longest(now, before)) if new != old)


def test_every_single_change_is_found_and_told_by_its_number(export: Path, record_property: Record) -> None:
    """Bits of lines and rows; records left out, put in, and exchanged, in one file or in both."""
    taken, chance, found = taken_apart(export), seeded("mutations"), dict.fromkeys(KINDS, 0)
    for turn in range(scaled(MUTATIONS)):
        kind, number = KINDS[turn % len(KINDS)], chance.randrange(1, len(taken.lines) + 1)
        lines, rows = mutated(chance, kind, taken, number)
        to_the_end = number - 1 + WINDOW >= len(taken.lines)
        expected = first_changed(taken, number, lines, rows)
        assert judged(taken, number, lines, rows, to_the_end=to_the_end) == expected, (
            kind,
            number,
            lines[:1],
            rows[:1],
        )
        found[kind] += 1
    tell(record_property, **found)


def test_what_is_found_in_the_records_is_found_in_the_archive(
    export: Path, tmp_path: Path, record_property: Record
) -> None:
    """The same changes, packed anew as somebody would who means it: the zip itself has no fault."""
    taken, files, chance = taken_apart(export), contents(export), seeded("archives")
    for turn in range(ARCHIVES):
        kind, number = KINDS[turn % len(KINDS)], chance.randrange(1, len(taken.lines) + 1)
        lines, rows = mutated(chance, kind, taken, number)
        behind = number - 1 + WINDOW
        changed = {
            **files,
            "events.jsonl": b"".join([*taken.lines[: number - 1], *lines, *taken.lines[behind:]]),
            "events.csv": b"".join([verify.HEADER, *taken.rows[: number - 1], *rows, *taken.rows[behind:]]),
        }
        with pytest.raises(Bad) as bad:
            verify.verify(packed(tmp_path / "changed.zip", changed))
        assert bad.value.args[0] == first_changed(taken, number, lines, rows)
    tell(record_property, archives=ARCHIVES)


def test_no_octet_of_the_archive_can_change_what_it_says(export: Path, tmp_path: Path, record_property: Record) -> None:
    """A bit of the zip anywhere: it is found, or it is none that anything is read from."""
    octets, good, chance, found = export.read_bytes(), contents(export), seeded("octets"), 0
    path, said = tmp_path / "changed.zip", verify.verify(export)
    for _ in range(FLIPS):
        path.write_bytes(flipped(chance, octets))
        try:
            assert verify.verify(path) == said
            assert contents(path) == good
        except Bad:
            found += 1
    tell(record_property, found=found, of=FLIPS)
    assert found > FLIPS * 0.9


@pytest.mark.parametrize(
    "name", ["verify.py", "checkpoint.txt", "consistency.json", "key.pem", "zones.csv", "figures.json", "manifest.json"]
)
def test_no_other_file_can_be_changed_either(export: Path, tmp_path: Path, name: str) -> None:
    files = contents(export)
    for changed in (files[name] + b"\n", files[name][:-1], None):
        other = {**files, name: changed or b""}
        if changed is None:
            del other[name]
        with pytest.raises(Bad):
            verify.verify(packed(tmp_path / "changed.zip", other))


def test_the_head_of_the_table_is_that_of_its_columns(export: Path, tmp_path: Path) -> None:
    files = contents(export)
    head = files["events.csv"].replace(b'"actor","role"', b'"role","actor"', 1)

    with pytest.raises(Bad, match="head of the table"):
        verify.verify(packed(tmp_path / "changed.zip", {**files, "events.csv": head}))


def test_a_proof_that_proves_nothing_is_found_whoever_signed_it(
    journal: Database, settings: Settings, tmp_path: Path
) -> None:
    files = contents(exported(journal, settings, tmp_path / "journal.zip", checkpoint(journal, settings, 7)))
    proof = json.loads(files["consistency.json"])
    first, *rest = proof["path"]
    for path in ([*rest, first], [first, *proof["path"]], [*proof["path"], first], rest):
        files["consistency.json"] = json.dumps({**proof, "path": path}).encode()
        manifest = json.loads(files["manifest.json"])
        manifest["files"]["consistency.json"] = sha256(files["consistency.json"]).hexdigest()
        files["manifest.json"] = json.dumps(manifest).encode()
        files["manifest.json.sig"] = signer(journal, settings).private.sign(files["manifest.json"])
        with pytest.raises(Bad):
            verify.verify(packed(tmp_path / "changed.zip", files))


def test_a_file_too_many_is_found(export: Path, tmp_path: Path) -> None:
    with pytest.raises(Bad, match=r"planted\.txt"):
        verify.verify(packed(tmp_path / "changed.zip", {**contents(export), "planted.txt": b""}))


def test_a_truncation_is_found_against_one_checkpoint_held_elsewhere(
    journal: Database, settings: Settings, tmp_path: Path
) -> None:
    """Without one, nothing can find it: what was whole then is whole still."""
    short = exported(journal, settings, tmp_path / "short.zip")
    before = checkpoint(journal, settings)
    fill(journal, 5)
    after = checkpoint(journal, settings)

    assert verify.verify(short).startswith("OK: ")
    assert verify.verify(short, outside=before).startswith("OK: ")
    with pytest.raises(Bad) as bad:
        verify.verify(short, outside=after)
    assert bad.value.args[:2] == (verify.read(before)[1] + 1, f"missing, the checkpoint is of {verify.read(after)[1]}")


def test_a_record_behind_the_last_that_was_signed_is_found(
    journal: Database, settings: Settings, tmp_path: Path
) -> None:
    before = contents(exported(journal, settings, tmp_path / "before.zip"))
    fill(journal, 2)
    after = contents(exported(journal, settings, tmp_path / "after.zip"))
    records = {name: after[name] for name in verify.RECORDS}

    with pytest.raises(Bad) as bad:
        verify.verify(packed(tmp_path / "changed.zip", {**before, **records}))
    assert bad.value.args[0] == before["events.jsonl"].count(b"\n") + 1


def test_a_journal_that_was_written_anew_is_found_against_one_checkpoint_held_elsewhere(
    journal: Database, settings: Settings, tmp_path: Path
) -> None:
    """By whoever holds the key as well; the fork has as many records, or more."""
    with journal.read() as session:
        forked = signing.needed(session, settings.log_key_path).note(
            notes.Checkpoint(signing.needed(session, settings.log_key_path).name, 50, bytes(32)).text
        )
    with pytest.raises(Bad, match="records 1 to 50 are not those signed"):
        verify.verify(exported(journal, settings, tmp_path / "journal.zip"), outside=forked)


def test_a_journal_signed_by_another_key_is_found_by_who_knows_the_key(
    export: Path, journal: Database, settings: Settings
) -> None:
    key = signer(journal, settings).public.vkey

    assert verify.verify(export, key=key).endswith(f", key {key}")
    with pytest.raises(Bad, match="never had the key"):
        verify.verify(export, key=Signer.of("localhost/pulih", bytes(32)).public.vkey)


def test_a_checkpoint_of_somebody_else_is_refused(export: Path) -> None:
    with pytest.raises(Bad, match="did not sign the checkpoint"):
        verify.verify(
            export, outside=Signer.of("127.0.0.1/pulih", bytes(32)).note("127.0.0.1/pulih\n1\n" + "A" * 43 + "=\n")
        )


def test_an_earlier_checkpoint_is_proved_in_the_archive(journal: Database, settings: Settings, tmp_path: Path) -> None:
    before = checkpoint(journal, settings)
    fill(journal, 9)
    files = contents(exported(journal, settings, tmp_path / "journal.zip", before))
    proof = json.loads(files["consistency.json"])

    assert proof["from"] == before
    assert len(proof["path"]) > 1
    assert verify.verify(tmp_path / "journal.zip").startswith("OK: ")


def test_the_verifier_is_short_and_needs_nothing_but_python(export: Path, tmp_path: Path) -> None:
    """It runs as it lies in the archive, away from the project, without any package."""
    source = contents(export)["verify.py"]
    (tmp_path / "alone").mkdir()
    alone = tmp_path / "alone" / "verify.py"
    alone.write_bytes(source)
    imported = {
        name.name.partition(".")[0]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (node.names if isinstance(node, ast.Import) else [ast.alias(str(node.module))])
    }
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(alone), str(export)],
        cwd=alone.parent,
        capture_output=True,
        text=True,
        check=False,
    )

    assert source == SOURCE.read_bytes()
    assert len(source.splitlines()) <= 200
    assert imported <= set(sys.stdlib_module_names)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{verify.verify(export)}\n", "")


def test_it_says_in_plain_words_what_is_wrong_in_two_languages(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = contents(export)
    lines = files["events.jsonl"].splitlines(keepends=True)
    lines[16] = lines[16].replace(b'"number":', b'"nomber":')
    path = packed(tmp_path / "changed.zip", {**files, "events.jsonl": b"".join(lines)})

    assert verify.main([str(path)]) == 1
    assert capsys.readouterr().out == (
        "BAD: record 17: its line and its row in the table differ\n"
        "RUSAK: catatan 17: baris teks dan baris tabelnya berbeda\n"
    )


def test_signatures_are_judged_as_the_library_judges_them(record_property: Record) -> None:
    chance, judged_ = seeded("signatures"), 0
    for _ in range(SIGNATURES):
        one, text = Signer.of("a/b", chance.randbytes(32)), chance.randbytes(chance.randrange(200))
        signature = one.private.sign(text)
        assert verify.is_signed(one.public.vkey, signature, text)
        twin = int.from_bytes(signature[32:], "little") + verify.ORDER  # the same to who does not look at its size
        twins = signature[:32] + twin.to_bytes(32, "little")
        for wrong in (flipped(chance, signature), signature[:-1], bytes(64), twins):
            assert not one.public.is_of(wrong, text)
            try:
                assert not verify.is_signed(one.public.vkey, wrong, text)
            except ValueError:
                continue
            judged_ += 1
    tell(record_property, judged=judged_)
