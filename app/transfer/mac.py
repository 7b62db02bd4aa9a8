"""HMAC (RFC 2104) by keys that sign all day: what depends on a key alone is computed once for it.

The module `hmac` looks up the hash and pads the key for every message, which takes longer than a short message itself.
"""

import hashlib
from functools import lru_cache
from typing import NamedTuple

HASHES = {"hmac-sha256": hashlib.sha256, "hmac-sha384": hashlib.sha384, "hmac-sha512": hashlib.sha512}
LENGTHS = {"hmac-sha256": 32, "hmac-sha384": 48, "hmac-sha512": 64}
INNER, OUTER = bytes(octet ^ 0x36 for octet in range(256)), bytes(octet ^ 0x5C for octet in range(256))
KEYS_REMEMBERED = 4096


class Keyed(NamedTuple):
    """The two hashes of section 2, each with its pad in it."""

    inner: "hashlib._Hash"
    outer: "hashlib._Hash"

    def mac(self, message: bytes) -> bytes:
        """Give the MAC of a message."""
        inner, outer = self.inner.copy(), self.outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()


@lru_cache(KEYS_REMEMBERED)
def keyed(secret: bytes, algorithm: str) -> Keyed:
    """Prepare a key; a secret longer than a block is hashed first."""
    new = HASHES[algorithm]
    block = new().block_size
    padded = (new(secret).digest() if len(secret) > block else secret).ljust(block, b"\0")
    return Keyed(new(padded.translate(INNER)), new(padded.translate(OUTER)))
