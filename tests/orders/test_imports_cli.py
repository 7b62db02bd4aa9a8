"""`pulih import`: by the same rules as over HTTP, with an exit status and a verdict for every line."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import func, select

from app.cli import main
from app.db import Database
from app.orders.models import Order, OrderState
from app.settings import Settings
from tests.service import Template, environment_of

ORDER = """
number = "L-1"
dated = 2026-11-01
authority = "Example Ministry"
kind = "block"
category = "gambling"
review_due_at = 2099-11-01T00:00:00+07:00
reason = { id = "Perjudian daring", en = "Online gambling" }
sop = { code = "domain-owner" }

[[legal_basis]]
instrument = "Example Act"
article = "1"
"""

Pulih = Callable[..., Result]


@pytest.fixture
def environment(database: Database, settings: Settings, template: Template) -> dict[str, str]:
    assert database
    return {**environment_of(settings), "PULIH_TOKEN": template.tokens["operator-1"]}


@pytest.fixture
def pulih(environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pulih:
    """Import a list: `content` from `list.txt`, the order from `order.toml`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "order.toml").write_text(ORDER)

    def run(content: str, *options: str, **changed: str) -> Result:
        (tmp_path / "list.txt").write_text(content)
        arguments = ["import", "list.txt", "--order-file", "order.toml", *options]
        return CliRunner().invoke(main, arguments, env={**environment, **changed})

    return run


def proposals(database: Database) -> int:
    """Orders that the database holds, seen or not."""
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(Order)) or 0


def test_a_list_is_proposed(pulih: Pulih, database: Database) -> None:
    result = pulih("# a list\na.example\nx.a.example\nA.example\n")

    with database.read() as session:
        order = session.scalars(select(Order)).one()
    assert result.exit_code == 0
    assert result.output.splitlines()[:2] == [
        "3 names: 1 accepted, 0 unchanged, 1 duplicate, 1 covered, 0 refused",
        f"order L-1: proposed; id {order.uid}",
    ]
    assert result.output.splitlines()[2].startswith("plan_hash sha256:")
    assert (order.state, order.targets_count) == (OrderState.PROPOSED, 2)


def test_with_json_every_line_has_its_verdict_and_the_last_the_counts(pulih: Pulih, database: Database) -> None:
    result = pulih("a.example\n\nbücher.example\na.example\n", "--json")

    *items, summary = map(json.loads, result.stdout.splitlines())
    assert [(item["line"], item["name"], item["verdict"]) for item in items] == [
        (1, "a.example", "accepted"),
        (3, "xn--bcher-kva.example", "accepted"),
        (4, "a.example", "duplicate"),
    ]
    assert items[1]["input"] == "bücher.example"
    assert summary["counts"] == {
        "lines": 3,
        "accepted": 2,
        "unchanged": 0,
        "duplicate": 1,
        "covered": 0,
        "refused": 0,
    }
    assert summary["order_id"]
    assert summary["plan_hash"].startswith("sha256:")
    assert proposals(database) == 1


def test_one_refused_line_means_status_1_and_nothing_stored(pulih: Pulih, database: Database) -> None:
    result = pulih("a.example\ncom\n")

    assert result.exit_code == 1
    assert "1 of 2 lines are refused" in result.stderr
    assert "line 2 com: tld" in result.stderr
    assert result.stdout == ""
    assert proposals(database) == 0


def test_a_refused_list_still_gets_its_verdicts_as_json(pulih: Pulih, database: Database) -> None:
    result = pulih("a.example\na.example\ncom\n", "--json")

    *items, summary = map(json.loads, result.stdout.splitlines())
    assert result.exit_code == 1
    assert [item["verdict"] for item in items] == ["accepted", "duplicate", "refused"]
    assert "order_id" not in summary
    assert proposals(database) == 0


def test_partial_stores_the_good_lines_and_names_the_others(pulih: Pulih, database: Database) -> None:
    result = pulih("a.example\ncom\n", "--partial")

    assert result.exit_code == 0
    told = "'com' is a top-level domain (hard_protected); domain tingkat teratas tidak boleh diblokir"
    assert result.output.splitlines()[0] == f"line 2: {told}"
    assert proposals(database) == 1


@pytest.mark.parametrize(
    ("content", "options", "status"), [("a.example\n", [], 0), ("com\n", [], 1), ("com\n", ["--partial"], 0)]
)
def test_a_dry_run_stores_nothing_and_says_by_its_status_whether_it_would(
    pulih: Pulih, database: Database, content: str, options: list[str], status: int
) -> None:
    result = pulih(content, "--dry-run", *options)

    assert result.exit_code == status
    assert result.output.splitlines()[-1] == "dry run: nothing was stored"
    assert proposals(database) == 0


def test_the_same_list_again_changes_nothing(pulih: Pulih, database: Database) -> None:
    pulih("a.example\n")
    result = pulih("a.example\n")

    assert result.exit_code == 0
    assert "order L-1: stands already (proposed), nothing was stored" in result.output
    assert proposals(database) == 1


def test_a_list_whose_order_is_in_force_shows_no_plan(
    pulih: Pulih, template: Template, environment: dict[str, str]
) -> None:
    pulih("a.example\n")
    approver = {**environment, "PULIH_TOKEN": template.tokens["approver-1"]}
    assert CliRunner().invoke(main, ["order", "approve", "L-1", "--reason", "x"], env=approver).exit_code == 0

    result = pulih("a.example\n")

    assert "order L-1: stands already (active), nothing was stored" in result.output
    assert "plan_hash" not in result.output


def test_the_match_is_an_option(pulih: Pulih) -> None:
    assert "2 accepted" in pulih("a.example\nx.a.example\n", "--match", "exact").output


def test_a_list_may_come_through_a_pipe(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "order.toml").write_text(ORDER)
    command = [sys.executable, "-m", "app.cli", "import", "-", "--order-file", "order.toml"]

    done = subprocess.run(
        command,
        check=True,
        input="a.example\n",
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, **environment},
    )

    assert done.stdout.startswith("1 names: 1 accepted"), done.stderr


@pytest.mark.long
def test_a_bar_is_shown_on_a_terminal_alone(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "order.toml").write_text(ORDER)
    (tmp_path / "list.txt").write_text("".join(f"n{number}.example\n" for number in range(12_000)))
    command = [sys.executable, "-m", "app.cli", "import", "list.txt", "--order-file", "order.toml", "--dry-run"]
    terminal, theirs = pty.openpty()
    sent = {**os.environ, **environment, "TERM": "xterm"}

    shown = subprocess.run(command, cwd=tmp_path, env=sent, stdout=subprocess.PIPE, stderr=theirs, check=True)
    quiet = subprocess.run(command, cwd=tmp_path, env=sent, capture_output=True, check=True)
    os.close(theirs)
    bar = os.read(terminal, 65_536)
    os.close(terminal)

    assert b"importing" in bar
    assert b"100%" in bar
    assert quiet.stderr == b""
    assert shown.stdout == quiet.stdout


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("review_due_at = 2099-11-01T00:00:00+07:00", ""), "review_due_at"),
        (("+07:00", ""), "timezone"),
        (('category = "gambling"', 'category = "nonsense"'), "category_unknown"),
        (('kind = "block"', 'kind = "block"\ntargets = []'), "targets"),
        (('kind = "block"', 'kind = "emergency"'), "kind"),
        (('number = "L-1"', "number = "), "is not TOML"),
    ],
)
def test_an_order_that_is_not_whole_is_refused(
    pulih: Pulih, database: Database, tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    (tmp_path / "order.toml").write_text(ORDER.replace(*change))

    result = pulih("a.example\n")

    assert result.exit_code == 1
    assert message in result.stderr
    assert proposals(database) == 0


@pytest.mark.parametrize("options", [["--match", "all"], ["--nonsense"]])
def test_wrong_usage_is_status_2(pulih: Pulih, options: list[str]) -> None:
    assert pulih("a.example\n", *options).exit_code == 2


def test_a_file_that_is_not_there_is_status_2(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "order.toml").write_text(ORDER)
    order_file = str(tmp_path / "order.toml")

    for arguments in (["no-such-list", "--order-file", order_file], [order_file, "--order-file", "no-such-order"]):
        assert CliRunner().invoke(main, ["import", *arguments], env=environment).exit_code == 2


@pytest.mark.parametrize(("by", "code"), [("auditor-1", "role_forbidden"), ("isp-1", "role_forbidden")])
def test_only_operators_and_approvers_import(
    pulih: Pulih, database: Database, template: Template, by: str, code: str
) -> None:
    result = pulih("a.example\n", PULIH_TOKEN=template.tokens[by])

    assert result.exit_code == 1
    assert code in result.stderr
    assert proposals(database) == 0


def test_without_a_token_nobody_imports(pulih: Pulih) -> None:
    result = pulih("a.example\n", PULIH_TOKEN="")

    assert result.exit_code == 1
    assert "token_missing" in result.stderr
