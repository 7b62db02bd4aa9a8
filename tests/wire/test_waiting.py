"""Answers that somebody else has to make first: nobody else waits for them, and who asked waits for so long only."""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace

import dns.message
import pytest

from app.transfer.limits import Limits
from resolver_policy import xfr
from resolver_policy.delta import EMPTY_RULE, Change
from resolver_policy.version import ZoneVersion
from resolver_policy.wire import Body, Zone
from tests.policy.zones import SUBTREE, rules_of, version
from tests.wire.clients import connection, query, receive, send
from tests.wire.feeds import KEYED, KEYLESS, MadeFeed, client_key, serving

PATIENCE = Limits(known_idle=1.5)
LONG_PAST, LATELY = 3, 10


class Stuck:
    """A past that is written by a process that hangs."""

    def __init__(self) -> None:
        self.asked, self.goes_on = threading.Event(), threading.Event()

    def rows_between(self, older: int, _newer: int) -> int | None:
        return 10 if older == LONG_PAST else None

    def changes(self, _older: int, _newer: int) -> Sequence[Change] | None:
        return None

    def bodies(self, _zone: Zone, _older: int, _newer: int) -> Iterable[Body] | None:
        self.asked.set()
        self.goes_on.wait(10)
        return None


def zone_with(past: Stuck) -> ZoneVersion:
    """A thousand names, of which the last two hundred came at once."""
    names = [f"name{number:04}.example" for number in range(800)]
    first = replace(version(rules_of(dict.fromkeys(names, SUBTREE)), serial=LATELY), past=past)
    return first.changed([Change(f"example.new{number:03}.", EMPTY_RULE, SUBTREE) for number in range(200)], LATELY + 1)


def test_a_large_increment_that_is_not_there_yet_keeps_nobody_else_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xfr, "MOST_CHANGES", 5)
    past = Stuck()
    feed = MadeFeed({"block.rpz": zone_with(past)})
    with serving(feed, PATIENCE) as server, connection(server.port, KEYED) as waiting:
        send(waiting, query("IXFR", serial=LONG_PAST, key=client_key()).to_wire())
        assert past.asked.wait(5)
        with connection(server.port, KEYLESS) as other:
            send(other, query("IXFR", serial=LATELY).to_wire())
            answer = dns.message.from_wire(receive(other))
        assert len(answer.answer) > 200
        waiting.settimeout(10)
        with pytest.raises(ConnectionResetError):
            waiting.recv(1)
        broken_off = feed.wait_for(lambda sighting: sighting.asked_serial == LONG_PAST)
        assert (broken_off.outcome, broken_off.octets) == ("broken off before the end", 0)
        past.goes_on.set()
