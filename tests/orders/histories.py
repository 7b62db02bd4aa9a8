"""A random history: the domain it is about, its orders in the database and in the model, and what was said of it."""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from sqlalchemy.orm import Session

from app.journal.actor import Actor
from app.orders.models import Order
from tests.orders import model
from tests.service import DAY, HOUR

ASKED = ("", "a.", "b.a.", "c.", "q.", "q.b.a.")
NEVER = dt.datetime.max.replace(tzinfo=dt.UTC)

Both = tuple[Callable[[], Order | None], Callable[[], model.Order | None]]
"""An act in the service, and the same act in the model; a new order that comes of it."""


@dataclass
class Known:
    """An order in the database, and the same order in the model; who proposed it, and the names that it had then."""

    id: int
    order: model.Order
    by: str
    names: frozenset[tuple[str, str]]


class Change(NamedTuple):
    """What a release did to an order: let go of some names of it, or put all of it in force, or out of it (`ends`)."""

    known: Known
    names: frozenset[tuple[str, str]]
    ends: bool


class Published(NamedTuple):
    """An order as it was last looked at for publication: the names it held, and those it held by the last release that
    let go of some."""

    in_force: bool
    held: frozenset[tuple[str, str]]
    told: frozenset[tuple[str, str]]


def _due_at(order: model.Order) -> dt.datetime:
    """When the clock looks at an order next; of one that is suspended, a day before it returns."""
    returns = order.begins - DAY if order.state == "suspended" and order.begins else None
    begins = order.begins if order.state == "scheduled" else returns
    return min(filter(None, (begins, order.planned[1], order.expires, order.lapses)), default=NEVER)


@dataclass
class History:
    """One history: the domain that it is about, its orders, and what the model said was blocked, by moments."""

    domain: str
    random: Random
    known: list[Known] = field(default_factory=list)
    said: dict[dt.datetime, dict[str, bool]] = field(default_factory=dict)
    published: dict[int, Published] = field(default_factory=dict)
    releases: dict[int, list[Change]] = field(default_factory=dict)

    @property
    def orders(self) -> list[model.Order]:
        return [each.order for each in self.known]

    def names(self) -> list[str]:
        return [label + self.domain for label in ASKED]

    def tick(self, now: dt.datetime) -> None:
        """Longest overdue first: an order that ends takes with it what brought a part of it back."""
        for order in sorted(self.orders, key=_due_at):
            order.tick(now)

    def add(self, row: Order, order: model.Order, people: Mapping[str, Actor]) -> None:
        by = next(name for name, actor in people.items() if actor.principal_id == row.proposed_by_id)
        self.known.append(Known(row.id, order, by, frozenset(order.targets)))
        if order.undoes is not None:
            order.undoes.again.append(order)

    def release(self, release_id: int) -> None:
        """What was published just now: orders that are in force or no longer, and names that were let go of singly.

        Where nothing in the zone changed there was no release; names that were let go of belong to the next one then
        that lets go of names of the order.
        """
        changes, is_new = [], release_id not in self.releases
        for each in self.known:
            was = self.published.get(each.id, Published(in_force=False, held=each.names, told=each.names))
            now = Published(each.order.state == "active", frozenset(each.order.targets), was.told)
            if was.held - now.held and is_new:
                changes.append(Change(each, was.told - now.held, ends=not now.in_force))
                now = now._replace(told=now.held)
            if was.in_force != now.in_force:
                changes.append(Change(each, frozenset(), ends=not now.in_force))
            self.published[each.id] = now
        self.releases.setdefault(release_id, changes)

    def note(self, now: dt.datetime) -> dict[str, bool]:
        """What the model says now; what it had said of later moments, at which nothing was recorded, is forgotten."""
        self.said = {at: said for at, said in self.said.items() if at < now}
        self.said[now] = {name: model.blocked(name, self.orders) for name in self.names()}
        return self.said[now]


@dataclass
class Turn:
    """One act in the making: where, when, and by whom it is done."""

    session: Session
    now: dt.datetime
    people: Mapping[str, Actor]
    history: History

    def row(self, known: Known) -> Order:
        return self.session.get_one(Order, known.id, with_for_update=True)

    def later(self) -> dt.datetime:
        return self.now + self.history.random.choice((HOUR, DAY, 3 * DAY, 20 * DAY))

    def maybe_later(self) -> dt.datetime | None:
        return self.later() if self.history.random.random() < 0.3 else None
