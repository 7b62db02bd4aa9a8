"""NOTIFY (RFC 1996): telling subscribers of a new serial, from the socket that serves.

UDP, with the SOA in the message, signed where the subscriber has a key. Each target of each zone has at most
one NOTIFY under way: it is repeated with growing pauses until an answer comes, and a newer serial takes its
place.
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

from app.subscribers.directory import KnownKey, NotifyTarget, Subscriber
from app.subscribers.sighting import DONE, Sighting, SightingKind
from app.transfer import tsig
from app.transfer.access import address_of
from app.transfer.feed import Clock, Feed
from app.transfer.precheck import NOTIFY, UnusableError, precheck_notify_answer
from app.transfer.request import CLASS_IN, MalformedError, Request, parse
from resolver_policy.wire import TYPE_SOA, ZoneVersion, wire_name

log = logging.getLogger(__name__)

PAUSES = (1, 2, 4, 8, 15, 30, 60, 60)
AA = 0x0400
RCODE = 0xF

SocketAddress = tuple[str, int] | tuple[str, int, int, int]


@dataclass(slots=True)
class _Sent:
    """One NOTIFY that waits for its answer."""

    address: SocketAddress
    question: bytes
    key: KnownKey | None
    mac: bytes
    rcode: asyncio.Future[int]


@dataclass(slots=True)
class Notifier:
    """Sends NOTIFYs and takes their answers. `send` is that of the UDP socket, once there is one."""

    feed: Feed
    clock: Clock
    pauses: tuple[float, ...] = PAUSES
    send: Callable[[bytes, SocketAddress], None] | None = None
    _sent: dict[int, _Sent] = field(default_factory=dict)
    _tasks: dict[tuple[str, NotifyTarget], tuple[int, asyncio.Task[None]]] = field(default_factory=dict)

    def announce(self, zone: str) -> None:
        """Tell every target of every subscriber the serial that this zone has now."""
        version = self.feed.zones.get(zone)
        if version is None:
            return
        for subscriber in self.feed.directory.subscribers.values():
            for target in subscriber.targets:
                self._begin(subscriber, target, version)

    def _begin(self, subscriber: Subscriber, target: NotifyTarget, version: ZoneVersion) -> None:
        place = (version.origin, target)
        serial, task = self._tasks.get(place, (None, None))
        if task is not None and not task.done():
            if serial == version.serial:
                return
            task.cancel()
        task = asyncio.get_running_loop().create_task(self._tell(subscriber, target, version))
        self._tasks[place] = (version.serial, task)

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = [task for _, task in self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _tell(self, subscriber: Subscriber, target: NotifyTarget, version: ZoneVersion) -> None:
        outcome = await self._outcome(subscriber, target, version)
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

    async def _outcome(self, subscriber: Subscriber, target: NotifyTarget, version: ZoneVersion) -> str:
        """Repeat until there is an answer. A subscriber between two keys may know either: they take turns."""
        reason = "no answer"
        for attempt, pause in enumerate(self.pauses):
            keys = self._keys_of(subscriber)
            if subscriber.keyed and not keys:
                return "no key is valid"
            try:
                address = await _resolved(target)
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
        identity = self._free_id()
        question = wire_name(version.origin) + pack("!HH", TYPE_SOA, CLASS_IN)
        message = pack("!6H", identity, NOTIFY << 11 | AA, 1, 1, 0, 0) + question
        message += version.zone.soa.record(version.serial)
        mac = b""
        if key is not None:
            signer = tsig.Signer(key)
            message, mac = signer.sign(message, self.clock()), signer.prior
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._sent[identity] = _Sent(address, question, key, mac, future)
        try:
            if self.send is not None:
                self.send(message, address)
            async with asyncio.timeout(pause):
                return await future
        except TimeoutError:
            return None
        finally:
            del self._sent[identity]

    def _free_id(self) -> int:
        while (identity := secrets.randbelow(0x10000)) in self._sent:
            pass
        return identity

    def take(self, data: bytes, addr: SocketAddress) -> bool:
        """Take a datagram if it says that it answers a NOTIFY; one that answers none of ours is dropped."""
        try:
            header = precheck_notify_answer(data)
        except UnusableError:
            return False
        sent = self._sent.get(header.id)
        if sent is None or sent.rcode.done() or not _is_from(sent.address, addr):
            return True
        try:
            answer = parse(data, header)
        except MalformedError:
            return True
        if answer.question.lower() == sent.question and self._is_signed_right(data, answer, sent):
            sent.rcode.set_result(header.flags & RCODE)
        return True

    def _is_signed_right(self, data: bytes, answer: Request, sent: _Sent) -> bool:
        """Say whether an answer counts: one to a signed NOTIFY must be signed, or say why it is not."""
        if sent.key is None:
            return True
        if answer.tsig is None:
            return False
        if not answer.tsig.mac:
            return bool(answer.header.flags & RCODE)
        try:
            tsig.verify(data, answer.tsig, {sent.key.name: sent.key}, self.clock(), sent.mac)
        except tsig.TsigError as exc:
            log.warning("NOTIFY answered by %s: %s", sent.address[0], exc)
            return False
        except MalformedError:
            return False
        return True


def _age(key: KnownKey) -> float:
    return key.valid_from.timestamp()


def _is_from(address: SocketAddress, addr: SocketAddress) -> bool:
    return address_of(address[0]) == address_of(addr[0]) and address[1] == addr[1]


async def _resolved(target: NotifyTarget) -> SocketAddress:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_DGRAM)
    return cast(SocketAddress, found[0][4])
