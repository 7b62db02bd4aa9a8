"""Connections: many queries on one, slow and silent clients, and how many there may be."""

import asyncio
import socket
import threading
import time
from contextlib import ExitStack
from itertools import islice
from struct import pack

import dns.message
import dns.tsig
import pytest
from typing_extensions import Buffer

from app.subscribers.directory import Directory
from app.transfer import conversation, listener, turns
from app.transfer.access import KnownAddresses
from app.transfer.limits import Limits
from app.transfer.process import Transfer, system_clock
from app.transfer.streams import Streams
from resolver_policy import wire
from resolver_policy.delta import EMPTY_RULE, Change
from resolver_policy.version import ZoneVersion
from tests.policy.zones import version
from tests.wire.clients import connection, query, receive, records_read, send, slow_reader, tcp, transfer, udp
from tests.wire.conftest import NAMES
from tests.wire.feeds import KEYED, KEYLESS, STRANGER, MadeFeed, client_key, serving
from tests.wire.loops import in_loop

QUICK = Limits(known_idle=1.5, unknown_idle=0.3)


def is_closed(sock: socket.socket, within: float) -> bool:
    sock.settimeout(within)
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


def is_turned_away(port: int, source: str) -> bool:
    try:
        with connection(port, source) as sock:
            return is_closed(sock, 2)
    except ConnectionResetError:
        return True


def test_queries_on_one_connection_are_answered_in_order(server: Transfer) -> None:
    with connection(server.port) as sock:
        made = [query("SOA") for _ in range(20)]
        sock.sendall(b"".join(pack("!H", len(each.to_wire())) + each.to_wire() for each in made))
        answers = [dns.message.from_wire(receive(sock)) for _ in made]
    assert [answer.id for answer in answers] == [each.id for each in made]


def test_transfer_and_query_share_a_connection(server: Transfer) -> None:
    with connection(server.port, KEYLESS) as sock:
        for qtype in ("AXFR", "SOA", "AXFR"):
            send(sock, query(qtype).to_wire())
        assert [int.from_bytes(receive(sock)[6:8], "big") for _ in range(5)] == [2, 42, 1, 2, 42]


def test_thousands_of_queries_sent_before_any_answer_is_read_are_answered(server: Transfer) -> None:
    made = query("SOA").to_wire()
    with connection(server.port) as sock:
        writer = threading.Thread(target=sock.sendall, args=(b"".join([pack("!H", len(made)) + made] * 3000),))
        writer.start()
        assert all(receive(sock)[6:8] == b"\0\1" for _ in range(3000))
        writer.join()


def test_query_behind_a_long_transfer_is_answered_after_it_and_costs_nobody_else_a_turn(
    large_zone: ZoneVersion,
) -> None:
    """In order, as RFC 7766 allows; what is asked behind is held by the system, a few kilobytes of it."""
    feed = MadeFeed({"block.rpz": large_zone})
    with serving(feed) as server, slow_reader(server.port) as sock:
        for qtype in ("SOA", "AXFR", "SOA"):
            send(sock, query(qtype).to_wire())
        time.sleep(0.3)
        assert udp(query("SOA"), server.port).answer
        assert records_read(sock, 2 * NAMES + 3) == 2 * NAMES + 3
        assert receive(sock)[6:8] == b"\0\1"
        assert records_read(sock, 2 * NAMES + 3) == 2 * NAMES + 3
        assert receive(sock)[6:8] == b"\0\1"
    assert [seen.outcome for seen in feed.sightings if seen.kind == "axfr"] == ["done", "done"]


def test_query_that_comes_octet_by_octet_is_answered(server: Transfer) -> None:
    with connection(server.port) as sock:
        wire = query("SOA").to_wire()
        for octet in pack("!H", len(wire)) + wire:
            sock.send(bytes([octet]))
        assert receive(sock)


@pytest.mark.parametrize("length", [4097, 65535])
def test_message_longer_than_any_query_ends_the_connection(server: Transfer, length: int) -> None:
    with connection(server.port) as sock:
        sock.sendall(pack("!H", length))
        assert is_closed(sock, 3)


def test_client_that_closes_its_half_gets_the_whole_zone(large_zone: ZoneVersion) -> None:
    with serving(MadeFeed({"block.rpz": large_zone})) as server, slow_reader(server.port) as sock:
        sock.shutdown(socket.SHUT_WR)
        time.sleep(0.2)
        assert records_read(sock, 2 * NAMES + 3) == 2 * NAMES + 3


def test_silent_stranger_is_closed_soon_and_a_subscriber_is_not() -> None:
    with (
        serving(MadeFeed(), QUICK) as server,
        connection(server.port, STRANGER) as stranger,
        connection(server.port, KEYED) as known,
    ):
        assert is_closed(stranger, 1)
        assert not is_closed(known, 0.3)
        assert is_closed(known, 3)


def test_stranger_who_sends_slowly_gains_nothing_by_each_octet() -> None:
    with serving(MadeFeed(), QUICK) as server, connection(server.port, STRANGER) as sock:
        began = time.monotonic()
        with pytest.raises(OSError, match=r"reset|pipe"):
            _send_slowly(sock)
        assert time.monotonic() - began < 1


def _send_slowly(sock: socket.socket) -> None:
    for octet in pack("!H", 200) + bytes(200):
        sock.send(bytes([octet]))
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("limits", "held", "over"),
    [
        (Limits(per_unknown_address=2), [STRANGER] * 2, STRANGER),
        (Limits(unknown_connections=3), [STRANGER] * 2 + ["127.0.0.4"], "127.0.0.5"),
        (Limits(per_known_address=2), [KEYED] * 2, KEYED),
        (Limits(connections=3), [KEYED] * 2 + [KEYLESS], KEYLESS),
    ],
    ids=["of one stranger", "of all strangers", "of one subscriber's address", "of all"],
)
def test_connections_have_limits(limits: Limits, held: list[str], over: str) -> None:
    with serving(MadeFeed(), limits) as server, ExitStack() as stack:
        for source in held:
            _hold(stack, server.port, source)
        assert is_turned_away(server.port, over)


def test_strangers_leave_room_for_subscribers() -> None:
    with serving(MadeFeed(), Limits(unknown_connections=1)) as server, ExitStack() as stack:
        _hold(stack, server.port, STRANGER)
        assert transfer(server.port, source=KEYLESS)


def _hold(stack: ExitStack, port: int, source: str) -> None:
    """A connection that stays open and has been admitted, since it was answered."""
    sock = stack.enter_context(connection(port, source))
    send(sock, query("SOA").to_wire())
    assert receive(sock)


def test_place_of_a_connection_that_ended_is_free_again() -> None:
    with serving(MadeFeed(), Limits(per_unknown_address=1)) as server:
        for _ in range(5):
            assert tcp(query("SOA"), server.port, STRANGER)
            time.sleep(0.05)


def test_reader_that_pauses_gets_everything(large_zone: ZoneVersion) -> None:
    with serving(MadeFeed({"block.rpz": large_zone}), QUICK) as server, slow_reader(server.port) as sock:
        time.sleep(1)
        assert records_read(sock, 2 * NAMES + 3) == 2 * NAMES + 3


def test_reader_that_stopped_is_broken_off_and_held_little(large_zone: ZoneVersion) -> None:
    feed = MadeFeed({"block.rpz": large_zone})
    with serving(feed, QUICK) as server, slow_reader(server.port):
        seen = feed.wait_for(lambda sighting: sighting.kind == "axfr")
    assert (seen.outcome, seen.sent_serial) == ("broken off before the end", None)
    assert seen.octets < 1024 * 1024


def test_reader_that_trickles_is_broken_off_too(large_zone: ZoneVersion) -> None:
    feed = MadeFeed({"block.rpz": large_zone})
    with serving(feed, QUICK) as server, slow_reader(server.port) as sock:
        with pytest.raises(ConnectionResetError):
            _trickle(sock)
        assert feed.wait_for(lambda sighting: sighting.kind == "axfr", 1).sent_serial is None


def _trickle(sock: socket.socket) -> None:
    """Read some 30 kB a second, for five seconds: never nothing, and never enough."""
    for _ in range(50):
        sock.recv(3072)
        time.sleep(0.1)


class Bottomless(socket.socket):
    """Takes whatever is sent at once, as the network to a very fast reader does."""

    octets = 0

    def send(self, data: Buffer, _flags: int = 0, /) -> int:
        self.octets += memoryview(data).nbytes
        return memoryview(data).nbytes


def test_fast_reader_leaves_turns_to_others(large_zone: ZoneVersion) -> None:
    sent = in_loop(_sent_by_rounds(MadeFeed({"block.rpz": large_zone}), query("AXFR").to_wire()))
    assert sum(sent) > 8_000_000
    assert max(sent) <= turns.AT_ONCE * (conversation.BATCH + wire.LONGEST_MESSAGE)


@pytest.mark.long
def test_rendering_a_large_difference_leaves_turns_to_others(large_zone: ZoneVersion) -> None:
    gone = [Change(key, rule, EMPTY_RULE) for key, rule in islice(large_zone.rules(), 40_000)]
    feed = MadeFeed({"block.rpz": large_zone.changed(gone, 6)})
    sent = in_loop(_sent_by_rounds(feed, query("IXFR", serial=5).to_wire()))
    assert feed.sightings[0].asked_serial == 5
    assert 1_000_000 < sum(sent) < 4_000_000
    assert len(sent) > 300


async def _sent_by_rounds(feed: MadeFeed, asked: bytes) -> list[int]:
    """Ask once, and count the octets that go out in each round of the loop."""
    client, accepted = socket.socketpair()
    sent: list[int] = []
    with client, Bottomless(fileno=accepted.detach()) as served:
        served.settimeout(0)
        client.sendall(pack("!H", len(asked)) + asked)
        streams = Streams(feed, KnownAddresses(), Limits(), system_clock)
        streams.enter(served, KEYLESS)
        sent.append(served.octets)
        while not feed.sightings:
            await asyncio.sleep(0)
            sent.append(served.octets - sum(sent))
        streams.close()
    return sent


def test_slow_and_silent_clients_do_not_stop_another_transfer(large_zone: ZoneVersion) -> None:
    feed = MadeFeed({"block.rpz": large_zone})
    with serving(feed) as server, ExitStack() as held:
        alone = _seconds_to_transfer(server.port)
        for _ in range(40):
            held.enter_context(slow_reader(server.port))
            held.enter_context(connection(server.port, KEYED))
        time.sleep(0.5)
        assert _seconds_to_transfer(server.port) < max(10 * alone, 3)
        began = time.monotonic()
        udp(query("SOA"), server.port)
        assert time.monotonic() - began < 0.5


def _seconds_to_transfer(port: int) -> float:
    began = time.monotonic()
    with connection(port, KEYED) as sock:
        send(sock, query("AXFR", key=client_key()).to_wire())
        assert records_read(sock, 2 * NAMES + 3) == 2 * NAMES + 3
    return time.monotonic() - began


def test_transfer_keeps_the_version_it_began_with(large_zone: ZoneVersion) -> None:
    feed = MadeFeed({"block.rpz": large_zone})
    with serving(feed) as server, slow_reader(server.port) as sock:
        assert receive(sock)
        feed.zones = {"block.rpz": version({}, serial=6)}
        assert records_read(sock, 2 * NAMES + 1) == 2 * NAMES + 1
        assert " 6 " in str(udp(query("SOA"), server.port).answer[0])


def test_transfer_ends_when_its_key_is_revoked(large_zone: ZoneVersion) -> None:
    feed = MadeFeed({"block.rpz": large_zone})
    with serving(feed) as server, slow_reader(server.port, KEYED, client_key()) as sock:
        assert receive(sock)
        feed.directory = Directory(feed.directory.subscribers, {})
        seen = _read_to_the_end(sock)
    assert 0 < seen < len(large_zone.ranges) * 8 * 1024


def _read_to_the_end(sock: socket.socket) -> int:
    octets = 0
    while True:
        try:
            more = sock.recv(65_536)
        except ConnectionResetError:
            return octets
        if not more:
            return octets
        octets += len(more)


def test_one_port_is_bound_for_both(server: Transfer) -> None:
    assert server.port > 0
    assert udp(query("SOA"), server.port).answer == tcp(query("SOA"), server.port).answer


def test_port_in_use_is_an_error() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match="in use"):
            listener.bind("127.0.0.1", taken.getsockname()[1], Limits())


def test_ipv4_client_of_an_ipv6_socket_is_known_by_its_ipv4_address() -> None:
    with serving(MadeFeed(), host="::") as server:
        assert udp(query("SOA"), server.port).rcode() == 0
        assert transfer(server.port, source=KEYLESS)


def test_what_the_system_holds_for_a_connection_is_capped() -> None:
    datagram, stream = listener.bind("127.0.0.1", 0, Limits(send_buffer=64 * 1024, receive_buffer=8192, known_idle=7))
    with datagram, stream:
        stream.listen()
        with socket.create_connection(stream.getsockname()) as client, stream.accept()[0] as accepted:
            assert client.getpeername() == accepted.getsockname()
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * 64 * 1024
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 2 * 8192
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 7000
