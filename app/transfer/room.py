"""Who may have how many connections at once, and whose gives way where there is no room.

No sockets here, and no clock: a caller says when. A connection counts to its address, and to one subscriber
or to the strangers; in each of these circles, the one longest without progress stands first.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from app.transfer.limits import Limits

Circle = OrderedDict["Seat", None]


@dataclass(eq=False, slots=True)
class Seat:
    """The place of one connection. `subscriber` is None for a stranger's; `end` breaks the connection off."""

    address: str
    subscriber: str | None
    end: Callable[[], object]
    moved_at: float
    circles: tuple[Circle, ...] = field(default=(), repr=False)

    @property
    def known(self) -> bool:
        return self.subscriber is not None


class Room:
    """The connections that are open."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._addresses: dict[str, Circle] = {}
        self._subscribers: dict[str | None, Circle] = {}
        self._taken = 0

    def __len__(self) -> int:
        return self._taken

    def take(self, address: str, names: Sequence[str], now: float, end: Callable[[], object]) -> Seat | None:
        """Give a place to a connection of an address that belongs to these subscribers; None: there is no room.

        It counts to the one of them that has the fewest, so nobody is kept out by a neighbour's connections.
        """
        subscriber = names[0] if names else None
        if len(names) > 1:
            subscriber = min(names, key=self._held)
        if not self._has_room(address, subscriber, now):
            return None
        seat = Seat(address, subscriber, end, now)
        own = self._addresses.setdefault(address, OrderedDict())
        shared = self._subscribers.setdefault(subscriber, OrderedDict())
        seat.circles = (own, shared)
        own[seat] = shared[seat] = None
        self._taken += 1
        return seat

    def move(self, seat: Seat, now: float) -> None:
        """Note that a connection got on: octets of an answer went."""
        seat.moved_at = now
        for circle in seat.circles:
            circle.move_to_end(seat)

    def leave(self, seat: Seat) -> None:
        """Free a place; nothing happens where it is free already."""
        circles, seat.circles = seat.circles, ()
        if not circles:
            return
        self._taken -= 1
        for circle in circles:
            del circle[seat]
        own, shared = circles
        if not own:
            del self._addresses[seat.address]
        if not shared:
            del self._subscribers[seat.subscriber]

    def _held(self, subscriber: str | None) -> int:
        return len(self._subscribers.get(subscriber, ()))

    def _has_room(self, address: str, subscriber: str | None, now: float) -> bool:
        limits = self._limits
        of_address, of_group = limits.per_known_address, limits.per_subscriber
        if subscriber is None:
            of_address, of_group = limits.per_unknown_address, limits.unknown_connections
        own, shared = self._addresses.get(address), self._subscribers.get(subscriber)
        if own is not None and len(own) >= of_address and not self._one_gives_way(own, now):
            return False
        if shared is not None and len(shared) >= of_group and not self._one_gives_way(shared, now):
            return False
        return self._taken < limits.connections or self._largest_gives_way(subscriber, now)

    def _one_gives_way(self, circle: Circle, now: float, *, at_once: bool = False) -> bool:
        oldest = next(iter(circle))
        if not at_once and now - oldest.moved_at < self._limits.gives_way_after:
            return False
        self.leave(oldest)
        oldest.end()
        return True

    def _largest_gives_way(self, subscriber: str | None, now: float) -> bool:
        """Make room where all of it is taken: a stranger loses its place to a subscriber, and else whoever holds
        the most to one that holds less."""
        if subscriber is None:
            return False
        if None in self._subscribers:
            return self._one_gives_way(self._subscribers[None], now, at_once=True)
        holder, circle = max(self._subscribers.items(), key=lambda item: len(item[1]))
        holds_more = holder != subscriber and len(circle) > self._held(subscriber) + 1
        return self._one_gives_way(circle, now, at_once=holds_more)
