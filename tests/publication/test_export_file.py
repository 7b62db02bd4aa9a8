"""Files of exports put together from an earlier one: what is copied, and what is not where it is damaged or foreign."""

import gzip
import hashlib
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import IO

import pytest

from app import drafts
from app.publication import export_file, export_index
from resolver_policy import formats
from resolver_policy.delta import EMPTY_RULE, Change
from resolver_policy.formats import Contents, Lines, rpz, unbound
from resolver_policy.formats.pieces import Piece, piece, pieces
from resolver_policy.version import ZoneVersion
from resolver_policy.wire import Zone
from tests.policy.zones import EXACT, many_rules, version, zone
from tests.servers import find

ROOT = Path(__file__).parents[2]
CUT = tuple(chosen for chosen in formats.FORMATS if isinstance(chosen, Lines))
RULES = many_rules(3000)
BEFORE = version(RULES)
NOW = BEFORE.changed([Change("id.co.new.", EMPTY_RULE, EXACT)], 2)


def write(folder: Path, chosen: Lines, now: ZoneVersion, of: Zone | None = None) -> tuple[Path, int]:
    """Write an export as the service does, and say how many of its pieces were copied."""
    path, copied = folder / f"{now.serial}.{chosen.name}", 0
    with export_file.newest_pieces(folder, chosen.name) as known, export_file.written(path) as file:

        def counted(made_of: bytes) -> Piece | None:
            nonlocal copied
            found = known(made_of)
            copied += found is not None
            return found

        for each in pieces(chosen, of or now.zone, now.serial, (part.lines for part in now.ranges), counted):
            file.add(each)
        file.add(piece(chosen.end(now.serial, file.lines, file.digest)))
    return path, copied


def check(path: Path, chosen: Lines, now: ZoneVersion, of: Zone | None = None) -> None:
    """The file, its gzip form and its digest say what the whole rendering says."""
    octets = b"".join(chosen.render(Contents(of or now.zone, now.serial, list(now.rules()))))
    assert path.read_bytes() == octets
    assert gzip.decompress(export_file.gzip_of(path).read_bytes()) == octets
    subprocess.run(["sha256sum", "--check", "--status", export_file.digest_of(path)], cwd=path.parent, check=True)


@pytest.mark.parametrize("chosen", CUT, ids=lambda chosen: str(chosen.name))
def test_what_did_not_change_is_copied(tmp_path: Path, chosen: Lines) -> None:
    first, copied = write(tmp_path, chosen, BEFORE)
    check(first, chosen, BEFORE)
    assert copied == 0

    second, copied = write(tmp_path, chosen, NOW)

    check(second, chosen, NOW)
    assert copied == len(NOW.ranges) - 1
    assert len(NOW.ranges) > 5


def test_the_gzip_form_is_one_member_that_gzip_itself_reads(tmp_path: Path) -> None:
    write(tmp_path, rpz.FORMAT, BEFORE)
    path, _ = write(tmp_path, rpz.FORMAT, NOW)
    packed = export_file.gzip_of(path)

    unpacked = subprocess.run([find("gzip", "gzip"), "-dc", packed], capture_output=True, check=True).stdout
    assert unpacked == path.read_bytes()
    assert packed.read_bytes().count(export_file.GZIP_HEAD) == 1
    assert packed.stat().st_size < path.stat().st_size / 3


def flip(path: Path, at: int) -> None:
    octets = bytearray(path.read_bytes())
    octets[at] ^= 1
    path.write_bytes(octets)


def a_flipped_line(path: Path) -> None:
    flip(path, path.stat().st_size // 2)


def a_flipped_stream(path: Path) -> None:
    packed = export_file.gzip_of(path)
    flip(packed, packed.stat().st_size // 2)


def an_end_cut_off(path: Path) -> None:
    os.truncate(path, path.stat().st_size * 3 // 5)


def a_flipped_index(path: Path) -> None:
    flip(index_of(path), 200)


def an_index_cut_off(path: Path) -> None:
    os.truncate(index_of(path), 40)


def an_index_of_another_version(path: Path) -> None:
    octets = export_index.MAGIC.replace(b"1", b"0") + index_of(path).read_bytes()[len(export_index.MAGIC) :]
    written = octets[: -export_index.DIGEST]
    index_of(path).write_bytes(written + hashlib.sha256(written).digest())


def no_index(path: Path) -> None:
    index_of(path).unlink()


def an_index_that_cannot_be_read(path: Path) -> None:
    index_of(path).unlink()
    index_of(path).mkdir()


def no_file(path: Path) -> None:
    path.unlink()


def an_index_of_another_format(path: Path) -> None:
    other, _ = write(path.parent / "other", unbound.FORMAT, BEFORE)
    shutil.copy(index_of(other), index_of(path))


def an_index_of_another_serial(path: Path) -> None:
    """Which does not say where the pieces of this one lie."""
    other, _ = write(path.parent / "other", rpz.FORMAT, BEFORE.changed([Change("example.a.", EMPTY_RULE, EXACT)], 2))
    shutil.copy(index_of(other), index_of(path))


def index_of(path: Path) -> Path:
    return path.with_name(path.name + export_index.ENDING)


Damage = Callable[[Path], None]
SOME: list[Damage] = [a_flipped_line, a_flipped_stream, an_end_cut_off, an_index_of_another_serial]
ALL: list[Damage] = [
    a_flipped_index,
    an_index_cut_off,
    an_index_of_another_version,
    no_index,
    an_index_that_cannot_be_read,
    no_file,
    an_index_of_another_format,
]


@pytest.mark.parametrize("damage", [*SOME, *ALL])
def test_what_is_not_as_it_was_written_is_made_anew(tmp_path: Path, damage: Damage) -> None:
    path, _ = write(tmp_path, rpz.FORMAT, BEFORE)
    damage(path)

    again, copied = write(tmp_path, rpz.FORMAT, NOW)

    check(again, rpz.FORMAT, NOW)
    assert copied < len(NOW.ranges) - 1
    assert (copied == 0) is (damage in ALL)


def test_pieces_that_are_not_compared_with_their_checksums_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: the check above is what finds damage."""
    monkeypatch.setattr(export_index, "crc32", lambda _octets: 0)
    path, _ = write(tmp_path, rpz.FORMAT, BEFORE)
    a_flipped_line(path)

    again, _ = write(tmp_path, rpz.FORMAT, NOW)

    with pytest.raises(AssertionError):
        check(again, rpz.FORMAT, NOW)


def test_pieces_of_another_zone_are_not_found(tmp_path: Path) -> None:
    write(tmp_path, rpz.FORMAT, BEFORE)
    of = zone("nodata")

    again, copied = write(tmp_path, rpz.FORMAT, NOW, of)

    check(again, rpz.FORMAT, NOW, of)
    assert copied == 0


def test_a_disk_that_fails_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, rpz.FORMAT, BEFORE)
    monkeypatch.setattr(os, "pread", _fails)

    with caplog.at_level(logging.WARNING):
        again, copied = write(tmp_path, rpz.FORMAT, NOW)

    check(again, rpz.FORMAT, NOW)
    assert copied == 0
    assert f"{len(BEFORE.ranges) - 1} pieces are damaged" in caplog.text


def _fails(_descriptor: int, _octets: int, _at: int) -> bytes:
    raise OSError(5, "Input/output error")


def test_a_file_that_was_not_finished_leaves_nothing(tmp_path: Path) -> None:
    def broken_off() -> None:
        with export_file.written(tmp_path / "1.rpz") as file:
            file.add(piece(b"a line\n"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken_off()
    assert list(tmp_path.iterdir()) == []


def test_a_digest_that_another_process_drops_meanwhile_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for now in (BEFORE, NOW):
        write(tmp_path, rpz.FORMAT, now)
    glob = Path.glob

    def gone(folder: Path, pattern: str) -> Iterator[Path]:
        yield from (folder / "0.rpz.sha256", *glob(folder, pattern))

    monkeypatch.setattr(Path, "glob", gone)
    export_file.drop_old(tmp_path, "rpz", 1)

    monkeypatch.undo()
    assert {path.name.partition(".")[0] for path in tmp_path.iterdir()} == {"2"}


KILLED = """
import os, signal, sys
from pathlib import Path
from app import drafts
from tests.publication.test_export_file import BEFORE, rpz, write
place, most = drafts.place, int(sys.argv[2])
def killed(file, path):
    global most
    if most == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    most -= 1
    place(file, path)
drafts.place = killed
write(Path(sys.argv[1]), rpz.FORMAT, BEFORE)
"""


@pytest.mark.parametrize("placed", range(4))
def test_what_a_killed_writer_left_is_gone_after_the_next(tmp_path: Path, placed: int) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), str(placed)], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert sum(1 for _ in tmp_path.iterdir()) == 4
    path, _ = write(tmp_path, rpz.FORMAT, NOW)
    check(path, rpz.FORMAT, NOW)
    assert {each.name.partition(".")[0] for each in tmp_path.iterdir()} == {str(NOW.serial)}


def test_what_another_one_is_moving_into_place_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = drafts.place
    another = Thread(target=write, args=(tmp_path, rpz.FORMAT, NOW))

    def overtaken(file: IO[bytes], path: Path) -> None:
        if path.name == f"{BEFORE.serial}.rpz.sha256":
            monkeypatch.setattr(drafts, "place", place)
            another.start()
            another.join(0.3)
            assert another.is_alive(), "it waits"
        place(file, path)

    monkeypatch.setattr(drafts, "place", overtaken)
    first, _ = write(tmp_path, rpz.FORMAT, BEFORE)
    another.join(20)
    check(first, rpz.FORMAT, BEFORE)
    check(tmp_path / f"{NOW.serial}.rpz", rpz.FORMAT, NOW)
