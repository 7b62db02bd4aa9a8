"""Signatures (RFC 8945), with dnspython as the other side; nothing forged gets an octet of a zone."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from struct import pack, unpack

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import pytest

from app.subscribers.directory import KnownKey
from app.transfer import tsig
from app.transfer.access import KnownAddresses
from app.transfer.exchange import Peer, respond
from app.transfer.precheck import Header
from app.transfer.process import system_clock
from app.transfer.request import Tsig, parse
from tests.policy.scale import Record, scaled, tell
from tests.wire.clients import query
from tests.wire.feeds import ISP_ONE, KEYED, LONG_AGO, SECRET, MadeFeed, client_key, directory

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
FULL = {"hmac-sha256": 32, "hmac-sha384": 48, "hmac-sha512": 64}


def signed(key: dns.tsig.Key, qtype: str = "AXFR") -> bytes:
    """A query as dnspython signs it now."""
    made = query(qtype, serial=10 if qtype == "IXFR" else None, key=key)
    return made.to_wire()


def edited(wire: bytes, change: Callable[[Tsig], Tsig]) -> bytes:
    """A signed message whose TSIG record says something else, with the MAC as it was."""
    old = tsig_of(wire)
    said = change(old)
    data = (
        dns.name.from_text(said.algorithm).to_digestable()
        + said.time.to_bytes(6, "big")
        + pack("!HH", said.fudge, len(said.mac))
        + said.mac
        + pack("!HHH", said.original_id, said.error, len(said.other))
        + said.other
    )
    owner = dns.name.from_text(said.key).to_digestable()
    return wire[: old.at] + owner + pack("!HHIH", 250, 255, 0, len(data)) + data


def signed_at(wire: bytes) -> datetime:
    """The time that a signature says."""
    return datetime.fromtimestamp(tsig_of(wire).time, UTC)


def answers(wire: bytes, feed: MadeFeed | None = None, at: datetime | None = None) -> list[bytes]:
    """All messages that answer one; our clock says `at`, or the real time."""
    clock = (lambda: at) if at else system_clock
    exchange = respond(wire, Peer(KEYED, tcp=True), feed or MadeFeed(), KnownAddresses(), clock)
    return [] if exchange is None else list(exchange.messages)


def refusal(wire: bytes, feed: MadeFeed | None = None, at: datetime | None = None) -> dns.message.Message:
    """The one message that answers something forged; it may hold no record of a zone."""
    (answer,) = answers(wire, feed, at)
    read = dns.message.from_wire(answer, keyring=False)
    assert not read.answer
    assert not read.authority
    return read


def tsig_of(answer: bytes) -> Tsig:
    """The TSIG record of a message."""
    found = parse(answer, Header(*unpack("!6H", answer[:12]))).tsig
    assert found is not None
    return found


@pytest.mark.parametrize("algorithm", list(FULL))
def test_signed_query_is_answered_with_a_zone_signed_in_each_message(algorithm: str) -> None:
    key = KnownKey("isp-one-key", algorithm, SECRET, "isp-one", LONG_AGO, None)
    wire = signed(client_key(key))
    messages = answers(wire, MadeFeed(known=directory(key)))
    context = None
    for message in messages:
        read = dns.message.from_wire(
            message, keyring=client_key(key), request_mac=_mac(wire), xfr=True, tsig_ctx=context, multi=True
        )
        context = read.tsig_ctx
        assert read.had_tsig
        assert len(_mac(message)) == FULL[algorithm]
    assert len(messages) == 2


@pytest.mark.parametrize(
    ("forge", "error"),
    [
        (lambda: signed(client_key(secret=b"x" * 32)), tsig.BADSIG),
        (lambda: signed(dns.tsig.Key("nobody", SECRET, "hmac-sha256")), tsig.BADKEY),
        (lambda: signed(client_key(algorithm="hmac-sha512")), tsig.BADKEY),
        (lambda: signed(client_key(algorithm="hmac-sha1")), tsig.BADKEY),
        (lambda: signed(client_key(algorithm="HMAC-MD5.SIG-ALG.REG.INT")), tsig.BADKEY),
        (lambda: signed(client_key(algorithm="hmac-sha256-128")), tsig.BADKEY),
        (lambda: edited(signed(client_key()), lambda old: old._replace(time=old.time + 1)), tsig.BADSIG),
        (lambda: edited(signed(client_key()), lambda old: old._replace(fudge=60_000)), tsig.BADSIG),
        (lambda: edited(signed(client_key()), lambda old: old._replace(other=b"\0" * 6)), tsig.BADSIG),
        (lambda: edited(signed(client_key()), lambda old: old._replace(error=16)), tsig.BADSIG),
        (lambda: edited(signed(client_key()), lambda old: old._replace(key="isp-two-key")), tsig.BADKEY),
        (lambda: edited(signed(client_key()), _with_another_id), tsig.BADSIG),
        (lambda: edited(signed(client_key()), _with_the_mac_of_a_soa_query), tsig.BADSIG),
        (lambda: signed(client_key()).replace(b"\x00\xfc\x00\x01", b"\x00\x06\x00\x01"), tsig.BADSIG),
    ],
)
def test_forged_query_gets_no_zone_and_the_error_of_the_rfc(forge: Callable[[], bytes], error: int) -> None:
    wire = forge()
    answer = refusal(wire)
    assert answer.rcode() == dns.rcode.NOTAUTH
    assert tsig_of(answers(wire)[0]).error == error


def _with_another_id(old: Tsig) -> Tsig:
    return old._replace(original_id=old.original_id ^ 1)


def _with_the_mac_of_a_soa_query(old: Tsig) -> Tsig:
    return old._replace(mac=_mac(signed(client_key(), "SOA")))


def _mac(wire: bytes) -> bytes:
    return tsig_of(wire).mac


def _cut(wire: bytes, length: int) -> bytes:
    return edited(wire, lambda old: old._replace(mac=old.mac[:length]))


@pytest.mark.parametrize("skew", [-301, 301, -86_400, 86_400])
def test_signature_from_another_time_gets_no_zone(skew: int) -> None:
    wire = signed(client_key())
    at = signed_at(wire) + timedelta(seconds=skew)
    assert refusal(wire, at=at).rcode() == dns.rcode.NOTAUTH
    assert tsig_of(answers(wire, at=at)[0]).error == tsig.BADTIME


@pytest.mark.parametrize("algorithm", list(FULL))
def test_mac_cut_to_any_length_is_refused(algorithm: str) -> None:
    key = KnownKey("isp-one-key", algorithm, SECRET, "isp-one", LONG_AGO, None)
    feed = MadeFeed(known=directory(key))
    whole = signed(client_key(key))
    full = FULL[algorithm]
    for length in range(full):
        wire = _cut(whole, length)
        answer = refusal(wire, feed)
        if length < full // 2:
            assert answer.rcode() == dns.rcode.FORMERR
        else:
            assert answer.rcode() == dns.rcode.NOTAUTH
            assert tsig_of(answers(wire, feed)[0]).error == tsig.BADTRUNC
    assert refusal(edited(whole, lambda old: old._replace(mac=old.mac + b"x")), feed).rcode() == dns.rcode.FORMERR


def test_unsigned_query_of_a_subscriber_with_a_key_gets_no_zone() -> None:
    assert refusal(query("AXFR").to_wire()).rcode() == dns.rcode.REFUSED


@pytest.mark.parametrize("skew", [-300, -1, 0, 1, 300])
def test_clocks_within_the_fudge_agree(skew: int) -> None:
    wire = signed(client_key())
    assert len(answers(wire, at=signed_at(wire) + timedelta(seconds=skew))) == 2


def test_badsig_and_badkey_are_said_unsigned() -> None:
    for wire in (signed(client_key(secret=b"x" * 32)), signed(dns.tsig.Key("nobody", SECRET, "hmac-sha256"))):
        assert tsig_of(answers(wire)[0]).mac == b""


def test_badtime_is_said_signed_with_both_clocks() -> None:
    wire = signed(client_key())
    now = signed_at(wire) + timedelta(seconds=1000)
    (answer,) = answers(wire, at=now)
    said = tsig_of(answer)
    assert said.time == tsig_of(wire).time
    assert said.other == int(now.timestamp()).to_bytes(6, "big")
    assert len(said.mac) == 32
    with pytest.raises(dns.tsig.PeerBadTime):
        dns.message.from_wire(answer, keyring=client_key(), request_mac=_mac(wire))


def test_dnspython_reads_each_error_as_what_it_is() -> None:
    unknown = dns.tsig.Key("nobody", SECRET, "hmac-sha256")
    for key, error in ((client_key(secret=b"x" * 32), dns.tsig.PeerBadSignature), (unknown, dns.tsig.PeerBadKey)):
        with pytest.raises(error):
            dns.message.from_wire(answers(signed(key))[0], keyring=key)


def test_key_name_and_algorithm_are_read_without_regard_to_case() -> None:
    assert len(answers(signed(dns.tsig.Key("ISP-One-KEY", SECRET, "HMAC-SHA256")))) == 2


def _two_signatures(wire: bytes) -> bytes:
    at = tsig_of(wire).at
    return wire[:10] + b"\x00\x02" + wire[12:] + wire[at:]


@pytest.mark.parametrize(
    "misplace",
    [
        _two_signatures,
        lambda wire: wire.replace(b"\x00\xfa\x00\xff", b"\x00\xfa\x00\x01"),
        lambda wire: wire.replace(b"\x00\xfa\x00\xff\0\0\0\0", b"\x00\xfa\x00\xff\0\0\0\1"),
        lambda wire: wire + b"x",
    ],
    ids=["two", "class IN", "TTL 1", "octets after it"],
)
def test_misplaced_or_misshapen_signature_is_a_format_error(misplace: Callable[[bytes], bytes]) -> None:
    assert refusal(misplace(signed(client_key()))).rcode() == dns.rcode.FORMERR


def test_revoked_key_is_unknown_from_the_next_query_on() -> None:
    feed, wire = MadeFeed(), signed(client_key())
    assert len(answers(wire, feed)) == 2
    feed.directory = type(feed.directory)(feed.directory.subscribers, {})
    assert refusal(wire, feed).rcode() == dns.rcode.NOTAUTH


def test_key_whose_subscriber_is_gone_gets_nothing() -> None:
    feed = MadeFeed()
    feed.directory = type(feed.directory)({}, feed.directory.keys)
    answer = refusal(query("AXFR", key=client_key(), edns=True).to_wire(), feed)
    assert answer.rcode() == dns.rcode.REFUSED
    assert answer.extended_errors()[0].text == "key: 'isp-one-key' belongs to no subscriber"


def test_altered_queries_get_no_zone(record_property: Record) -> None:
    """Any octet of a signed query, changed to any other; only what RFC 8945 leaves out of the MAC may change."""
    chance, wire, tried = random.Random(12), signed(client_key(), "IXFR"), 0
    feed = MadeFeed()
    assert len(answers(wire, feed)) == 1
    for _ in range(scaled(4000)):
        at, octet = chance.randrange(2, len(wire)), bytes([chance.randrange(256)])
        altered = wire[:at] + octet + wire[at + 1 :]
        if altered.lower() == wire.lower():
            continue
        for answer in answers(altered, feed):
            assert dns.message.from_wire(answer, keyring=False).answer == []
        tried += 1
    tell(record_property, altered_queries_without_an_answer=tried)


@pytest.mark.parametrize("algorithm", list(FULL))
def test_signer_agrees_with_dnspython_over_a_long_stream(algorithm: str) -> None:
    key = KnownKey("k.example", algorithm, SECRET, "isp-one", LONG_AGO, None)
    request_mac, context = b"r" * FULL[algorithm], None
    signer = tsig.Signer(key, request_mac)
    plain = query("SOA").to_wire()
    for _ in range(20):
        wire = signer.sign(plain, datetime.now(UTC))
        read = dns.message.from_wire(
            wire, keyring=client_key(key), request_mac=request_mac, tsig_ctx=context, multi=True
        )
        context = read.tsig_ctx
        assert len(wire) == len(plain) + signer.length
        assert read.had_tsig


def test_answer_to_a_query_of_ours_is_verified_over_its_mac() -> None:
    asked = tsig.Signer(ISP_ONE)
    asked.sign(query("SOA").to_wire(), NOW)
    answer = tsig.Signer(ISP_ONE, asked.prior).sign(query("SOA").to_wire(), NOW)
    keys = {ISP_ONE.name: ISP_ONE}
    assert tsig.verify(tsig_of(answer), keys, NOW, asked.prior) is ISP_ONE
    with pytest.raises(tsig.TsigError):
        tsig.verify(tsig_of(answer), keys, NOW, b"another MAC")
