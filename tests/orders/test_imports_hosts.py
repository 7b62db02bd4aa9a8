"""Importing a hosts file: every name of every line, by addresses that lead nowhere."""

from tests.orders.importing import judged, send_file, verdicts
from tests.service import Service, answered

HOSTS = """\
# a list
127.0.0.1 localhost localhost.localdomain
255.255.255.255\tbroadcasthost
::1 ip6-localhost ip6-loopback
fe80::1%lo0 localhost
0.0.0.0 0.0.0.0

0.0.0.0 a.example www.a.example # two
127.0.0.1\tb.example
:: c.example
0.0.0.0 A.example
"""


WRONG = {
    "192.0.2.1 a.example": "hosts_address",
    "a.example": "hosts_line",
    "0.0.0.0": "hosts_line",
    "a.example b.example": "hosts_line",
    "0.0.0.256 a.example": "hosts_line",
    "0.0.0.0 localhost com": "tld",
    "0.0.0.0 http://a.example/": "host_in_url",
    "0.0.0.0 a\x00.example": "control_character",
    "0.0.0.0 a.example\r": "control_character",
    "0.0.0.0 a.example;": "character",
    "0.0.0.0 192.0.2.1": "address",
}
"""A line and the rule that it breaks."""


def test_every_name_of_a_line_has_its_verdict(service: Service) -> None:
    answer = answered(send_file(service, HOSTS, query="?match=exact"), 201)
    order = service.read(f"orders/{answer['order_id']}")

    assert answer["format"] == {"name": "hosts", "said": False}
    assert [(item["line"], item["input"], item["verdict"]) for item in answer["items"]] == [
        (8, "0.0.0.0 a.example", "accepted"),
        (8, "0.0.0.0 www.a.example", "accepted"),
        (9, "127.0.0.1 b.example", "accepted"),
        (10, ":: c.example", "accepted"),
        (11, "0.0.0.0 A.example", "duplicate"),
    ]
    assert answer["items"][-1]["detail"] == "stands in line 8 already"
    assert [(block["name"], block["match"]) for block in order["blocks"]] == [
        ("a.example", "exact"),
        ("www.a.example", "exact"),
        ("b.example", "exact"),
        ("c.example", "exact"),
    ]


def test_a_name_is_covered_by_one_on_another_line(service: Service) -> None:
    answer = judged(service, ["0.0.0.0 x.a.example y.example", "0.0.0.0 b.example a.example"])

    assert answer["items"][0]["detail"] == "line 2 holds a name above it"


def test_a_line_that_blocks_no_name_is_refused(service: Service) -> None:
    answer = judged(service, ["0.0.0.0 good.example", *(f"{line}\r" for line in WRONG)], query="?format=hosts")

    assert [item.get("rule") for item in answer["items"]] == [None, *WRONG.values()]
    assert [item["line"] for item in answer["items"]] == list(range(1, len(WRONG) + 2))


def test_a_line_of_another_encoding_is_refused_and_its_comment_is_not(service: Service) -> None:
    content = b"0.0.0.0 a.example # \xff\n0.0.0.0 b\xff.example\n"

    answer = answered(send_file(service, content, query="?partial=true"), 201)

    assert verdicts(answer) == {"0.0.0.0 a.example": "accepted", "0.0.0.0 b\\xff.example": "refused"}
