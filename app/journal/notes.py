"""Signed notes (C2SP signed-note, tlog-checkpoint): a text, and below it a line for each key that signed it."""

import base64
import hashlib
from dataclasses import dataclass, field
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.errors import Unprocessable

ED25519 = b"\x01"
ID_OCTETS = 4
DASH = "\N{EM DASH} "


class Checkpoint(NamedTuple):
    """What a log held: its name, how many entries, and the root over them."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """Who signs, as `NAME+ID+KEY` (a vkey) tells it."""

    name: str
    octets: bytes

    @property
    def id(self) -> bytes:
        """The start of a hash over name and key."""
        return hashlib.sha256(f"{self.name}\n".encode() + ED25519 + self.octets).digest()[:ID_OCTETS]

    @property
    def vkey(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(ED25519 + self.octets).decode()}"

    @property
    def pem(self) -> str:
        """As openssl reads it."""
        key = Ed25519PublicKey.from_public_bytes(self.octets)
        return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def is_of(self, signature: bytes, octets: bytes) -> bool:
        """Whether this key made a signature of these octets."""
        try:
            Ed25519PublicKey.from_public_bytes(self.octets).verify(signature, octets)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Signer:
    """A key with its private half."""

    name: str
    private: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def of(cls, name: str, seed: bytes) -> "Signer":
        """The key that 32 secret octets are (RFC 8032 5.1.5)."""
        return cls(name, Ed25519PrivateKey.from_private_bytes(seed))

    @property
    def public(self) -> PublicKey:
        return PublicKey(self.name, self.private.public_key().public_bytes_raw())

    def note(self, text: str) -> str:
        """A text with its signature below it."""
        signed = base64.b64encode(self.public.id + self.private.sign(text.encode())).decode()
        return f"{text}\n{DASH}{self.name} {signed}\n"


def parse(note: str) -> Checkpoint:
    """The checkpoint of a note, whoever signed it; raises Unprocessable for a text that is none."""
    text, _, _ = note.partition("\n\n")
    lines = text.split("\n")
    try:
        origin, size, root = lines[:3]
        found = Checkpoint(origin, int(size), base64.b64decode(root, validate=True))
    except ValueError as error:
        raise Unprocessable(f"{note[:80]!r} is not a checkpoint: name, size and root, a line each") from error
    if not size.isdecimal() or len(found.root) != hashlib.sha256().digest_size:
        raise Unprocessable(f"{note[:80]!r} is not a checkpoint: name, size and root, a line each")
    return found


def is_signed(note: str, key: PublicKey) -> bool:
    """Whether a line of a note is this key's signature of its text."""
    text, _, below = note.partition("\n\n")
    for line in below.splitlines():
        name, _, encoded = line.removeprefix(DASH).partition(" ")
        try:
            octets = base64.b64decode(encoded, validate=True)
        except ValueError:
            continue
        if (name, octets[:ID_OCTETS]) == (key.name, key.id) and key.is_of(octets[ID_OCTETS:], f"{text}\n".encode()):
            return True
    return False
