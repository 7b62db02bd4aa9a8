"""What the benchmarks ask of a server of the zone, whichever it is."""

from collections.abc import Callable, Sequence
from typing import Protocol

import dns.tsig

ZONE = "block.rpz"
PATIENCE = 3600.0
"""Seconds until a server shows a zone, of whatever length."""

Act = Callable[[], None]


class Primary(Protocol):
    """A server of the zone. `blocking` and `lifting` prepare a change; what they return makes it, once."""

    @property
    def name(self) -> str: ...

    @property
    def port(self) -> int: ...

    @property
    def key(self) -> dns.tsig.Key: ...

    @property
    def serving(self) -> list[int]:
        """The processes that answer DNS."""
        ...

    @property
    def all_processes(self) -> list[int]: ...

    @property
    def seconds_to_serving(self) -> float:
        """From its start until it showed the zone."""
        ...

    def blocking(self, names: Sequence[str]) -> Act: ...

    def lifting(self, names: Sequence[str]) -> Act: ...
