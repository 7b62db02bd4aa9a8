"""Writing an export: the file, its gzip form and what tells its pieces, and last the digest, which says that all of it
is there."""

import hashlib
import mmap
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from struct import Struct
from typing import IO
from zlib import crc32

from app import drafts
from app.journal.notes import Signer
from app.publication import export_index
from app.publication.marks import sync_folder
from resolver_policy.formats.pieces import Known, Piece

DIGEST_ENDING = ".sha256"
SIGNATURE_ENDING = ".sig"
GZIP_ENDING = ".gz"

GZIP_HEAD = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
"""Of a member without name and time, by nobody knows what system (RFC 1952)."""

LAST_BLOCK = b"\x03\x00"
"""The end of a deflate stream: a final block that is empty."""

GZIP_TAIL = Struct("<II")
"""CRC-32 and octets (modulo 2^32) of what was compressed."""


class ExportFile:
    """Takes the pieces of an export, in one go: the gzip form is one member, made of the streams of all of them."""

    def __init__(self, plain: IO[bytes], packed: IO[bytes]) -> None:
        self._plain, self._packed = plain, packed
        self._hashed, self._packed_hashed = hashlib.sha256(), hashlib.sha256()
        self._sum = 0
        self._rows: list[export_index.Row] = []
        self._states: list[bytes] = []
        self.lines = self.octets = 0
        self._pack(GZIP_HEAD)

    @property
    def digest(self) -> str:
        """SHA-256 of the octets so far, in hex."""
        return self._hashed.hexdigest()

    @property
    def gzip_digest(self) -> str:
        """The same of the gzip form."""
        return self._packed_hashed.hexdigest()

    def add(self, piece: Piece) -> None:
        """Write a piece."""
        self._plain.write(piece.plain)
        self._pack(piece.packed)
        self._hashed.update(piece.plain)
        self._sum = crc32(piece.plain, self._sum)
        self.octets += len(piece.plain)
        self.lines += piece.plain.count(b"\n")
        self._rows.append(export_index.row_of(piece))
        self._states.append(piece.state)

    def end(self) -> bytes:
        """End the gzip form, and give the index."""
        self._pack(LAST_BLOCK + GZIP_TAIL.pack(self._sum, self.octets % 2**32))
        return export_index.dump(self._rows, b"".join(self._states))

    def _pack(self, octets: bytes) -> None:
        self._packed.write(octets)
        self._packed_hashed.update(octets)


@contextmanager
def written(path: Path) -> Iterator[ExportFile]:
    """Write the files of an export under other names and move them into place, the digest last and once they are
    durable: it says that they are whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path.parent, path.suffix)
    with ExitStack() as stack:
        plain, packed, index, said = (stack.enter_context(_draft(path.parent)) for _ in range(4))
        file = ExportFile(plain, packed)
        yield file
        index.write(file.end())
        said.write(f"{file.digest}  {path.name}\n{file.gzip_digest}  {gzip_of(path).name}\n".encode())
        with drafts.alone_in(path.parent):
            drafts.place(packed, gzip_of(path))
            drafts.place(plain, path)
            drafts.place(index, path.with_name(path.name + export_index.ENDING))
            sync_folder(path.parent)
            drafts.place(said, digest_of(path))
    sync_folder(path.parent)


def gzip_of(path: Path) -> Path:
    """Where the compressed form of an export lies."""
    return path.with_name(path.name + GZIP_ENDING)


def digest_of(path: Path) -> Path:
    """Where the digest of an export lies."""
    return path.with_name(path.name + DIGEST_ENDING)


def signed(path: Path, signer: Signer) -> bytes:
    """The signature of an export (Ed25519, over its octets): made once, and kept under the key's id."""
    kept = path.with_name(f"{path.name}.{signer.public.id.hex()}{SIGNATURE_ENDING}")
    if not kept.exists():
        with path.open("rb") as file, _draft(path.parent) as target:
            target.write(signer.private.sign(_mapped(file)))
            drafts.place(target, kept)
    return kept.read_bytes()


@contextmanager
def newest_pieces(folder: Path, format_name: str) -> Iterator[Known]:
    """The pieces of the export of a format that was written last."""
    whole = _whole(folder, format_name)
    path = whole[-1] if whole else folder / "none"
    with export_index.opened(path, gzip_of(path), len(GZIP_HEAD)) as known:
        yield known


def _mapped(file: IO[bytes]) -> memoryview:
    """The octets of a file, not read into memory; nothing cannot be mapped."""
    empty = os.fstat(file.fileno()).st_size == 0
    return memoryview(b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def drop_old(folder: Path, format_name: str, kept: int) -> None:
    """Keep the newest versions: a download in progress holds its open file, and a moment's grace costs little."""
    for path in _whole(folder, format_name)[:-kept]:
        for ending in (DIGEST_ENDING, "", GZIP_ENDING, export_index.ENDING):
            path.with_name(path.name + ending).unlink(missing_ok=True)
        for signature in folder.glob(f"{path.name}.*{SIGNATURE_ENDING}"):
            signature.unlink(missing_ok=True)


def _whole(folder: Path, format_name: str) -> list[Path]:
    """The exports of a format that are whole, the oldest first."""
    digests = sorted(folder.glob(f"*.{format_name}{DIGEST_ENDING}"), key=_written_at)
    return [path.with_suffix("") for path in digests]


def _written_at(path: Path) -> int:
    """When a file was written; the beginning of time for one that another process has dropped meanwhile."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _draft(folder: Path) -> AbstractContextManager[IO[bytes]]:
    return drafts.draft(folder, "export")


def _sweep(folder: Path, suffix: str) -> None:
    """Remove what a killed writer has left of an export: files that have no digest beside them."""
    with drafts.alone_in(folder):
        for ending in ("", GZIP_ENDING, export_index.ENDING):
            for path in folder.glob(f"*{suffix}{ending}"):
                whole = path.with_name(path.name.removesuffix(ending))
                if path.is_file() and not digest_of(whole).exists():
                    path.unlink(missing_ok=True)
