"""The refused lines as a list of their own: reasons in both languages, to be corrected and given back as it is."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli import main
from app.db import Database
from app.orders.imports_texts import RULES, VERDICTS
from app.settings import Settings
from tests.orders.importing import import_json, order_data, send_file
from tests.orders.test_imports_cli import ORDER
from tests.orders.test_imports_csv import COMMON, TABLE
from tests.orders.test_imports_hostile import HOSTILE
from tests.orders.test_imports_rpz import ZONE
from tests.service import Service, Template, answered, environment_of

ROOT = Path(__file__).parents[2]
HOSTS = "0.0.0.0 a.example\n0.0.0.0 http://b.example/ c.example\n"
WRONG = {
    "plain": ("a.example\nhttp://b.example/ # why\nc.example\n", "http://b.example/", "b.example"),
    "hosts": (HOSTS, "http://b.example/", "b.example"),
    "rpz": (ZONE.replace("B.Example", "b..example"), "b..example", "b.example"),
    "csv": (TABLE.replace(",exact,a.example", ",exact,http://b.example/"), "http://b.example/", "b.example"),
}
"""A list of each format with one bad line, what is wrong in it, and what would be right."""

NOT_OF_A_LINE = {"missing", "order_number_taken", "not_in_order", "plan_id"}
"""Rules of the request as a whole."""


def refused_file(service: Service, content: str, order: dict[str, object]) -> str:
    answer = answered(send_file(service, content, order=order, query="?dry_run=true&refused=true"))
    text = answer["refused_file"]
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize("name", WRONG)
def test_refused_lines_are_given_back_corrected(service: Service, name: str) -> None:
    content, wrong, right = WRONG[name]
    order = COMMON if name == "csv" else order_data()
    refused = refused_file(service, content, order)

    again = answered(send_file(service, refused, order=order, query="?dry_run=true"))
    assert (again["format"]["name"], again["counts"]["lines"], again["counts"]["refused"]) == (name, 1, 1)
    assert refused_file(service, refused, order).count(wrong) >= 1

    mended = re.sub(f"^(?![#;])(.*){re.escape(wrong)}", rf"\g<1>{right}", refused, flags=re.MULTILINE)
    answer = answered(send_file(service, mended, order=order), 201)
    assert [(item["name"], item["verdict"]) for item in answer["items"]] == [(right, "accepted")]


def test_reasons_stand_above_each_line_in_both_languages(service: Service) -> None:
    assert refused_file(service, "a.example\n\ncom # why\n", order_data()).splitlines() == [
        "# Baris yang ditolak; perbaiki lalu impor berkas ini apa adanya.",
        "# Lines that were refused; correct them and import this file as it is.",
        "# format plain",
        "# baris 3: domain tingkat teratas tidak boleh diblokir (hard_protected, tld)",
        "# line 3: 'com' is a top-level domain (hard_protected, tld)",
        "com",
    ]


def test_a_line_that_is_not_whole_is_no_line_of_the_file(service: Service) -> None:
    """Cut to what is held of it, it might say something else."""
    lines = ["a.example" + " " * 5_000 + ".evil", "b.example\nc.example"]
    text = answered(import_json(service, lines, query="?dry_run=true&refused=true"))["refused_file"]

    assert [line for line in text.splitlines() if not line.startswith("#")] == []


def test_hostile_text_stays_inside_its_comment(service: Service) -> None:
    text = refused_file(service, "http://x\x0bb.example/\u2028c.example\nok.example\n", order_data())

    assert [line for line in text.split("\n") if not line.startswith("#")] == [
        "http://x\x0bb.example/\u2028c.example",
        "",
    ]


@pytest.mark.parametrize("options", [[], ["--partial"], ["--dry-run"]])
def test_the_command_writes_them(
    database: Database, settings: Settings, template: Template, tmp_path: Path, options: list[str]
) -> None:
    assert database
    (tmp_path / "list.txt").write_text("a.example\ncom\n")
    (tmp_path / "order.toml").write_text(ORDER)
    environment = {**environment_of(settings), "PULIH_TOKEN": template.tokens["operator-1"]}
    files = [str(tmp_path / name) for name in ("list.txt", "order.toml", "refused.txt")]

    CliRunner().invoke(
        main, ["import", files[0], "--order-file", files[1], "--refused", files[2], *options], env=environment
    )

    assert (tmp_path / "refused.txt").read_text().splitlines()[-1] == "com"


def test_every_rule_has_a_text_in_both_languages() -> None:
    """Rules are named where they refuse: in the policy, and in the readers of lists."""
    places = [ROOT / "resolver_policy" / f"{name}.py" for name in ("names", "guard")]
    places += sorted((ROOT / "app" / "orders").glob("imports*.py"))
    source = "\n".join(path.read_text() for path in places)
    named = re.findall(r'rule="(\w+)"|_refuse\(text, "(\w+)"|_bad\("(\w+)"|Fault\("(\w+)"', source)
    rules = {rule for found in named for rule in found if rule} - NOT_OF_A_LINE

    assert rules >= {"tld", "host_in_url", "passthru", "csv_quotes", "order_data", "wildcard"}
    assert rules - RULES.keys() == set()
    assert set(HOSTILE.values()) <= RULES.keys()
    assert all(text.id and text.en and text.id != text.en for text in (*RULES.values(), *VERDICTS.values()))
