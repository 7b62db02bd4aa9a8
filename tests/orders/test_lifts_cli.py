"""The ways out on the command line: the same acts, by the same rules."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner, Result

from app.cli import main
from app.settings import Settings
from tests.service import NOW, ZONE, FrozenClock, Service, condition, environment_of, text_of


@pytest.fixture
def clock() -> FrozenClock:
    """The command line has the real clock, so what is done before it is done now."""
    return FrozenClock(max(NOW, datetime.now(UTC)))


def pulih(service: Service, settings: Settings, *arguments: str, by: str = "approver-1") -> Result:
    environment = {**environment_of(settings), "PULIH_TOKEN": service.tokens[by]}
    return CliRunner().invoke(main, arguments, env=environment)


def later(service: Service, days: int) -> str:
    return text_of(service.clock() + timedelta(days=days))


def test_an_order_is_opened_and_closed_again(service: Service, settings: Settings) -> None:
    service.block("a.example", number="EX-1")

    opened = pulih(service, settings, "order", "suspend", "EX-1", "--until", later(service, 3), "--reason", "talks")
    assert opened.output == "EX-1: suspended\n"
    said = CliRunner().invoke(main, ["explain", "a.example"], env=environment_of(settings)).output
    assert f"open until {later(service, 3)[:10]}" in said
    assert pulih(service, settings, "order", "resume", "EX-1", "--reason", "over").output == "EX-1: active\n"


def test_a_lift_on_an_indicated_solution_takes_dates(service: Service, settings: Settings) -> None:
    service.block("a.example", number="EX-1")
    lift = ("order", "lift", "EX-1", "--ground", "solution_indicated", "--reason", "agreed")

    refused = pulih(service, settings, *lift)
    assert (refused.exit_code, "commitment_missing" in refused.output) == (1, True)
    dated = pulih(service, settings, *lift, "--commit", f"content_removed={later(service, 3)}")
    assert dated.output == "EX-1: ended (solution_indicated)\n"


def test_a_lift_is_planned(service: Service, settings: Settings) -> None:
    service.block("a.example", number="EX-1")
    arguments = ("--ground", "court", "--document", "Judgment 1", "--reason", "heard", "--at", later(service, 2))

    assert pulih(service, settings, "order", "plan-lift", "EX-1", *arguments).output == "EX-1: active\n"


@pytest.mark.parametrize("words", [("undo", "order"), ("undo", "import"), ("order", "undo")])
def test_an_order_is_undone_by_one_command(service: Service, settings: Settings, words: tuple[str, ...]) -> None:
    service.block("a.example", number="EX-1")

    plan = json.loads(pulih(service, settings, *words, "EX-1", "--reason", "x", "--dry-run").output)
    assert (plan["act"], plan["counts"]) == ("lifted", {"names": 1, "still_held": 0})
    done = pulih(service, settings, *words, "EX-1", "--reason", "a mistake")
    assert done.output == "lifted\nEX-1: ended (wrong_block)\n"
    again = pulih(service, settings, *words, "EX-1", "--reason", "it was right")
    assert again.output.startswith("proposed, for another person to approve: ")


def test_a_release_is_undone_by_one_command(service: Service, settings: Settings) -> None:
    service.block("a.example", number="EX-1")
    serial = service.publish()[ZONE]

    done = pulih(service, settings, "undo", "release", str(serial), "--reason", "a mistake")

    assert done.output == "EX-1: lifted\n"


def test_reviews_are_listed_and_closed(service: Service, settings: Settings) -> None:
    order = service.block("a.example", number="EX-1")
    service.meet(condition(order))
    service.mark(condition(order), "breach", by="approver-1", reason="back", authority="Monitoring unit")

    (review,) = json.loads(pulih(service, settings, "review", "list", by="auditor-1").output)
    closing = ("review", "close", review["id"], "--decision", "no_action", "--reason", "settled")
    assert pulih(service, settings, *closing).exit_code == 1
    assert pulih(service, settings, *closing, by="approver-2").output == f"{review['id']}: closed (no_action)\n"
    assert json.loads(pulih(service, settings, "review", "list").output) == []
    assert len(json.loads(pulih(service, settings, "review", "list", "--all").output)) == 1
