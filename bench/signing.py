"""TSIG with hmac-sha256 (RFC 8945) for clients that cost little: a thousand of them share the cores with the server."""

import hmac
import time
from hashlib import sha256
from struct import pack, unpack_from

import dns.tsig

HEADER = 12
MAC_LENGTH = 32
FUDGE = 300
TYPE_TSIG, CLASS_ANY = 250, 255


class WrongSignature(Exception):
    """A message is not signed by the key, or not after the one before it."""


class Signer:
    """One exchange: a message of ours, and then each message that answers it, in their order.

    With `prior`, ours is itself an answer, to a message that carried this MAC (a NOTIFY).
    """

    def __init__(self, key: dns.tsig.Key, prior: bytes = b"") -> None:
        if not isinstance(key.secret, bytes) or key.algorithm != dns.tsig.HMAC_SHA256:
            raise WrongSignature(f"the key {key.name} is not one of hmac-sha256")
        self._name, self._algorithm = key.name.to_digestable(), key.algorithm.to_digestable()
        self._secret = key.secret
        self._prior = prior
        self._number = 0
        self.length = len(self._name) + 10 + len(self._algorithm) + 16 + MAC_LENGTH
        """How long the record is that ends every message: no name in it is compressed (section 4.2)."""

    def sign(self, message: bytes) -> bytes:
        """The message with its TSIG record, the only record of its additional section."""
        now = int(time.time())
        timers = pack("!HIH", now >> 32, now & 0xFFFFFFFF, FUDGE)
        mac = self._mac(self._before() + message + self._head() + timers + bytes(4))
        self._prior = mac
        data = self._algorithm + timers + pack("!H", MAC_LENGTH) + mac + message[:2] + bytes(4)
        record = self._name + pack("!HHIH", TYPE_TSIG, CLASS_ANY, 0, len(data)) + data
        return message[:10] + pack("!H", 1) + message[HEADER:] + record

    def check(self, message: bytes) -> None:
        """The next message that came (sections 5.3 and 5.3.1); raises WrongSignature."""
        body, signature = message[: -self.length], message[-self.length :]
        timers, mac = signature[-16 - MAC_LENGTH :][:8], signature[-6 - MAC_LENGTH : -6]
        (additional,) = unpack_from("!H", message, 10)
        signed = body[:10] + pack("!H", additional - 1) + body[HEADER:] if additional else b""
        signed += timers if self._number else self._head() + timers + bytes(4)
        if not hmac.compare_digest(self._mac(self._before() + signed), mac):
            raise WrongSignature(f"the signature of message {self._number} is wrong")
        self._prior = mac
        self._number += 1

    def _before(self) -> bytes:
        return pack("!H", len(self._prior)) + self._prior if self._prior else b""

    def _head(self) -> bytes:
        return self._name + pack("!HI", CLASS_ANY, 0) + self._algorithm

    def _mac(self, signed: bytes) -> bytes:
        return hmac.digest(self._secret, signed, sha256)
