"""What the transfer server saw one client do, as it hands it to the ledger of deliveries."""

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

DONE = "done"
"""Outcome of what went well: answered, sent to its end, or (a NOTIFY) acknowledged."""


class SightingKind(StrEnum):
    """What was asked of us, or (`notify`) what we sent."""

    SOA = "soa"
    AXFR = "axfr"
    IXFR = "ixfr"
    REFUSED = "refused"
    NOTIFY = "notify"


@dataclass(frozen=True, slots=True)
class Sighting:
    """One request, once it is answered or broken off; or one NOTIFY, once it is acknowledged or given up.

    `subscriber` is the name of whoever it was, None where nobody was recognised. `asked_serial` is the serial
    that an IXFR was asked from; `sent_serial` the one that was sent or announced. `outcome` is DONE, or says
    what went wrong in words that the subscriber may read. A client that is refused chose the text of `zone`.
    `at` is when it was asked, `seconds` how long the answer took to send. `proven`: it came over TCP, or signed;
    anybody can send an unsigned datagram in the name of an address.
    """

    at: dt.datetime
    subscriber: str | None
    address: str
    zone: str
    kind: SightingKind
    asked_serial: int | None = None
    sent_serial: int | None = None
    octets: int = 0
    outcome: str = DONE
    seconds: float = 0
    proven: bool = True

    @property
    def ended_at(self) -> dt.datetime:
        """When the last of it was sent."""
        return self.at + dt.timedelta(seconds=self.seconds)
