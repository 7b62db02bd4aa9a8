"""Who acts: a principal with a token, the clock, or whoever administers the host."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a principal may do; each has exactly one, for ever."""

    OPERATOR = "operator"
    APPROVER = "approver"
    AUDITOR = "auditor"
    ISP = "isp"
    PLATFORM = "platform"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever an event is written down for.

    `principal_id` is None for the clock and for the host; `address` is where the request came from, kept in the
    journal as a salted hash only.
    """

    name: str
    role: str
    principal_id: int | None = None
    token_id: int | None = None
    address: str | None = None


CLOCK = Actor(name="clock", role="clock")
"""Acts that fall due by a date that people decided before."""


def host(user: str) -> Actor:
    """Whoever works on the host itself, by the name of their account there."""
    return Actor(name=f"host:{user}", role="host")
