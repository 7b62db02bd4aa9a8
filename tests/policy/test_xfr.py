"""Transfers as requests in, messages out: read by dnspython, and applied by its transfer client."""

import random
from collections.abc import Sequence
from dataclasses import replace

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.versioned
import dns.xfr
import pytest

from resolver_policy import xfr
from resolver_policy.delta import EMPTY_RULE, Change
from resolver_policy.version import ZoneVersion
from resolver_policy.wire import LONGEST_MESSAGE, Body
from resolver_policy.xfr import Ask, Effort, Reply, answer
from tests.policy.scale import Record, scaled, tell
from tests.policy.zones import (
    EVERY_RULE,
    EXACT,
    OPEN,
    SUBTREE,
    Rules,
    changes_to,
    lines,
    many_rules,
    parsed,
    question,
    records_of,
    rules_of,
    version,
    zone,
)

TYPES = {"SOA": 6, "NS": 2, "TXT": 16, "ANY": 255, "AXFR": 252, "IXFR": 251}
TOO_MUCH = 100_000


def ask(qtype: str, serial: int | None = None, room: int | None = None) -> Ask:
    return Ask(0x1234, question(qtype), TYPES[qtype], serial, room)


def answered(reply: Reply) -> list[list[str]]:
    """The answer sections of all messages."""
    return [lines(parsed(message).answer) for message in reply.messages]


def soa(serial: int) -> str:
    return f"block.rpz. 60 IN SOA ns.example. normalisation.example. {serial} 300 60 2592000 60"


NS = "block.rpz. 60 IN NS localhost."


def grown(steps: int = 3) -> ZoneVersion:
    """Twenty names, and then one more with each serial from 11 on."""
    now = version(rules_of({f"old{number}.example": SUBTREE for number in range(20)}), serial=10)
    for serial in range(11, 11 + steps):
        now = now.changed([Change(f"example.new{serial}.", EMPTY_RULE, EXACT)], serial)
    return now


def test_axfr_has_soa_and_ns_first_and_the_same_soa_last() -> None:
    reply = answer(ask("AXFR"), version(rules_of({"t.me": EXACT, "casino.example": SUBTREE}), serial=7))
    assert answered(reply) == [
        [soa(7), NS],
        [
            "casino.example.block.rpz. 60 IN CNAME .",
            "*.casino.example.block.rpz. 60 IN CNAME .",
            "t.me.block.rpz. 60 IN CNAME .",
            soa(7),
        ],
    ]
    assert (reply.outcome, reply.serial) == ("full", 7)


def test_axfr_of_an_empty_zone_is_one_message() -> None:
    assert answered(answer(ask("AXFR"), version({}, serial=7))) == [[soa(7), NS, soa(7)]]


@pytest.mark.parametrize("qtype", ["AXFR", "IXFR"])
def test_every_message_of_a_stream_is_fit_for_any_secondary(qtype: str) -> None:
    messages = [*answer(ask(qtype, serial=3), version(many_rules(5000), serial=7)).messages]
    assert len(messages) > 10
    for raw in messages:
        message = parsed(raw)
        assert message.id == 0x1234
        assert message.flags == dns.flags.QR | dns.flags.AA
        assert (message.opcode(), message.rcode()) == (dns.opcode.QUERY, dns.rcode.NOERROR)
        assert lines(message.question) == [f"block.rpz. IN {qtype}"]
        assert not message.authority
        assert not message.additional
        assert len(raw) <= LONGEST_MESSAGE + 100
    assert len(parsed(messages[0]).answer) == 2


def test_recursion_desired_is_copied_and_the_case_of_the_question_kept() -> None:
    mixed = b"\x05bLoCk\x03RPZ\x00\x00\x06\x00\x01"
    (raw,) = answer(Ask(1, mixed, TYPES["SOA"], recursion_desired=True), version({}, serial=7)).messages
    assert raw[12 : 12 + len(mixed)] == mixed
    assert parsed(raw).flags == dns.flags.QR | dns.flags.AA | dns.flags.RD


def test_soa_query_gets_the_soa() -> None:
    reply = answer(ask("SOA", room=500), version({}, serial=7))
    assert answered(reply) == [[soa(7)]]
    assert reply.outcome == "soa"


def test_other_types_at_the_apex() -> None:
    made = version({}, serial=7)
    assert answered(answer(ask("NS"), made)) == [[NS]]
    assert answered(answer(ask("ANY"), made)) == [[soa(7), NS]]
    (nothing,) = answer(ask("TXT"), made).messages
    assert parsed(nothing).answer == []
    assert lines(parsed(nothing).authority) == [soa(7)]


def test_axfr_over_udp_is_a_format_error() -> None:
    reply = answer(ask("AXFR", room=TOO_MUCH), version(rules_of({"t.me": EXACT}), serial=7))
    (raw,) = reply.messages
    assert parsed(raw).rcode() == dns.rcode.FORMERR == reply.rcode
    assert parsed(raw).answer == []


def test_ixfr_without_a_serial_is_a_format_error() -> None:
    assert answer(ask("IXFR"), version({}, serial=7)).rcode == dns.rcode.FORMERR


@pytest.mark.parametrize("serial", [13, 14, 2_000_000_000])
def test_ixfr_from_an_equal_or_newer_serial_gets_the_one_soa(serial: int) -> None:
    reply = answer(ask("IXFR", serial), grown())
    assert answered(reply) == [[soa(13)]]
    assert reply.outcome == "current"


def test_ixfr_compares_serials_around_the_end_of_32_bits() -> None:
    reply = answer(ask("IXFR", serial=2**32 - 1), grown())
    assert reply.outcome == "full"


@pytest.mark.parametrize("serial", [9, 13 + 2**31])
def test_ixfr_from_an_unknown_serial_gets_the_zone(serial: int) -> None:
    reply = answer(ask("IXFR", serial), grown())
    first, *_, last = answered(reply)
    assert (reply.outcome, first, last[-1]) == ("full", [soa(13), NS], soa(13))


def test_ixfr_from_a_known_serial_gets_one_condensed_difference() -> None:
    now = grown().changed([Change("example.new12.", EXACT, OPEN), Change("example.old3.", SUBTREE, EMPTY_RULE)], 14)
    reply = answer(ask("IXFR", serial=11), now)
    assert answered(reply) == [
        [
            soa(14),
            soa(11),
            "old3.example.block.rpz. 60 IN CNAME .",
            "*.old3.example.block.rpz. 60 IN CNAME .",
            soa(14),
            "new12.example.block.rpz. 60 IN CNAME rpz-passthru.",
            "*.new12.example.block.rpz. 60 IN CNAME rpz-passthru.",
            "new13.example.block.rpz. 60 IN CNAME .",
            soa(14),
        ]
    ]
    assert (reply.outcome, reply.serial) == ("difference", 14)


def test_changed_action_of_one_record_is_a_deletion_and_an_addition_of_that_record() -> None:
    before = version(rules_of({f"n{number}.example": SUBTREE for number in range(9)}), serial=1)
    now = before.changed([Change("example.n3.", SUBTREE, SUBTREE._replace(own=OPEN.own))], 2)
    assert answered(answer(ask("IXFR", serial=1), now)) == [
        [
            soa(2),
            soa(1),
            "n3.example.block.rpz. 60 IN CNAME .",
            soa(2),
            "n3.example.block.rpz. 60 IN CNAME rpz-passthru.",
            soa(2),
        ]
    ]


def test_changes_that_undo_each_other_make_an_empty_difference() -> None:
    back = grown(1).changed([Change("example.new11.", EXACT, EMPTY_RULE)], 12)
    assert answered(answer(ask("IXFR", serial=10), back)) == [[soa(12), soa(10), soa(12), soa(12)]]


@pytest.mark.parametrize(("changes", "outcome"), [(30, "difference"), (31, "full")])
def test_more_than_three_tenths_of_the_zone_is_sent_whole(changes: int, outcome: str) -> None:
    rules = {f"example.n{number:03}.": EXACT for number in range(100)}
    other = {each: (SUBTREE if place < changes else EXACT) for place, each in enumerate(rules)}
    now = version(rules).changed(changes_to(rules, other), 2)
    assert answer(ask("IXFR", serial=1), now).outcome == outcome


def test_ixfr_over_udp_is_answered_where_it_fits() -> None:
    now = grown()
    (raw,) = answer(ask("IXFR", serial=10), now).messages
    assert answer(ask("IXFR", serial=10, room=len(raw)), now).outcome == "difference"
    small = answer(ask("IXFR", serial=10, room=len(raw) - 1), now)
    assert (small.outcome, answered(small)) == ("too_big", [[soa(13)]])


def test_full_zone_is_never_sent_over_udp() -> None:
    reply = answer(ask("IXFR", serial=3, room=TOO_MUCH), grown())
    assert (reply.outcome, answered(reply)) == ("too_big", [[soa(13)]])


def test_difference_too_long_for_udp_is_not_rendered_to_find_out() -> None:
    rules = many_rules(4000)
    now = version(rules).changed(changes_to(rules, dict(sorted(rules.items())[500:])), 2)
    assert answer(ask("IXFR", serial=1, room=1232), now).outcome == "too_big"
    assert now.memo == {}


def test_long_difference_takes_many_messages_of_16_kib() -> None:
    rules = many_rules(20_000)
    now = version(rules).changed(changes_to(rules, dict(sorted(rules.items())[4000:])), 2)
    messages = [*answer(ask("IXFR", serial=1), now).messages]
    assert len(messages) > 5
    assert max(map(len, messages)) <= LONGEST_MESSAGE
    assert len(parsed(messages[0]).answer) > 2


def test_same_difference_is_rendered_once() -> None:
    now = grown()
    first = [*answer(ask("IXFR", serial=11), now).messages]
    kept = now.memo[11]
    assert [*answer(ask("IXFR", serial=11), now).messages] == first
    assert now.memo[11] is kept


def test_differences_kept_are_bounded() -> None:
    now = version(rules_of({f"old{number}.example": SUBTREE for number in range(100)}), serial=100)
    for serial in range(101, 125):
        now = now.changed([Change(f"example.new{serial}.", EMPTY_RULE, EXACT)], serial)
    for serial in range(100, 124):
        list(answer(ask("IXFR", serial), now).messages)
    assert 0 < len(now.memo) <= xfr.MOST_REMEMBERED


@pytest.mark.long
def test_secondary_that_follows_by_ixfr_has_what_axfr_gives(record_property: Record) -> None:
    """dnspython's client applies both; a difference from every serial of the history is tried."""
    chance, applied = random.Random(9), 0
    for seed in range(scaled(6)):
        rules = many_rules(chance.choice((60, 300)), seed)
        now, held = version(rules, serial=1), {1: rules}
        for serial in range(2, 9):
            rules = _elsewhere(rules, chance)
            now = now.changed(changes_to(held[serial - 1], rules), serial)
            held[serial] = rules
        for serial, old in held.items():
            secondary = _loaded(version(old, serial))
            _take(secondary, answer(ask("IXFR", serial), now), serial)
            assert _records(secondary) == records_of(rules, now.zone)
            applied += 1
    tell(record_property, differences_applied_by_dnspython=applied)


def _elsewhere(rules: Rules, chance: random.Random) -> Rules:
    changed = dict(rules)
    for each in chance.sample(sorted(rules), chance.choice((0, 1, 3))):
        del changed[each]
    for each in chance.sample(sorted(changed), chance.choice((0, 1, 3))):
        changed[each] = chance.choice(EVERY_RULE)
    return changed | many_rules(chance.choice((1, 3)), chance.getrandbits(30))


def _loaded(made: ZoneVersion) -> dns.versioned.Zone:
    secondary = dns.versioned.Zone("block.rpz.", relativize=False)
    _take(secondary, answer(ask("AXFR"), made), None)
    return secondary


def _take(secondary: dns.versioned.Zone, reply: Reply, serial: int | None) -> None:
    if serial is not None and reply.outcome == "current":
        return
    qtype = dns.rdatatype.AXFR if serial is None else dns.rdatatype.IXFR
    with dns.xfr.Inbound(secondary, qtype, serial) as inbound:
        done = [inbound.process_message(parsed(message)) for message in reply.messages]
    assert done[-1]
    assert not any(done[:-1])


def _records(secondary: dns.versioned.Zone) -> set[str]:
    return {f"{name} {ttl} IN CNAME {rdata}" for name, ttl, rdata in secondary.iterate_rdatas("CNAME")}


def test_differences_never_delete_what_is_absent_or_add_what_is_there(record_property: Record) -> None:
    """Unbound falls back to a full transfer at the first of either."""
    chance, applied = random.Random(5), 0
    for seed in range(scaled(20)):
        rules = many_rules(200, seed)
        now, held = version(rules, serial=1), {1: rules}
        for serial in range(2, 7):
            rules = _elsewhere(rules, chance)
            now = now.changed(changes_to(held[serial - 1], rules), serial)
            held[serial] = rules
        for serial in range(1, 6):
            _apply_strictly(
                records_of(held[serial], zone()), answer(ask("IXFR", serial), now), records_of(rules, zone())
            )
            applied += 1
    tell(record_property, differences_applied_strictly=applied)


def _apply_strictly(records: set[str], reply: Reply, expected: set[str]) -> None:
    assert reply.outcome == "difference"
    every: Sequence[str] = [line for message in answered(reply) for line in message]
    middle = next(place for place in range(2, len(every)) if " SOA " in every[place])
    gone, come = every[2:middle], every[middle + 1 : -1]
    assert records.issuperset(gone)
    records = records.difference(gone)
    assert records.isdisjoint(come)
    assert len(set(gone)) == len(gone)
    assert len(set(come)) == len(come)
    assert records.union(come) == expected


def test_only_what_takes_long_is_said_to_be_slow() -> None:
    now = version(many_rules(2_000), serial=1)
    now = now.changed([Change("example.one.", EMPTY_RULE, EXACT)], 2)
    large = [Change(key, EMPTY_RULE, EXACT) for key in sorted(f"example.n{number}." for number in range(200))]
    later = now.changed(large, 3)

    assert answer(ask("IXFR", 1), now).effort is Effort.AT_ONCE
    assert answer(ask("IXFR", 1), later).effort is Effort.RENDERED
    list(answer(ask("IXFR", 1), later).messages)
    assert answer(ask("IXFR", 1), later).effort is Effort.AT_ONCE
    assert answer(ask("AXFR"), later).effort is Effort.AT_ONCE


class RowsOfThePast:
    """A past that counts its rows, has changes and bodies, or lost them."""

    def __init__(
        self, rows: int, changes: Sequence[Change] | None = None, bodies: Sequence[Body] | None = None
    ) -> None:
        self._rows, self._changes, self._bodies = rows, changes, bodies

    def rows_between(self, older: int, newer: int) -> int | None:
        return self._rows if (older, newer) == (3, 10) else None

    def changes(self, *_: int) -> Sequence[Change] | None:
        return self._changes

    def bodies(self, *_: object) -> Sequence[Body] | None:
        return self._bodies


def with_past(past: RowsOfThePast) -> ZoneVersion:
    return replace(version(many_rules(2_000), serial=10), past=past)


def test_a_serial_older_than_the_history_is_answered_from_the_past() -> None:
    now = with_past(RowsOfThePast(1, [Change("example.one.", EXACT, SUBTREE)]))
    reply = answer(ask("IXFR", 3), now)
    assert (reply.outcome, reply.effort) == ("difference", Effort.RENDERED)
    assert answered(reply) == [[soa(10), soa(3), soa(10), "*.one.example.block.rpz. 60 IN CNAME .", soa(10)]]
    assert answer(ask("IXFR", 4), now).outcome == "full"


def test_a_past_that_cannot_be_read_is_answered_with_the_zone() -> None:
    now = with_past(RowsOfThePast(1))
    assert answered(answer(ask("IXFR", 3), now)) == answered(answer(ask("AXFR"), now))


def test_a_very_large_difference_is_read_as_it_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xfr, "MOST_CHANGES", 0)
    written = with_past(RowsOfThePast(1, bodies=[Body(0, b"what was written")]))
    reply = answer(ask("IXFR", 3), written)
    assert reply.effort is Effort.WRITTEN
    assert [message[-16:] for message in reply.messages] == [b"what was written"]
    lost = answer(ask("IXFR", 3), with_past(RowsOfThePast(1)))
    assert len(list(lost.messages)) == len(list(answer(ask("AXFR"), written).messages))
