"""What was so at each moment of random histories, remembered while they happen: to be asked for afterwards."""

import datetime as dt
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from app.publication import zones
from app.publication.store import rules_of_release
from app.subscribers.acknowledge import Acknowledge, acknowledge
from app.subscribers.deliveries import record
from app.subscribers.sighting import Sighting, SightingKind
from resolver_policy.targets import Decision
from tests.orders import model
from tests.orders.histories import History
from tests.policy.lookups import bind, records
from tests.publication.worlds import World
from tests.service import ZONE, acting

MINUTE = dt.timedelta(minutes=1)
LOST = 0.15
"""Of what is seen, so much is never written down: its process ended before."""


class Moment(NamedTuple):
    """What was decided of names, by whom they were held, in which states orders were, and what was published."""

    blocked: dict[str, bool]
    holders: dict[str, set[int]]
    states: dict[int, str]
    release: int


@dataclass
class Truth:
    """Moment by moment; and what each release made of the names."""

    moments: dict[dt.datetime, Moment] = field(default_factory=dict)
    published: dict[int, dict[str, bool]] = field(default_factory=dict)

    def note(self, world: World, histories: list[History], now: dt.datetime) -> None:
        """At a moment after which time went on; what is published counts from its release on."""
        names = [f"{label}{name}" for history in histories for name in history.names() for label in ("", "_any.")]
        by_name = {name: history for history in histories for name in names if name.endswith(history.domain)}
        blocked = {name: model.blocked(name, by_name[name].orders) for name in names}
        holders = {name: holding(name, by_name[name]) for name in names}
        states = {each.id: each.order.state for history in histories for each in history.known}
        with world.database.read() as session:
            newest = zones.head(session)
            assert newest is not None
            verdict = bind(records(rules_of_release(session, newest.id)))
        self.published[newest.id] = {name: verdict(name) is Decision.BLOCK for name in names}
        self.moments = {at: each for at, each in self.moments.items() if at < now}
        self.moments[now] = Moment(blocked, holders, states, newest.id)


def holding(name: str, history: History) -> set[int]:
    """The orders in force that cover a name."""
    above = {(name.split(".", cut)[-1], "subtree") for cut in range(name.count(".") + 1)} | {(name, "exact")}
    return {each.id for each in history.known if each.order.state == "active" and each.order.targets & above}


@dataclass
class Server:
    """A server of an ISP: what it really holds, from when on; and what somebody sees of that and writes down.

    It takes a zone, and begins to use it some minutes later. One that `acknowledges` fetches unseen.
    """

    world: World
    isp: str
    address: str
    random: Random
    acknowledges: bool
    holds: list[tuple[dt.datetime, int]] = field(default_factory=list)
    coming: tuple[dt.datetime, int] | None = None

    def held_at(self, at: dt.datetime) -> int:
        """The release that it used at a moment; 0 for none."""
        return max(((since, release) for since, release in self.holds if since <= at), default=(at, 0))[1]

    def act(self) -> None:
        """Whatever a server does when it wakes: begins to use what it took, then polls, asks, or says nothing."""
        now = self.world.clock()
        if self.coming is not None and self.coming[0] <= now:
            self.holds.append(self.coming)
            self.coming = None
        if self.coming is not None or self.random.random() < 0.3:
            return
        has = self.held_at(now)
        with self.world.database.read() as session:
            newest = zones.head(session)
            assert newest is not None
            head = newest.id
        wakes = now + self.random.randint(1, 30) * MINUTE
        if self.acknowledges:
            if self.random.random() < 0.5 and has:
                self._acknowledge(has)
            elif has < head:
                self.coming = (wakes, head)
        elif has == head and self.random.random() < 0.7:
            self._see(SightingKind.SOA, None, head)
        else:
            kind = SightingKind.AXFR if not has or self.random.random() < 0.1 else SightingKind.IXFR
            self._see(kind, has if kind is SightingKind.IXFR else None, head)
            if has < head and self.random.random() < 0.8:  # else it was broken off, and is asked for anew
                self.coming = (wakes, head)

    def _see(self, kind: SightingKind, asked: int | None, sent: int) -> None:
        if self.random.random() < LOST:
            return
        from_serial = None if asked is None else serial_of(self.world, asked)
        to_serial = serial_of(self.world, sent)
        sighting = Sighting(self.world.clock(), self.isp, self.address, ZONE, kind, from_serial, to_serial, 400)
        with self.world.database.write() as session:
            record(session, [sighting], self.world.clock())

    def _acknowledge(self, release: int) -> None:
        body = {"zone": ZONE, "serial": serial_of(self.world, release), "phase": "applied"}
        with self.world.database.write() as session:
            acknowledge(session, acting(session, self.isp), Acknowledge.model_validate(body), self.world.clock())


def serial_of(world: World, release: int) -> int:
    """The serial that a release has in the zone."""
    with world.database.read() as session:
        found = zones.at_release(session, zones.by_name(session, ZONE), release)
    assert found is not None
    return found.serial
