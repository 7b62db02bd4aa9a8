"""One message in, the finished messages of its answer out.

No sockets here. Whatever is sent in, the answer is bounded work and never an exception.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from struct import pack
from typing import NamedTuple

from app.subscribers.directory import Directory, KnownKey
from app.subscribers.sighting import DONE, Sighting, SightingKind
from app.transfer import access, edns, form, tsig
from app.transfer.edns import Ede
from app.transfer.feed import Clock, Feed
from app.transfer.precheck import FORMERR, LONGEST_UDP, NOTIFY, RD, UnusableError, bare
from app.transfer.request import CLASS_IN, MalformedError, Request, Tsig
from resolver_policy import xfr
from resolver_policy.version import ZoneVersion
from resolver_policy.wire import TYPE_SOA
from resolver_policy.xfr import Effort

REFUSED, NOTAUTH = 5, 9
TC, OPCODE = 0x0200, 0xF << 11
TRANSFERS = frozenset({xfr.TYPE_AXFR, xfr.TYPE_IXFR})
KINDS = {TYPE_SOA: SightingKind.SOA, xfr.TYPE_AXFR: SightingKind.AXFR, xfr.TYPE_IXFR: SightingKind.IXFR}


class Peer(NamedTuple):
    """Who sent a message and how; `idle` is how many seconds its connection may rest."""

    address: str
    tcp: bool
    idle: float = 0


def _nobody() -> None:
    """What is not even refused is not noted down."""


class Exchange(NamedTuple):
    """An answer. `key` is the name of the key that it is signed with.

    `sighting` says what to note down, but for what became of the answer: once it has gone, nobody waits for that.
    `effort` says what making the first message takes.
    """

    messages: Iterator[bytes]
    sighting: Callable[[], Sighting | None] = _nobody
    key: str | None = None
    effort: Effort = Effort.AT_ONCE


def respond(data: bytes, peer: Peer, feed: Feed, known: access.KnownAddresses, clock: Clock) -> Exchange | None:
    """Answer one message, or None where silence is the answer."""
    directory = feed.directory
    neighbour = known.neighbour(directory, peer.address)
    try:
        request = neighbour.forms.read(data) if peer.tcp else form.read(data, LONGEST_UDP)
    except UnusableError as exc:
        return None if exc.answer is None else Exchange(iter((exc.answer,)))
    try:
        return _Query(request, peer, feed.zones, directory, neighbour.names, clock).answered()
    except MalformedError:
        return Exchange(iter((bare(request.id, request.flags, FORMERR),)))


class _Query:
    """One query on its way to an answer; `names` are of the subscribers that its address belongs to."""

    __slots__ = ("caller", "clock", "directory", "names", "now", "peer", "request", "signer", "zones")

    def __init__(
        self,
        request: Request,
        peer: Peer,
        zones: Mapping[str, ZoneVersion],
        directory: Directory,
        names: tuple[str, ...],
        clock: Clock,
    ) -> None:
        self.request = request
        self.peer = peer
        self.zones = zones
        self.directory = directory
        self.names = names
        self.clock = clock
        self.now = clock()
        self.signer: tsig.Signer | None = None
        self.caller = access.Caller(peer.address, None, None)

    def answered(self) -> Exchange:
        """Go through every check, in the order of RFC 8945 section 5.2 and RFC 6891 section 6.1.3."""
        request, key = self.request, None
        if request.tsig is not None:
            try:
                key = tsig.verify(request.tsig, self.directory.keys, self.now)
            except tsig.TsigError as exc:
                return self._badly_signed(request.tsig, exc)
            self.signer = tsig.Signer(key, request.tsig.mac)
        if key is not None or self.names:
            self.caller = access.identify(self.directory, self.peer.address, key)
        if request.edns is not None and edns.is_unknown_version(request.edns):
            message = xfr.head(self._ask(), flags=0)
            return Exchange(iter((self._finished(message, extended_rcode=edns.BADVERS),)))
        return self._of_zone(key)

    def _of_zone(self, key: KnownKey | None) -> Exchange:
        request = self.request
        version = self.zones.get(request.name) if request.qclass == CLASS_IN else None
        if request.flags & OPCODE == NOTIFY << 11:
            return self._refused(Ede(edns.NOT_SUPPORTED, "zone: this server is its primary"))
        if version is None:
            return self._refused(self._no_zone())
        refuse = access.refuse_transfer if request.qtype in TRANSFERS else access.refuse_soa
        refusal = refuse(self.caller, self.names)
        if refusal is not None:
            return self._refused(refusal)
        return self._from(version, key)

    def _no_zone(self) -> Ede:
        """Single rules are not answered: whoever wants them takes the zone, and resolvers never ask."""
        labels = self.request.name.split(".")
        if any(".".join(labels[at:]) in self.zones for at in range(1, len(labels))):
            return Ede(edns.NOT_SUPPORTED, "zone: rules are not answered one by one, only transferred")
        return Ede(edns.NOT_AUTHORITATIVE, "zone: not served here")

    def _from(self, version: ZoneVersion, key: KnownKey | None) -> Exchange:
        reply = xfr.answer(self._ask(), version)
        options = b"" if self.request.edns is None else self._options(version)
        messages = self._stream(reply.messages, options)
        seen = partial(self._answer_seen, reply, version)
        return Exchange(messages, seen, None if key is None else key.name, reply.effort)

    def _answer_seen(self, reply: xfr.Reply, version: ZoneVersion) -> Sighting | None:
        """Say what the client has after a transfer; one that was told to ask over TCP has nothing new."""
        kind = KINDS.get(self.request.qtype)
        if kind is None:
            return None
        asked = self.request.serial if kind is SightingKind.IXFR else None
        if reply.outcome == "formerr":
            return self._refusal(f"{kind} over UDP, or without the serial that it needs")
        if reply.outcome == "current" and asked is not None and asked > version.serial:
            return self._sighting(kind, f"it has serial {asked}, which is above ours", asked, version.serial)
        return self._sighting(kind, DONE, asked, None if reply.outcome == "too_big" else reply.serial)

    def _options(self, version: ZoneVersion) -> bytes:
        options = b""
        if edns.asks(self.request.edns, edns.EXPIRE) and self.request.qtype in KINDS:
            options += edns.expire_option(version.zone.soa.expire)
        return options + self._keepalive()

    def _keepalive(self) -> bytes:
        if self.peer.tcp and edns.asks(self.request.edns, edns.KEEPALIVE):
            return edns.keepalive_option(self.peer.idle)
        return b""

    def _stream(self, messages: Iterator[bytes], options: bytes) -> Iterator[bytes]:
        """Finish each message: OPT goes into the first alone (RFC 5936 section 2.2.5), TSIG into all."""
        yield self._finished(next(messages), options)
        for message in messages:
            yield message if self.signer is None else self.signer.sign(message, self.clock())

    def _ask(self) -> xfr.Ask:
        request, room = self.request, None
        if not self.peer.tcp:
            room = edns.udp_size(request.edns) - self._overhead()
        return xfr.Ask(
            request.id,
            request.question,
            request.qtype,
            request.serial,
            room,
            bool(request.flags & RD),
        )

    def _overhead(self) -> int:
        """Octets that OPT with its options and TSIG may add to an answer that is no refusal."""
        added = 0 if self.request.edns is None else edns.LONGEST_OPT
        return added + (0 if self.signer is None else self.signer.length)

    def _finished(self, message: bytes, options: bytes = b"", *, extended_rcode: int = 0) -> bytes:
        if self.request.edns is not None:
            message = self._with_opt(message, options, extended_rcode)
        if not self.peer.tcp and self._is_too_long(message):
            flags = pack("!H", int.from_bytes(message[2:4], "big") | TC)
            empty = message[:2] + flags + pack("!4H", 1, 0, 0, 0) + self.request.question
            message = self._with_opt(empty, b"", extended_rcode)
        return message if self.signer is None else self.signer.sign(message, self.clock())

    def _with_opt(self, message: bytes, options: bytes, extended_rcode: int) -> bytes:
        if self.request.edns is None:
            return message
        return edns.with_record(message, edns.opt(self.request.edns, options, extended_rcode=extended_rcode))

    def _is_too_long(self, message: bytes) -> bool:
        signature = 0 if self.signer is None else self.signer.length
        return len(message) + signature > edns.udp_size(self.request.edns)

    def _refused(self, ede: Ede) -> Exchange:
        message = xfr.head(self._ask(), rcode=REFUSED, flags=self.request.flags & OPCODE)
        options = edns.ede_option(ede) + self._keepalive()
        return Exchange(iter((self._finished(message, options),)), partial(self._refusal, ede.text))

    def _badly_signed(self, record: Tsig, failure: tsig.TsigError) -> Exchange:
        """Say what is wrong with a signature; only a clock or a short MAC is said signed (section 5.3.2)."""
        message = xfr.head(self._ask(), rcode=NOTAUTH, flags=0)
        message = self._with_opt(message, edns.ede_option(Ede(edns.PROHIBITED, failure.reason)), 0)
        if failure.key is None:
            message = tsig.unsigned(message, record, failure.error, self.now)
        else:
            self.caller = access.identify(self.directory, self.peer.address, failure.key)
            signer = tsig.Signer(failure.key, record.mac)
            message = signer.sign_failure(message, record, failure.error, self.now)
        return Exchange(iter((message,)), partial(self._refusal, failure.reason))

    def _refusal(self, reason: str) -> Sighting:
        return self._sighting(SightingKind.REFUSED, reason, self.request.serial)

    def _sighting(self, kind: SightingKind, outcome: str, asked: int | None, sent: int | None = None) -> Sighting:
        """An unsigned query is noted for whom its address belongs to alone: to see that a key is missing."""
        subscriber = self.caller.subscriber.name if self.caller.subscriber else None
        if subscriber is None and len(self.names) == 1:
            subscriber = self.names[0]
        address, zone = self.peer.address, self.request.name
        return Sighting(self.now, subscriber, address, zone, kind, asked, sent, 0, outcome)
