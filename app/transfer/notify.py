"""NOTIFY (RFC 1996): telling subscribers of a new serial, from the socket that serves.

UDP, with the SOA in the message, signed where the subscriber has a key. Each target of each zone has at most
one NOTIFY under way: it is repeated with growing pauses until an answer comes, and a newer serial takes its
place. However often a zone changes, a target that does not answer is sent at most one a second.
"""

import asyncio
import logging
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from struct import pack
from typing import cast

import dns.rcode

from app.publication.zones import Layer, layer_of
from app.subscribers.directory import KnownKey, NotifyTarget, Subscriber
from app.subscribers.sighting import DONE, Sighting, SightingKind
from app.transfer import tsig
from app.transfer.access import address_of
from app.transfer.feed import Clock, Feed
from app.transfer.precheck import NOTIFY, UnusableError, precheck_notify_answer
from app.transfer.request import CLASS_IN, MalformedError, Request, parse
from resolver_policy.version import ZoneVersion
from resolver_policy.wire import TYPE_SOA, wire_name

log = logging.getLogger(__name__)

PAUSES = (1, 2, 4, 8, 15, 30, 60, 60)
CLOSEST = 1.0
"""Seconds between a NOTIFY that was not answered and the next one to the same target."""

AT_ONCE = 32
AA = 0x0400
RCODE = 0xF

SocketAddress = tuple[str, int] | tuple[str, int, int, int]


@dataclass(slots=True)
class _Sent:
    """One NOTIFY that waits for its answer."""

    question: bytes
    key: KnownKey | None
    mac: bytes
    rcode: asyncio.Future[int]


@dataclass(slots=True)
class _Telling:
    """What one target is being told of one zone; `sent_at` is when it was last sent something, by the loop's time."""

    serial: int
    sent_at: float
    task: asyncio.Task[None] | None = None


@dataclass(slots=True)
class Notifier:
    """Sends NOTIFYs and takes their answers. `send` is that of the UDP socket, once there is one; `family` is
    the socket's, and names of the other family are written as it understands them."""

    feed: Feed
    clock: Clock
    pauses: tuple[float, ...] = PAUSES
    send: Callable[[bytes, SocketAddress], None] | None = None
    family: int = socket.AF_INET
    _sent: dict[tuple[int, str, int], _Sent] = field(default_factory=dict)
    _tellings: dict[tuple[str, NotifyTarget], _Telling] = field(default_factory=dict)
    _rounds: set[asyncio.Task[None]] = field(default_factory=set)

    def announce(self, zone: str) -> None:
        """Tell every target of every subscriber the serial that this zone has now."""
        version = self.feed.zones.get(zone)
        if version is not None:
            round_ = asyncio.get_running_loop().create_task(self._round(version))
            self._rounds.add(round_)
            round_.add_done_callback(self._rounds.discard)

    async def _round(self, version: ZoneVersion) -> None:
        """Begin with a few targets in each turn of the loop: signing for a thousand takes a while.

        Of layers only those are told that take some, and of nothing else once they have them.
        """
        is_layer = layer_of(version.origin) is not Layer.FULL
        everybody = self.feed.directory.subscribers.values()
        subscribers = [each for each in everybody if (each.layered if is_layer else not each.in_layers)]
        everyone = [(subscriber, target) for subscriber in subscribers for target in subscriber.targets]
        for number, (subscriber, target) in enumerate(everyone, 1):
            self._begin(subscriber, target, version)
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)

    def _begin(self, subscriber: Subscriber, target: NotifyTarget, version: ZoneVersion) -> None:
        place = (version.origin, target)
        before = self._tellings.get(place)
        if before is not None and before.serial >= version.serial:
            return
        telling = _Telling(version.serial, -CLOSEST)
        if before is not None and before.task is not None:
            before.task.cancel()
            telling.sent_at = before.sent_at
        telling.task = asyncio.get_running_loop().create_task(self._tell(subscriber, target, version, telling))
        telling.task.add_done_callback(lambda _: self._over(place, telling))
        self._tellings[place] = telling

    def _over(self, place: tuple[str, NotifyTarget], telling: _Telling) -> None:
        if self._tellings.get(place) is telling:
            del self._tellings[place]

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = [telling.task for telling in self._tellings.values() if telling.task is not None]
        tasks += self._rounds
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _tell(
        self, subscriber: Subscriber, target: NotifyTarget, version: ZoneVersion, telling: _Telling
    ) -> None:
        await asyncio.sleep(telling.sent_at + CLOSEST - asyncio.get_running_loop().time())
        outcome = await self._outcome(subscriber, target, version, telling)
        log.info("NOTIFY %s %d to %s:%d: %s", version.origin, version.serial, target.host, target.port, outcome)
        self.feed.seen(
            Sighting(
                at=self.clock(),
                subscriber=subscriber.name,
                address=target.host,
                zone=version.origin,
                kind=SightingKind.NOTIFY,
                sent_serial=version.serial,
                outcome=outcome,
            )
        )

    async def _outcome(
        self, subscriber: Subscriber, target: NotifyTarget, version: ZoneVersion, telling: _Telling
    ) -> str:
        """Repeat until there is an answer. A subscriber between two keys may know either: they take turns."""
        reason = "no answer"
        for attempt, pause in enumerate(self.pauses):
            if subscriber.name not in self.feed.directory.subscribers:
                return "the subscriber was removed"
            keys = self._keys_of(subscriber)
            if subscriber.keyed and not keys:
                return "no key is valid"
            telling.sent_at = asyncio.get_running_loop().time()
            try:
                address = await _resolved(target, self.family)
                rcode = await self._once(address, keys[attempt % len(keys)] if keys else None, version, pause)
            except OSError as exc:
                reason = exc.strerror or str(exc)
                await asyncio.sleep(pause)
                continue
            if rcode is not None:
                return DONE if rcode == dns.rcode.NOERROR else f"answered {dns.rcode.Rcode(rcode).name}"
        return reason

    def _keys_of(self, subscriber: Subscriber) -> list[KnownKey]:
        """Give the valid keys of a subscriber, the newest first."""
        now = self.clock()
        keys = [key for key in self.feed.directory.keys.values() if key.subscriber == subscriber.name]
        return sorted((key for key in keys if tsig.is_valid(key, now)), key=_age, reverse=True)

    async def _once(
        self, address: SocketAddress, key: KnownKey | None, version: ZoneVersion, pause: float
    ) -> int | None:
        """Send once and wait for the answer; None where none came."""
        identity = secrets.randbelow(0x10000)
        place = (identity, address_of(address[0]), address[1])
        question = wire_name(version.origin) + pack("!HH", TYPE_SOA, CLASS_IN)
        message = pack("!6H", identity, NOTIFY << 11 | AA, 1, 1, 0, 0) + question
        message += version.zone.soa.record(version.serial)
        mac = b""
        if key is not None:
            signer = tsig.Signer(key)
            message, mac = signer.sign(message, self.clock()), signer.prior
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._sent[place] = _Sent(question, key, mac, future)
        try:
            if self.send is not None:
                self.send(message, address)
            async with asyncio.timeout(pause):
                return await future
        except TimeoutError:
            return None
        finally:
            self._sent.pop(place, None)

    def take(self, data: bytes, addr: SocketAddress) -> bool:
        """Take a datagram if it says that it answers a NOTIFY; one that answers none of ours is dropped."""
        try:
            header = precheck_notify_answer(data)
        except UnusableError:
            return False
        sent = self._sent.get((header.id, address_of(addr[0]), addr[1]))
        if sent is None or sent.rcode.done():
            return True
        try:
            answer = parse(data, header)
        except MalformedError:
            return True
        if answer.question.lower() == sent.question and self._is_signed_right(answer, sent):
            sent.rcode.set_result(header.flags & RCODE)
        return True

    def _is_signed_right(self, answer: Request, sent: _Sent) -> bool:
        """Say whether an answer counts: one to a signed NOTIFY must be signed, or say why it is not."""
        if sent.key is None:
            return True
        if answer.tsig is None:
            return False
        if not answer.tsig.mac:
            return bool(answer.flags & RCODE)
        try:
            tsig.verify(answer.tsig, {sent.key.name: sent.key}, self.clock(), sent.mac)
        except tsig.TsigError as exc:
            log.warning("NOTIFY answered with a signature that does not hold: %s", exc)
            return False
        except MalformedError:
            return False
        return True


def _age(key: KnownKey) -> float:
    return key.valid_from.timestamp()


async def _resolved(target: NotifyTarget, family: int) -> SocketAddress:
    """Find an address that a socket of this family sends to; only a name, not an address, takes another thread."""
    flags = socket.AI_V4MAPPED | socket.AI_ADDRCONFIG if family == socket.AF_INET6 else 0
    try:
        found = socket.getaddrinfo(
            target.host, target.port, family, socket.SOCK_DGRAM, flags=socket.AI_V4MAPPED | socket.AI_NUMERICHOST
        )
    except socket.gaierror:
        found = await asyncio.get_running_loop().getaddrinfo(
            target.host, target.port, family=family, type=socket.SOCK_DGRAM, flags=flags
        )
    return cast(SocketAddress, found[0][4])
