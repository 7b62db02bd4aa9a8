"""Importing a policy zone: names by their trigger, actions understood, and nothing followed, made or guessed."""

from functools import partial

import pytest

from app.orders import imports_rpz
from app.orders.imports_lines import LONGEST_LINE, of_texts
from tests.orders.importing import judged, order_data, send_file, verdicts
from tests.service import Service, answered, problem

ZONE = """\
$TTL 60
$ORIGIN rpz.example.
@ IN SOA localhost. root.localhost. ( ; the zone's own
    2026112201 ; serial
    300 60 1w 60 )
  NS localhost.
@ TXT "not ; a comment"
a.example CNAME .
*.a.example CNAME .
B.Example 3600 IN CNAME *.
c.example.rpz.example. IN 1h CNAME landing.example.
d.example A 192.0.2.1
          AAAA 2001:db8::1
$ORIGIN example.rpz.example.
e CNAME rpz-drop. ; as it is
*.e ( CNAME *.garden.example. )
"""


OWNERS = {
    "32.1.2.0.192.rpz-ip": "rpz_trigger",
    "32.1.2.0.192.rpz-client-ip": "rpz_trigger",
    "ns.example.rpz-nsdname": "rpz_trigger",
    "128.1.zz.db8.2001.rpz-nsip": "rpz_trigger",
    "13.251.79.1": "address",
    "*": "wildcard",
    "*.*.a.example": "wildcard",
    "a.*.example": "wildcard",
    "a\\.b.example": "character",
    "a\\046.example": "character",
    '"a.example"': "character",
    "a\x00.example": "control_character",
    "com": "tld",
    "*.com": "tld",
    "co.id": "public_suffix",
}
"""Owners of records, and the rule that each breaks."""


def read(*texts: str, passing: bool = False) -> list[tuple[int, str, int, str | None]]:
    """(line, name, reach, rule) of the lines that hold something."""
    return [
        (line.number, line.name, line.reach, None if line.fault is None else line.fault.rule)
        for line in imports_rpz.read(partial(of_texts, texts), passing=passing)
        if line.name or line.fault is not None
    ]


def rules(*texts: str) -> list[str | None]:
    return [rule for _, _, _, rule in read(*texts)]


def test_a_zone_becomes_names_and_subtrees(service: Service) -> None:
    answer = answered(send_file(service, ZONE), 201)
    order = service.read(f"orders/{answer['order_id']}")

    assert answer["format"] == {"name": "rpz", "said": False}
    assert [(block["name"], block["match"]) for block in order["blocks"]] == [
        ("a.example", "subtree"),
        ("b.example", "exact"),
        ("c.example", "exact"),
        ("d.example", "exact"),
        ("e.example", "subtree"),
    ]
    assert [(item["line"], item["input"], item["verdict"]) for item in answer["items"]] == [
        (8, "a.example CNAME .", "accepted"),
        (9, "*.a.example CNAME .", "accepted"),
        (10, "b.example CNAME *.", "accepted"),
        (11, "c.example CNAME landing.example.", "accepted"),
        (12, "d.example A 192.0.2.1", "accepted"),
        (13, "d.example AAAA 2001:db8::1", "duplicate"),
        (15, "e.example CNAME rpz-drop.", "accepted"),
        (16, "*.e.example CNAME *.garden.example.", "accepted"),
    ]


def test_an_export_of_ours_comes_back_as_it_was(service: Service) -> None:
    service.block("*.a.example", "b.example", "*.c.example", "x.d.example")
    service.publish()
    zone = service.get("zones/block.rpz/export.rpz", by="isp-1").text

    answer = answered(send_file(service, zone), 201)
    blocks = service.read(f"orders/{answer['order_id']}")["blocks"]

    assert [(block["name"], block["match"]) for block in blocks] == [
        ("a.example", "subtree"),
        ("b.example", "exact"),
        ("c.example", "subtree"),
        ("x.d.example", "exact"),
    ]
    assert answer["counts"]["refused"] == 0


def test_a_wildcard_without_its_name_is_refused(service: Service) -> None:
    content = "a.example CNAME .\n*.b.example CNAME .\n*.b.example CNAME .\n*.example CNAME .\nc.example CNAME .\n"

    body = problem(send_file(service, content), 422, "name_invalid")

    assert [(error["line"], error["rule"]) for error in body["errors"]] == [
        (2, "wildcard_alone"),
        (3, "wildcard_alone"),
        (4, "tld"),
    ]
    answer = answered(send_file(service, content, query="?partial=true"), 201)
    assert answer["counts"] == {
        "lines": 5,
        "accepted": 2,
        "unchanged": 0,
        "duplicate": 0,
        "covered": 0,
        "refused": 3,
    }


def test_what_passes_is_an_exception_and_needs_its_own_order(service: Service) -> None:
    lines = ["a.example CNAME .", "ok.a.example CNAME rpz-passthru.", "my.a.example CNAME my.a.example."]
    exception = order_data(kind="exception", conditions=None)

    blocking = judged(service, lines)
    passing = judged(service, lines, order=exception)

    assert list(verdicts(blocking).values()) == ["accepted", "refused", "refused"]
    assert [item["rule"] for item in blocking["items"][1:]] == ["passthru", "passthru"]
    assert list(verdicts(passing).values()) == ["refused", "accepted", "accepted"]
    assert passing["items"][0]["rule"] == "no_passthru"


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("$INCLUDE /etc/passwd", "directive"),
        ("$include /etc/passwd", "directive"),
        ("$GENERATE 1-9 $.example CNAME .", "directive"),
        ("$ORIGIN", "directive"),
        ("a.example CNAME rpz-tcp-only.", "tcp_only"),
        ("a.example CNAME rpz-passthru", "zone_action"),
        ("a.example CNAME rpz-nonsense.", "zone_action"),
        ("a.example CNAME *", "zone_action"),
        ("a.example CNAME a\\.b.", "zone_action"),
        ("a.example CNAME . extra", "zone_record"),
        ("a.example CNAME", "zone_record"),
        ("a.example", "zone_record"),
        ("a.example IN", "zone_record"),
        ("a.example CH CNAME .", "zone_record"),
        ("a.example A 192.0.2.999", "zone_record"),
        ("a.example TXT text", "zone_record"),
        ("@ CNAME .", "zone_record"),
        (" CNAME .", "zone_record"),
        ('a.example TXT "open', "zone_record"),
        ("a.example. CNAME .", "outside_zone"),
        ("a.example.\x00. CNAME .", "outside_zone"),
        ("a.example.\\ . CNAME .", "outside_zone"),
        ("a.example CNAME ( .", "parenthesis"),
        ("a.example CNAME . )", "parenthesis"),
        (f"a.example CNAME . ; {'x' * LONGEST_LINE}", "line_length"),
    ],
)
def test_a_line_that_is_no_record_of_a_policy_zone_is_refused(line: str, rule: str) -> None:
    assert rules(line, "( ) )")[:1] == [rule]


def test_an_owner_that_is_no_name_to_block_is_refused(service: Service) -> None:
    answer = judged(service, [f"{owner} CNAME ." for owner in OWNERS], query="?format=rpz")

    assert [item["rule"] for item in answer["items"]] == list(OWNERS.values())


def test_an_exception_that_would_do_nothing_is_refused(service: Service) -> None:
    service.block("a.example")
    before = service.rows()
    exception = order_data(kind="exception", conditions=None)

    body = problem(
        send_file(service, "a.example CNAME rpz-passthru.\n", order=exception), 409, "exception_not_specific"
    )

    assert body["errors"][0]["value"] == "a.example"
    assert service.rows() == before


def test_nothing_inside_an_open_parenthesis_is_a_name() -> None:
    assert read("a.example TXT (", "b.example CNAME .", "; a comment", ")", "c.example CNAME .") == [
        (1, "", 1, "parenthesis"),
        (2, "", 1, "parenthesis"),
        (4, "", 1, "parenthesis"),
        (5, "c.example", 0, None),
    ]


def test_nothing_hides_in_the_soa() -> None:
    assert read("@ SOA ns. root. (", "1 2 3 4 5", "a.example CNAME .", ")", "b.example CNAME .") == [
        (3, "", 1, "parenthesis"),
        (5, "b.example", 0, None),
    ]


def test_the_zone_is_the_owner_of_the_soa_else_the_first_origin() -> None:
    assert read("$ORIGIN .", "rpz.example. 60 IN SOA ns. root. 1 2 3 4 5", "a.example.rpz.example. CNAME .") == [
        (3, "a.example", 0, None)
    ]
    assert read("$ORIGIN rpz.example.", "a.example CNAME .", "b.example.rpz.example. CNAME .") == [
        (2, "a.example", 0, None),
        (3, "b.example", 0, None),
    ]
    assert read("$ORIGIN .", "a.example. CNAME .", "b.example CNAME .") == [
        (2, "a.example", 0, None),
        (3, "b.example", 0, None),
    ]
    assert rules("@ SOA ns. root. 1 2 3 4 5", "b.example.other.example. CNAME .") == ["outside_zone"]


def test_a_comment_may_be_in_any_encoding() -> None:
    octets = [b"a.example CNAME . ; \xff\xfe", b"b\xff.example CNAME ."]

    lines = list(imports_rpz.read(lambda: iter(octets), passing=False))

    assert [line.name for line in lines] == ["a.example", ""]
    assert lines[1].fault is not None
    assert lines[1].fault.rule == "utf8"
