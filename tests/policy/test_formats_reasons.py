"""Tables with reasons: what stands in a row, which targets have one, and what a spreadsheet makes of a cell."""

import csv
import io
import json
from random import Random

import pytest

from resolver_policy.formats import Contents, Format, Holder
from resolver_policy.formats.reasons import COLUMNS, CSV, JSON_LINES
from resolver_policy.names import sort_key
from resolver_policy.rules import build
from resolver_policy.targets import Decision, Match, Target, decide
from tests.policy.holders import SINCE, holder
from tests.policy.scale import Record, scaled, tell
from tests.policy.worlds import cells_of, random_targets
from tests.policy.zones import EXACT, OPEN, SUBTREE, Rules, rules_of, zone

BLOCKED = rules_of({"a.example": SUBTREE})


def text(chosen: Format, rules: Rules, holders: list[Holder]) -> str:
    return b"".join(chosen.render(Contents(zone(), 7, sorted(rules.items()), holders))).decode()


def cells(holders: list[Holder]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text(CSV, BLOCKED, holders), newline="")))


def test_csv_has_a_header_and_one_row_for_each_target() -> None:
    rules = rules_of({"a.example": SUBTREE, "ok.a.example": OPEN, "t.me": EXACT})
    exception = holder("ok.a.example", decision=Decision.PASS, number="EX-2", reason='Says "ok", for now')
    exception = exception._replace(emergency="confirmed")
    rows = [holder("a.example"), exception, holder("t.me", Match.EXACT)]

    assert text(CSV, rules, rows) == (
        "name,match,decision,order_number,number_note,sample,authority,category,reason_id,reason_en,since,emergency\r\n"
        "a.example,subtree,block,EX-1,,false,Example Ministry,gambling,Contoh,An example,2026-11-01T08:30:00Z,\r\n"
        "ok.a.example,subtree,exception,EX-2,,false,Example Ministry,gambling,Contoh,"
        '"Says ""ok"", for now",2026-11-01T08:30:00Z,confirmed\r\n'
        "t.me,exact,block,EX-1,,false,Example Ministry,gambling,Contoh,An example,2026-11-01T08:30:00Z,\r\n"
    )


def test_json_lines_has_one_object_a_line() -> None:
    assert text(JSON_LINES, BLOCKED, [holder("a.example", reason="Caf\u00e9\u2028\u0085=1")]) == (
        '{"name":"a.example","match":"subtree","decision":"block","order_number":"EX-1","number_note":null,'
        '"sample":false,"authority":"Example Ministry","category":"gambling","reason_id":"Contoh",'
        '"reason_en":"Caf\\u00e9\\u2028\\u0085=1","since":"2026-11-01T08:30:00Z","emergency":null}\n'
    )


def test_a_sample_without_a_number_says_so() -> None:
    row = holder("a.example", number=None)._replace(sample=True, number_note="not found in news reports")

    assert json.loads(text(JSON_LINES, BLOCKED, [row]))["sample"] is True
    (read,) = cells([row])
    assert (read["order_number"], read["number_note"], read["sample"]) == ("", "not found in news reports", "true")


def test_several_orders_that_hold_one_name_each_have_a_row() -> None:
    rows = cells([holder("a.example"), holder("a.example", number="EX-2"), holder("www.a.example", number="EX-3")])

    assert [(row["name"], row["order_number"]) for row in rows] == [
        ("a.example", "EX-1"),
        ("a.example", "EX-2"),
        ("www.a.example", "EX-3"),
    ]


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20", " ="])
def test_no_cell_is_a_formula(begin: str) -> None:
    payload = f'{begin}HYPERLINK("http://x.example","a,b")'
    row = holder("a.example", number=payload, reason=payload)._replace(authority=payload, category=payload)

    (read,) = cells([row._replace(reason_id=payload, number_note=payload)])

    for column in ("order_number", "number_note", "authority", "category", "reason_id", "reason_en"):
        assert read[column] == f"'{payload}", column


def test_a_name_that_begins_with_a_hyphen_is_text_too() -> None:
    name = "-2.a.example"
    (read,) = cells([holder(name)])
    assert read["name"] == f"'{name}"
    assert json.loads(text(JSON_LINES, BLOCKED, [holder(name)]))["name"] == name


def test_what_is_not_published_yet_is_left_out() -> None:
    """A block that the zone does not carry, an exception that it does not carry, a block that nothing carries."""
    rules = rules_of({"a.example": SUBTREE, "t.me": EXACT})
    rows = [
        holder("a.example"),
        holder("new.a.example", decision=Decision.PASS),
        holder("b.example"),
        holder("t.me", Match.EXACT),
        holder("t.me", Match.SUBTREE),
        holder("x.t.me", Match.EXACT),
    ]

    assert [json.loads(line)["name"] for line in text(JSON_LINES, rules, rows).splitlines()] == ["a.example", "t.me"]


def test_the_rows_decide_every_name_as_the_targets_do(record_property: Record) -> None:
    """Some targets are outranked and have no row; whoever reads the rows alone decides the same."""
    compared = 0
    for seed in range(scaled(150)):
        random = Random(seed)
        targets = [Target(f"{each.name}.example", *each[1:]) for each in random_targets(random)]
        rules = dict(build(cells_of(targets)))
        rows = sorted((holder(*target) for target in targets), key=lambda row: (row.key, row.match))
        read = [_target(line) for line in text(JSON_LINES, rules, rows).splitlines()]
        assert set(read) <= set(targets)
        for name in {f"{label}{each.name}" for each in targets for label in ("", "q.", "a.b.")}:
            assert decide(name, read) is decide(name, targets), (seed, name)
            compared += 1
    tell(record_property, compared=compared)


def _target(line: str) -> Target:
    row = json.loads(line)
    return Target(row["name"], Match(row["match"]), Decision.BLOCK if row["decision"] == "block" else Decision.PASS)


def test_holders_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="holders out of order"):
        text(JSON_LINES, BLOCKED, [holder("b.a.example"), holder("a.example")])


def test_keys_are_those_of_the_policy() -> None:
    assert holder("a.example").key == sort_key("a.example")
    assert len(COLUMNS) == len(Holder._fields)
    assert SINCE.tzinfo is not None
