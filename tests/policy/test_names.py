"""What is a domain name, and what is refused with which reason."""

import sqlite3
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolver_policy.errors import AddressNotName, NameInvalid, NameTooLong, PolicyError
from resolver_policy.names import (
    ancestors,
    canonical,
    check_fits,
    display,
    from_key,
    key_ancestors,
    key_parent,
    longest_key,
    sort_key,
    subtree_end,
    wire_length,
)
from tests.policy.scale import scaled

EXAMPLES = scaled(1500)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("t.me", "t.me"),
        ("T.Me.", "t.me"),
        ("flora-1.web.telegram.org", "flora-1.web.telegram.org"),
        ("try.example", "try.example"),
        ("com", "com"),
        ("a.b", "a.b"),
        ("_dmarc.example.com", "_dmarc.example.com"),
        ("under_score.example", "under_score.example"),
        ("-leading.example", "-leading.example"),
        ("trailing-.example", "trailing-.example"),
        ("r3---sn-x.example", "r3---sn-x.example"),
        ("rpz-ip.example", "rpz-ip.example"),
        ("1.2.3.4.example", "1.2.3.4.example"),
        ("0.0x.com", "0.0x.com"),
        ("x" * 63 + ".example", "x" * 63 + ".example"),
        ("xn--mnchen-3ya.de", "xn--mnchen-3ya.de"),
        ("XN--MNCHEN-3YA.DE", "xn--mnchen-3ya.de"),
        ("xn--e28h.com", "xn--e28h.com"),
        ("example.xn--p1ai", "example.xn--p1ai"),
    ],
)
def test_ascii_names(text: str, name: str) -> None:
    assert canonical(text) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("münchen.de", "xn--mnchen-3ya.de"),
        ("MÜNCHEN.DE.", "xn--mnchen-3ya.de"),
        ("faß.de", "xn--fa-hia.de"),
        ("_dmarc.münchen.de", "_dmarc.xn--mnchen-3ya.de"),
        ("ｔ.me", "t.me"),
        ("gmaıl.net", "xn--gmal-nza.net"),
        ("日本語ひらカター.jp", "xn--y9j3b8e8czoh61zo4bc84j.jp"),
        ("人々.jp", "xn--u6j473g.jp"),
        ("한국漢字.kr", "xn--p8s937b4q9bln7a.kr"),
        ("ㄅ中文a.tw", "xn--a-1ju623ihxu.tw"),
        ("مثال۱۲.ir", "xn--mgbh0fb77fga.ir"),
        ("аррӏе.com", "xn--80ak6aa92e.com"),
        ("l·l.cat", "xn--ll-0ea.cat"),
        ("пример.рф", "xn--e1afmkfd.xn--p1ai"),
    ],
)
def test_international_names(text: str, name: str) -> None:
    assert canonical(text) == name


BAD = [
    ("", "empty"),
    (".", "root"),
    ("*", "wildcard"),
    ("*.x.id", "wildcard"),
    ("a.*.id", "wildcard"),
    ("a*.id", "wildcard"),
    ("a..b", "empty_label"),
    (".a", "empty_label"),
    ("a..", "empty_label"),
    ("..", "empty_label"),
    ("x" * 64 + ".example", "label_length"),
    ("24.0.2.0.192.rpz-ip", "rpz_trigger"),
    ("ns.example.RPZ-NSDNAME.", "rpz_trigger"),
    ("32.1.0.0.127.rpz-client-ip", "rpz_trigger"),
    ("x.ｒｐｚ－ip", "rpz_trigger"),
    ("t.me\n", "control_character"),
    ("t.me\r\ncom", "control_character"),
    ("a\x00b.com", "control_character"),
    ("a\x7fb.com", "control_character"),
    ("a\tb.com", "control_character"),
    ("a\x85b.com", "control_character"),
    ("a\u2028b.com", "control_character"),
    (" t.me", "space"),
    ("t.me ", "space"),
    ("a\u00a0b.com", "space"),
    ("zero\u200bwidth.com", "invisible_character"),
    ("join\u200der.com", "invisible_character"),
    ("\ufefft.me", "invisible_character"),
    ("soft\u00adhyphen.com", "invisible_character"),
    ("over\u202eride.com", "invisible_character"),
    ("filler\u3164.com", "invisible_character"),
    ("variant\ufe0f.com", "invisible_character"),
    ("half\ud800.com", "invisible_character"),
    ("tag\U000e0041.com", "invisible_character"),
    ("t。me", "full_width_dot"),
    ("t．me", "full_width_dot"),
    ("t｡me", "full_width_dot"),
    ("t.me;com", "character"),
    ("t.me(", "character"),
    ('t.me"', "character"),
    ("t\\.me", "character"),
    ("$ORIGIN", "character"),
    ("a,b.com", "character"),
    ("t.me%00", "character"),
    ("javascript:alert(1)", "character"),
    ("http://a..b/", "character"),
    ("a@", "character"),
    ("xn--", "punycode"),
    ("xn--.com", "punycode"),
    ("xn--abc-.com", "punycode"),
    ("xn--a-.com", "punycode"),
    ("xn--zzzzzzz999999999.com", "punycode"),
    ("xn--0.com", "punycode"),
    ("xn--kt0b-.com", "punycode"),
    ("xn---tda.com", "punycode"),
    ("xn--a-rc4g.com", "punycode"),
    ("аpple.com", "mixed_script"),
    ("pаypаl.com", "mixed_script"),
    ("ελληνικάabc.gr", "mixed_script"),
    ("ひらがな한국.jp", "mixed_script"),
    ("emoji😀.com", "idna"),
    ("a⒈b.com", "idna"),
    ("…", "idna"),
    ("ü" * 64 + ".de", "idna"),
    ("-ü.de", "idna"),
    ("foo.123", "numeric_tld"),
    ("foo.0x1f", "numeric_tld"),
]


@pytest.mark.parametrize(("text", "rule"), BAD)
def test_what_is_no_name_is_refused_with_its_rule(text: str, rule: str) -> None:
    with pytest.raises(NameInvalid, match="is not a domain name: ") as refused:
        canonical(text)
    assert refused.value.rule == rule
    assert refused.value.value is not None
    assert refused.value.detail.isprintable()


def test_the_trigger_is_named() -> None:
    with pytest.raises(NameInvalid, match="under 'rpz-ip' a policy zone holds other triggers"):
        canonical("24.0.2.0.192.rpz-ip")


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("http://t.me/x", "t.me"),
        ("HTTPS://T.ME", "t.me"),
        ("t.me:443", "t.me"),
        ("t.me:", "t.me"),
        ("t.me/x?y=z", "t.me"),
        ("t.me?y", "t.me"),
        ("t.me#y", "t.me"),
        ("//t.me/", "t.me"),
        ("user@t.me", "t.me"),
        ("mailto:user@t.me", "t.me"),
        ("http://t.me:80@evil.example/", "evil.example"),
        ("http://münchen.de/", "xn--mnchen-3ya.de"),
    ],
)
def test_the_address_of_a_page_is_refused_and_the_host_is_named(text: str, host: str) -> None:
    with pytest.raises(NameInvalid, match=f"the host in it is '{host}'$") as refused:
        canonical(text)
    assert refused.value.rule == "host_in_url"


@pytest.mark.parametrize(
    "text",
    [
        "1.2.3.4",
        "1.2.3.4.",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "999.1.1.1",
        "1.2.3.0/24",
        "2001:db8::1",
        "::ffff:1.2.3.4",
        "[2001:DB8::1]",
        "2001:db8::/32",
        "http://1.2.3.4/x",
        "1.2.3.4:53",
        "http://[::1]:80/",
        "１.２.３.４",
    ],
)
def test_addresses_are_not_names(text: str) -> None:
    with pytest.raises(AddressNotName, match="is an address") as refused:
        canonical(text)
    assert (refused.value.code, refused.value.rule) == ("address_not_name", "address")


def test_the_longest_name() -> None:
    longest = ".".join(["x" * 63, "x" * 63, "x" * 63, "x" * 61])
    assert wire_length(longest) == 255
    assert canonical(longest) == canonical(longest + ".") == longest
    with pytest.raises(NameTooLong, match="256 of 255 octets"):
        canonical("x" + longest[::-1])


def test_text_that_could_never_be_a_name_is_not_looked_at() -> None:
    with pytest.raises(NameInvalid, match="a label of 2048 octets"):
        canonical("x" * 2048)
    with pytest.raises(NameTooLong, match="2049 characters"):
        canonical("x" * 2049)


def test_a_line_of_a_megabyte_is_refused_at_once() -> None:
    with pytest.raises(NameTooLong, match="1048576 characters") as refused:
        canonical("x" * 2**20)
    assert refused.value.rule == "name_length"
    assert len(refused.value.detail) < 200


@pytest.mark.parametrize("zone", ["rpz", "block.rpz", "urgent.block.rpz"])
def test_a_name_must_fit_the_longest_zone_with_its_wildcard(zone: str) -> None:
    room = 255 - len("*.") - len(".") - wire_length(zone)
    name = "x" * (room - 200) + ".y" * 100
    check_fits(name, zone)
    assert canonical(f"x{name}")
    with pytest.raises(NameTooLong, match=f"too long for the zone {zone}: its wildcard takes 256") as refused:
        check_fits(f"x{name}", zone)
    assert len(sort_key(name)) == longest_key(zone)
    assert (refused.value.code, refused.value.rule) == ("name_too_long", "owner_length")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("t.me", "t.me"),
        ("xn--mnchen-3ya.de", "münchen.de"),
        ("www.xn--e1afmkfd.xn--p1ai", "www.пример.рф"),
        ("xn--e28h.com", "xn--e28h.com"),
        ("xn--ab-x1t.com", "xn--ab-x1t.com"),
        ("xn--pple-43d.com", "xn--pple-43d.com"),
    ],
)
def test_names_are_shown_as_people_write_them_only_where_that_is_safe(name: str, shown: str) -> None:
    assert canonical(name) == name
    assert display(name) == shown


def test_ancestors_are_strict_nearest_first_and_without_the_root() -> None:
    assert ancestors("a.b.c") == ("b.c", "c")
    assert ancestors("c") == ()


def test_keys_lead_back_to_names() -> None:
    assert sort_key("t.me") == "me.t."
    assert sort_key("me") == "me."
    assert from_key("org.telegram.web.") == "web.telegram.org"
    assert key_ancestors("org.telegram.web.") == ("org.telegram.", "org.")
    assert key_ancestors("org.") == ()
    assert (key_parent("org.telegram.web."), key_parent("org.")) == ("org.telegram.", "")


def test_a_subtree_is_one_range() -> None:
    key = sort_key("example.com")
    inside = ["example.com", "a.example.com", "-.example.com", "_x.y.example.com", "zz.example.com"]
    outside = [
        "example-x.com",
        "examplea.com",
        "example0.com",
        "com",
        "exampl.com",
        "example.co",
        "example_.com",
    ]
    assert [name for name in inside + outside if key <= sort_key(name) < subtree_end(key)] == inside


labels = st.text(string.ascii_lowercase + string.digits + "-_", min_size=1, max_size=6)
names = st.lists(labels, min_size=1, max_size=5).map(".".join)


@pytest.mark.long
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
@given(names, names)
def test_ranges_of_keys_are_subtrees(one: str, other: str) -> None:
    key = sort_key(one)
    inside = key <= sort_key(other) < subtree_end(key)
    assert inside == (other == one or one in ancestors(other)) == sort_key(other).startswith(key)
    assert from_key(key) == one
    assert [from_key(parent) for parent in key_ancestors(key)] == list(ancestors(one))


@settings(max_examples=scaled(50), deadline=None, derandomize=True, database=None)
@given(st.lists(names, min_size=2, max_size=30))
def test_sqlite_orders_keys_as_python_does(some: list[str]) -> None:
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE keys (key TEXT)")
    database.executemany("INSERT INTO keys VALUES (?)", [(sort_key(name),) for name in some])
    ordered = [key for (key,) in database.execute("SELECT key FROM keys ORDER BY key")]
    database.close()
    assert ordered == sorted(map(sort_key, some))


hostile = st.text(
    st.one_of(
        st.sampled_from("abcxn--..__*/:@#?\\;\"'()$ \n\r\t\x00[]%019。．｡\u200b\u200d\u202e\ufeffаеüß日か한ا😀⒈ﾊ"),
        st.characters(),
    ),
    max_size=40,
)


def canonical_or_refusal(text: str) -> str | PolicyError:
    try:
        return canonical(text)
    except PolicyError as refused:
        return refused


@pytest.mark.long
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
@given(hostile)
def test_whatever_comes_in_only_plain_names_come_out(text: str) -> None:
    name = canonical_or_refusal(text)
    if isinstance(name, PolicyError):
        assert name.rule
        assert name.detail.isprintable()
        assert len(name.detail) < 1000
        return
    assert set(name) <= set(string.ascii_lowercase + string.digits + "-_.")
    assert all(0 < len(label) <= 63 for label in name.split("."))
    assert canonical(name) == canonical(name.upper() + ".") == name
    assert canonical(display(name)) == name
