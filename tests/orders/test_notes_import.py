"""Lists of what was seen of names: checked as a whole, kept in pieces; and reviews on the command line."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli import main
from app.settings import Settings
from tests.service import DAY, NOW, FrozenClock, Service, environment_of, text_of


@pytest.fixture
def clock() -> FrozenClock:
    """The command line has the real clock, so what is done before it is done now."""
    return FrozenClock(max(NOW, datetime.now(UTC)))


def pulih(service: Service, settings: Settings, *arguments: str, by: str = "operator-1") -> Result:
    environment = {**environment_of(settings), "PULIH_TOKEN": service.tokens[by]}
    return CliRunner().invoke(main, arguments, env=environment)


def import_(service: Service, settings: Settings, tmp_path: Path, *lines: str) -> Result:
    file = tmp_path / "notes.csv"
    file.write_text("\n".join(("name,what,seen_at,source", *lines)))
    return pulih(service, settings, "review", "import", str(file))


def test_a_list_is_kept_once_however_often_it_is_given(service: Service, settings: Settings, tmp_path: Path) -> None:
    service.block("a.example", "b.example", number="EX-1")
    lines = (
        "a.example,gone,2026-11-01,letter 7",
        "# a remark",
        "",
        '"B.example",owner_changed,2026-11-01T10:00:00Z,"registry, page 3"',
        "free.example,gone,2026-11-01,letter 7",
    )

    assert import_(service, settings, tmp_path, *lines).output == "2 noted, 0 unchanged, 1 not_held\n"
    assert import_(service, settings, tmp_path, *lines).output == "0 noted, 2 unchanged, 1 not_held\n"
    found = service.read("notes")["items"]
    assert [(each["name"], each["what"], each["seen_at"], each["source"]) for each in found] == [
        ("a.example", "gone", "2026-10-31T17:00:00Z", "letter 7"),
        ("b.example", "owner_changed", "2026-11-01T10:00:00Z", "registry, page 3"),
    ]
    assert [event["type"] for event in service.events()].count("order.noted") == 1


BAD = [
    ("a..b,gone,2026-11-01,x", "line 3 a..b: empty_label"),
    ("a.example,elsewhere,2026-11-01,x", "line 3 a.example,elsewhere,2026-11-01,x: Input should be"),
    ("a.example,gone,yesterday,x", "line 3"),
    ("a.example,gone,2099-01-01,x", "seen_later"),
    ("a.example,gone,2026-11-01", "csv_columns"),
    ('a.example,gone,2026-11-01,"x', "csv_quotes"),
]


def test_one_bad_line_and_none_is_kept(service: Service, settings: Settings, tmp_path: Path) -> None:
    service.block("a.example")
    for line, words in BAD:
        result = import_(service, settings, tmp_path, "a.example,gone,2026-11-01,x", line)
        assert (result.exit_code, words in result.output) == (1, True), result.output

    assert service.read("notes")["items"] == []


def test_a_list_names_its_columns(service: Service, settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "notes.csv"
    file.write_text("a.example,gone\n")

    assert "csv_header" in pulih(service, settings, "review", "import", str(file)).output


def test_an_order_is_noted_queued_and_reviewed(service: Service, settings: Settings) -> None:
    service.block("a.example", number="EX-1")
    seen = ("--what", "gone", "--seen", "2026-11-01T00:00:00Z", "--source", "letter 7")
    assert pulih(service, settings, "review", "note", "a.example", *seen).output == "a.example: noted, 1 orders\n"
    (item,) = json.loads(pulih(service, settings, "review", "queue", "--kind", "stale").output)
    assert item["order"]["number"] == "EX-1"
    (told,) = json.loads(pulih(service, settings, "explain", "a.example", "--json").output)["reviews"]
    assert (told["overdue"], told["stale_since"] is None) == (True, False)

    keep = ("review", "order", "EX-1", "--outcome", "keep", "--reason", "checked")
    assert pulih(service, settings, *keep, by="approver-1").exit_code == 1
    later = ("--next", text_of(service.clock() + 300 * DAY))
    assert pulih(service, settings, *keep, *later, by="approver-1").output == "EX-1: active\n"
    assert json.loads(pulih(service, settings, "review", "queue", "--overdue").output) == []
    lift = ("review", "order", "EX-1", "--outcome", "lift", "--ground", "wrong_block", "--reason", "gone")
    assert pulih(service, settings, *lift, by="approver-1").output == "EX-1: ended (wrong_block)\n"
