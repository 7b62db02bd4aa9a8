"""TSIG (RFC 8945): who signed a message, and signatures on every message of an answer.

The key decides the algorithm and a signature counts only in full length. Messages are signed as the octets
they are, so a transfer costs one HMAC over each and no parsing.
"""

import hmac
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from struct import pack
from typing import NamedTuple

import dns.name

from app.subscribers.directory import KnownKey
from app.transfer.request import NAMES_REMEMBERED, MalformedError, Tsig

HASHES = {"hmac-sha256": "sha256", "hmac-sha384": "sha384", "hmac-sha512": "sha512"}
LENGTHS = {"hmac-sha256": 32, "hmac-sha384": 48, "hmac-sha512": 64}
FUDGE = 300
SHORTEST_MAC = 10
FIXED_LENGTH = 26
BADSIG, BADKEY, BADTIME, BADTRUNC = 16, 17, 18, 22
NAMES = {BADSIG: "BADSIG", BADKEY: "BADKEY", BADTIME: "BADTIME", BADTRUNC: "BADTRUNC"}


class Names(NamedTuple):
    """Key and algorithm as they stand in a record and in what is signed: lower case, not compressed."""

    key: bytes
    algorithm: bytes


class Stamp(NamedTuple):
    """What else a TSIG record says."""

    time: int
    fudge: int = FUDGE
    error: int = 0
    other: bytes = b""


class TsigError(Exception):
    """A signature that does not hold. `error` is the TSIG error; `key` is set where the answer is signed."""

    def __init__(self, error: int, reason: str, key: KnownKey | None = None) -> None:
        super().__init__(reason)
        self.error = error
        self.reason = reason
        self.key = key


def verify(data: bytes, tsig: Tsig, keys: Mapping[str, KnownKey], now: datetime, request_mac: bytes = b"") -> KnownKey:
    """Find the key that signed a message, checking key, MAC, time and truncation in this order (section 5.2).

    `request_mac` is that of the query which `data` answers. Raises TsigError or MalformedError.
    """
    key = keys.get(tsig.key)
    if key is None or not is_valid(key, now):
        raise TsigError(BADKEY, f"key: {tsig.key[:64]!r} is not known")
    if tsig.algorithm != key.algorithm:
        raise TsigError(BADKEY, f"key: {key.name!r} is for {key.algorithm}")
    full = LENGTHS[key.algorithm]
    if not max(SHORTEST_MAC, full // 2) <= len(tsig.mac) <= full:
        raise MalformedError(f"a MAC of {len(tsig.mac)} octets")
    expected = hmac.digest(key.secret, _signed_part(data, tsig, request_mac), HASHES[key.algorithm])
    if not hmac.compare_digest(expected[: len(tsig.mac)], tsig.mac):
        raise TsigError(BADSIG, f"key: the signature by {key.name!r} is wrong")
    if abs(int(now.timestamp()) - tsig.time) > tsig.fudge:
        raise TsigError(BADTIME, f"key: the clock of {key.name!r} is off", key)
    if len(tsig.mac) < full:
        raise TsigError(BADTRUNC, f"key: the signature by {key.name!r} is cut short", key)
    return key


def is_valid(key: KnownKey, now: datetime) -> bool:
    """Say whether a key may be used at this time."""
    return key.valid_from <= now and (key.valid_until is None or now < key.valid_until)


def _signed_part(data: bytes, tsig: Tsig, request_mac: bytes) -> bytes:
    """Give what the MAC of a received message is over (section 4.3)."""
    prior = pack("!H", len(request_mac)) + request_mac if request_mac else b""
    additionals = int.from_bytes(data[10:12], "big") - 1
    message = pack("!H", tsig.original_id) + data[2:10] + pack("!H", additionals) + data[12 : tsig.at]
    stamp = Stamp(tsig.time, tsig.fudge, tsig.error, tsig.other)
    return prior + message + _variables(_names(tsig.key, tsig.algorithm), stamp)


@lru_cache(NAMES_REMEMBERED)
def _names(key: str, algorithm: str) -> Names:
    return Names(dns.name.from_text(key).to_digestable(), dns.name.from_text(algorithm).to_digestable())


def _variables(names: Names, stamp: Stamp) -> bytes:
    other = pack("!HH", stamp.error, len(stamp.other)) + stamp.other
    return names.key + pack("!HI", 255, 0) + names.algorithm + _timers(stamp) + other


def _timers(stamp: Stamp) -> bytes:
    return pack("!HIH", stamp.time >> 32, stamp.time & 0xFFFFFFFF, stamp.fudge)


def unsigned(message: bytes, tsig: Tsig, error: int, now: datetime) -> bytes:
    """Add a TSIG record without a MAC, which says BADKEY or BADSIG (section 5.3.2)."""
    stamp = Stamp(int(now.timestamp()), error=error)
    return _with_record(message, _names(tsig.key, tsig.algorithm), stamp, b"")


def _with_record(message: bytes, names: Names, stamp: Stamp, mac: bytes) -> bytes:
    signature = pack("!H", len(mac)) + mac + message[:2]
    other = pack("!HH", stamp.error, len(stamp.other)) + stamp.other
    data = names.algorithm + _timers(stamp) + signature + other
    record = names.key + pack("!HHIH", 250, 255, 0, len(data)) + data
    additionals = int.from_bytes(message[10:12], "big") + 1
    return b"".join((message[:10], pack("!H", additionals), message[12:], record))


class Signer:
    """Signs the messages of one answer, each over the MAC before it (section 5.3.1).

    `prior` is the MAC of the query, empty to sign a query; after `sign` it is the MAC of that message.
    """

    def __init__(self, key: KnownKey, prior: bytes = b"") -> None:
        self.prior = prior
        self._key = key
        self._names = _names(key.name, key.algorithm)
        self._first = True

    @property
    def length(self) -> int:
        """Octets that a signature adds to a message."""
        return len(self._names.key) + len(self._names.algorithm) + FIXED_LENGTH + LENGTHS[self._key.algorithm]

    def sign(self, message: bytes, now: datetime) -> bytes:
        """Add the TSIG record to the next message."""
        return self._sign(message, Stamp(int(now.timestamp())))

    def sign_failure(self, message: bytes, tsig: Tsig, error: int, now: datetime) -> bytes:
        """Add the TSIG record to an answer that says BADTIME, with both clocks in it, or BADTRUNC."""
        ours = int(now.timestamp())
        if error != BADTIME:
            return self._sign(message, Stamp(ours, error=error))
        other = pack("!HI", ours >> 32, ours & 0xFFFFFFFF)
        return self._sign(message, Stamp(tsig.time, error=error, other=other))

    def _sign(self, message: bytes, stamp: Stamp) -> bytes:
        prior = pack("!H", len(self.prior)) + self.prior if self.prior else b""
        tail = _variables(self._names, stamp) if self._first else _timers(stamp)
        mac = hmac.digest(self._key.secret, b"".join((prior, message, tail)), HASHES[self._key.algorithm])
        self.prior, self._first = mac, False
        return _with_record(message, self._names, stamp, mac)
