"""A crowd of simulated secondaries: each has an address of its own in 127/8, a key, and a socket that hears NOTIFY.

They do what BIND does: check the NOTIFY, answer it signed, ask for the SOA over UDP, and fetch the increment over TCP
from their own address, each signature computed. They keep no zone: at the start they claim to have its serial.
A few processes hold them all.
"""

import asyncio
import multiprocessing
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Address
from multiprocessing.connection import Connection
from struct import pack, unpack_from
from typing import NamedTuple, cast

import dns.name
import dns.tsig

from bench.signing import Signer
from bench.sink import CLASS_IN, HOST, SERIAL_FROM_END, TYPE_SOA, Wanted, WrongTransfer, question

PROCESSES = 2
FIRST_ADDRESS = int(IPv4Address("127.1.0.1"))
ANSWER = 0x8000
NOTIFY_ANSWERED = 0xA400
"""QR, the opcode of NOTIFY, AA."""

AGAIN = 1.0
"""Seconds until a question that was not answered is asked once more."""


class Member(NamedTuple):
    """One secondary: its address, and its key."""

    address: str
    key: dns.tsig.Key


class Crowd(NamedTuple):
    """Who they are (one a process at least), which ports they hear NOTIFY on and ask at, and what a change brings."""

    members: Sequence[Member]
    port: int
    server_port: int
    zone: str
    serial: int
    records: int
    """Of the increment of one change."""


def address_of(number: int) -> str:
    """The address of the secondary with this number."""
    return str(IPv4Address(FIRST_ADDRESS + number))


@dataclass
class Running:
    """The processes of a crowd."""

    pipes: Sequence[Connection]

    def last_to_have(self, serial: int, patience: float) -> float:
        """When the last of all has this serial or a newer one, by `time.perf_counter`; raises WrongTransfer."""
        deadline = time.monotonic() + patience
        for pipe in self.pipes:
            pipe.send(serial)
        latest = 0.0
        for pipe in self.pipes:
            if not pipe.poll(max(0.0, deadline - time.monotonic())):
                raise WrongTransfer(f"not every secondary has serial {serial} after {patience:.0f} s")
            latest = max(latest, pipe.recv())
        return latest


@contextmanager
def crowd(everyone: Crowd) -> Iterator[Running]:
    """All of them, as soon as they listen."""
    context = multiprocessing.get_context("fork")
    pipes, processes = [], []
    try:
        for number in range(PROCESSES):
            ours, theirs = context.Pipe()
            part = everyone._replace(members=everyone.members[number::PROCESSES])
            process = context.Process(target=_run, args=(part, theirs), daemon=True)
            process.start()
            theirs.close()
            pipes.append(ours)
            processes.append(process)
        for pipe in pipes:
            pipe.recv()
        yield Running(pipes)
    finally:
        for process in processes:
            process.kill()
            process.join()
        for pipe in pipes:
            pipe.close()


def _run(part: Crowd, pipe: Connection) -> None:
    """The life of one process, until it is killed."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(_Part(part, pipe).live())


class _Part:
    """The secondaries of one process: it says when all listen, and of each serial that it is sent, when all had it."""

    def __init__(self, part: Crowd, pipe: Connection) -> None:
        self._pipe = pipe
        self._wanted: int | None = None
        self._port = part.port
        self._all = [_Secondary(part, member, self.look) for member in part.members]

    async def live(self) -> None:
        loop = asyncio.get_running_loop()
        for each in self._all:
            await loop.create_datagram_endpoint(partial(_itself, each), (each.member.address, self._port))
        loop.add_reader(self._pipe.fileno(), self._asked)
        self._pipe.send("ready")
        await asyncio.Event().wait()

    def _asked(self) -> None:
        self._wanted = self._pipe.recv()
        self.look()

    def look(self) -> None:
        """Say it, if it is asked for and all have it."""
        if self._wanted is not None and all(each.serial >= self._wanted for each in self._all):
            self._pipe.send(max(each.had_at for each in self._all))
            self._wanted = None


def _itself(protocol: "_Secondary") -> "_Secondary":
    return protocol


@dataclass
class _Secondary(asyncio.DatagramProtocol):
    """One secondary: the UDP socket that NOTIFY comes to, and that it asks for the SOA with."""

    part: Crowd
    member: Member
    has_more: Callable[[], None]
    serial: int = 0
    had_at: float = 0.0
    transport: asyncio.DatagramTransport | None = None
    _asking: Signer | None = None
    _fetching: bool = False
    _again: asyncio.TimerHandle | None = None
    _number: int = 0
    _question: bytes = field(init=False)

    def __post_init__(self) -> None:
        name = dns.name.from_text(self.part.zone).to_wire()
        assert name is not None
        self._question = name + pack("!2H", TYPE_SOA, CLASS_IN)
        self.serial = self.part.serial

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        (flags,) = unpack_from("!H", data, 2)
        if flags & ANSWER:
            self._answered(data)
        else:
            self._notified(data, addr)

    def _notified(self, data: bytes, addr: tuple[str, int]) -> None:
        signer = Signer(self.member.key)
        signer.check(data)
        assert self.transport is not None
        answer = data[:2] + pack("!5H", NOTIFY_ANSWERED, 1, 0, 0, 0) + self._question
        self.transport.sendto(signer.sign(answer), addr)
        if _serial_at_end(data, signer) > self.serial:
            self._ask()

    def _ask(self) -> None:
        """Ask for the SOA, unless that is being done, until it is answered."""
        if self._asking is not None or self._fetching:
            return
        self._number += 1
        self._asking = Signer(self.member.key)
        wire = self._asking.sign(pack("!6H", self._number, 0, 1, 0, 0, 0) + self._question)
        assert self.transport is not None
        self.transport.sendto(wire, (HOST, self.part.server_port))
        self._again = asyncio.get_running_loop().call_later(AGAIN, self._ask_again)

    def _ask_again(self) -> None:
        self._asking = None
        self._ask()

    def _answered(self, data: bytes) -> None:
        if self._asking is None or data[:2] != pack("!H", self._number):
            return
        signer, self._asking = self._asking, None
        assert self._again is not None
        self._again.cancel()
        signer.check(data)
        serial = _serial_at_end(data, signer)
        if serial > self.serial:
            self._fetching = True
            self._task = asyncio.get_running_loop().create_task(self._fetch(serial))

    async def _fetch(self, serial: int) -> None:
        """Take the increment; where the connection fails, begin again a second later."""
        try:
            await self._taken(serial)
        except (OSError, asyncio.IncompleteReadError):
            asyncio.get_running_loop().call_later(AGAIN, self._ask)
        else:
            self.serial, self.had_at = serial, time.perf_counter()
            self.has_more()
        finally:
            self._fetching = False

    async def _taken(self, serial: int) -> None:
        """Returns when the whole increment is here; it ends in the SOA that was announced."""
        signer = Signer(self.member.key)
        wire = signer.sign(question(Wanted(self.part.zone, serial, self.part.records, self.serial)))
        local = (self.member.address, 0)
        reader, writer = await asyncio.open_connection(HOST, self.part.server_port, local_addr=local)
        try:
            writer.write(pack("!H", len(wire)) + wire)
            left = self.part.records
            while left > 0:
                message = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
                signer.check(message)
                left -= unpack_from("!H", message, 6)[0]
            if left or _serial_at_end(message, signer) != serial:
                raise WrongTransfer(f"{self.member.address}: {-left} records too many, or not serial {serial}")
        finally:
            writer.close()


def _serial_at_end(message: bytes, signer: Signer) -> int:
    """The serial of the SOA that stands last, before the signature."""
    serial: int = unpack_from("!I", message, len(message) - signer.length - SERIAL_FROM_END)[0]
    return serial
