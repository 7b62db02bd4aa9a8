"""Keeping TSIG secrets so that a copy of the database alone does not hold them: AES-256-GCM under a key file."""

import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.errors import SettingInvalid

KEY_OCTETS = 32
NONCE_OCTETS = 12
OWNER_ONLY = 0o600
_OTHERS = 0o077


@dataclass(frozen=True, slots=True)
class SecretKey:
    """The 256 bits of one key file; `path` is named in errors."""

    path: Path
    octets: bytes = field(repr=False)

    def seal(self, secret: bytes, key_name: str) -> bytes:
        """Give nonce, ciphertext and tag; the seal opens again for this TSIG key's name only."""
        nonce = secrets.token_bytes(NONCE_OCTETS)
        return nonce + AESGCM(self.octets).encrypt(nonce, secret, key_name.encode())

    def unseal(self, sealed: bytes, key_name: str) -> bytes:
        """Give the secret; raises SettingInvalid where another file sealed it, or where it was altered."""
        nonce, box = sealed[:NONCE_OCTETS], sealed[NONCE_OCTETS:]
        try:
            return AESGCM(self.octets).decrypt(nonce, box, key_name.encode())
        except (InvalidTag, ValueError) as error:
            raise SettingInvalid(
                f"{self.path} does not open the secret of the TSIG key {key_name}: it is not the key file that "
                "this database was used with, or the database was altered. Put the right file back, or give the "
                "subscriber a new key with `pulih subscriber rotate-key --overlap 0`"
            ) from error


def make(path: Path) -> SecretKey:
    """Make the key file where there is none, and read it; of two that make it at once, both get the same.

    It appears whole or not at all: written under another name, then linked to its own.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        try:
            _write(draft, secrets.token_bytes(KEY_OCTETS))
            _link(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    return read(path)


def read(path: Path) -> SecretKey:
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
    return SecretKey(path, octets)


def _write(path: Path, octets: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    with os.fdopen(descriptor, "wb") as file:
        file.write(octets)
        file.flush()
        os.fsync(file.fileno())


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
