"""Where the transfer process gets what it serves."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Protocol

from app.subscribers.directory import Directory
from app.subscribers.sighting import Sighting
from resolver_policy.version import ZoneVersion

Clock = Callable[[], datetime]


class Feed(Protocol):
    """Another thread replaces the values of both attributes, never their contents.

    Whoever reads one twice may see two versions. `seen` is called for every exchange, in the thread that
    answers DNS: it may not block or raise.
    """

    @property
    def zones(self) -> Mapping[str, ZoneVersion]:
        """Zones by canonical name; empty until something can be served."""
        ...

    @property
    def directory(self) -> Directory:
        """Who may take them."""
        ...

    def seen(self, sighting: Sighting) -> None:
        """Take note of an exchange."""
        ...
