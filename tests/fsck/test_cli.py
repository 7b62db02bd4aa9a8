"""`pulih fsck` on the command line: what it prints, and the status that an alert hangs on."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli import main
from app.settings import Settings
from tests.fsck.looking import alter
from tests.fsck.serving import followed, sending, subscribe
from tests.service import HOUR, Service, environment_of, settings_in


def fsck(settings: Settings, *arguments: object, listen: str = "127.0.0.1:1") -> Result:
    environment = {**environment_of(settings), "PULIH_DNS_LISTEN": listen}
    return CliRunner().invoke(main, ["fsck", *map(str, arguments)], env=environment)


@pytest.fixture
def place(service: Service) -> Service:
    """A block that is published, and somebody who may fetch the zone from here."""
    subscribe(service)
    service.block("blocked.example")
    service.publish()
    service.clock.forward(HOUR)
    return service


def test_what_is_well_ends_with_0_and_says_what_was_looked_at(place: Service, tmp_path: Path) -> None:
    held = tmp_path / "held.txt"
    held.write_text(place.get("audit/checkpoint").text)
    with sending(place, followed(place.database, place.settings)) as asking:
        done = fsck(place.settings, "--checkpoint", held, listen=str(asking.endpoint))

    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[-1] == "11 OK, 0 WRONG, 3 NOT CHECKED, 0 COULD NOT LOOK"
    assert [line.split(":")[0].split()[-2:] for line in lines[:-1] if not line.startswith("OK ")] == [
        ["CHECKED", "layers"],
        ["file", "block.rpz"],
        ["CHECKED", "besides"],
    ]


def test_a_service_that_was_stopped_is_looked_at_as_far_as_it_can_be(place: Service) -> None:
    done = fsck(place.settings)

    assert done.exit_code == 0
    assert "NOT CHECKED    transfer block.rpz: 127.0.0.1:1: Connection refused; no transfer process runs" in done.output


def test_what_is_wrong_ends_with_1_and_says_where_and_what_to_do(place: Service) -> None:
    alter(place.database, "rule_spans", "DELETE FROM rule_spans")
    done = fsck(place.settings, "--offline")
    told = json.loads(fsck(place.settings, "--offline", "--json").output)

    assert done.exit_code == 1
    assert "WRONG          rules: 1 thing is wrong\n    blocked.example: published is nothing" in done.output
    assert "    To do: what is published is not what was decided." in done.output
    assert told["state"] == "wrong"
    (rules,) = (check for check in told["checks"] if check["check"] == "rules")
    assert rules["wrong"] == [
        {
            "where": "blocked.example",
            "why": "published is nothing, decided a block for it and no record for names below",
        }
    ]


@pytest.mark.parametrize(
    "arguments", [("--server", "127.0.0.1:1"), ("--as", "nobody"), ("--checkpoint", "nothing.txt"), ("--server", "x")]
)
def test_what_could_not_be_looked_at_ends_with_2(place: Service, arguments: tuple[str, ...]) -> None:
    assert fsck(place.settings, *arguments).exit_code == 2


def test_a_database_that_is_not_there_ends_with_2(tmp_path: Path) -> None:
    done = fsck(settings_in(tmp_path))

    assert done.exit_code == 2
    assert "run `pulih upgrade`" in done.output or "does not exist" in done.output
