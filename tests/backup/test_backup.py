"""A backup: of one moment while others write, checked before it is called good, whole under its name or not there."""

import json
import stat
import threading
import zipfile
from pathlib import Path
from random import Random

import pytest

from app import schema
from app.backup import archive
from app.backup import take as taking
from app.backup.manifest import Manifest, Progress, describe
from app.backup.take import Place
from app.errors import Refused, SettingInvalid
from app.journal import signing
from tests import databases
from tests.backup.worlds import backed_up, silent
from tests.policy.scale import Record, scaled, tell
from tests.publication.test_zones import NAMES, change
from tests.publication.worlds import World

FLIPS = 60


@pytest.fixture
def file(world: World, tmp_path: Path) -> Path:
    """A good backup."""
    change(world, 0)
    return backed_up(world, tmp_path / "a.backup").path


def members(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as packed:
        return packed.namelist()


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_backup_is_one_file_for_its_owner_with_what_it_says_of_itself(world: World, tmp_path: Path) -> None:
    signing.start(world.database, world.settings, world.clock)
    made = backed_up(world, tmp_path / "a.backup")

    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
    assert members(made.path) == ["database", "manifest.json"]
    with world.database.read() as session:
        there = describe(session, made.manifest.made_at)
        note = signing.checkpoint(session, signing.needed(session, world.settings.log_key_path))
    said = made.manifest
    assert (said.size, said.root, said.serials, said.rows) == (there.size, there.root, there.serials, there.rows)
    assert said.checkpoint == note
    with zipfile.ZipFile(made.path) as packed:
        assert json.loads(packed.read("manifest.json"))["root"] == there.root


def test_a_good_backup_is_found_good_again(file: Path) -> None:
    assert taking.verify(file, silent).rows["orders"] == 1


def test_nothing_else_is_left_beside_it(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    backed_up(world, folder / "a.backup")
    taking.verify(folder / "a.backup", silent)

    assert names_in(folder) == ["a.backup"]


def test_a_backup_takes_the_place_of_nothing(world: World, file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(Refused, match="is there already"):
        backed_up(world, file)

    assert file.read_bytes() == before


def test_one_that_fails_leaves_nothing(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()

    def full(*_arguments: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr(archive, "put_in_place", full)
    with pytest.raises(OSError, match="no space"):
        backed_up(world, folder / "a.backup")

    assert names_in(folder) == []


def test_what_a_killed_one_left_is_swept_by_the_next_and_never_has_the_name(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    for name in ("a", "of-yesterday"):
        (folder / f".{name}.backup.partial").mkdir(parents=True)
        (folder / f".{name}.backup.partial" / "draft").write_bytes(b"half")
    (folder / ".of-somebody-else.partial").mkdir()
    (folder / ".of-somebody-else.partial" / "file").write_bytes(b"kept")

    backed_up(world, folder / "a.backup")

    assert names_in(folder) == [".of-somebody-else.partial", "a.backup"]


def test_two_at_once_for_one_name_are_one(world: World, tmp_path: Path) -> None:
    with archive.workplace(tmp_path / "a.backup"), pytest.raises(Refused, match="another command is at work"):
        backed_up(world, tmp_path / "a.backup")


def test_a_backup_taken_while_others_write_is_of_one_moment(
    world: World, tmp_path: Path, record_property: Record
) -> None:
    stop, written = threading.Event(), [0]

    def write() -> None:
        while not stop.is_set():
            change(world, written[0] % len(NAMES))
            world.lift(world.held[-1])
            written[0] += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        sizes = [backed_up(world, tmp_path / f"{number}.backup").manifest.size for number in range(scaled(4))]
    finally:
        stop.set()
        thread.join()

    assert written[0] > 0
    assert sizes == sorted(sizes)
    tell(record_property, backups_while_writing=len(sizes), changes_meanwhile=written[0])


def test_every_flipped_bit_is_found(file: Path, record_property: Record) -> None:
    octets, random = file.read_bytes(), Random(1)
    places = random.sample(range(len(octets)), scaled(FLIPS))
    for place in places:
        damaged = bytearray(octets)
        damaged[place] ^= 1 << random.randrange(8)
        check_refused(file, damaged)
    tell(record_property, flipped_bits_found=len(places))


def test_a_file_that_was_cut_or_is_something_else_is_refused(file: Path) -> None:
    octets = file.read_bytes()
    for length in (0, 1, 63, 64, 65, len(octets) // 2, len(octets) - 1):
        check_refused(file, octets[:length])
    check_refused(file, octets + b"x")
    check_refused(file, b"x" * 10_000)


def check_refused(file: Path, octets: bytes | bytearray) -> None:
    file.write_bytes(octets)
    with pytest.raises(Refused):
        taking.verify(file, silent)


def test_a_copy_that_is_not_the_database_is_not_called_good(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever went wrong while it was copied: it is read again before it has a name."""
    place = type(taking.place_of(world.settings, world.clock))
    copy = place.copy

    def torn(self: Place, target: Path, progress: Progress) -> Manifest:
        manifest: Manifest = copy(self, target, progress)
        octets = target.read_bytes()
        target.write_bytes(octets[: len(octets) // 2])
        return manifest

    change(world, 0)
    monkeypatch.setattr(place, "copy", torn)
    with pytest.raises(Refused):
        backed_up(world, tmp_path / "a.backup")

    assert not (tmp_path / "a.backup").exists()


def test_a_journal_that_was_altered_is_not_called_good(world: World, tmp_path: Path) -> None:
    """Its stored tree still has the old root; that of the texts is another."""
    change(world, 0)
    databases.allow(world.database, "events", "events_update")
    databases.run(world.database, "UPDATE events SET body = replace(body, 'operator-1', 'operator-2')")

    with pytest.raises(Refused, match="the journal's root should be"):
        backed_up(world, tmp_path / "a.backup")


def test_a_backup_of_a_newer_program_is_refused_in_plain_words(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "NEWEST", "0000")

    with pytest.raises(SettingInvalid, match=r"made by a newer Pulih: its tables are of version 0001, .* knows 0000"):
        taking.verify(file, silent)
