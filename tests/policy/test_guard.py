"""What no order may block, and what needs an override."""

from importlib.resources import files
from itertools import product

import pytest
from publicsuffixlist import PublicSuffixList

from resolver_policy.errors import HardProtected, NameInvalid, PolicyError, SoftProtected
from resolver_policy.guard import Entry, Protected, Suffixes, check, notable, protect, read_protected, read_suffixes
from resolver_policy.names import sort_key
from resolver_policy.targets import Match
from tests.policy.scale import Record, tell

EXACT, SUBTREE = Match.EXACT, Match.SUBTREE
SERVICES = read_protected(files("resolver_policy").joinpath("protected.txt").read_text("utf-8"))
TELEGRAM = [
    "t.me",
    "telegram.me",
    "telegram.org",
    "core.telegram.org",
    "desktop.telegram.org",
    "macos.telegram.org",
    "web.telegram.org",
    "venus.web.telegram.org",
    "pluto.web.telegram.org",
    "flora.web.telegram.org",
    "flora-1.web.telegram.org",
]


@pytest.fixture(scope="module")
def suffixes() -> Suffixes:
    return read_suffixes(files("publicsuffixlist").joinpath("public_suffix_list.dat").read_text("utf-8"))


@pytest.fixture(scope="module")
def protected() -> Protected:
    return protect(["block.rpz", "landing.pulih.example"], SERVICES)


def refusal(name: str, match: Match, suffixes: Suffixes, protected: Protected, *, override: bool = False) -> str:
    """Give the code and rule of a refusal, or `accepted`."""
    try:
        check(name, match, suffixes, protected, override=override)
    except PolicyError as exc:
        return f"{exc.code} {exc.rule}"
    return "accepted"


HARD = [
    ("com", EXACT, "hard_protected tld"),
    ("id", SUBTREE, "hard_protected tld"),
    ("nosuchtld", EXACT, "hard_protected tld"),
    ("co.id", EXACT, "hard_protected public_suffix"),
    ("go.id", SUBTREE, "hard_protected public_suffix"),
    ("kobe.jp", EXACT, "hard_protected public_suffix"),
    ("anything.kobe.jp", EXACT, "hard_protected public_suffix"),
    ("anything.ck", SUBTREE, "hard_protected public_suffix"),
    ("xn--55qx5d.cn", EXACT, "hard_protected public_suffix"),
    ("block.rpz", EXACT, "hard_protected own_zone"),
    ("a.b.block.rpz", EXACT, "hard_protected own_zone"),
    ("landing.pulih.example", EXACT, "hard_protected own_zone"),
    ("x.landing.pulih.example", SUBTREE, "hard_protected own_zone"),
    ("pulih.example", SUBTREE, "hard_protected own_zone"),
]
SOFT = [
    ("blogspot.com", EXACT, "soft_protected private_suffix"),
    ("github.io", SUBTREE, "soft_protected private_suffix"),
    ("amazonaws.com", SUBTREE, "soft_protected private_suffix"),
    ("eu-west-1.compute.amazonaws.com", EXACT, "soft_protected private_suffix"),
    ("google.com", EXACT, "soft_protected protected_service"),
    ("drive.usercontent.google.com", EXACT, "soft_protected protected_service"),
    ("pajak.go.id", SUBTREE, "soft_protected protected_service"),
    ("nlm.nih.gov", SUBTREE, "soft_protected protected_service"),
    ("wordpress.com", SUBTREE, "soft_protected protected_suffix"),
    ("casino.nosuchtld", EXACT, "name_invalid tld_unknown"),
]
FREE = [
    ("www.ck", EXACT),
    ("city.kobe.jp", SUBTREE),
    ("casino.co.id", SUBTREE),
    ("casino.blogspot.com", SUBTREE),
    ("casino.wordpress.com", SUBTREE),
    ("compute.example", EXACT),
    ("nlm.nih.gov", EXACT),
    ("casino.example", SUBTREE),
    ("pulih.example", EXACT),
    ("landingxpulih.example", SUBTREE),
    ("googlex.com", SUBTREE),
]


@pytest.mark.parametrize(("name", "match", "wanted"), HARD)
def test_hard_protection_stands_against_an_override(
    name: str, match: Match, wanted: str, suffixes: Suffixes, protected: Protected
) -> None:
    assert refusal(name, match, suffixes, protected) == wanted
    assert refusal(name, match, suffixes, protected, override=True) == wanted


@pytest.mark.parametrize(("name", "match", "wanted"), SOFT)
def test_soft_protection_yields_to_an_override(
    name: str, match: Match, wanted: str, suffixes: Suffixes, protected: Protected
) -> None:
    assert refusal(name, match, suffixes, protected) == wanted
    assert refusal(name, match, suffixes, protected, override=True) == "accepted"


@pytest.mark.parametrize(("name", "match"), FREE)
def test_other_names_may_be_blocked(name: str, match: Match, suffixes: Suffixes, protected: Protected) -> None:
    assert refusal(name, match, suffixes, protected) == "accepted"


@pytest.mark.parametrize("match", [EXACT, SUBTREE])
@pytest.mark.parametrize("name", TELEGRAM)
def test_the_sample_case_needs_no_override(name: str, match: Match, suffixes: Suffixes, protected: Protected) -> None:
    assert refusal(name, match, suffixes, protected) == "accepted"


def test_a_soft_refusal_says_which_entry_and_its_source(suffixes: Suffixes) -> None:
    protected = protect([], [Entry("vital.example", "service", "the test")])
    with pytest.raises(SoftProtected, match=r"'a.vital.example' belongs to the protected 'vital.example' \(the test\)"):
        check("a.vital.example", EXACT, suffixes, protected)
    with pytest.raises(SoftProtected, match=r"'vital.example' is protected \(the test\)"):
        check("vital.example", EXACT, suffixes, protected)


def test_a_subtree_block_above_a_protected_name_is_refused(suffixes: Suffixes) -> None:
    protected = protect([], [Entry("a.b.platform.example", "suffix", "the test")])
    with pytest.raises(SoftProtected, match=r"lies above the protected 'a[.]b[.]platform[.]example'"):
        check("platform.example", SUBTREE, suffixes, protected)
    check("platform.example", EXACT, suffixes, protected)
    check("x.a.b.platform.example", SUBTREE, suffixes, protected)


def test_a_name_between_suffixes_may_be_blocked_by_itself_but_not_with_what_is_below() -> None:
    suffixes = read_suffixes(
        """
        // ===BEGIN ICANN DOMAINS===
        test
        deep.between.test
        // ===END ICANN DOMAINS===
        deep.platform.test
        """.replace("        ", "")
    )
    nobody = protect([], [])
    assert refusal("between.test", EXACT, suffixes, nobody) == "accepted"
    assert refusal("between.test", SUBTREE, suffixes, nobody, override=True) == "hard_protected public_suffix"
    assert refusal("platform.test", EXACT, suffixes, nobody) == "accepted"
    assert refusal("platform.test", SUBTREE, suffixes, nobody) == "soft_protected private_suffix"


def test_without_own_names_nothing_is_ours(suffixes: Suffixes) -> None:
    check("a.example", SUBTREE, suffixes, protect([], []))


def test_every_top_level_domain_and_every_icann_suffix_is_refused(suffixes: Suffixes, record_property: Record) -> None:
    nobody = protect([], [])
    rules = suffixes.icann.listed | suffixes.icann.wildcards
    covered = {f"anything.{wildcard}" for wildcard in suffixes.icann.wildcards}
    names = sorted(suffixes.tlds | rules | covered)
    for name, match in product(names, Match):
        with pytest.raises(HardProtected):
            check(name, match, suffixes, nobody, override=True)
    for name in sorted(suffixes.icann.above):
        with pytest.raises(HardProtected):
            check(name, SUBTREE, suffixes, nobody, override=True)
    tell(record_property, top_level_domains=len(suffixes.tlds), suffixes_refused=len(names))
    assert len(suffixes.tlds) > 1400
    assert len(names) > 6000


def test_every_private_suffix_needs_an_override(suffixes: Suffixes, record_property: Record) -> None:
    nobody = protect([], [])
    names = sorted(suffixes.private.listed | suffixes.private.wildcards)
    for name, match in product(names, Match):
        with pytest.raises((SoftProtected, HardProtected)):
            check(name, match, suffixes, nobody)
    tell(record_property, private_suffixes=len(names))


def test_the_two_sections_agree_with_another_reader_of_the_list(suffixes: Suffixes) -> None:
    icann = PublicSuffixList(only_icann=True, accept_unknown=False)
    both = PublicSuffixList(accept_unknown=False)
    sections = (suffixes.icann, suffixes.private)
    rules = {name for one in sections for name in one.listed | one.wildcards | one.exceptions}
    asked = sorted(rules | {f"a.{name}" for name in rules} | {f"a.b.{name}" for name in rules})
    assert len(asked) > 30_000
    for name in asked:
        assert suffixes.icann.has(name) == icann.is_public(name), name
        assert (suffixes.icann.has(name) or suffixes.private.has(name)) == both.is_public(name), name


def test_whatever_is_refused_is_notable(suffixes: Suffixes, protected: Protected, record_property: Record) -> None:
    """Names that are not are let through without a closer look."""
    sections = (suffixes.icann, suffixes.private)
    named = {*protected.own, *protected.soft}.union(*(each.listed | each.wildcards for each in sections))
    near = {near for name in named for near in (name, f"x.{name}", f"y.x.{name}", name.partition(".")[2], f"{name}x")}
    what = notable(suffixes, protected)
    refused = [
        name
        for name in near - {""}
        if any(refusal(name, match, suffixes, protected) != "accepted" for match in (EXACT, SUBTREE))
    ]

    assert [name for name in refused if not what.has(sort_key(name))] == []
    assert len(refused) > 10_000
    assert not what.has("example.blocked.")
    assert sum(what.has(sort_key(name)) for name in near) < len(near)
    tell(record_property, names=len(near), refused=len(refused))


def test_a_list_without_its_icann_section_is_refused() -> None:
    with pytest.raises(ValueError, match="no ICANN section"):
        read_suffixes("com\nco.id\n")
    with pytest.raises(ValueError, match="no ICANN section"):
        read_suffixes("// ===BEGIN ICANN DOMAINS===\ncom\n")


def test_the_shipped_list_says_where_each_entry_comes_from(suffixes: Suffixes) -> None:
    assert len(SERVICES) >= 150
    assert len({entry.name for entry in SERVICES}) == len(SERVICES)
    assert all(entry.source for entry in SERVICES)
    assert all(entry.name.rpartition(".")[2] in suffixes.tlds for entry in SERVICES)
    assert not {entry.name for entry in SERVICES} & set(TELEGRAM)


@pytest.mark.parametrize("line", ["service", "google.com", "block google.com", "Service google.com"])
def test_a_torn_line_of_a_protected_list_is_refused_with_its_number(line: str) -> None:
    with pytest.raises(ValueError, match=f"line 3: '{line}' is not an entry"):
        read_protected(f"# source: test\nservice a.example\n{line}\n")


def test_an_entry_without_source_or_with_a_bad_name_is_refused() -> None:
    with pytest.raises(ValueError, match=r"line 2: .* is not an entry under a source"):
        read_protected("# a comment\nservice a.example\n")
    with pytest.raises(NameInvalid, match="a wildcard"):
        read_protected("# source: test\nservice *.example\n")


def test_of_two_entries_for_a_name_the_service_stays() -> None:
    suffix, service = Entry("a.example", "suffix", "one"), Entry("a.example", "service", "two")
    assert protect([], [suffix, service]).soft["a.example"] == service
    assert protect([], [service, suffix]).soft["a.example"] == service


RANKED = [
    ("popular.example", EXACT, "soft_protected protected_ranked"),
    ("www.popular.example", EXACT, "soft_protected protected_ranked"),
    ("parent.example", SUBTREE, "soft_protected protected_ranked"),
    ("parent.example", EXACT, "accepted"),
    ("google.com", EXACT, "soft_protected protected_service"),
    ("casino.wordpress.com", EXACT, "accepted"),
    ("tencent.example", EXACT, "soft_protected protected_service"),
]


@pytest.mark.parametrize(("name", "match", "wanted"), RANKED)
@pytest.mark.parametrize("ranked_first", [False, True])
def test_a_ranked_name_is_protected_with_all_below_and_takes_the_place_of_nothing(
    name: str, match: Match, wanted: str, suffixes: Suffixes, *, ranked_first: bool
) -> None:
    ranked = [
        Entry(ranked_name, "ranked", "rank 1 of top.csv")
        for ranked_name in ("popular.example", "a.parent.example", "google.com", "wordpress.com", "tencent.example")
    ]
    listed = [*SERVICES, Entry("tencent.example", "service", "a list")]
    protected = protect([], [*ranked, *listed] if ranked_first else [*listed, *ranked])

    assert refusal(name, match, suffixes, protected) == wanted
    assert notable(suffixes, protected).has(sort_key(name)) or wanted == "accepted"


@pytest.mark.parametrize(
    ("name", "is_suffix", "above"),
    [
        ("com", True, "com"),
        ("co.id", True, "id"),
        ("casino.co.id", False, "co.id"),
        ("blogspot.com", True, "com"),
        ("a.casino.blogspot.com", False, "blogspot.com"),
        ("a.nosuchtld", False, "nosuchtld"),
    ],
)
def test_the_public_suffix_of_a_name(name: str, suffixes: Suffixes, above: str, *, is_suffix: bool) -> None:
    assert (suffixes.has(name), suffixes.above(name)) == (is_suffix, above)
