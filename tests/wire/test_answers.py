"""What is answered to whom, over real sockets, with dnspython as client."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.tsig
import pytest

from app.subscribers.directory import KnownKey, Subscriber
from app.transfer.process import Transfer
from resolver_policy.delta import EMPTY_RULE, Change
from resolver_policy.version import ZoneVersion
from resolver_policy.wire import Soa
from tests.policy.zones import EXACT, SUBTREE, rules_of, version, zone
from tests.wire.clients import connection, option, query, raw_answer, receive, send, tcp, transfer, udp
from tests.wire.feeds import ISP_ONE, KEYED, KEYLESS, LONG_AGO, STRANGER, MadeFeed, client_key, directory, serving

SOA = "block.rpz. 60 IN SOA ns.example. normalisation.example. 11 300 60 2592000 60"


def ede(answer: dns.message.Message) -> tuple[int, str | None]:
    (option,) = answer.extended_errors()
    return int(option.code), option.text


def assert_no_zone_in(answer: dns.message.Message) -> None:
    assert not answer.answer
    assert not answer.authority


def test_soa_over_udp_for_a_known_address(server: Transfer) -> None:
    answer = udp(query("SOA"), server.port)
    assert [str(rrset) for rrset in answer.answer] == [SOA]
    assert answer.flags == dns.flags.QR | dns.flags.AA | dns.flags.RD


def test_soa_over_udp_for_a_key_from_anywhere_is_signed(server: Transfer) -> None:
    answer = udp(query("SOA", key=client_key()), server.port, STRANGER)
    assert [str(rrset) for rrset in answer.answer] == [SOA]
    assert answer.had_tsig


def test_soa_for_a_stranger_is_refused(server: Transfer) -> None:
    answer = udp(query("SOA", edns=True), server.port, STRANGER)
    assert answer.rcode() == dns.rcode.REFUSED
    assert ede(answer) == (18, "address: 127.0.0.3 is not registered")
    assert_no_zone_in(answer)


def test_refusal_without_edns_has_no_opt(server: Transfer) -> None:
    answer = udp(query("SOA"), server.port, STRANGER)
    assert (answer.rcode(), answer.edns) == (dns.rcode.REFUSED, -1)


def test_transfer_for_a_keyless_subscriber(server: Transfer) -> None:
    records = transfer(server.port, source=KEYLESS)
    assert records[0] == records[-1] == SOA
    assert len(records) == 1 + 1 + 41 + 1


@pytest.mark.parametrize("algorithm", ["hmac-sha256", "hmac-sha384", "hmac-sha512"])
def test_transfer_signed_in_every_message(algorithm: str) -> None:
    key = KnownKey("isp-one-key", algorithm, bytes(range(64)), "isp-one", LONG_AGO, None)
    with serving(MadeFeed(known=directory(key))) as server:
        assert len(transfer(server.port, key=client_key(key))) == 44


def test_ixfr_is_answered_by_the_difference(server: Transfer) -> None:
    assert transfer(server.port, "IXFR", key=client_key(), serial=10) == [
        SOA,
        SOA.replace(" 11 ", " 10 "),
        SOA,
        "new.example.block.rpz. 60 IN CNAME .",
        SOA,
    ]


def test_transfer_without_the_key_that_the_subscriber_has_is_refused(server: Transfer, feed: MadeFeed) -> None:
    answer = tcp(query("AXFR", edns=True), server.port)
    assert answer.rcode() == dns.rcode.REFUSED
    assert ede(answer) == (18, "key: 127.0.0.1 must sign its transfers")
    assert_no_zone_in(answer)
    seen = feed.wait_for(lambda sighting: sighting.kind == "refused")
    assert (seen.subscriber, seen.outcome) == ("isp-one", "key: 127.0.0.1 must sign its transfers")


def test_transfer_with_the_key_from_another_address_is_refused(server: Transfer) -> None:
    answer = tcp(query("AXFR", key=client_key(), edns=True), server.port, KEYLESS)
    assert answer.rcode() == dns.rcode.REFUSED
    assert ede(answer) == (18, "address: 127.0.0.2 is not one of 'isp-one'")
    assert answer.had_tsig
    assert_no_zone_in(answer)


def test_transfer_for_a_stranger_is_refused(server: Transfer) -> None:
    answer = tcp(query("AXFR", edns=True), server.port, STRANGER)
    assert (answer.rcode(), ede(answer)[0]) == (dns.rcode.REFUSED, 18)
    assert_no_zone_in(answer)


def test_unknown_zone_is_refused_as_not_ours(server: Transfer) -> None:
    for source in (KEYED, STRANGER):
        answer = udp(query("SOA", "other.rpz.", edns=True), server.port, source)
        assert (answer.rcode(), ede(answer)) == (dns.rcode.REFUSED, (20, "zone: not served here"))


def test_single_rule_is_not_answered(server: Transfer) -> None:
    answer = udp(query("CNAME", "old1.example.block.rpz.", edns=True), server.port, KEYLESS)
    assert (answer.rcode(), ede(answer)[0]) == (dns.rcode.REFUSED, 21)
    assert_no_zone_in(answer)


def test_zone_in_another_class_is_not_ours(server: Transfer) -> None:
    answer = udp(dns.message.make_query("block.rpz.", "SOA", "CH"), server.port)
    assert answer.rcode() == dns.rcode.REFUSED


def test_one_label_that_spells_the_zone_is_not_the_zone(server: Transfer) -> None:
    answer = udp(query("SOA", r"block\.rpz."), server.port, KEYLESS)
    assert answer.rcode() == dns.rcode.REFUSED
    assert_no_zone_in(answer)


def test_each_zone_answers_for_itself() -> None:
    other = version(rules_of({}), 99, zone("nodata", "nodata.rpz"))
    feed = MadeFeed()
    feed.zones = {**feed.zones, "nodata.rpz": other}
    with serving(feed) as server:
        answer = udp(query("SOA", "NoData.RPZ."), server.port)
        assert " 99 " in str(answer.answer[0])


def test_edns_is_echoed_with_its_do_bit(server: Transfer) -> None:
    made = query("SOA", edns=True)
    made.want_dnssec()
    answer = udp(made, server.port)
    assert (answer.edns, answer.payload, answer.ednsflags) == (0, 1232, dns.flags.DO)


def test_unknown_options_are_ignored(server: Transfer) -> None:
    answer = udp(query("SOA", options=(option(65001, b"\x01\x02"),)), server.port)
    assert answer.rcode() == dns.rcode.NOERROR
    assert not answer.options


def test_expire_is_answered(server: Transfer) -> None:
    answer = udp(query("SOA", options=(option(9, b""),)), server.port)
    assert [(option.otype, option.to_wire()) for option in answer.options] == [(9, (2592000).to_bytes(4, "big"))]


def test_keepalive_is_answered_over_tcp_alone(server: Transfer) -> None:
    made = query("SOA", options=(option(11, b""),))
    assert [option.to_wire() for option in tcp(made, server.port).options] == [(1200).to_bytes(2, "big")]
    assert tcp(made, server.port, STRANGER).options[-1].to_wire() == (50).to_bytes(2, "big")
    assert not udp(made, server.port).options


def test_newer_edns_version_gets_badvers(server: Transfer) -> None:
    made = dns.message.make_query("block.rpz.", "SOA", use_edns=1)
    answer = udp(made, server.port)
    assert (answer.rcode(), answer.edns) == (dns.rcode.BADVERS, 0)
    assert_no_zone_in(answer)


def test_opt_stands_in_the_first_message_of_a_transfer_and_before_the_signature(server: Transfer) -> None:
    with connection(server.port) as sock:
        made = query("AXFR", key=client_key(), edns=True)
        send(sock, made.to_wire())
        first, second = receive(sock), receive(sock)
    read = dns.message.from_wire(first, keyring=client_key(), request_mac=made.mac, multi=True, xfr=True)
    assert (read.edns, read.had_tsig) == (0, True)
    assert int.from_bytes(first[10:12], "big") == 2
    assert int.from_bytes(second[10:12], "big") == 1


def test_axfr_over_udp_is_a_format_error(server: Transfer) -> None:
    assert udp(query("AXFR"), server.port, KEYLESS).rcode() == dns.rcode.FORMERR


def test_ixfr_over_udp_is_answered_where_it_fits(server: Transfer) -> None:
    answer = udp(query("IXFR", serial=10, edns=True), server.port, KEYLESS)
    assert sum(len(rrset) for rrset in answer.answer) > 1
    old = udp(query("IXFR", serial=3), server.port, KEYLESS)
    assert [str(rrset) for rrset in old.answer] == [SOA]


@pytest.mark.parametrize(("edns", "longest"), [(False, 512), (True, 1232)])
@pytest.mark.parametrize("key", [None, client_key()], ids=["unsigned", "signed"])
def test_udp_answer_keeps_to_the_size_that_the_client_takes(
    edns: object, longest: int, key: dns.tsig.Key | None
) -> None:
    now = version(rules_of({f"old{number}.example": SUBTREE for number in range(200)}), serial=100)
    for serial in range(101, 161):
        now = now.changed([Change(f"example.new{serial}.", EMPTY_RULE, EXACT)], serial)
    source = KEYED if key else KEYLESS
    with serving(MadeFeed({"block.rpz": now})) as server:
        for serial in range(100, 160):
            wire = query("IXFR", serial=serial, edns=bool(edns), key=key).to_wire()
            assert len(raw_answer(wire, server.port, source)) <= longest


def test_answer_that_cannot_fit_is_cut_to_nothing_and_says_so() -> None:
    soa = Soa(".".join(["m" * 63] * 3), ".".join(["r" * 63] * 3))
    made = ZoneVersion.from_rules([], replace(zone(), soa=soa), 7)
    with serving(MadeFeed({"block.rpz": made})) as server:
        signed = query("SOA", key=client_key())
        signed.use_edns(payload=512)
        wire = raw_answer(signed.to_wire(), server.port)
        cut = dns.message.from_wire(wire, keyring=client_key(), request_mac=signed.mac)
        assert cut.flags & dns.flags.TC
        assert_no_zone_in(cut)
        assert tcp(query("SOA", key=client_key()), server.port).answer


def test_notify_from_outside_is_refused(server: Transfer) -> None:
    made = query("SOA", edns=True)
    made.set_opcode(dns.opcode.NOTIFY)
    made.flags |= dns.flags.AA
    answer = udp(made, server.port)
    assert (answer.opcode(), answer.rcode()) == (dns.opcode.NOTIFY, dns.rcode.REFUSED)


def test_update_is_not_implemented(server: Transfer) -> None:
    made = query("SOA")
    made.set_opcode(dns.opcode.UPDATE)
    answer = udp(made, server.port)
    assert (answer.opcode(), answer.rcode()) == (dns.opcode.UPDATE, dns.rcode.NOTIMP)


def test_new_version_and_new_directory_count_from_the_next_query_on(server: Transfer, feed: MadeFeed) -> None:
    feed.zones = {"block.rpz": feed.zones["block.rpz"].changed([], 12)}
    assert " 12 " in str(udp(query("SOA"), server.port).answer[0])
    stranger = Subscriber("isp-three", (ip_network(f"{STRANGER}/32"),), (), keyed=False)
    feed.directory = type(feed.directory)({"isp-three": stranger}, {})
    assert udp(query("SOA"), server.port, STRANGER).rcode() == dns.rcode.NOERROR
    assert udp(query("SOA"), server.port, KEYED).rcode() == dns.rcode.REFUSED


def test_key_outside_its_time_is_not_known() -> None:
    now = datetime.now(UTC)
    over = KnownKey("isp-one-key", "hmac-sha256", ISP_ONE.secret, "isp-one", LONG_AGO, now)
    early = KnownKey("isp-one-key", "hmac-sha256", ISP_ONE.secret, "isp-one", now + timedelta(hours=1), None)
    for key in (over, early):
        with serving(MadeFeed(known=directory(key))) as server, connection(server.port) as sock:
            send(sock, query("AXFR", key=client_key()).to_wire())
            assert dns.message.from_wire(receive(sock), keyring=False).rcode() == dns.rcode.NOTAUTH


def test_two_keys_of_a_rotation_both_work() -> None:
    newer = KnownKey("isp-one-key-2", "hmac-sha512", b"another secret, long enough", "isp-one", LONG_AGO, None)
    with serving(MadeFeed(known=directory(ISP_ONE, newer))) as server:
        assert len(transfer(server.port, key=client_key(ISP_ONE))) == 44
        assert len(transfer(server.port, key=client_key(newer))) == 44


def test_sightings_say_who_asked_for_what_and_what_was_sent(server: Transfer, feed: MadeFeed) -> None:
    transfer(server.port, key=client_key())
    full = feed.wait_for(lambda sighting: sighting.kind == "axfr")
    assert (full.subscriber, full.address, full.zone) == ("isp-one", KEYED, "block.rpz")
    assert (full.asked_serial, full.sent_serial, full.outcome) == (None, 11, "done")
    assert full.octets > 1000
    transfer(server.port, "IXFR", key=client_key(), serial=10)
    part = feed.wait_for(lambda sighting: sighting.kind == "ixfr")
    assert (part.asked_serial, part.sent_serial, part.outcome) == (10, 11, "done")
    udp(query("SOA"), server.port)
    poll = feed.wait_for(lambda sighting: sighting.kind == "soa")
    assert (poll.subscriber, poll.sent_serial, poll.octets) == ("isp-one", 11, 94)


def test_serial_above_ours_is_noted_as_foreign(server: Transfer, feed: MadeFeed) -> None:
    udp(query("IXFR", serial=2026112201), server.port, KEYLESS)
    seen = feed.wait_for(lambda sighting: sighting.kind == "ixfr")
    assert seen.outcome == "it has serial 2026112201, which is above ours"


def test_client_told_to_ask_over_tcp_has_nothing_new(server: Transfer, feed: MadeFeed) -> None:
    udp(query("IXFR", serial=3), server.port, KEYLESS)
    assert feed.wait_for(lambda sighting: sighting.kind == "ixfr").sent_serial is None
