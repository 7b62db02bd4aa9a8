"""Rules as message bodies, read back by dnspython; versions that change share what did not."""

import gc
import random
from collections.abc import Iterable, Iterator
from itertools import pairwise

import pytest

from resolver_policy import version as zone_version
from resolver_policy.delta import EMPTY_RULE, Change, Rule
from resolver_policy.errors import NameInvalid, NameTooLong, PolicyError
from resolver_policy.version import ZoneVersion, grouped
from resolver_policy.wire import LONGEST_MESSAGE, Chunk, Zone, render, wire_name
from tests.policy.scale import Record, scaled, tell
from tests.policy.zones import (
    BLOCK,
    EVERY_RULE,
    EXACT,
    NOTHING,
    OPEN,
    PASS,
    SUBTREE,
    Rules,
    changes_to,
    key,
    lines,
    many_rules,
    message_of,
    parsed,
    records_of,
    rules_of,
    version,
    zone,
)


def rendered(names: dict[str, Rule], action: str = "nxdomain") -> list[str]:
    (chunk,) = render(sorted(rules_of(names).items()), zone(action))
    return lines(parsed(message_of(chunk)).answer)


def test_exact_rule_is_one_record_and_subtree_rule_two() -> None:
    assert rendered({"t.me": EXACT, "casino.example": SUBTREE}) == [
        "casino.example.block.rpz. 60 IN CNAME .",
        "*.casino.example.block.rpz. 60 IN CNAME .",
        "t.me.block.rpz. 60 IN CNAME .",
    ]


def test_each_side_of_a_rule_has_its_own_target() -> None:
    assert rendered({"a.example": Rule(PASS, BLOCK), "b.example": Rule(NOTHING, BLOCK), "c.example": OPEN}) == [
        "a.example.block.rpz. 60 IN CNAME rpz-passthru.",
        "*.a.example.block.rpz. 60 IN CNAME .",
        "*.b.example.block.rpz. 60 IN CNAME .",
        "c.example.block.rpz. 60 IN CNAME rpz-passthru.",
        "*.c.example.block.rpz. 60 IN CNAME rpz-passthru.",
    ]


def test_nodata_and_redirect_zones_have_other_targets() -> None:
    assert rendered({"t.me": EXACT}, "nodata") == ["t.me.block.rpz. 60 IN CNAME *."]
    assert rendered({"t.me": EXACT}, "redirect:landing.example") == ["t.me.block.rpz. 60 IN CNAME landing.example."]


def test_owner_points_to_the_zone_and_the_wildcard_to_its_name() -> None:
    (chunk,) = render([("me.t.", SUBTREE)], zone())
    cname = b"\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x01\x00"
    start = 12 + len(wire_name("block.rpz")) + 4
    assert chunk.body == b"\x01t\x02me\xc0\x0c" + cname + b"\x01*\xc0" + bytes([start]) + cname


def test_both_records_of_a_usual_name_take_46_octets() -> None:
    (chunk,) = render([("com.a-usual-name-x.", SUBTREE)], zone())
    assert len(chunk.body) <= 48


@pytest.mark.parametrize(
    "bad",
    [
        "com.",
        "rpz-ip.192.0.2.0.24.",
        "rpz-client-ip.x.",
        "com.Example.",
        "com.exa mple.",
        "com.x;y.",
        "com.x\ny.",
        "com.x.\n",
        "com.é.",
        "com.*.",
        "com..x.",
        ".com.x.",
        "com.x",
        f"com.{'a' * 64}.",
    ],
)
def test_owner_outside_the_zone_contract_is_never_rendered(bad: str) -> None:
    with pytest.raises(NameInvalid) as refused:
        list(render([(bad, SUBTREE)], zone()))
    assert refused.value.rule == "zone_contract"
    assert repr(bad) in refused.value.detail


def test_rpz_is_forbidden_as_the_last_label_only() -> None:
    assert rendered({"rpz-ip.example": EXACT}) == ["rpz-ip.example.block.rpz. 60 IN CNAME ."]


def longest_name(octets: int) -> str:
    """A name under .example whose labels take this many octets."""
    rest = octets - len("example.")
    whole, last = divmod(rest - 2, 64)
    return ".".join(["b" * (last + 1), *["a" * 63] * whole, "example"])


def test_longest_owner_fits_with_its_wildcard_and_one_octet_more_is_refused() -> None:
    longest = 255 - len(wire_name("block.rpz")) - len("*.")
    name = longest_name(longest)
    first, second = rendered({name: SUBTREE})
    assert (first, second) == (f"{name}.block.rpz. 60 IN CNAME .", f"*.{name}.block.rpz. 60 IN CNAME .")
    with pytest.raises(NameTooLong):
        rendered({longest_name(longest + 1): SUBTREE})


@pytest.mark.parametrize("keys", [["me.t.", "me.t."], ["me.t.", "example.a."]])
def test_two_rules_of_one_owner_or_out_of_order_are_refused(keys: list[str]) -> None:
    with pytest.raises(ValueError, match="out of order"):
        list(render([(each, EXACT) for each in keys], zone()))


def test_empty_rule_renders_nothing() -> None:
    assert list(render([("me.t.", EMPTY_RULE)], zone())) == []


@pytest.mark.parametrize("action", ["nxdomain", "redirect:a-landing-page.of.the.ministry.example"])
def test_many_chunks_hold_every_record_once_within_16_kib(action: str) -> None:
    rules, of = many_rules(6000), zone(action)
    chunks = list(render(sorted(rules.items()), of))
    messages = [parsed(message_of(chunk)) for chunk in chunks]
    found = [line for message in messages for line in lines(message.answer)]
    assert len(chunks) > 10
    assert max(len(message_of(chunk)) for chunk in chunks) <= LONGEST_MESSAGE
    assert len(found) == len(set(found)) == sum(chunk.records for chunk in chunks)
    assert set(found) == records_of(rules, of)


def test_chunk_gives_its_rules_back() -> None:
    rules = many_rules(2000)
    chunks = list(render(sorted(rules.items()), zone()))
    assert [rule for chunk in chunks for rule in chunk.rules()] == sorted(rules.items())
    assert all(chunk.first_key == next(chunk.rules())[0] for chunk in chunks)
    assert all(chunk.last_key == list(chunk.rules())[-1][0] for chunk in chunks)
    assert all(one.last_key < other.first_key for one, other in pairwise(chunks))


def test_version_counts_names_and_records() -> None:
    made = version(rules_of({"t.me": EXACT, "casino.example": SUBTREE}))
    assert (made.names, made.records, made.origin) == (2, 3, "block.rpz")


def test_change_makes_a_new_version_and_leaves_the_old_one() -> None:
    before = version(rules_of({"t.me": EXACT}), serial=10)
    after = before.changed([Change("me.t.", EXACT, EMPTY_RULE)], 11)
    assert (before.names, before.serial, after.names, after.serial) == (1, 10, 0, 11)
    assert after.ranges == ()
    assert after.history == ((10, 11, (Change("me.t.", EXACT, EMPTY_RULE),)),)


@pytest.mark.long
def test_changes_anywhere_equal_a_full_rendering(record_property: Record) -> None:
    chance, rounds, steps = random.Random(4), scaled(15), 0
    for seed in range(rounds):
        rules = many_rules(chance.choice((0, 1, 40, 900)), seed)
        now = version(rules, serial=1)
        for serial in range(2, 12):
            changed = _somewhere_else(rules, chance)
            now = now.changed(changes_to(rules, changed), serial)
            rules, steps = changed, steps + 1
            assert list(now.rules()) == sorted(rules.items())
            assert (now.names, now.records) == (len(rules), len(records_of(rules, now.zone)))
            assert all(len(message_of(body)) <= LONGEST_MESSAGE for body in now.bodies())
        _assert_holds(now, rules)
    tell(record_property, changes_compared_with_full_renderings=steps)


def _somewhere_else(rules: Rules, chance: random.Random) -> Rules:
    changed = dict(rules)
    for each in chance.sample(sorted(rules), min(len(rules), chance.choice((0, 1, 5, 200)))):
        del changed[each]
    changed |= many_rules(chance.choice((1, 3, 400)), chance.getrandbits(30))
    for each in chance.sample(sorted(changed), min(len(changed), 3)):
        changed[each] = chance.choice(EVERY_RULE)
    return changed


def _assert_holds(made: ZoneVersion, rules: Rules) -> None:
    found = [line for body in made.bodies() for line in lines(parsed(message_of(body)).answer)]
    assert sorted(found) == sorted(records_of(rules, made.zone))
    assert (made.names, made.records) == (len(rules), len(found))


def test_change_touches_its_own_range_only() -> None:
    rules = many_rules(8000)
    before = version(rules)
    gone = sorted(rules)[4000]
    after = before.changed([Change(gone, rules[gone], EMPTY_RULE)], 2)
    old = {id(part) for part in before.ranges}
    assert len(before.ranges) > 15
    assert sum(id(part) not in old for part in after.ranges) == 1


def test_change_renders_nothing_until_somebody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    rules, rendered = many_rules(8000), 0
    before = version(rules)
    gone = sorted(rules)[::7]

    def counted(rules: Iterable[tuple[str, Rule]], of: Zone) -> Iterator[Chunk]:
        nonlocal rendered
        rendered += 1
        return render(rules, of)

    monkeypatch.setattr(zone_version, "render", counted)
    after = before.changed([Change(each, rules[each], EMPTY_RULE) for each in gone], 2)
    assert (rendered, after.names) == (0, len(rules) - len(gone))
    assert list(after.bodies()) == list(after.bodies())
    assert rendered == len(after.ranges)


def test_only_so_many_rendered_ranges_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zone_version, "MOST_KEPT", 4)
    rules = many_rules(8000)
    before = version(rules)
    after = before.changed([Change(each, rules[each], EMPTY_RULE) for each in sorted(rules)[::7]], 2)
    first = list(after.bodies())
    changed = [part for part in after.ranges if isinstance(part, zone_version.Changed)]
    assert len(changed) > 15
    assert sum(bool(part.rendered) for part in changed) == 4
    assert list(after.bodies()) == first


def test_ranges_of_a_version_that_is_gone_take_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zone_version, "MOST_KEPT", 4)
    rules = many_rules(8000)
    before = version(rules)
    changes = [Change(each, rules[each], EMPTY_RULE) for each in sorted(rules)[::7]]
    first = list(before.changed(changes, 2).bodies())
    gc.collect()
    after = before.changed(changes, 2)
    assert list(after.bodies()) == first
    assert sum(bool(part.rendered) for part in after.ranges if isinstance(part, zone_version.Changed)) == 4


def test_change_looks_names_up_without_reading_every_rule() -> None:
    """Names that begin with one another, at the ends and in the middle of what a range holds."""
    keys = sorted(["com.a.", "com.a.1.", "com.a.1.b.", "com.a-b.", "com.ab.", "com.b."])
    held = dict(zip(keys, EVERY_RULE, strict=False))
    asked = [*keys, "com.", "com.a.1.b.c.", "com.a.2.", "a.", "z."]
    (chunk,) = render(held.items(), zone())
    assert list(chunk.rules_at(asked)) == [held.get(each, EMPTY_RULE) for each in asked]


def test_range_with_many_changes_is_rendered_anew_with_room_to_grow() -> None:
    rules = {f"com.name{number:04}.": SUBTREE for number in range(300)}
    more = {f"com.name{number:04}-x.": SUBTREE for number in range(zone_version.MOST_LAID_OVER + 1)}
    after = version(rules).changed(changes_to(rules, rules | more), 2)
    assert all(isinstance(part, Chunk) for part in after.ranges)
    assert len(after.ranges) > 1
    assert max(len(body.octets) for body in after.bodies()) < 0.9 * LONGEST_MESSAGE
    assert dict(after.rules()) == rules | more


def test_change_from_what_is_not_there_is_refused() -> None:
    before = version(rules_of({"t.me": EXACT}))
    with pytest.raises(ValueError, match=r"'me\.t\.' expects"):
        before.changed([Change("me.t.", SUBTREE, EMPTY_RULE)], 2)


@pytest.mark.parametrize("serial", [1, 0])
def test_serial_that_does_not_grow_is_refused(serial: int) -> None:
    with pytest.raises(ValueError, match="does not follow"):
        version({}).changed([], serial)


def test_changes_out_of_order_are_refused() -> None:
    twice = [Change("me.t.", EMPTY_RULE, EXACT), Change("me.t.", EXACT, EMPTY_RULE)]
    with pytest.raises(ValueError, match="out of order"):
        version({}).changed(twice, 2)


@pytest.mark.parametrize("held", [{}, {"t.me": EXACT}])
def test_change_that_breaks_the_zone_contract_is_refused(held: dict[str, Rule]) -> None:
    """At once, and not when somebody transfers the zone."""
    with pytest.raises(PolicyError):
        version(rules_of(held)).changed([Change("com.", EMPTY_RULE, SUBTREE)], 2)


def test_history_keeps_the_newest_deltas() -> None:
    now = version({})
    for serial in range(2, zone_version.MOST_DELTAS + 12):
        changes = [Change(key(f"n{serial}.example"), EMPTY_RULE, EXACT)]
        now = now.changed(changes, serial)
    assert len(now.history) == zone_version.MOST_DELTAS
    assert now.history[-1].to_serial == now.serial
    assert all(one.to_serial == other.from_serial for one, other in pairwise(now.history))


def test_history_is_bounded_by_its_changes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zone_version, "MOST_CHANGES", 25)
    now = version({})
    rules: Rules = {}
    for serial in range(2, 6):
        more = rules | {f"example.n{serial}-{number:02}.": EXACT for number in range(10)}
        now, rules = now.changed(changes_to(rules, more), serial), more
    assert [delta.to_serial for delta in now.history] == [4, 5]


def test_no_changes_are_no_groups() -> None:
    assert list(grouped(version(many_rules(10)).ranges, [])) == []
