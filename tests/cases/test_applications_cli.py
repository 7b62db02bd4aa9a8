"""Applications on the command line: the same acts, by the same rules."""

import json
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner, Result

from app.cli import main
from app.settings import Settings
from tests.service import NOW, FrozenClock, Service, environment_of


@pytest.fixture
def clock() -> FrozenClock:
    """The command line has the real clock, so what is done before it is done now."""
    return FrozenClock(max(NOW, datetime.now(UTC)))


def pulih(service: Service, settings: Settings, *arguments: str, by: str = "operator-2") -> Result:
    environment = {**environment_of(settings), "PULIH_TOKEN": service.tokens[by]}
    return CliRunner().invoke(main, arguments, env=environment)


def test_an_application_from_the_counter_to_the_lift(service: Service, settings: Settings) -> None:
    service.block("a.example", number="EX-1")
    whose = ("--standing", "public", "--applicant", "Siti", "--contact", "siti@mail.example", "--statement", "Gone")

    added = pulih(service, settings, "application", "add", *whose, "--name", "a.example").output
    id_ = added.partition(":")[0]
    assert added == f"{id_}: incomplete, missing application_letter\n"
    completed = pulih(service, settings, "application", "complete", id_, "--paper", "application_letter=file 7").output
    assert completed.startswith(f"{id_}: received, to be decided by ")
    (clock,) = json.loads(pulih(service, settings, "clocks", "--clock", "application_decided").output)
    assert (clock["application"]["id"], clock["due_at_local"][-6:]) == (id_, "+07:00")
    assert pulih(service, settings, "clocks", "--overdue").output == "[]\n"
    explained = CliRunner().invoke(main, ["explain", "a.example"], env=environment_of(settings)).output
    assert f"application {id_} is pending, to be decided by " in explained

    stopped = pulih(
        service, settings, "application", "incomplete", id_, "--missing", "application_letter", "--reason", "x"
    )
    assert stopped.output == f"{id_}: incomplete, missing application_letter\n"
    pulih(service, settings, "application", "complete", id_, "--paper", "application_letter=file 8")
    reasons = ("--reason-id", "Bersih", "--reason-en", "Clean", "--ground", "wrong_block")
    decide = ("application", "decide", id_, "--outcome", "granted", *reasons)
    assert "four_eyes" in pulih(service, settings, *decide, by="approver-1").output
    assert pulih(service, settings, *decide, by="approver-2").output == f"{id_}: granted\n"
    assert service.zone() == []


def test_applications_are_listed_and_shown(service: Service, settings: Settings) -> None:
    service.block("a.example", number="EX-1")
    whose = ("--standing", "owner", "--applicant", "Siti", "--contact", "siti@mail.example", "--statement", "Gone")
    id_ = pulih(service, settings, "application", "add", "--appeal", *whose, "--order", "EX-1").output.partition(":")[0]

    (listed,) = json.loads(pulih(service, settings, "application", "list", "--state", "incomplete").output)
    assert (listed["id"], listed["kind"], listed["missing"]) == (id_, "appeal", ["appeal_letter"])
    assert json.loads(pulih(service, settings, "application", "list", "--overdue").output) == []
    assert json.loads(pulih(service, settings, "application", "show", id_).output)["applicant"]["name"] == "Siti"
    hidden = json.loads(pulih(service, settings, "application", "show", id_, by="auditor-1").output)
    assert hidden["applicant"] is None
    assert pulih(service, settings, "application", "withdraw", id_, "--reason", "sold").output == f"{id_}: withdrawn\n"
