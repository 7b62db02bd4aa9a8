"""Snapshot files: what is read is octet for octet what was written, or nothing is."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from app.publication import snapshot
from app.publication.snapshot import DamagedError, Snapshot
from app.publication.snapshot_writer import SnapshotWriter
from resolver_policy.delta import EMPTY_RULE, Change, Rule
from resolver_policy.version import ZoneVersion
from resolver_policy.xfr import answer
from tests.policy.scale import Record, scaled, seeded, tell
from tests.policy.test_xfr import ask
from tests.policy.zones import EVERY_RULE, SUBTREE, Rules, changes_to, many_rules, records_of, version, zone
from tests.publication.files import SERIALS, from_rules, identity, opened, version_of, written, written_from

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "snapshots" / "block.rpz.snapshot"


def messages(of: ZoneVersion) -> list[bytes]:
    return list(answer(ask("AXFR"), of).messages)


def test_zone_from_a_file_is_sent_as_one_from_memory_is(path: Path) -> None:
    rules = many_rules(4000)
    made = version(rules, serial=110)
    stored = version_of(opened(written(path, rules)))

    assert (stored.names, stored.records) == (made.names, made.records)
    assert len(stored.ranges) == len(made.ranges) > 10
    assert dict(stored.rules()) == rules
    assert messages(stored) == messages(made)


def test_file_says_what_it_is(path: Path) -> None:
    of = zone("redirect:landing.example", "other.rpz")
    file = opened(written(path, many_rules(10), of))

    assert file.identity == identity(of)
    assert file.serials == SERIALS


def test_empty_zone_has_a_file_too(path: Path) -> None:
    assert messages(version_of(opened(written(path, {})))) == messages(version({}, serial=110))


def test_changes_over_a_file_equal_a_full_rendering(path: Path, record_property: Record) -> None:
    random, steps = seeded("changes over a file"), 0
    for seed in range(scaled(6)):
        rules = many_rules(random.choice((0, 30, 1500)), seed)
        now = version_of(opened(written(path, rules)))
        for serial in range(111, 119):
            other = dict(rules)
            for key in random.sample(sorted(rules), min(len(rules), random.choice((0, 2, 60)))):
                other.pop(key) if random.random() < 0.5 else other.update({key: random.choice(EVERY_RULE)})
            other |= many_rules(random.choice((1, 5, 700)), random.getrandbits(30))
            now, rules, steps = now.changed(changes_to(rules, other), serial), other, steps + 1
            assert dict(now.rules()) == rules
            assert (now.names, now.records) == (len(rules), len(records_of(rules, now.zone)))
    tell(record_property, changes_over_a_file=steps)


def test_change_that_is_not_of_what_the_file_holds_is_refused(path: Path) -> None:
    made = version_of(opened(written(path, many_rules(100))))
    with pytest.raises(ValueError, match="expects"):
        made.changed([Change("com.never-there.", SUBTREE, EMPTY_RULE)], 111)


def test_no_octet_of_a_file_can_be_flipped_so_that_something_else_is_sent(path: Path, record_property: Record) -> None:
    """Head, index and end are refused, a body is made from its lines, lines are had from the database."""
    rules = many_rules(700)
    whole = written(path, rules).read_bytes()
    right = messages(version_of(opened(path, rules)))
    begins, ends = opened(path).offsets[0], opened(path).offsets[-1]
    refused = mended = 0
    for at in [*range(begins), *range(begins, ends, 399), *range(ends, len(whole))]:
        flipped = whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :]
        path.write_bytes(flipped)
        try:
            file = opened(path, rules)
        except DamagedError:
            refused += 1
            assert not begins <= at < ends
            continue
        assert begins <= at < ends
        made = version_of(file)
        assert messages(made) == right
        assert dict(made.rules()) == rules
        assert file.is_damaged
        mended += 1
    tell(record_property, refused=refused, mended=mended)
    assert refused == len(whole) - (ends - begins)
    assert mended > 50


def test_truncated_file_is_refused(path: Path) -> None:
    whole = written(path, many_rules(50)).read_bytes()
    for length in range(0, len(whole), 41):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedError):
            opened(path)


def test_file_of_another_machine_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(path, many_rules(10))
    monkeypatch.setattr(sys, "byteorder", "middle")
    with pytest.raises(DamagedError, match="another kind of machine"):
        opened(path)


def test_chunk_that_the_database_does_not_give_again_breaks_the_transfer_off(path: Path) -> None:
    """The database was restored, say; the names that the file had must not be guessed."""
    rules = many_rules(300)
    file = opened(written(path, rules), dict.fromkeys(rules, SUBTREE))
    spoil(path, file.offsets[0], file.offsets[1])

    with pytest.raises(DamagedError, match="does not give it again"):
        messages(version_of(file))


def test_file_cut_short_while_it_is_open_is_mended_as_far_as_memory_is_meant_to_go(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rules = many_rules(6000)
    file = opened(written(path, rules), rules)
    os.truncate(path, file.offsets[1])
    assert messages(version_of(file)) == messages(version(rules, serial=110))
    assert "was made anew from the database" in caplog.text

    monkeypatch.setattr(snapshot, "MOST_MENDED", 3)
    with pytest.raises(DamagedError, match="more than 3"):
        messages(version_of(opened_again(path, rules)))


@pytest.mark.parametrize("how", ["spoiled", "cut short"])
def test_chunk_that_was_right_once_is_looked_at_each_time(path: Path, how: str) -> None:
    rules = many_rules(3000)
    file = opened(written(path, rules), rules)
    right = messages(version_of(file))
    if how == "spoiled":
        spoil(path, file.offsets[1] + 9, file.offsets[1] + 10)
    else:
        os.truncate(path, file.offsets[1] + 100)
    assert not file.is_damaged
    assert messages(version_of(file)) == right
    assert dict(version_of(file).rules()) == rules
    assert file.is_damaged


def test_loop_that_answers_never_waits_for_the_database(path: Path) -> None:
    rules = many_rules(3000)
    asked: list[int] = []

    def of_database(release_id: int, first_key: str, past_key: str | None) -> Iterable[tuple[str, Rule]]:
        asked.append(release_id)
        return from_rules(rules)(release_id, first_key, past_key)

    async def transfer() -> list[bytes]:
        return messages(version_of(file))

    file = Snapshot(written(path, rules), of_database)
    right = messages(version_of(file))
    spoil(path, file.offsets[1], file.offsets[2])
    with pytest.raises(DamagedError, match="yet to be made anew"):
        asyncio.run(transfer())
    assert (asked, file.is_damaged) == ([], True)

    assert file.mend()
    assert asyncio.run(transfer()) == right
    assert not file.mend()
    assert len(asked) == 1


def opened_again(path: Path, rules: Rules) -> Snapshot:
    file = opened(written(path, rules), rules)
    os.truncate(path, file.offsets[1])
    return file


def spoil(path: Path, first: int, past: int) -> None:
    """Overwrite octets of a file in place."""
    with path.open("r+b") as file:
        file.seek(first)
        file.write(b"\xff" * (past - first))


def test_background_check_finds_what_nobody_asked_for(path: Path) -> None:
    rules = many_rules(3000)
    file = opened(written(path, rules), rules)
    spoil(path, file.offsets[5] - 3, file.offsets[5])

    assert file.check(2)
    assert not file.is_damaged
    while file.check(2):
        pass
    assert file.is_damaged
    assert not opened(written(path, rules)).check(1000)


def test_file_is_closed_when_the_last_version_that_uses_it_is_gone(path: Path) -> None:
    rules = many_rules(2000)
    made = version_of(opened(written(path, rules)))
    gone = next(iter(rules))
    later = made.changed([Change(gone, rules[gone], EMPTY_RULE)], 111)
    path.unlink()
    transfer = answer(ask("AXFR"), made).messages
    next(transfer)
    del made
    assert list(later.rules())
    assert str(path) in open_files()
    del later
    gc.collect()
    assert str(path) in open_files(), "a transfer in progress keeps the version it began with"
    assert len(list(transfer)) > 3
    del transfer
    gc.collect()
    assert str(path) not in open_files()


def open_files() -> str:
    return " ".join(str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink())


def test_writer_that_fails_leaves_what_was_there(path: Path) -> None:
    rules = many_rules(200)
    written(path, rules)
    with pytest.raises(ValueError, match="out of order"):
        written_from(path, [("com.b.", SUBTREE), ("com.a.", SUBTREE)])
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert dict(version_of(opened(path)).rules()) == rules


KILLED = """
import os, signal, sys
from pathlib import Path
from app.publication.snapshot_writer import SnapshotWriter
from resolver_policy.wire import render
from tests.policy.zones import many_rules, zone
from tests.publication.files import SERIALS, identity
writer = SnapshotWriter(Path(sys.argv[1]), identity())
for number, chunk in enumerate(render(sorted(many_rules(9000, 2).items()), zone())):
    writer.add(chunk)
    if number == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
writer.finish(SERIALS)
"""


def test_writer_that_is_killed_leaves_what_was_there_and_the_next_one_sweeps(path: Path) -> None:
    rules = many_rules(200)
    written(path, rules)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path), "9"], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(path.parent.iterdir())) == 2
    assert dict(version_of(opened(path)).rules()) == rules

    written(path, many_rules(300))
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert len(list(Snapshot(path, from_rules({})).ranges())) > 0


def test_writer_begins_again_where_another_one_sweeps_before_it_has_its_lock(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    make = tempfile.mkstemp

    def swept(*, prefix: str, **where: Path) -> tuple[int, str]:
        descriptor, name = make(prefix=prefix, dir=where["dir"])
        begun.append(name)
        if len(begun) == 1:
            Path(name).unlink()
        return descriptor, name

    monkeypatch.setattr(tempfile, "mkstemp", swept)
    rules = many_rules(20)
    assert dict(version_of(opened(written(path, rules))).rules()) == rules
    assert len(begun) == 2


def test_writer_leaves_alone_what_another_one_is_writing(path: Path) -> None:
    with SnapshotWriter(path, identity()):
        written(path, many_rules(20))
        assert len(list(path.parent.iterdir())) == 2
