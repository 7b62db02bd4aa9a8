"""TSIG (RFC 8945): who signed a message, and signatures on every message of an answer.

The key decides the algorithm and a signature counts only in full length. Messages are signed as the octets
they are, so a transfer costs one HMAC over each and no parsing.
"""

import hmac
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from struct import pack

from app.subscribers.directory import KnownKey
from app.transfer.mac import LENGTHS, keyed
from app.transfer.request import MalformedError, Names, Tsig, names_of

FUDGE = 300
SHORTEST_MAC = 10
FIXED_LENGTH = 18
BADSIG, BADKEY, BADTIME, BADTRUNC = 16, 17, 18, 22
NO_ERROR = bytes(4)


class TsigError(Exception):
    """A signature that does not hold. `error` is the TSIG error; `key` is set where the answer is signed."""

    def __init__(self, error: int, reason: str, key: KnownKey | None = None) -> None:
        super().__init__(reason)
        self.error = error
        self.reason = reason
        self.key = key


def verify(tsig: Tsig, keys: Mapping[str, KnownKey], now: datetime, request_mac: bytes = b"") -> KnownKey:
    """Find the key that signed a message, checking key, MAC, time and truncation in this order (section 5.2).

    `request_mac` is that of the query which the message answers. Raises TsigError or MalformedError.
    """
    key = keys.get(tsig.key)
    if key is None or not is_valid(key, now):
        raise TsigError(BADKEY, f"key: {tsig.key[:64]!r} is not known")
    if tsig.algorithm != key.algorithm:
        raise TsigError(BADKEY, f"key: {key.name!r} is for {key.algorithm}")
    full = LENGTHS[key.algorithm]
    if len(tsig.mac) != full and not max(SHORTEST_MAC, full // 2) <= len(tsig.mac) < full:
        raise MalformedError(f"a MAC of {len(tsig.mac)} octets")
    signed = pack("!H", len(request_mac)) + request_mac + tsig.signed if request_mac else tsig.signed
    expected = keyed(key.secret, key.algorithm).mac(signed)
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


@lru_cache(2)
def _times(time: int) -> bytes:
    """Give the time, which is the same for all that is signed in one second, and the fudge."""
    return pack("!HIH", time >> 32, time & 0xFFFFFFFF, FUDGE)


def unsigned(message: bytes, tsig: Tsig, error: int, now: datetime) -> bytes:
    """Add a TSIG record without a MAC, which says BADKEY or BADSIG (section 5.3.2)."""
    names, times = names_of(tsig.key, tsig.algorithm), _times(int(now.timestamp()))
    return _with_record(message, names, times, b"", pack("!HH", error, 0))


def _with_record(message: bytes, names: Names, times: bytes, mac: bytes, rest: bytes) -> bytes:
    """Add the record; `times` are time and fudge, `rest` is what follows the original ID."""
    data = b"%b%b%b%b%b%b" % (names.algorithm, times, pack("!H", len(mac)), mac, message[:2], rest)
    additionals = pack("!H", int.from_bytes(message[10:12], "big") + 1)
    return b"".join((message[:10], additionals, message[12:], names.owner, pack("!H", len(data)), data))


class Signer:
    """Signs the messages of one answer, each over the MAC before it (section 5.3.1).

    `prior` is the MAC of the query, empty to sign a query; after `sign` it is the MAC of that message.
    """

    __slots__ = ("_first", "_key", "_names", "prior")

    def __init__(self, key: KnownKey, prior: bytes = b"") -> None:
        self.prior = prior
        self._key = key
        self._names = names_of(key.name, key.algorithm)
        self._first = True

    @property
    def length(self) -> int:
        """Octets that a signature adds to a message."""
        return len(self._names.owner) + len(self._names.algorithm) + FIXED_LENGTH + LENGTHS[self._key.algorithm]

    def sign(self, message: bytes, now: datetime, rest: bytes = NO_ERROR, at: int | None = None) -> bytes:
        """Add the TSIG record to the next message; `rest` is what follows the original ID, `at` the time if not now."""
        key, names = self._key, self._names
        times = _times(int(now.timestamp()) if at is None else at)
        signed = message + names.signed + times + rest if self._first else message + times
        if self.prior:
            signed = pack("!H", len(self.prior)) + self.prior + signed
        self.prior = mac = keyed(key.secret, key.algorithm).mac(signed)
        self._first = False
        return _with_record(message, names, times, mac, rest)

    def sign_failure(self, message: bytes, tsig: Tsig, error: int, now: datetime) -> bytes:
        """Add the TSIG record to an answer that says BADTIME, with both clocks in it, or BADTRUNC."""
        if error != BADTIME:
            return self.sign(message, now, pack("!HH", error, 0))
        ours = int(now.timestamp())
        return self.sign(message, now, pack("!HHHI", error, 6, ours >> 32, ours & 0xFFFFFFFF), tsig.time)
