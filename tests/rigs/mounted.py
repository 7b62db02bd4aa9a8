"""The disk that forgets, as a file system (FUSE) of a process of its own: cut its power, plan its faults, look at it.

The kernel keeps pages and lets them be mapped, so SQLite's write-ahead log works on it as on any other; each write
comes here as it was made, and an fsync behind it.
"""

import copy
import errno
import functools
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

import mfusepy

from tests.rigs.faults import Fault
from tests.rigs.processes import FORKS, Running, end, enter, forked
from tests.rigs.storage import File, Folder, Node, Storage
from tests.servers import find, missing, wait_until

FUSE_DEVICE = Path("/dev/fuse")
BLOCK = 4096
UNCOUNTED = re.compile(r"-shm$|/\.fuse_hidden")
"""SQLite's shared memory: the kernel writes its pages when it likes, and nothing is read back after a start. And what
was removed while it is open, which libfuse moves aside."""


Method = Callable[..., Any]


def _in_turn(method: Method) -> Method:
    """Not while a rig tells the disk something."""

    @functools.wraps(method)
    def asked(disk: "Disk", *arguments: object) -> object:
        with disk.turn:
            return method(disk, *arguments)

    return asked


class Disk:
    """What the kernel asks for, and what a rig tells the disk. Steps are noted; one may have a fault planned."""

    use_ns = True

    def __init__(self) -> None:
        self.storage = Storage()
        self.storage.step = self._step
        self.turn = threading.Lock()
        self._fault: Fault | None = None
        self._steps: list[str] = []
        self._kept = Folder()
        self._numbers = count(1)
        self._open: dict[int, File] = {}

    def told(self, connection: Connection) -> None:
        """Do what a rig asks for, until it is gone."""
        with suppress(EOFError):
            while True:
                name, *arguments = connection.recv()
                with self.turn:
                    connection.send(getattr(self, f"tell_{name}")(*arguments))

    def tell_load(self, source: Path) -> None:
        """Take in a folder, as if it had always been there."""
        self.storage.load(source)

    def tell_cut(self, seed: str) -> None:
        """The power failed, and nobody is left who uses it: what was not synced is kept, lost or torn."""
        self.storage.cut(Random(seed))

    def tell_keep(self) -> None:
        """Remember all of it as it now is; nobody uses it."""
        self._kept = copy.deepcopy(self.storage.root)

    def tell_back(self) -> None:
        """Put back what was remembered."""
        self.storage.put_back(copy.deepcopy(self._kept))

    def tell_plan(self, fault: Fault | None) -> None:
        """Count steps from here on, and fail at one of them."""
        self._fault, self._steps = fault, []

    def tell_steps(self) -> list[str]:
        """What was written since `plan`."""
        return self._steps

    def _step(self, kind: str, path: str) -> Iterator[None]:
        if UNCOUNTED.search(path):
            yield
            return
        self._steps.append(f"{kind} {path}")
        fault = self._fault if self._fault is not None and self._fault.step == len(self._steps) - 1 else None
        if fault is None or fault.is_done:
            yield
        if fault is not None:
            if fault.kills:
                os.killpg(os.getpgid(mfusepy.fuse_get_context()[2]), signal.SIGKILL)
            raise OSError(errno.EIO, "planned fault")

    @_in_turn
    def getattr(self, path: str, _handle: int | None = None) -> dict[str, int]:
        return _attributes(self.storage.at(path))

    @_in_turn
    def readdir(self, path: str, _handle: int) -> list[tuple[str, dict[str, int], int]]:
        return [(name, _attributes(node), 0) for name, node in self.storage.folder(path).entries.items()]

    @_in_turn
    def open(self, path: str, flags: int) -> int:
        file = self.storage.file(path)
        if flags & os.O_TRUNC:
            self.storage.truncate(path, file, 0)
        return self._opened(file)

    @_in_turn
    def create(self, path: str, mode: int) -> int:
        return self._opened(self.storage.create(path, mode))

    @_in_turn
    def read(self, _path: str, size: int, offset: int, handle: int) -> bytes:
        return bytes(memoryview(self._open[handle].octets)[offset : offset + size])

    @_in_turn
    def write(self, path: str, octets: bytes, offset: int, handle: int) -> int:
        return self.storage.write(path, self._open[handle], octets, offset)

    @_in_turn
    def truncate(self, path: str, length: int) -> None:
        self.storage.truncate(path, self.storage.file(path), length)

    @_in_turn
    def fsync(self, path: str, _datasync: int, handle: int) -> None:
        self.storage.sync(path, self._open[handle])

    @_in_turn
    def fsyncdir(self, path: str, _datasync: int, _handle: int) -> None:
        self.storage.sync(path, self.storage.folder(path))

    @_in_turn
    def release(self, _path: str, handle: int) -> None:
        self._open.pop(handle, None)

    @_in_turn
    def unlink(self, path: str) -> None:
        self.storage.remove(path)

    @_in_turn
    def rmdir(self, path: str) -> None:
        self.storage.remove(path)

    @_in_turn
    def mkdir(self, path: str, mode: int) -> None:
        self.storage.make_folder(path, mode)

    @_in_turn
    def rename(self, old: str, new: str) -> None:
        self.storage.rename(old, new)

    @_in_turn
    def link(self, target: str, source: str) -> None:
        self.storage.link(target, source)

    @_in_turn
    def chmod(self, path: str, mode: int) -> None:
        self.storage.set_mode(path, mode)

    def chown(self, _path: str, _user: int, _group: int) -> None:
        """Everything is its owner's."""

    def utimens(self, _path: str, _times: object = None) -> None:
        """Nobody here asks when."""

    def statfs(self, _path: str) -> dict[str, int]:
        """There is room."""
        return {"f_bsize": BLOCK, "f_frsize": BLOCK, "f_blocks": 2**20, "f_bfree": 2**19, "f_bavail": 2**19}

    def _opened(self, file: File) -> int:
        handle = next(self._numbers)
        self._open[handle] = file
        return handle


def _attributes(node: Node) -> dict[str, int]:
    if isinstance(node, Folder):
        return {"st_mode": node.mode, "st_nlink": 2, "st_ino": id(node)}
    size = len(node.octets)
    return {
        "st_mode": node.mode,
        "st_nlink": node.links,
        "st_ino": id(node),
        "st_size": size,
        "st_blocks": -(-size // 512),
    }


def _serve(folder: Path, connection: Connection, log: Path) -> None:
    enter({}, log, None)
    disk = Disk()
    threading.Thread(target=disk.told, args=(connection,), daemon=True).start()
    mfusepy.FUSE(
        disk,
        str(folder),
        foreground=True,
        nothreads=True,
        use_ino=True,
        attr_timeout=0,
        entry_timeout=0,
        fsname="forgets",
    )


class Mounted:
    """A disk as a rig has it: `tell(name, ...)` does what `Disk.tell_NAME` says."""

    def __init__(self, folder: Path, connection: Connection) -> None:
        self.folder = folder
        self._connection = connection

    def tell(self, name: str, *arguments: object) -> list[str]:
        """What it says, if it says anything. Raises EOFError where the file system has ended."""
        self._connection.send((name, *arguments))
        said: list[str] | None = self._connection.recv()
        return said or []


@contextmanager
def mounted(folder: Path, log: Path) -> Iterator[Mounted]:
    """A disk at an empty folder for as long as the block runs; skips the test where there can be none."""
    unmount = find("fusermount3", "fuse3")
    if os.geteuid() != 0 or not os.access(FUSE_DEVICE, os.R_OK | os.W_OK):
        missing(f"a file system of our own needs root and {FUSE_DEVICE}")
    ours, theirs = FORKS.Pipe()
    process = forked(_serve, folder, theirs, log)
    theirs.close()
    try:
        wait_until(folder.is_mount, 10, lambda: log.read_text(errors="replace"))
        yield Mounted(folder, ours)
    finally:
        subprocess.run([unmount, "-u", "-z", folder], check=False, capture_output=True)
        end(process)
        ours.close()


@contextmanager
def forgetful(running: Running) -> Iterator[Mounted]:
    """The data directory on a disk that forgets what was not synced."""
    folder = running.installation.directory / "var"
    before = folder.rename(folder.with_name("before"))
    folder.mkdir()
    with mounted(folder, running.installation.directory / "disk.log") as disk:
        disk.tell("load", before)
        shutil.rmtree(before)
        try:
            yield disk
        finally:
            running.kill()
