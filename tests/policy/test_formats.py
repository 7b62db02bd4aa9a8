"""Exports, each read by a real reader: named-checkzone and dnspython."""

import subprocess
from pathlib import Path

import dns.rdatatype
import dns.zone
import dns.zonefile
import pytest

from resolver_policy import formats
from resolver_policy.delta import EMPTY_RULE, Rule
from resolver_policy.errors import NameInvalid
from resolver_policy.formats import domains, rpz
from resolver_policy.wire import Soa, Zone
from tests.policy.zones import BLOCK, EXACT, NOTHING, OPEN, PASS, SUBTREE, Rules, many_rules, records_of, rules_of, zone
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


def text(chosen: formats.Format, rules: Rules, of: Zone | None = None, serial: int = 7) -> str:
    return "".join(chosen.render(iter(sorted(rules.items())), of or zone(), serial))


def test_rpz_is_a_master_file_that_begins_with_its_soa() -> None:
    assert text(rpz.FORMAT, SAMPLE) == (
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
    assert text(domains.FORMAT, SAMPLE) == "casino.example\nt.me\n"


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


def test_equal_zones_give_equal_text() -> None:
    rules = many_rules(500)
    assert text(rpz.FORMAT, rules) == text(rpz.FORMAT, dict(reversed(rules.items())))


def test_text_comes_in_pieces_while_rules_are_read() -> None:
    pieces = rpz.render(iter(sorted(many_rules(5000).items())), zone(), 7)
    assert next(pieces).startswith("block.rpz. 60 IN SOA")
    assert sum(1 for _ in pieces) >= 5


def test_odd_mailbox_and_server_names_are_escaped_by_the_library() -> None:
    of = Zone("block.rpz", zone().action, Soa("ns.example", r"first\.last.example.id"))
    read = dns.zone.from_text(text(rpz.FORMAT, {}, of), "block.rpz.", relativize=False)
    soa = read.find_rdataset("block.rpz.", dns.rdatatype.SOA)
    assert [str(rdata) for rdata in soa] == [r"ns.example. first\.last.example.id. 7 300 60 2592000 60"]


@pytest.mark.parametrize("chosen", formats.FORMATS, ids=lambda chosen: str(chosen.name))
@pytest.mark.parametrize("bad", ["com.", "com.x\ncom CNAME .", "com.$INCLUDE x.", "com.x;y.", "rpz-ip.1.2.3.4.32."])
def test_no_format_writes_a_name_outside_the_zone_contract(chosen: formats.Format, bad: str) -> None:
    with pytest.raises(NameInvalid):
        text(chosen, {bad: SUBTREE})


def test_rule_without_records_is_no_line() -> None:
    assert text(rpz.FORMAT, {"me.t.": EMPTY_RULE}) == text(rpz.FORMAT, {})


def test_formats_are_found_by_name() -> None:
    assert formats.by_name("rpz") is rpz.FORMAT
    assert formats.by_name("domains") is domains.FORMAT
    assert formats.by_name("xls") is None


def test_master_file_out_of_order_is_refused() -> None:
    with pytest.raises(ValueError, match="out of order"):
        list(rpz.render([("me.t.", EXACT), ("example.a.", EXACT)], zone(), 7))
