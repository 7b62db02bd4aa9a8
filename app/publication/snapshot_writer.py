"""Writing a snapshot file: under another name first, and moved into place when it is whole and durable."""

import errno
import hashlib
import os
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from app import drafts
from app.publication.marks import sync_folder
from app.publication.snapshot import HEAD, MAGIC, TAIL, Identity, Index, Serials, Snapshot
from resolver_policy.wire import Chunk

BUFFER = 1024 * 1024
NOT_HERE = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}
"""What `copy_file_range` says of file systems that cannot."""


class SnapshotWriter:
    """Takes chunks in key order; nothing is left of a file that was not finished."""

    def __init__(self, path: Path, identity: Identity) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._left = ExitStack()
        self._file = self._left.enter_context(drafts.draft(path.parent, path.name))
        self._head = identity.dump()
        self._index = Index.empty()
        self._at = self._file.write(MAGIC + HEAD.pack(len(self._head)) + self._head)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.close()

    def add(self, chunk: Chunk) -> None:
        """Write a chunk."""
        self._at += self._file.write(chunk.body) + self._file.write(chunk.lines)
        self._index.add(chunk)

    def copy(self, source: Snapshot, first: int, past: int) -> None:
        """Copy chunks as they are, with the checksums that they have: damage stays what it is."""
        self._file.flush()
        at, end = source.offsets[first], source.offsets[past]
        while at < end:
            copied = _copy(source.descriptor, self._file.fileno(), at, end - at)
            if copied == 0:
                raise OSError(errno.EIO, "the file to copy from ends too early", str(source.path))
            at += copied
            self._at += copied
        self._index.extend(source.index, first, past)

    def finish(self, serials: Serials) -> None:
        """Write the index, make everything durable, and move the file into place."""
        keys = "\n".join(self._index.first_keys).encode("ascii")
        index = b"".join([*map(bytes, self._index.numbers), keys, *map(bytes, serials)])
        tail = TAIL.pack(self._at, len(self._index.first_keys), len(keys), len(serials.serials))
        self._file.write(index + tail + hashlib.sha256(self._head + index + tail).digest())
        drafts.place(self._file, self._path)
        sync_folder(self._path.parent)


def _copy(source: int, target: int, at: int, octets: int) -> int:
    """Copy some octets to the end of a file, without their coming here where the system can do that."""
    try:
        return os.copy_file_range(source, target, octets, offset_src=at)
    except OSError as exc:
        if exc.errno not in NOT_HERE:
            raise
        return os.write(target, os.pread(source, min(octets, BUFFER), at))
