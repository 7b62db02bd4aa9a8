"""What a configuration is made of, and what it is made into."""

from collections.abc import Callable
from dataclasses import dataclass

from app.settings import Endpoint
from app.subscribers.keys import Tsig

Release = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Facts:
    """One subscriber and one zone; `server` is where the zone is transferred from; no key: it asks unsigned."""

    subscriber: str
    zone: str
    server: Endpoint
    tsig: Tsig | None
    addresses: tuple[str, ...]
    notify: tuple[str, ...]
    release: Release


@dataclass(frozen=True, slots=True)
class Snippet:
    """How one kind of resolver is configured.

    `whole` gives the text that is printed; `parts` gives pieces of it by name, for whoever puts them into files
    of their own. `default` is Debian 12's release, `oldest` the first that the text is written for.
    """

    software: str
    oldest: Release
    default: Release
    whole: Callable[[Facts], str]
    parts: dict[str, Callable[[Facts], str]]
