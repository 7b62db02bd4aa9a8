"""The look at the header, and the reading of what it lets pass."""

from struct import pack

import dns.message
import pytest

from app.transfer.precheck import LONGEST_UDP, RD, Header, UnusableError, precheck, precheck_notify_answer
from app.transfer.request import MalformedError, parse
from tests.wire.clients import option, query
from tests.wire.feeds import client_key

QUESTION = b"\x05block\x03rpz\x00\x00\x06\x00\x01"
QUERY, NOTIFY, UPDATE, QR = 0, 4 << 11, 5 << 11, 0x8000
FORMERR, NOTIMP = 1, 4


def message(flags: int = QUERY, counts: tuple[int, int, int, int] = (1, 0, 0, 0), rest: bytes = QUESTION) -> bytes:
    return pack("!6H", 0x1234, flags, *counts) + rest


def said(wire: bytes, longest: int = LONGEST_UDP) -> bytes | None:
    with pytest.raises(UnusableError) as unusable:
        precheck(wire, longest)
    return unusable.value.answer


def test_usual_queries_pass() -> None:
    for counts in ((1, 0, 0, 0), (1, 0, 1, 0), (1, 0, 1, 2)):
        assert precheck(message(counts=counts), LONGEST_UDP) == (0x1234, 0, *counts)
    assert precheck(message(NOTIFY, (1, 1, 0, 1)), LONGEST_UDP).opcode == 4


@pytest.mark.parametrize("length", range(12))
def test_less_than_a_header_is_met_with_silence(length: int) -> None:
    assert said(message()[:length]) is None


@pytest.mark.parametrize("flags", [QR, QR | NOTIFY, QR | UPDATE])
def test_answers_are_met_with_silence(flags: int) -> None:
    assert said(message(flags)) is None


@pytest.mark.parametrize("opcode", [opcode for opcode in range(16) if opcode not in {0, 4}])
def test_other_opcodes_are_not_implemented(opcode: int) -> None:
    assert said(message(opcode << 11 | 0x0100)) == pack("!6H", 0x1234, QR | opcode << 11 | 0x0100 | NOTIMP, 0, 0, 0, 0)


@pytest.mark.parametrize(
    "counts", [(0, 0, 0, 0), (2, 0, 0, 0), (1, 1, 0, 0), (1, 0, 2, 0), (1, 0, 0, 3), (65535,) * 4, (10_878, 0, 0, 0)]
)
def test_more_records_than_any_query_has_are_a_format_error(counts: tuple[int, int, int, int]) -> None:
    assert said(message(counts=counts)) == pack("!6H", 0x1234, QR | FORMERR, 0, 0, 0, 0)


def test_two_records_in_the_answer_of_a_notify_are_a_format_error() -> None:
    assert said(message(NOTIFY, (1, 2, 0, 0))) == pack("!6H", 0x1234, QR | NOTIFY | FORMERR, 0, 0, 0, 0)


def test_long_message_is_a_format_error_of_twelve_octets() -> None:
    assert len(said(message(rest=bytes(LONGEST_UDP))) or b"") == 12


@pytest.mark.parametrize("flags", [QUERY, NOTIFY, QR | QUERY])
def test_only_an_answer_to_a_notify_is_taken_for_one(flags: int) -> None:
    with pytest.raises(UnusableError):
        precheck_notify_answer(message(flags))
    with pytest.raises(UnusableError):
        precheck_notify_answer(message(QR | NOTIFY, (2, 0, 0, 0)))
    assert precheck_notify_answer(message(QR | NOTIFY)).id == 0x1234


def read(wire: bytes) -> dns.message.Message:
    """What dnspython makes of it."""
    return dns.message.from_wire(wire, keyring=False)


def test_request_is_read_as_dnspython_reads_it() -> None:
    made = query("IXFR", "Block.RPZ.", key=client_key(), serial=4_000_000_000, options=(option(65001, b"xyz"),))
    wire = made.to_wire()
    request = parse(wire, precheck(wire, LONGEST_UDP))
    assert (request.name, request.qtype, request.qclass) == ("block.rpz", 251, 1)
    assert request.question == b"\x05Block\x03RPZ\x00\x00\xfb\x00\x01"
    assert request.serial == 4_000_000_000
    assert request.flags & RD
    assert request.edns is not None
    assert (request.edns.version, request.edns.options) == (0, ((65001, b"xyz"),))
    assert request.tsig is not None
    assert (request.tsig.key, request.tsig.algorithm, request.tsig.fudge) == ("isp-one-key", "hmac-sha256", 300)
    assert (request.tsig.mac, request.tsig.original_id) == (read(wire).mac, made.id)


def soa_section(owner: bytes, data: bytes) -> bytes:
    return message(counts=(1, 0, 1, 0), rest=QUESTION + owner + pack("!HHIH", 6, 1, 0, len(data)) + data)


def serial_of(wire: bytes) -> int | None:
    return parse(wire, Header(0, 0, 1, 0, 1, 0)).serial


def test_compressed_names_of_the_soa_are_followed() -> None:
    assert serial_of(soa_section(b"\xc0\x0c", b"\xc0\x0c\x01x\xc0\x12" + pack("!5I", 77, 0, 0, 0, 0))) == 77


def test_soa_of_another_zone_says_nothing() -> None:
    assert serial_of(soa_section(b"\xc0\x12", b"\x00\x00" + pack("!5I", 77, 0, 0, 0, 0))) is None


@pytest.mark.parametrize(
    ("rest", "counts"),
    [
        (b"", (1, 0, 0, 0)),
        (b"\xc0\x0c\x00\x06\x00\x01", (1, 0, 0, 0)),
        (b"\xc0\x00\x00\x06\x00\x01", (1, 0, 0, 0)),
        (b"\x80x\x00\x06\x00\x01", (1, 0, 0, 0)),
        ((b"\x3f" + b"x" * 63) * 4 + b"\x00\x00\x06\x00\x01", (1, 0, 0, 0)),
        (b"\x01x" * 128 + b"\x00\x00\x06\x00\x01", (1, 0, 0, 0)),
        (QUESTION + b"x", (1, 0, 0, 0)),
        (QUESTION, (1, 0, 1, 0)),
        (QUESTION + b"\xc0\x0c" + pack("!HHIH", 6, 1, 0, 100), (1, 0, 1, 0)),
        (QUESTION + b"\xc0\x0c" + pack("!HHIH", 6, 1, 0, 4) + b"\0\0\0\0", (1, 0, 1, 0)),
        (QUESTION + b"\xc0\x0c" + pack("!HHIH", 6, 1, 0, 23) + bytes(23), (1, 0, 1, 0)),
        (QUESTION + b"\xc0\x1b" + pack("!HHIH", 6, 1, 0, 0), (1, 0, 1, 0)),
        (QUESTION + b"\x01x\x00" + pack("!HHIH", 41, 1232, 0, 0), (1, 0, 0, 1)),
        (QUESTION + (b"\x00" + pack("!HHIH", 41, 1232, 0, 0)) * 2, (1, 0, 0, 2)),
        (QUESTION + b"\x00" + pack("!HHIH", 41, 1232, 0, 4) + b"\0\x09\0\x01", (1, 0, 0, 1)),
        (QUESTION + b"\x00" + pack("!HHIH", 250, 255, 0, 3) + b"\x00\0\0", (1, 0, 0, 1)),
        (QUESTION + b"\x00" + pack("!HHIH", 250, 255, 0, 18) + bytes(18), (1, 0, 0, 1)),
    ],
)
def test_malformed_rest_is_one_kind_of_error(rest: bytes, counts: tuple[int, int, int, int]) -> None:
    with pytest.raises(MalformedError):
        parse(message(counts=counts, rest=rest), Header(0x1234, 0, *counts))


def test_other_records_are_passed_over() -> None:
    wire = message(NOTIFY, (1, 1, 0, 1), QUESTION + (b"\xc0\x0c" + pack("!HHIH", 16, 1, 0, 2) + b"\x01x") * 2)
    request = parse(wire, precheck(wire, LONGEST_UDP))
    assert (request.edns, request.tsig, request.flags) == (None, None, NOTIFY)
