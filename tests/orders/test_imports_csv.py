"""Importing a table: a name a line, and orders where the header has columns for them."""

from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli import main
from app.db import Database
from app.errors import Unprocessable
from app.orders import imports_book, imports_csv
from app.orders.imports_lines import SUBTREE, Line, of_texts
from app.settings import Settings
from resolver_policy.errors import PolicyError
from resolver_policy.names import canonical
from tests.orders.importing import import_json, judged, order_data, send_file, verdicts
from tests.service import Json, Service, Template, answered, environment_of, problem

HEADER = "number,dated,authority,instrument,article,category,reason_id,reason_en,review_due_at,match,name"
ONE = 'L-1,2026-11-01,"Example Ministry, Jakarta",Example Act,1,gambling,Perjudian,Gambling,2027-11-01'
TWO = "L-2,2026-11-02,Example Ministry,Example Act,,fraud,Penipuan,Fraud,2027-11-02T00:00:00Z"
TABLE = f"""\
{HEADER}
{ONE},exact,a.example
{TWO},subtree,b.example
# a comment
{ONE},,"c.example"
{TWO},exact,x.b.example

{TWO},subtree,a.example
"""
COMMON = {"kind": "block", "conditions": order_data()["conditions"]}


def rule_of(line: Line) -> str | None:
    """The rule that a line breaks."""
    try:
        if line.fault is not None:
            raise line.fault
        canonical(line.name)
    except PolicyError as error:
        return error.rule
    return None


def blocks(service: Service, number: str) -> list[tuple[str, str]]:
    (order,) = [each for each in service.read("orders")["items"] if each["number"] == number]
    return [(block["name"], block["match"]) for block in service.read(f"orders/{order['id']}")["blocks"]]


def test_names_and_matches_of_one_order(service: Service) -> None:
    content = 'name;match\r\n"a.example";exact\r\nb.example;\r\na.example;SUBTREE\r\na.example;subtree\r\n'

    answer = answered(send_file(service, content, query="?partial=true"), 201)
    order = service.read(f"orders/{answer['order_id']}")

    assert answer["format"] == {"name": "csv", "said": False}
    assert [(item["line"], item["verdict"], item.get("rule")) for item in answer["items"]] == [
        (2, "covered", None),
        (3, "accepted", None),
        (4, "refused", "match_unknown"),
        (5, "accepted", None),
    ]
    assert [(block["name"], block["match"]) for block in order["blocks"]] == [
        ("a.example", "exact"),
        ("a.example", "subtree"),
        ("b.example", "subtree"),
    ]


def test_lines_of_one_order_make_one_proposal(service: Service) -> None:
    answer = answered(send_file(service, TABLE, order=COMMON), 201)

    assert [(each["number"], each["names"], each["state"]) for each in answer["orders"]] == [
        ("L-1", 2, "proposed"),
        ("L-2", 3, "proposed"),
    ]
    assert blocks(service, "L-1") == [("a.example", "exact"), ("c.example", "subtree")]
    assert blocks(service, "L-2") == [("a.example", "subtree"), ("b.example", "subtree"), ("x.b.example", "exact")]
    order = service.read(f"orders/{answer['orders'][0]['order_id']}")
    assert order["authority"] == "Example Ministry, Jakarta"
    assert order["reason"] == {"id": "Perjudian", "en": "Gambling"}
    assert order["review_due_at"] == "2027-10-31T17:00:00Z"
    assert [event["type"] for event in service.events()] == ["order.proposed", "order.proposed"]


def test_each_order_is_judged_for_itself(service: Service) -> None:
    items = answered(send_file(service, TABLE, order=COMMON), 201)["items"]

    assert [(item["line"], item["verdict"]) for item in items] == [
        (2, "accepted"),
        (3, "accepted"),
        (5, "accepted"),
        (6, "covered"),
        (8, "accepted"),
    ]


@pytest.mark.parametrize(
    ("before", "after", "rule"),
    [
        ("gambling", "nonsense", "category_unknown"),
        ("2026-11-01", "1.11.2026", "order_data"),
        ("2027-11-01", "2026-11-01", "review_date_past"),
        ("Example Act,1,", ",1,", "order_data"),
        (",Gambling,", ",,", "order_data"),
        ("L-1,", ",", "order_data"),
    ],
)
def test_an_order_that_cannot_be_refuses_its_lines_and_no_others(
    service: Service, before: str, after: str, rule: str
) -> None:
    answer = answered(send_file(service, TABLE.replace(before, after), order=COMMON, query="?partial=true"), 201)

    assert [(item["line"], item.get("rule")) for item in answer["items"]] == [
        (2, rule),
        (3, None),
        (5, rule),
        (6, None),
        (8, None),
    ]
    assert all(item["detail_id"] != "ditolak" for item in answer["items"] if "rule" in item)
    assert [each["number"] for each in answer["orders"]] == ["L-2"]


def test_a_line_that_says_something_else_of_its_order_is_refused(service: Service) -> None:
    content = TABLE.replace(
        'Jakarta",Example Act,1,gambling,Perjudian,Gambling,2027-11-01,,', 'Jakarta",A,1,fraud,x,x,2027-11-01,,'
    )

    body = problem(send_file(service, content, order=COMMON), 422, "body_invalid")

    assert [(error["line"], error["rule"]) for error in body["errors"]] == [(5, "order_differs")]
    assert service.read("orders")["items"] == []


def test_what_no_order_can_be_without_is_not_defaulted(service: Service) -> None:
    answer = judged(service, TABLE.splitlines(), order={"kind": "block"})

    assert {item["verdict"] for item in answer["items"]} == {"refused"}
    assert {item["rule"] for item in answer["items"]} == {"conditions_or_sop"}


def test_too_many_orders_are_refused(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports_book, "MOST_ORDERS", 1)

    problem(send_file(service, TABLE, order=COMMON), 413, "too_large")
    assert service.rows()["orders"] == 0


def test_an_order_may_be_written_in_more_ways_than_one_but_not_in_any_number(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = f"{HEADER}\n{ONE},exact,a.example\n{ONE.replace('2027-11-01', '2027-10-31T17:00:00Z')},exact,b.example\n"

    assert len(judged(service, content.splitlines(), order=COMMON)["orders"]) == 1
    monkeypatch.setattr(imports_book, "MOST_WAYS", 1)
    problem(send_file(service, content, order=COMMON), 413, "too_large")


@pytest.mark.parametrize("content", ["name,colour", "name,name", "domain", "", "# nothing"])
def test_a_table_without_a_header_is_refused(content: str) -> None:
    with pytest.raises(Unprocessable) as caught:
        list(imports_csv.read(partial(of_texts, [content, "a.example"]), SUBTREE))

    assert [(fault.rule, fault.line) for fault in caught.value.faults] == [("csv_header", 1)]


@pytest.mark.parametrize(
    ("lines", "rules"),
    [
        (['"a.example'], ["csv_quotes"]),
        (['a"b.example'], ["csv_quotes"]),
        (['"a"b.example'], ["csv_quotes"]),
        (['"x', "b.example", 'y"', "c.example"], ["csv_quotes", "csv_quotes", "csv_quotes", None]),
        (["a.example,exact"], ["csv_columns"]),
        (['""', '" "'], ["empty", "empty"]),
        (['"a.example\r"'], ["control_character"]),
        (["=cmd()"], ["character"]),
        (['"a.example"', '" b.example "'], [None, None]),
        (["a.example;x"], ["character"]),
        (["x" * 5_000], ["line_length"]),
    ],
)
def test_quotes_close_on_their_line(lines: list[str], rules: list[str | None]) -> None:
    header, *read = imports_csv.read(partial(of_texts, ["name", *lines]), SUBTREE)

    assert (header.name, header.fault) == ("", None)
    assert [rule_of(line) for line in read] == rules


def test_the_same_table_again_changes_nothing_and_one_more_order_is_new(service: Service) -> None:
    answered(send_file(service, TABLE, order=COMMON), 201)
    before = service.rows()

    again = answered(send_file(service, TABLE, order=COMMON))
    assert {item["verdict"] for item in again["items"]} == {"unchanged"}
    assert [(each["stored"], each["new"], each["missing"]) for each in again["orders"]] == [(False, 0, 0)] * 2
    assert service.rows() == before

    more = TABLE + TWO.replace("L-2", "L-3") + ",exact,d.example\n"
    answer = answered(send_file(service, more, order=COMMON), 201)
    assert [(each["number"], each["stored"]) for each in answer["orders"]] == [
        ("L-1", False),
        ("L-2", False),
        ("L-3", True),
    ]


def test_one_order_that_stands_and_would_get_names_stops_the_others(service: Service) -> None:
    answered(send_file(service, TABLE, order=COMMON), 201)
    before = service.rows()
    more = TWO.replace("L-2", "L-0") + ",exact,d.example\n" + ONE + ",exact,new.example\n"

    body = problem(send_file(service, TABLE + more, order=COMMON), 409, "order_number_taken")

    assert [(error.get("line"), error["rule"]) for error in body["errors"]] == [
        (None, "order_number_taken"),
        (10, "not_in_order"),
    ]
    assert service.rows() == before


def test_the_number_of_an_order_that_ended_is_taken(service: Service) -> None:
    ended: Json = service.block("a.example", number="L-2")
    service.lift(ended)

    problem(send_file(service, TABLE, order=COMMON), 409, "order_number_taken")


def test_a_table_may_come_as_json_lines(service: Service) -> None:
    answer = answered(import_json(service, TABLE.splitlines(), order=COMMON), 201)

    assert set(verdicts(answer).values()) == {"accepted", "covered"}


def test_a_table_on_the_command_line(
    database: Database, settings: Settings, template: Template, tmp_path: Path
) -> None:
    assert database
    (tmp_path / "list.csv").write_text(TABLE)
    (tmp_path / "common.toml").write_text('kind = "block"\nsop = { code = "domain-owner" }\n')
    environment = {**environment_of(settings), "PULIH_TOKEN": template.tokens["operator-1"]}
    arguments = ["import", str(tmp_path / "list.csv"), "--order-file"]

    done = CliRunner().invoke(main, [*arguments, str(tmp_path / "common.toml")], env=environment)
    assert done.exit_code == 0, done.output
    assert [line.partition(";")[0] for line in done.output.splitlines() if line.startswith("order")] == [
        "order L-1: proposed",
        "order L-2: proposed",
    ]
    assert "format: csv (by its look)" in done.output
