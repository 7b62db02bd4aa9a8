"""How many requests are answered in a minute: of one token, of one address without a token, of tokens that are none.

Each process counts for itself, in memory that does not grow with who asks: with several API processes a client has as
many times the limit. What an approver decides is never counted, since a lift is such a decision: no limit holds it up.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from ipaddress import IPv6Address, IPv6Network, ip_address
from threading import Lock
from typing import NamedTuple

from app.errors import RateLimited
from app.settings import RateSetting

MOST_KEPT = 65_536
"""Clients that are remembered at once; who was heard of least recently is forgotten first."""

MINUTE = 60.0
ROUNDING = 1e-6
"""Seconds that the sum of many small ones may be off."""

HOST_BITS = 64
"""Of an IPv6 address: a whole /64 is one site's (RFC 6177), so it counts as one client."""

Refused = Callable[[str], None]
"""Takes which limit it was: `token`, `address` or `failed`."""


class Meter:
    """Requests of each client (any key): `a_minute` of them at once, and as many again in each minute after that.

    Of a client nothing is kept but the moment at which all of its requests will be made good (the generic cell rate
    algorithm), so a request that is refused costs it nothing.
    """

    def __init__(self, a_minute: int) -> None:
        self.a_minute = a_minute
        self._good_at: OrderedDict[Hashable, float] = OrderedDict()
        self._lock = Lock()

    def take(self, client: Hashable, now: float) -> int:
        """Count one request at `now` (seconds of any clock that only goes forward); 0 where it may be answered, else
        after how many whole seconds the next one may."""
        if not self.a_minute:
            return 0
        with self._lock:
            good_at = max(self._good_at.get(client, 0.0), now) + MINUTE / self.a_minute
            wait = good_at - now - MINUTE - ROUNDING
            if wait <= 0:
                self._good_at[client] = good_at
            if client in self._good_at:
                self._good_at.move_to_end(client)
            while len(self._good_at) > MOST_KEPT:
                self._good_at.popitem(last=False)
        return max(0, math.ceil(wait))

    def __len__(self) -> int:
        return len(self._good_at)


class Meters(NamedTuple):
    """One for each limit."""

    token: Meter
    address: Meter
    failed: Meter


class Rates:
    """The limits of one process; `clock` counts seconds and only goes forward, `refused` hears of each refusal."""

    def __init__(self, setting: RateSetting, clock: Callable[[], float], refused: Refused) -> None:
        self.meters = Meters(*(Meter(a_minute) for a_minute in setting))
        self._clock = clock
        self._refused = refused

    def of_token(self, token_id: int | None) -> None:
        """A request by a good token; raises RateLimited."""
        self._count("token", token_id, "by this token")

    def of_address(self, address: str | None) -> None:
        """A request without a token; raises RateLimited."""
        self._count("address", site(address), f"without a token from {site(address)}")

    def of_failure(self, address: str | None) -> None:
        """A request by a token that is none; raises RateLimited. Good tokens of the same address are none of this:
        nobody is locked out by what others try."""
        self._count("failed", site(address), f"by tokens that are not valid from {site(address)}")

    def _count(self, limit: str, client: Hashable, whose: str) -> None:
        meter: Meter = getattr(self.meters, limit)
        wait = meter.take(client, self._clock())
        if wait:
            self._refused(limit)
            raise RateLimited(f"more than {meter.a_minute} requests a minute {whose}", retry_after=wait)


def site(address: str | None) -> str:
    """What counts as one client: an IPv4 address, the /64 of an IPv6 address, "nowhere" for what is neither."""
    try:
        read = ip_address(address or "")
    except ValueError:
        return "nowhere"
    if not isinstance(read, IPv6Address):
        return str(read)
    mapped = read.ipv4_mapped
    return str(IPv6Network((int(read), HOST_BITS), strict=False)) if mapped is None else str(mapped)
