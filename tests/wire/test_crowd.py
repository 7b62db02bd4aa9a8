"""Many connections at once: shares, a lack of files, peers that vanish."""

import asyncio
import errno
import socket
import time
from contextlib import ExitStack, suppress
from ipaddress import ip_network
from pathlib import Path

import dns.exception
import pytest

from app.subscribers.directory import Directory, Subscriber
from app.transfer.access import KnownAddresses
from app.transfer.limits import Limits
from app.transfer.listener import Door
from app.transfer.process import system_clock, within_files
from app.transfer.streams import Streams
from tests.policy.scale import Record, tell
from tests.policy.zones import SUBTREE, version
from tests.servers import wait_until
from tests.wire.clients import connection, query, receive, send, slow_reader, transfer, udp
from tests.wire.feeds import KEYED, KEYLESS, STRANGER, MadeFeed, directory, serving
from tests.wire.loops import in_loop
from tests.wire.served import Apart, apart

pytestmark = pytest.mark.long

WIDE = Subscriber("isp-wide", (ip_network("127.5.0.0/16"),), (), keyed=False)


def with_wide() -> Directory:
    known = directory()
    return Directory({**known.subscribers, WIDE.name: WIDE}, known.keys)


def is_open(sock: socket.socket, within: float = 0.3) -> bool:
    sock.settimeout(within)
    try:
        return sock.recv(1) != b""
    except TimeoutError:
        return True
    except OSError:
        return False


def is_turned_away(port: int, source: str) -> bool:
    """Does a new connection end at once? Where that is quick, connecting itself fails."""
    try:
        with connection(port, source) as sock:
            return not is_open(sock)
    except ConnectionResetError:
        return True


def hold(stack: ExitStack, port: int, source: str) -> socket.socket:
    """A connection that stays open and has been admitted, since it was answered."""
    sock = stack.enter_context(connection(port, source))
    send(sock, query("SOA").to_wire())
    assert receive(sock)
    return sock


def test_subscriber_with_many_addresses_does_not_take_all_connections() -> None:
    limits = Limits(connections=6, per_subscriber=3)
    with serving(MadeFeed(known=with_wide()), limits) as server, ExitStack() as stack:
        for number in range(3):
            hold(stack, server.port, f"127.5.0.{number}")
        assert is_turned_away(server.port, "127.5.0.9")
        assert transfer(server.port, source=KEYLESS)


def test_silent_connection_gives_way_to_a_new_one_of_its_subscriber() -> None:
    limits = Limits(per_subscriber=2, gives_way_after=0.2)
    with serving(MadeFeed(known=with_wide()), limits) as server, ExitStack() as stack:
        other, silent = (hold(stack, server.port, f"127.5.0.{number}") for number in range(2))
        time.sleep(0.3)
        send(other, query("SOA").to_wire())
        assert receive(other)
        hold(stack, server.port, "127.5.0.9")
        assert not is_open(silent)
        assert is_open(other)


@pytest.mark.parametrize("octets", [b"\x00", b"\x00\x40abc"], ids=["half a length", "a part of a message"])
def test_message_that_is_not_finished_ends_the_connection_of_a_subscriber_soon(octets: bytes) -> None:
    with serving(MadeFeed(), Limits(message=0.4)) as server, ExitStack() as stack:
        half, silent = (stack.enter_context(connection(server.port, KEYED)) for _ in range(2))
        half.sendall(octets)
        time.sleep(0.8)
        assert not is_open(half)
        assert is_open(silent)


def test_subscriber_who_reads_an_octet_now_and_then_is_broken_off() -> None:
    """Octets that leave no room in any buffer are no progress: a batch must go within the time there is."""
    zone = version({f"example.name{number:06}.": SUBTREE for number in range(50_000)})
    feed = MadeFeed({"block.rpz": zone})
    with serving(feed, Limits(known_idle=1)) as server, slow_reader(server.port) as sock:
        began = time.monotonic()
        while not feed.sightings and time.monotonic() - began < 5:
            sock.recv(1)
            time.sleep(0.05)
        assert time.monotonic() - began < 3
    assert [seen.outcome for seen in feed.sightings] == ["broken off before the end"]


def test_stranger_who_dribbles_queries_is_closed_after_a_while() -> None:
    limits = Limits(unknown_grace=0.5)
    with serving(MadeFeed(), limits) as server, ExitStack() as stack:
        stranger, known = hold(stack, server.port, STRANGER), hold(stack, server.port, KEYED)
        answered = 0
        for _ in range(10):
            time.sleep(0.1)
            send(known, query("SOA").to_wire())
            assert receive(known)
            if not is_open(stranger, 0.01):
                break
            send(stranger, query("SOA").to_wire())
            answered += bool(receive(stranger))
    assert 3 <= answered <= 6


def test_stranger_who_is_quick_stays() -> None:
    limits = Limits(unknown_grace=0.2, unknown_rate=1000)
    with serving(MadeFeed(), limits) as server, connection(server.port, STRANGER) as sock:
        began = time.monotonic()
        while time.monotonic() - began < 0.6:
            send(sock, query("SOA").to_wire())
            assert receive(sock)


def test_peer_that_vanished_with_an_answer_unread_is_not_kept_by_the_system() -> None:
    """The connection is closed on our side, so only the system still holds it, and what it could not send."""
    zone = version({f"example.name{number:05}.": SUBTREE for number in range(5000)})
    with serving(MadeFeed({"block.rpz": zone}), Limits(known_idle=1)) as server, socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.bind((KEYLESS, 0))
        sock.connect(("127.0.0.1", server.port))
        send(sock, query("AXFR").to_wire())
        sock.shutdown(socket.SHUT_WR)
        time.sleep(0.3)
        peer = sock.getsockname()[1]
        assert _is_held(server.port, peer)
        wait_until(lambda: not _is_held(server.port, peer), 15, lambda: "the system still holds the answer")


def _is_held(port: int, peer: int) -> bool:
    """Does the system list this connection on the server's side?"""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    ends = [line.split()[1:3] for line in lines]
    return any((int(one[-4:], 16), int(other[-4:], 16)) == (port, peer) for one, other in ends)


def test_connections_keep_to_the_files_there_may_be() -> None:
    few = within_files(Limits(), 1024)
    assert (few.connections, few.unknown_connections) == (896, 224)
    assert within_files(Limits(), 20_000) == Limits()
    assert within_files(Limits(), -1) == Limits()


def test_lack_of_files_costs_no_cpu_and_clients_are_told(record_property: Record, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with apart(10, log) as server, ExitStack() as stack:
        server.order("files 20")
        socks: list[socket.socket] = []
        for number in range(1, 101):
            with suppress(ConnectionResetError):
                socks.append(stack.enter_context(connection(server.port, f"127.11.0.{number}")))
        dropped = 100 - len(socks) + sum(not is_open(sock, 0.2) for sock in socks[40:])
        before = server.figures()["cpu_s"]
        time.sleep(1)
        spent = server.figures()["cpu_s"] - before
        assert udp(query("SOA"), server.port).answer
        for sock in socks:
            sock.close()
        wait_until(lambda: _transfers(server), 5, lambda: "no connection is accepted any more")
    tell(
        record_property,
        turned_away=dropped,
        cpu_ms_in_a_second=int(spent * 1000),
        log_lines=len(log.read_text().splitlines()),
    )
    assert dropped == 60
    assert spent < 0.1
    assert len(log.read_text().splitlines()) < 20


class Failing(socket.socket):
    """A listening socket with a client at its door, which the system does not let in."""

    tried = 0

    def accept(self) -> tuple[socket.socket, object]:
        self.tried += 1
        raise OSError(errno.ENOBUFS, "no buffer space")


def test_connections_that_cannot_be_accepted_are_tried_for_now_and_then() -> None:
    with Failing() as stream, socket.socket() as client:
        stream.bind(("127.0.0.1", 0))
        stream.settimeout(0)
        in_loop(_open_door(stream, client))
        assert 3 <= stream.tried <= 7


async def _open_door(stream: Failing, client: socket.socket) -> None:
    door = Door(stream, Streams(MadeFeed(), KnownAddresses(), Limits(), system_clock))
    client.connect(stream.getsockname())
    await asyncio.sleep(0.5)
    door.close()


def _transfers(server: Apart) -> bool:
    try:
        return len(transfer(server.port, source=KEYLESS)) == 23
    except (OSError, dns.exception.DNSException):
        return False
