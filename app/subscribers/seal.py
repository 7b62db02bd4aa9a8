"""Keeping TSIG secrets so that a copy of the database alone does not hold them: AES-256-GCM under a key file."""

import secrets
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app import keyfile
from app.errors import SettingInvalid

NONCE_OCTETS = 12


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
    """Make the key file where there is none, and read it; of two that make it at once, both get the same."""
    return SecretKey(path, keyfile.make(path))


def read(path: Path) -> SecretKey:
    """Read a key file; raises SettingInvalid where it is missing, damaged, or open to other accounts."""
    return SecretKey(path, keyfile.read(path))
