"""The disk that forgets: what it says, what a cut may leave of it, and that it is a file system to the kernel."""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pysqlite3
import pytest

from tests.rigs.faults import Fault
from tests.rigs.mounted import Mounted, mounted
from tests.rigs.storage import File, Storage

pytestmark = pytest.mark.long

CUTS = 300
FILE = 0o644


def left(prepare: Callable[[Storage], None], path: str = "/f") -> set[bytes | None]:
    """What many cuts leave of a file; None where it is gone."""
    found: set[bytes | None] = set()
    for seed in range(CUTS):
        storage = Storage()
        prepare(storage)
        storage.cut(Random(seed))
        found.add(bytes(storage.file(path).octets) if is_there(storage, path) else None)
    return found


def written(storage: Storage, octets: bytes, path: str = "/f") -> File:
    file = storage.create(path, FILE)
    storage.write(path, file, octets, 0)
    return file


def test_a_file_that_was_never_synced_is_there_or_not_and_empty_or_not() -> None:
    def prepare(storage: Storage) -> None:
        written(storage, b"ab")

    assert left(prepare) == {None, b"", b"ab"}


def test_what_was_synced_stays_and_brings_its_name_along() -> None:
    def prepare(storage: Storage) -> None:
        storage.sync("/f", written(storage, b"ab"))

    assert left(prepare) == {b"ab"}


def test_writes_since_the_last_sync_are_kept_lost_or_come_out_of_order() -> None:
    def prepare(storage: Storage) -> None:
        file = written(storage, b"....")
        storage.sync("/f", file)
        storage.write("/f", file, b"a", 0)
        storage.write("/f", file, b"b", 2)

    assert left(prepare) == {b"....", b"a...", b"..b.", b"a.b."}


def test_a_write_is_torn_where_a_sector_begins() -> None:
    def prepare(storage: Storage) -> None:
        file = written(storage, b"." * 1536)
        storage.sync("/f", file)
        storage.write("/f", file, b"x" * 1000, 256)

    whole = b"." * 256 + b"x" * 1000 + b"." * 280
    torn = {whole[:512] + b"." * 1024, b"." * 512 + whole[512:1024] + b"." * 512, b"." * 1024 + whole[1024:]}
    assert torn < left(prepare)
    assert all(
        piece in {whole[at : at + 512], b"." * 512}
        for one in left(prepare)
        if one is not None
        for at, piece in ((at, one[at : at + 512]) for at in (0, 512, 1024))
    )


def test_a_rename_that_is_synced_before_its_file_leaves_another_file() -> None:
    """As where a file is moved into place and was not made durable before."""

    def prepare(storage: Storage) -> None:
        storage.sync("/f", written(storage, b"old"))
        written(storage, b"new", "/f.new")
        storage.rename("/f.new", "/f")
        storage.sync("/", storage.root)

    assert left(prepare) == {b"", b"new"}


def test_a_rename_is_one_step_and_waits_for_the_folder() -> None:
    def prepare(storage: Storage) -> None:
        storage.sync("/f", written(storage, b"old"))
        storage.sync("/f.new", written(storage, b"new", "/f.new"))
        storage.rename("/f.new", "/f")

    assert left(prepare) == {b"old", b"new"}
    assert left(prepare, "/f.new") == {None, b"new"}


def test_names_come_in_the_order_in_which_they_were_made() -> None:
    for seed in range(CUTS):
        storage = Storage()
        storage.make_folder("/a", 0o755)
        storage.make_folder("/a/b", 0o755)
        storage.create("/a/b/c", FILE)
        storage.create("/d", FILE)
        storage.cut(Random(seed))
        kept = [path for path in ("/a", "/a/b", "/a/b/c", "/d") if is_there(storage, path)]
        assert kept == ["/a", "/a/b", "/a/b/c", "/d"][: len(kept)]


def is_there(storage: Storage, path: str) -> bool:
    try:
        storage.at(path)
    except OSError:
        return False
    return True


def test_what_cannot_be_is_refused() -> None:
    storage = Storage()
    storage.make_folder("/a", 0o755)
    storage.create("/a/f", FILE)
    for act, number in (
        (lambda: storage.at("/b"), errno.ENOENT),
        (lambda: storage.file("/a"), errno.EISDIR),
        (lambda: storage.folder("/a/f"), errno.ENOTDIR),
        (lambda: storage.create("/a/f", FILE), errno.EEXIST),
        (lambda: storage.remove("/a"), errno.ENOTEMPTY),
    ):
        with pytest.raises(OSError, match=os.strerror(number)):
            act()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Mounted]:
    folder, before = tmp_path / "disk", tmp_path / "before"
    folder.mkdir()
    (before / "sub").mkdir(parents=True)
    (before / "sub" / "f").write_bytes(b"there")
    with mounted(folder, tmp_path / "log") as made:
        made.tell("load", before)
        yield made


def test_it_is_a_file_system(disk: Mounted) -> None:
    assert sorted(path.relative_to(disk.folder) for path in disk.folder.rglob("*")) == [Path("sub"), Path("sub/f")]
    file = disk.folder / "sub" / "f"
    assert file.read_bytes() == b"there"
    with file.open("r+b") as opened:
        opened.seek(3)
        opened.write(b"xy")
        opened.truncate(4)
        os.fsync(opened.fileno())
    file.chmod(0o600)
    (disk.folder / "g").hardlink_to(file)
    file.rename(disk.folder / "h")
    assert (disk.folder / "g").read_bytes() == (disk.folder / "h").read_bytes() == b"thex"
    assert (disk.folder / "h").stat().st_mode & 0o777 == 0o600
    (disk.folder / "g").unlink()
    (disk.folder / "sub").rmdir()
    assert list(disk.folder.iterdir()) == [disk.folder / "h"]


def test_sqlite_loses_nothing_on_it_that_it_synced(disk: Mounted) -> None:
    for cut in range(5):
        connection = opened(disk, "FULL")
        for _ in range(20):
            connection.execute("INSERT INTO t DEFAULT VALUES")
        connection.close()
        disk.tell("cut", str(cut))
        connection = opened(disk, "FULL")
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (20 * (cut + 1),)
        connection.close()


def opened(disk: Mounted, synchronous: str) -> pysqlite3.dbapi2.Connection:
    connection = pysqlite3.dbapi2.connect(str(disk.folder / "db"), isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA synchronous={synchronous}")
    connection.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY)")
    return connection


@pytest.mark.parametrize("is_done", [False, True])
def test_a_step_fails_where_it_is_planned_done_or_not(disk: Mounted, *, is_done: bool) -> None:
    file = disk.folder / "sub" / "f"
    disk.tell("plan", Fault(1, is_done, kills=False))
    with file.open("r+b", buffering=0) as opened:
        opened.write(b"T")
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            opened.write(b"H")
    assert disk.tell("steps") == ["write /sub/f", "write /sub/f"]
    assert file.read_bytes() == (b"THere" if is_done else b"There")
