"""What clients did and were told: changes under idempotency keys, and what must hold of them whatever happened since.

A change that was sent and not answered is sent again under its key: afterwards every change has had one effect.
"""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import uuid4

import httpx

from tests.rigs.processes import Running
from tests.service import an_order, targets

REVIEW = "2036-01-01T00:00:00Z"
LIFT = {"ground": "wrong_block", "reason": "x"}
MOST_ORDERS = 8
"""Orders that a client works on at once; one is lifted before the next is proposed."""

LONGEST_SILENCE = 20.0
"""Seconds without an answer to any client: none waits so long for another."""


@dataclass
class Change:
    """One request that changes something; `act` is what it does to an order."""

    order: "Order"
    act: str
    body: Mapping[str, Any]
    by: str
    key: str = field(default_factory=lambda: str(uuid4()))

    @property
    def path(self) -> str:
        return "/api/v1/orders" if self.act == "propose" else f"/api/v1/orders/{self.order.uid}/{self.act}"


@dataclass
class Order:
    """What is known of an order, by answers alone."""

    number: str
    name: str
    uid: str = ""
    state: str = ""
    version: int = 0
    acts: int = 0

    @property
    def is_blocked(self) -> bool:
        return self.state == "active"


class Refused(AssertionError):
    """A change was answered with something else than success."""


class Client(threading.Thread):
    """Makes changes one after the other, as fast as it can, until the service is gone or it is told to stop."""

    def __init__(self, running: Running, prefix: str, chance: Random) -> None:
        super().__init__(daemon=True)
        self.running, self.prefix, self.chance = running, prefix, chance
        self.orders: list[Order] = []
        self.pending: Change | None = None
        self.answered = self.sent_again = 0
        self.refusal: Refused | None = None
        self.stop = threading.Event()

    def run(self) -> None:
        with self.running.client() as http:
            while not self.stop.is_set():
                self.pending = self._next()
                try:
                    self._send(http, self.pending)
                except httpx.TransportError:
                    return
                except Refused as refusal:
                    self.refusal = refusal
                    return

    def settle(self) -> None:
        """Send again what was not answered, under its key: it is done once, now or then."""
        if self.pending is not None:
            self.sent_again += 1
            with self.running.client() as http:
                self._send(http, self.pending)

    def _send(self, http: httpx.Client, change: Change) -> None:
        headers = {**self.running.headers(change.by), "Idempotency-Key": change.key}
        response = http.post(change.path, json=change.body, headers=headers)
        if not response.is_success:
            raise Refused(f"{change.act} of {change.order.number}: {response.status_code} {response.text}")
        order, said = change.order, response.json()
        order.uid, order.state, order.version = said["id"], said["state"], said["version"]
        order.acts += 1
        self.answered += 1
        self.pending = None

    def _next(self) -> Change:
        living = [order for order in self.orders if order.state != "ended"]
        for order in living:
            if order.state == "proposed":
                return Change(order, "approve", {"reason": "in order"}, "approver-1")
        if len(living) < MOST_ORDERS:
            name = f"{self.prefix}-{len(self.orders)}.example"
            order = Order(f"EX-{name}", name)
            self.orders.append(order)
            body = an_order(number=order.number, targets=targets(name), review_due_at=REVIEW)
            return Change(order, "propose", body, "operator-1")
        order = self.chance.choice(living)
        if self.chance.random() < 0.1:
            return Change(order, "lift", LIFT, "approver-1")
        if order.is_blocked:
            return Change(order, "suspend", {"reason": "x", "until": REVIEW}, "approver-1")
        return Change(order, "resume", {"reason": "x"}, "approver-1")


@dataclass
class Ledger:
    """All clients there ever were."""

    running: Running
    chance: Random
    clients: list[Client] = field(default_factory=list)

    @contextmanager
    def load(self, clients: int) -> Iterator[Sequence[Client]]:
        """Clients at work for as long as the block runs; each goes on with a name of its own."""
        made = [Client(self.running, f"c{len(self.clients) + n}", Random(self.chance.random())) for n in range(clients)]
        self.clients += made
        for client in made:
            client.start()
        try:
            yield made
        finally:
            for client in made:
                client.stop.set()
            for client in made:
                client.join(60)

    def settle(self) -> None:
        """Make everything that was not answered certain."""
        for client in self.clients:
            if client.refusal is not None:
                raise client.refusal
            client.settle()

    @property
    def answered(self) -> int:
        return sum(client.answered for client in self.clients)

    @property
    def sent_again(self) -> int:
        return sum(client.sent_again for client in self.clients)

    @property
    def orders(self) -> Iterator[Order]:
        return (order for client in self.clients for order in client.orders)

    @property
    def blocked(self) -> set[str]:
        """The names that the zone must hold, and no other."""
        return {order.name for order in self.orders if order.is_blocked}


def let(clients: Sequence[Client], changes: int) -> None:
    """Wait until so many more changes were answered, or nobody goes on; fails where nothing moves any more."""
    began = answered = sum(client.answered for client in clients)
    moved_at = time.monotonic()
    while answered < began + changes and any(client.is_alive() for client in clients):
        now = sum(client.answered for client in clients)
        if now > answered:
            answered, moved_at = now, time.monotonic()
        assert time.monotonic() < moved_at + LONGEST_SILENCE, "no change is answered any more"
        time.sleep(0.002)
