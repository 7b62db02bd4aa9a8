"""Files that hold 32 secret octets: made whole or not at all, and for the eyes of one account alone."""

import os
import secrets
import stat
from pathlib import Path

from app import drafts
from app.errors import SettingInvalid

KEY_OCTETS = 32
OWNER_ONLY = 0o600
_OTHERS = 0o077


def make(path: Path) -> bytes:
    """Make the key file where there is none, and read it; of two that make it at once, both get the same.

    It appears whole or not at all: written under another name, then linked to its own.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    drafts.sweep(path.parent, path.name)
    if not path.exists():
        with drafts.draft(path.parent, path.name) as file:
            file.write(secrets.token_bytes(KEY_OCTETS))
            file.flush()
            os.fsync(file.fileno())
            _link(Path(file.name), path)
    return read(path)


def read(path: Path) -> bytes:
    """Read a key file; raises SettingInvalid where it is missing, damaged, or open to other accounts."""
    try:
        mode = path.stat().st_mode
        octets = path.read_bytes() if stat.S_ISREG(mode) else b""
    except OSError as error:
        raise SettingInvalid(f"the key file {path} cannot be read: {error.strerror}") from error
    if mode & _OTHERS:
        raise SettingInvalid(
            f"the key file {path} is open to other accounts (mode {stat.S_IMODE(mode):04o}): run `chmod 600 {path}`"
        )
    if len(octets) != KEY_OCTETS:
        raise SettingInvalid(
            f"the key file {path} is damaged: it has {len(octets)} octets and not {KEY_OCTETS}; "
            "put back the copy that was made with the database"
        )
    return octets


def _link(draft: Path, path: Path) -> None:
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
