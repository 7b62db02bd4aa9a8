"""Hostile lines: each is refused with its number and the rule it breaks, and no trace of it is stored."""

import string
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.settings import Settings
from resolver_policy.errors import PolicyError
from resolver_policy.targets import Match
from tests.orders.importing import a_guard, send_file
from tests.service import Service, answered, problem

GUARD = a_guard(Settings())
LONG_LABEL = "x" * 64
DEEP = ".".join(["abcdefghi"] * 24)

HOSTILE = {
    "a.example\rcom": "control_character",
    "a.example\x00": "control_character",
    "a.example\x00.evil.example": "control_character",
    "a.example\tCNAME .": "control_character",
    "a.example\x0bb.example": "control_character",
    "a.example\x1b[2Jb.example": "control_character",
    "a.example\u2028b.example": "control_character",
    "a.example\x85b.example": "control_character",
    "a.example CNAME .": "space",
    "a.example b.example": "space",
    "127.0.0.1 a.example": "space",
    "a\u00a0.example": "space",
    "a.example;": "character",
    "; a.example": "space",
    '"a.example"': "character",
    "'a.example'": "character",
    "`a.example`": "character",
    "a.example\\": "character",
    "a\\.example": "character",
    "a\\046.example": "character",
    "$INCLUDE": "character",
    "$INCLUDE /etc/passwd": "space",
    "$GENERATE 1-9 $.example": "space",
    "$ORIGIN": "character",
    "@": "character",
    "(": "character",
    "a.example(": "character",
    "a.example,b.example": "character",
    "a.example|": "character",
    "||a.example^": "character",
    "<b>a.example</b>": "character",
    "=cmd()": "character",
    "a%2eexample": "character",
    "../../etc/passwd": "character",
    "*": "wildcard",
    "*.": "wildcard",
    "*.a.example": "wildcard",
    "a.*.example": "wildcard",
    ".": "root",
    "..": "empty_label",
    ".a.example": "empty_label",
    "a..example": "empty_label",
    "a.example..": "empty_label",
    "http://a.example/": "host_in_url",
    "https://a.example/?q=1": "host_in_url",
    "//a.example": "host_in_url",
    "a.example/path": "host_in_url",
    "a.example:443": "host_in_url",
    "user@a.example": "host_in_url",
    "mailto:user@a.example": "host_in_url",
    "192.0.2.1": "address",
    "192.0.2.0/24": "address",
    "2001:db8::1": "address",
    "[2001:db8::1]": "address",
    "0x7f000001": "address",
    "2130706433": "address",
    "a.123": "numeric_tld",
    "a\uff0eexample": "full_width_dot",
    "a\u3002example": "full_width_dot",
    "a\uff61example": "full_width_dot",
    "a\u200b.example": "invisible_character",
    "a\u200d.example": "invisible_character",
    "a\u00ad.example": "invisible_character",
    "\u202ea.example": "invisible_character",
    "\ufeffa.example": "invisible_character",
    "a\ufe0f.example": "invisible_character",
    "p\u0430ypal.example": "mixed_script",
    "xn--99999999999.example": "punycode",
    "xn--.example": "punycode",
    f"{LONG_LABEL}.example": "label_length",
    f"{DEEP}.{DEEP}.example": "name_length",
    f"{DEEP}.example": "owner_length",
    "x" * 5_000: "line_length",
    "a.example.rpz-ip": "rpz_trigger",
    "32.1.2.0.192.rpz-client-ip": "rpz_trigger",
    "com": "tld",
    "id.": "tld",
    "localhost": "tld",
    "co.id": "public_suffix",
    "GO.ID.": "public_suffix",
    "block.rpz": "own_zone",
    "a.block.rpz": "own_zone",
    "rpz": "tld",
    "blogspot.com": "private_suffix",
    "google.com": "protected_service",
    "www.google.com": "protected_service",
    "a.nosuchtld": "tld_unknown",
}
"""A line and the rule that it breaks."""

GOOD = {
    "a.example": "a.example",
    "A.EXAMPLE.": "a.example",
    "_dmarc.a.example": "_dmarc.a.example",
    "a_b.example": "a_b.example",
    "-a-.example": "-a-.example",
    "a--b.example": "a--b.example",
    "0.example": "0.example",
    "1.2.3.example": "1.2.3.example",
    "xn--bcher-kva.example": "xn--bcher-kva.example",
    "xn--i-7iq.example": "xn--i-7iq.example",
    "bücher.example": "xn--bcher-kva.example",
    "例え.example": "xn--r8jz45g.example",
    "пример.example": "xn--e1afmkfd.example",
    "straße.example": "xn--strae-oqa.example",
    f"{'x' * 63}.example": f"{'x' * 63}.example",
    "a.rpz-ip.example": "a.rpz-ip.example",
    "my.blogspot.com": "my.blogspot.com",
}
"""A line and the name that it means."""

BY_OCTETS = {
    b"a\xff.example": "utf8",
    b"\xc0\xaf.example": "utf8",
    b"\xed\xa0\x80.example": "utf8",
    b"b\xfccher.example": "utf8",
    "a.example".encode("utf-16-le"): "control_character",
}


def test_every_hostile_line_is_refused_with_its_number_and_rule(service: Service) -> None:
    good = "first.example\n"
    body = problem(send_file(service, good + "".join(f"{line}\n" for line in HOSTILE)), 422, "name_invalid")

    assert {error["line"]: error["rule"] for error in body["errors"]} == dict(enumerate(HOSTILE.values(), 2))
    assert all(len(error["value"]) <= 220 for error in body["errors"])
    assert all(error["value"].isprintable() for error in body["errors"])
    assert service.rows()["targets"] == 0


@pytest.mark.parametrize(("octets", "rule"), BY_OCTETS.items())
def test_octets_that_are_no_text_are_refused(service: Service, octets: bytes, rule: str) -> None:
    body = problem(send_file(service, b"a.example\n" + octets + b"\nb.example\n"), 422, "name_invalid")

    assert (body["errors"][0]["line"], body["errors"][0]["rule"]) == (2, rule)


def test_no_hostile_line_reaches_the_zone_with_the_good_ones(service: Service) -> None:
    lines = "".join(f"{line}\n" for line in HOSTILE)
    answer = answered(send_file(service, f"{lines}good.example\n{lines}", query="?partial=true"), 201)
    service.approve({"id": answer["order_id"]}, plan_hash=answer["plan_hash"])

    assert answer["counts"]["accepted"] == 1
    assert answer["counts"]["refused"] == 2 * len(HOSTILE)
    assert service.zone() == ["good.example .", "*.good.example ."]


def test_a_file_in_another_encoding_is_refused_line_by_line(service: Service) -> None:
    body = problem(send_file(service, "a.example\nb.example\n".encode("utf-16")), 422, "name_invalid")

    assert [error["line"] for error in body["errors"]] == [1, 2, 3]


@pytest.mark.parametrize("line", GOOD)
def test_no_good_line_is_refused(service: Service, line: str) -> None:
    answer = answered(send_file(service, f"{line}\n"), 201)

    assert [item["name"] for item in answer["items"]] == [GOOD[line]]


TRICKS = st.sampled_from([*"\r\t\x00;\"'\\$@()*:/[]{}<>|&%#= .", "\u3002", "\u200b", "\ufeff", "$INCLUDE", "\x7f"])
PIECES = st.one_of(TRICKS, st.text(st.characters(codec="utf-8"), max_size=8), st.sampled_from(["a", "example", "com"]))


@given(st.lists(PIECES, max_size=8).map("".join))
def test_whatever_is_accepted_is_letters_digits_hyphens_and_underscores(text: str) -> None:
    with suppress(PolicyError):
        name = GUARD.check(text, Match.SUBTREE, overridden=True)
        assert set(name) <= set(string.ascii_lowercase + string.digits + "-_.")
        assert "." in name.strip(".")
