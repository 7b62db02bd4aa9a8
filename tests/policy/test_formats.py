"""Exports as text: every format in full, and the master file read by named-checkzone and dnspython."""

import hashlib
import subprocess
from pathlib import Path

import dns.rdatatype
import dns.zone
import dns.zonefile
import pytest

from resolver_policy import formats
from resolver_policy.delta import EMPTY_RULE, Rule
from resolver_policy.errors import NameInvalid, NameTooLong
from resolver_policy.formats import Contents, adblock, dnsmasq, domains, hosts, rpz, unbound
from resolver_policy.wire import Soa, Zone
from tests.policy.holders import holder
from tests.policy.zones import (
    BLOCK,
    EXACT,
    NOTHING,
    OPEN,
    PASS,
    SUBTREE,
    Rules,
    key,
    many_rules,
    records_of,
    rules_of,
    zone,
)
from tests.servers import find

SAMPLE = rules_of(
    {
        "casino.example": SUBTREE,
        "good.casino.example": OPEN,
        "only-below.example": Rule(PASS, BLOCK),
        "t.me": EXACT,
        "wild.example": Rule(NOTHING, BLOCK),
    }
)


def contents(rules: Rules, of: Zone | None = None) -> Contents:
    return Contents(of or zone(), 7, sorted(rules.items()))


def text(chosen: formats.Format, rules: Rules, of: Zone | None = None) -> str:
    return b"".join(chosen.render(contents(rules, of))).decode()


def body(chosen: formats.Format, rules: Rules, of: Zone | None = None) -> str:
    """The text without its last line."""
    return "".join(text(chosen, rules, of).splitlines(keepends=True)[:-1])


def test_rpz_is_a_master_file_that_begins_with_its_soa() -> None:
    assert body(rpz.FORMAT, SAMPLE) == (
        "block.rpz. 60 IN SOA ns.example. normalisation.example. 7 300 60 2592000 60\n"
        "block.rpz. 60 IN NS localhost.\n"
        "casino.example.block.rpz. 60 IN CNAME .\n"
        "*.casino.example.block.rpz. 60 IN CNAME .\n"
        "good.casino.example.block.rpz. 60 IN CNAME rpz-passthru.\n"
        "*.good.casino.example.block.rpz. 60 IN CNAME rpz-passthru.\n"
        "only-below.example.block.rpz. 60 IN CNAME rpz-passthru.\n"
        "*.only-below.example.block.rpz. 60 IN CNAME .\n"
        "*.wild.example.block.rpz. 60 IN CNAME .\n"
        "t.me.block.rpz. 60 IN CNAME .\n"
    )


def test_domains_lists_the_names_that_are_blocked_themselves() -> None:
    assert body(domains.FORMAT, SAMPLE) == "casino.example\nt.me\n"


def test_hosts_gives_both_addresses_of_the_names_that_are_blocked_themselves() -> None:
    assert body(hosts.FORMAT, SAMPLE) == ("0.0.0.0 casino.example\n:: casino.example\n0.0.0.0 t.me\n:: t.me\n")


def test_dnsmasq_says_names_and_what_is_below_them_apart() -> None:
    assert body(dnsmasq.FORMAT, SAMPLE) == (
        "local=/casino.example/\n"
        "server=/good.casino.example/#\n"
        "local=/*.only-below.example/\n"
        "local=/*.wild.example/\n"
        "local=/t.me/\n"
        "server=/*.t.me/#\n"
    )


def test_unbound_blocks_subtrees_and_opens_them_again() -> None:
    assert body(unbound.FORMAT, SAMPLE) == (
        "server:\n"
        'local-zone: "casino.example." always_nxdomain\n'
        'local-zone: "good.casino.example." always_transparent\n'
        'local-zone: "t.me." transparent\n'
        'local-data: "t.me. 60 IN NULL \\# 0"\n'
    )


def test_unbound_says_nodata_where_the_zone_does() -> None:
    assert 'local-zone: "casino.example." always_nodata\n' in text(unbound.FORMAT, SAMPLE, zone("nodata"))


def test_adblock_blocks_subtrees_and_excepts_from_them() -> None:
    assert body(adblock.FORMAT, SAMPLE) == "||casino.example^\n@@||good.casino.example^\n|t.me^\n"


@pytest.mark.parametrize(
    ("chosen", "lines"),
    [
        (dnsmasq.FORMAT, ["local=/a.example/"]),
        (unbound.FORMAT, ["server:", 'local-zone: "a.example." always_nxdomain']),
        (adblock.FORMAT, ["||a.example^"]),
    ],
    ids=["dnsmasq", "unbound", "adblock"],
)
def test_what_a_block_above_says_already_is_not_repeated(chosen: formats.Format, lines: list[str]) -> None:
    rules = rules_of({"a.example": SUBTREE, "b.a.example": SUBTREE, "c.b.a.example": SUBTREE})
    assert body(chosen, rules).splitlines() == lines


def test_adblock_leaves_out_what_stands_below_an_exception() -> None:
    rules = rules_of({"a.example": SUBTREE, "b.a.example": OPEN, "c.b.a.example": SUBTREE, "d.c.b.a.example": OPEN})
    assert body(adblock.FORMAT, rules).splitlines() == ["||a.example^", "@@||b.a.example^"]


@pytest.mark.parametrize(
    ("chosen", "comment"),
    [
        (rpz.FORMAT, ";"),
        (domains.FORMAT, "#"),
        (hosts.FORMAT, "#"),
        (dnsmasq.FORMAT, "#"),
        (unbound.FORMAT, "#"),
        (adblock.FORMAT, "!"),
    ],
    ids=lambda value: str(getattr(value, "name", "")),
)
@pytest.mark.parametrize("rules", [{}, SAMPLE, many_rules(3000)], ids=["empty", "sample", "many"])
def test_the_last_line_tells_a_whole_file_from_one_cut_off(chosen: formats.Format, comment: str, rules: Rules) -> None:
    above = body(chosen, rules)
    digest = hashlib.sha256(above.encode()).hexdigest()
    count = len(above.splitlines())
    assert text(chosen, rules) == f"{above}{comment} end: serial=7 lines={count} sha256={digest}\n"


@pytest.mark.parametrize("action", ["nxdomain", "nodata", "redirect:landing.example"])
def test_dnspython_reads_back_every_record(action: str) -> None:
    rules, of = many_rules(3000), zone(action)
    read = dns.zone.from_text(text(rpz.FORMAT, rules, of), "block.rpz.", relativize=False)
    found = {f"{name} {ttl} IN CNAME {rdata}" for name, ttl, rdata in read.iterate_rdatas("CNAME")}
    assert found == records_of(rules, of)
    soa = read.find_rdataset("block.rpz.", dns.rdatatype.SOA)
    assert [str(rdata) for rdata in soa] == ["ns.example. normalisation.example. 7 300 60 2592000 60"]


@pytest.mark.parametrize("rules", [{}, SAMPLE, many_rules(3000)], ids=["empty", "sample", "many"])
def test_bind_checks_and_prints_the_same_records(rules: Rules, tmp_path: Path) -> None:
    file = tmp_path / "block.rpz"
    file.write_text(text(rpz.FORMAT, rules))
    command: list[str | Path] = [
        find("named-checkzone", "bind9-utils"),
        "-D",
        "-s",
        "full",
        "-o",
        "-",
        "block.rpz",
        file,
    ]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    printed = {" ".join(line.split()) for line in checked.stdout.splitlines() if "CNAME" in line}
    assert printed == records_of(rules, zone())


@pytest.mark.parametrize("chosen", formats.FORMATS, ids=lambda chosen: str(chosen.name))
def test_equal_zones_give_equal_octets(chosen: formats.Format) -> None:
    rules = many_rules(500)
    first, second = (list(chosen.render(contents(dict(each)))) for each in (rules.items(), reversed(rules.items())))
    assert first == second


def test_text_comes_in_pieces_while_rules_are_read() -> None:
    pieces = rpz.FORMAT.render(contents(many_rules(5000)))
    assert next(pieces).startswith(b"block.rpz. 60 IN SOA")
    assert sum(1 for _ in pieces) >= 5


def test_odd_mailbox_and_server_names_are_escaped_by_the_library() -> None:
    of = Zone("block.rpz", zone().action, Soa("ns.example", r"first\.last.example.id"))
    read = dns.zone.from_text(text(rpz.FORMAT, {}, of), "block.rpz.", relativize=False)
    soa = read.find_rdataset("block.rpz.", dns.rdatatype.SOA)
    assert [str(rdata) for rdata in soa] == [r"ns.example. first\.last.example.id. 7 300 60 2592000 60"]


@pytest.mark.parametrize("chosen", formats.FORMATS, ids=lambda chosen: str(chosen.name))
@pytest.mark.parametrize("bad", ["com.", "com.x\ncom CNAME .", "com.$INCLUDE x.", "com.x;y.", "rpz-ip.1.2.3.4.32."])
def test_no_format_writes_a_name_outside_the_zone_contract(chosen: formats.Format, bad: str) -> None:
    holders = [holder("x.example")._replace(key=bad)]
    with pytest.raises(NameInvalid):
        list(chosen.render(Contents(zone(), 7, [(bad, SUBTREE)], holders)))


@pytest.mark.parametrize("chosen", formats.FORMATS, ids=lambda chosen: str(chosen.name))
def test_no_format_writes_a_name_that_is_too_long_for_the_zone(chosen: formats.Format) -> None:
    long = ".".join(["x" * 60] * 4) + ".example"
    with pytest.raises(NameTooLong):
        list(chosen.render(Contents(zone(), 7, [(key(long), SUBTREE)], [holder(long)])))


@pytest.mark.parametrize("chosen", formats.FORMATS, ids=lambda chosen: str(chosen.name))
def test_names_out_of_order_are_refused(chosen: formats.Format) -> None:
    rules = [("me.t.", SUBTREE), ("example.a.", SUBTREE)]
    with pytest.raises(ValueError, match="out of order"):
        list(chosen.render(Contents(zone(), 7, rules, [holder("t.me"), holder("a.example")])))


def test_rule_without_records_is_no_line() -> None:
    assert text(rpz.FORMAT, {"me.t.": EMPTY_RULE}) == text(rpz.FORMAT, {})
    assert text(domains.FORMAT, {"me.t.": EMPTY_RULE}) == text(domains.FORMAT, {})


def test_formats_are_found_by_name() -> None:
    assert [formats.by_name(each.name) for each in formats.FORMATS] == list(formats.FORMATS)
    assert formats.by_name("xls") is None


def test_every_format_says_what_it_cannot() -> None:
    assert [each.name for each in formats.FORMATS if not each.limits] == []
