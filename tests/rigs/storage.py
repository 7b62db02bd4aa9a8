"""A disk that forgets: what a file system keeps in memory until it is told to sync, and what a power cut leaves.

Files: every write since the last fsync is kept by itself. A cut keeps none of them, all, those up to one, or some
pieces of 512 or 4,096 octets, whichever came first. Folders: names are made, moved and removed in memory, and written
in that order, as journalling file systems do (ext4): what is synced brings along all that happened to names up to its
own last change, and a cut keeps some of the rest from the front.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from random import Random
from typing import NamedTuple


class Written(NamedTuple):
    """Octets that were written at a place."""

    at: int
    octets: bytes


@dataclass(eq=False)
class File:
    """What is read back, what was synced, and what was written since; a number is a new size."""

    mode: int
    octets: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    pending: list[Written | int] = field(default_factory=list)
    links: int = 1

    def change(self, what: Written | int) -> None:
        """Write, or cut to a size; not durable yet."""
        apply(self.octets, what)
        self.pending.append(what)

    def sync(self) -> None:
        for what in self.pending:
            apply(self.durable, what)
        self.pending.clear()


@dataclass(eq=False)
class Folder:
    """The names in it, and those that a cut would leave."""

    mode: int = stat.S_IFDIR | 0o755
    entries: "dict[str, Node]" = field(default_factory=dict)
    durable: "dict[str, Node]" = field(default_factory=dict)


Node = File | Folder
Entry = tuple[Folder, str, Node | None]


class Change(NamedTuple):
    """What happened to names at once, and to whose; without names, a file has grown."""

    touched: tuple[Node, ...]
    entries: tuple[Entry, ...] = ()


class Storage:
    """A tree of files. Paths are absolute; raises OSError as a file system does.

    Whatever changes it happens within `step(kind, path)`, which may keep it from happening, or fail afterwards.
    """

    def __init__(self) -> None:
        self.root = Folder()
        self._unwritten: list[Change] = []
        self.step: Callable[[str, str], Iterator[None]] = _unhindered

    def at(self, path: str) -> Node:
        """What stands at a path."""
        node: Node = self.root
        for name in PurePosixPath(path).parts[1:]:
            if not isinstance(node, Folder) or name not in node.entries:
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), path)
            node = node.entries[name]
        return node

    def file(self, path: str) -> File:
        found = self.at(path)
        if isinstance(found, Folder):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        return found

    def folder(self, path: str) -> Folder:
        found = self.at(path)
        if isinstance(found, File):
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        return found

    def create(self, path: str, mode: int) -> File:
        file = File(stat.S_IFREG | stat.S_IMODE(mode))
        with self._step("create", path):
            self._enter(path, file)
        return file

    def make_folder(self, path: str, mode: int) -> None:
        with self._step("mkdir", path):
            self._enter(path, Folder(stat.S_IFDIR | stat.S_IMODE(mode)))

    def link(self, path: str, source: str) -> None:
        file = self.file(source)
        with self._step("link", path):
            self._enter(path, file)
            file.links += 1

    def remove(self, path: str) -> None:
        """Of a file one name, or a folder that is empty."""
        folder, name = self._place(path)
        node = self.at(path)
        if isinstance(node, Folder) and node.entries:
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), path)
        with self._step("remove", path):
            if isinstance(node, File):
                node.links -= 1
            self._note((folder, node), (folder, name, None))

    def rename(self, old: str, new: str) -> None:
        """At once, also where it takes the place of another."""
        source, old_name = self._place(old)
        target, new_name = self._place(new)
        node = self.at(old)
        with self._step("rename", new):
            self._note((source, target, node), (source, old_name, None), (target, new_name, node))

    def set_mode(self, path: str, mode: int) -> None:
        node = self.at(path)
        with self._step("chmod", path):
            node.mode = stat.S_IFMT(node.mode) | stat.S_IMODE(mode)
            self._touch(node)

    def write(self, path: str, file: File, octets: bytes, at: int) -> int:
        with self._step("write", path):
            if at + len(octets) > len(file.octets):
                self._touch(file)
            file.change(Written(at, octets))
        return len(octets)

    def truncate(self, path: str, file: File, size: int) -> None:
        with self._step("truncate", path):
            self._touch(file)
            file.change(size)

    def sync(self, path: str, node: Node) -> None:
        """Make a file, or the names in a folder, durable, and all that happened to names before their last change."""
        with self._step("fsync", path):
            last = max((place for place, change in enumerate(self._unwritten) if node in change.touched), default=-1)
            self._commit(last + 1)
            if isinstance(node, File):
                node.sync()

    def cut(self, chance: Random) -> None:
        """The power fails: what was not synced is kept, lost or torn as chance has it."""
        total = len(self._unwritten)
        self._commit(chance.choice((0, total, chance.randint(0, total))))
        self._unwritten.clear()
        for node in _all_durable(self.root):
            if isinstance(node, Folder):
                node.entries = dict(node.durable)
            else:
                node.octets = torn(node.durable, node.pending, chance)
                node.durable = bytearray(node.octets)
                node.pending.clear()

    def load(self, source: Path) -> None:
        """Take in a folder of this machine, all of it durable."""
        self.put_back(_loaded(source))

    def put_back(self, root: Folder) -> None:
        """Be another tree."""
        self.root = root
        self._unwritten.clear()

    @contextmanager
    def _step(self, kind: str, path: str) -> Iterator[None]:
        yield from self.step(kind, path)

    def _place(self, path: str) -> tuple[Folder, str]:
        pure = PurePosixPath(path)
        return self.folder(str(pure.parent)), pure.name

    def _enter(self, path: str, node: Node) -> None:
        folder, name = self._place(path)
        if name in folder.entries:
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        self._note((folder, node), (folder, name, node))

    def _note(self, touched: Sequence[Node], *entries: Entry) -> None:
        for folder, name, node in entries:
            _set(folder.entries, name, node)
        self._unwritten.append(Change(tuple(touched), entries))

    def _touch(self, node: Node) -> None:
        if self._unwritten and self._unwritten[-1] != Change((node,)):
            self._unwritten.append(Change((node,)))

    def _commit(self, count: int) -> None:
        for change in self._unwritten[:count]:
            for folder, name, node in change.entries:
                _set(folder.durable, name, node)
        del self._unwritten[:count]


def apply(octets: bytearray, what: Written | int) -> None:
    """Write at a place, or cut to a size; what lies between is zeros."""
    size = what if isinstance(what, int) else what.at
    if len(octets) < size:
        octets.extend(bytes(size - len(octets)))
    if isinstance(what, int):
        del octets[what:]
    else:
        octets[what.at : what.at + len(what.octets)] = what.octets


def torn(durable: bytearray, pending: Sequence[Written | int], chance: Random) -> bytearray:
    """What is left of a file."""
    left = bytearray(durable)
    way = chance.choice(("none", "all", "first", "some", "pieces", "pieces"))
    kept = {"none": 0, "all": len(pending), "first": chance.randint(0, len(pending))}.get(way, len(pending))
    sector = chance.choice((512, 4096))
    for what in pending[:kept]:
        if isinstance(what, int) or way != "pieces":
            if way != "some" or chance.random() < 0.5:
                apply(left, what)
            continue
        for piece in _pieces(what, sector):
            if chance.random() < 0.5:
                apply(left, piece)
    return left


def _pieces(written: Written, size: int) -> Iterator[Written]:
    """The same octets, cut where a sector begins."""
    at, octets = written
    while octets:
        here = size - at % size
        yield Written(at, octets[:here])
        at, octets = at + here, octets[here:]


def _set(entries: dict[str, Node], name: str, node: Node | None) -> None:
    if node is None:
        entries.pop(name, None)
    else:
        entries[name] = node


def _all_durable(node: Node) -> Iterator[Node]:
    yield node
    if isinstance(node, Folder):
        for below in node.durable.values():
            yield from _all_durable(below)


def _loaded(source: Path) -> Folder:
    folder = Folder(source.stat().st_mode)
    for path in source.iterdir():
        if path.is_dir():
            node: Node = _loaded(path)
        else:
            octets = path.read_bytes()
            node = File(path.stat().st_mode, bytearray(octets), bytearray(octets))
        folder.entries[path.name] = folder.durable[path.name] = node
    return folder


def _unhindered(_kind: str, _path: str) -> Iterator[None]:
    yield
