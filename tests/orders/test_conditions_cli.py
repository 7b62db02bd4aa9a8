"""Conditions on the command line: the same acts, by the same rules."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli import main
from app.settings import Settings
from tests.orders.evidence_files import BAD, PDF
from tests.service import DAY, NOW, FrozenClock, Service, a_leaf, environment_of, text_of

TREE = {"all_of": [a_leaf("one"), a_leaf("two"), a_leaf("three")]}


@pytest.fixture
def clock() -> FrozenClock:
    """The command line has the real clock, so what is done before it is done now."""
    return FrozenClock(max(NOW, datetime.now(UTC)))


def pulih(service: Service, settings: Settings, *arguments: str, by: str) -> Result:
    environment = {**environment_of(settings), "PULIH_TOKEN": service.tokens[by]}
    return CliRunner().invoke(main, ("condition", *arguments), env=environment)


def test_from_a_claim_with_a_file_to_the_lift(service: Service, settings: Settings, tmp_path: Path) -> None:
    service.block("a.example", number="EX:1", conditions=TREE, platform="platform-1")
    letter = tmp_path / "letter.pdf"
    letter.write_bytes(PDF)

    def said(*arguments: str, by: str) -> str:
        done = pulih(service, settings, *arguments, by=by)
        assert done.exit_code == 0, done.output
        return done.output

    since, until = text_of(service.clock() - DAY), text_of(service.clock() + DAY)
    delegate = ("--delegate", "Operator Example", "--from", since, "--until", until)
    claimed = said("claim", "EX:1:one", "--file", str(letter), *delegate, by="platform-1")
    assert claimed == "one: claimed (EX:1: active)\n"
    assert said("add", "EX:1:one", "--text", "and a word", by="platform-1") == "one: claimed (EX:1: active)\n"
    (one, *_) = json.loads(said("list", "--order", "EX:1", by="auditor-1"))
    assert (one["delegate"]["name"], [each["file"] for each in one["evidence"]]) == (
        "Operator Example",
        ["letter.pdf", None],
    )
    target = tmp_path / "saved.pdf"
    said("save", one["id"], one["evidence"][0]["id"], "-o", str(target), by="approver-1")
    assert target.read_bytes() == PDF
    again = pulih(service, settings, "save", one["id"], one["evidence"][0]["id"], "-o", str(target), by="approver-1")
    assert again.exit_code == 1

    said("verify", one["id"], "--reason", "seen", by="approver-1")
    said("breach", "EX:1:one", "--reason", "gone", "--authority", "Monitoring unit", by="approver-1")
    said("claim", "EX:1:one", "--text", "back", by="operator-1")
    said("reject", "EX:1:one", "--reason", "is it", by="approver-1")
    for code in ("one", "two"):
        said("waive", f"EX:1:{code}", "--reason", "nonprofit", "--authority", "The minister", by="approver-1")
    said("claim", "EX:1:three", "--text", "done", by="operator-1")
    assert said("verify", "EX:1:three", "--reason", "seen", by="approver-1") == "three: met (EX:1: ended)\n"
    assert json.loads(said("list", "--overdue", by="operator-1")) == []


def test_what_the_service_refuses_is_refused_here(service: Service, settings: Settings, tmp_path: Path) -> None:
    service.block("a.example", number="EX-1", conditions=TREE, platform="platform-2")
    program = tmp_path / "letter.pdf"
    program.write_bytes(BAD["a program"])
    pulih(service, settings, "claim", "EX-1:one", "--text", "x", by="approver-1")

    for arguments, by, code in (
        (("claim", "EX-1:two", "--file", str(program)), "operator-1", "media_type"),
        (("claim", "EX-1:two"), "operator-1", "body_invalid"),
        (("claim", "EX-1:two", "--text", "x"), "auditor-1", "role_forbidden"),
        (("claim", "EX-1:two", "--text", "x"), "platform-1", "not_found"),
        (("add", "EX-1:one", "--text", "x"), "operator-1", "role_forbidden"),
        (("verify", "EX-1:one", "--reason", "x"), "approver-1", "four_eyes"),
        (("verify", "EX-1:four", "--reason", "x"), "approver-1", "not_found"),
        (("save", "EX-1:one", "nothing", "-o", str(tmp_path / "x")), "auditor-1", "not_found"),
    ):
        done = pulih(service, settings, *arguments, by=by)
        assert (done.exit_code, f"({code})" in done.output) == (1, True), (arguments, done.output)
    usage = pulih(service, settings, "claim", "EX-1:two", "--text", "x", "--until", text_of(NOW), by="operator-1")
    assert usage.exit_code == 2
