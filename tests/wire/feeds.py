"""A feed of made-up zones and subscribers, and a transfer server running on it in a thread."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from ipaddress import ip_network

import dns.name
import dns.tsig

from app.subscribers.directory import Directory, KnownKey, NotifyTarget, Subscriber
from app.subscribers.sighting import Sighting
from app.transfer.feed import Clock
from app.transfer.limits import Limits
from app.transfer.process import Transfer, system_clock
from resolver_policy.delta import EMPTY_RULE, Change
from resolver_policy.version import ZoneVersion
from tests.policy.zones import EXACT, SUBTREE, rules_of, version

SECRET = b"0123456789abcdef0123456789abcdef"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
KEYED, KEYLESS, STRANGER = "127.0.0.1", "127.0.0.2", "127.0.0.3"
"""Addresses: of a subscriber with a key, of one without, of nobody."""

ISP_ONE = KnownKey("isp-one-key", "hmac-sha256", SECRET, "isp-one", LONG_AGO, None)


def directory(*keys: KnownKey, targets: tuple[NotifyTarget, ...] = ()) -> Directory:
    """`isp-one` has keys and asks from KEYED, `isp-two` has none and asks from KEYLESS."""
    one = Subscriber("isp-one", (ip_network(f"{KEYED}/32"),), targets, keyed=True)
    two = Subscriber("isp-two", (ip_network(f"{KEYLESS}/32"),), (), keyed=False)
    return Directory({one.name: one, two.name: two}, {key.name: key for key in keys or (ISP_ONE,)})


def client_key(key: KnownKey = ISP_ONE, secret: bytes | None = None, algorithm: str | None = None) -> dns.tsig.Key:
    """The key as a dnspython client holds it."""
    return dns.tsig.Key(key.name, secret or key.secret, dns.name.from_text(algorithm or key.algorithm))


def small_zone() -> ZoneVersion:
    """Twenty blocked subtrees at serial 10, and `new.example` at serial 11."""
    first = version(rules_of({f"old{number}.example": SUBTREE for number in range(20)}), serial=10)
    return first.changed([Change("example.new.", EMPTY_RULE, EXACT)], 11)


class MadeFeed:
    """What the follower and the database are to the real process."""

    def __init__(self, made: Mapping[str, ZoneVersion] | None = None, known: Directory | None = None) -> None:
        self.zones: Mapping[str, ZoneVersion] = {"block.rpz": small_zone()} if made is None else made
        self.directory = known or directory()
        self.sightings: list[Sighting] = []

    def seen(self, sighting: Sighting) -> None:
        self.sightings.append(sighting)

    def wait_for(self, wanted: Callable[[Sighting], bool], timeout: float = 10) -> Sighting:
        """The first sighting that is wanted."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            for sighting in tuple(self.sightings):
                if wanted(sighting):
                    return sighting
            time.sleep(0.01)
        raise AssertionError(f"not seen in {timeout} s, only {self.sightings}")


@contextmanager
def serving(
    feed: MadeFeed, limits: Limits | None = None, clock: Clock = system_clock, host: str = "127.0.0.1", port: int = 0
) -> Iterator[Transfer]:
    """A server in a thread of its own, on a port of its own choice; nothing may be logged as an error."""
    ready, server = threading.Event(), Transfer(feed, host, port, limits=limits, clock=clock)
    bugs = _Errors()
    for name in WATCHED:
        logging.getLogger(name).addHandler(bugs)
    thread = threading.Thread(target=server.run, args=(lambda _: ready.set(),), daemon=True)
    thread.start()
    try:
        assert ready.wait(10), "the server did not start"
        yield server
    finally:
        server.stop()
        thread.join(10)
        for name in WATCHED:
            logging.getLogger(name).removeHandler(bugs)
    assert not thread.is_alive()
    assert not bugs.messages


WATCHED = ("asyncio", "app.transfer")


class _Errors(logging.Handler):
    """Collects what is said of exceptions that nobody expected."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(self.format(record))
