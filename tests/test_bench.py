"""The benchmarks' secondary believes nothing: a transfer that is not right is no figure."""

import socket
from collections.abc import Iterator
from itertools import islice
from struct import pack

import pytest

from bench import names, sink
from bench.bench_transfer import Row
from bench.sink import Wanted, WrongTransfer
from tests.wire.feeds import MadeFeed, client_key, serving

FULL = Wanted("block.rpz", 11, 44)
"""Twenty names with two records each, one with one, SOA, NS and SOA."""

DIFFERENCE = Wanted("block.rpz", 11, 5, since=10)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(MadeFeed()) as server:
        yield server.port


@pytest.mark.parametrize("wanted", [FULL, DIFFERENCE])
def test_a_right_transfer_is_taken(port: int, wanted: Wanted) -> None:
    took = sink.transfer(port, client_key(), wanted, verify=True)

    assert took.messages >= 1
    assert took.seconds > 0


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (FULL._replace(serial=12), "ends in serial 11"),
        (FULL._replace(records=43), "1 records and 0 octets too many"),
        (DIFFERENCE._replace(since=9), "39 records and 0 octets too many"),
        (FULL._replace(zone="other.rpz"), "message 0 holds no record, error 5"),
    ],
)
def test_a_wrong_transfer_is_refused(port: int, wanted: Wanted, why: str) -> None:
    with pytest.raises(WrongTransfer, match=why):
        sink.transfer(port, client_key(), wanted)


def test_an_unsigned_transfer_is_refused() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        message = pack("!6H", 1, 0x8400, 1, 3, 0, 0) + bytes(60)
        theirs.sendall(pack("!H", len(message)) + message)

        with pytest.raises(WrongTransfer, match="message 0 is not signed"):
            sink.read(ours, 3)


def test_one_that_ends_early_is_refused() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        theirs.close()

        with pytest.raises(WrongTransfer, match="closed after 0 messages, 3 records short"):
            sink.read(ours, 3)


def test_a_wrong_signature_is_seen() -> None:
    key, message = client_key(), b"\0\1" + pack("!5H", 0x8400, 1, 1, 0, 1) + bytes(200)

    with pytest.raises(WrongTransfer, match="signature of message 0"):
        sink.check_signatures([message], key, b"")


def test_a_ratio_says_who_is_faster() -> None:
    row = Row("AXFR", gates=True, seconds={"Pulih": [1.0, 1.0, 9.0], "Knot": [2.0, 2.0, 1.0]})

    assert row.ratio == 0.5
    assert row.holds
    assert not Row("AXFR", gates=True, seconds={"Pulih": [2.0], "Knot": [1.9]}).holds


def test_a_longer_list_begins_with_the_shorter_one() -> None:
    longer = list(names.made_up(5_000))

    assert list(islice(longer, 100)) == list(names.made_up(100))
    assert len(set(longer)) == 5_000
