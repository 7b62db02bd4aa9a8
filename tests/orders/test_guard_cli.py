"""`pulih guard` and `pulih order confirm`: by the same rules as over HTTP."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli import main
from tests.publication.test_stops import put_in_force
from tests.service import Service, environment_of, targets

Pulih = Callable[..., Result]


@pytest.fixture
def pulih(service: Service) -> Pulih:
    """Run a command as somebody on the service's own database."""

    def run(*arguments: str, by: str = "approver-1") -> Result:
        environment = {**environment_of(service.settings), "PULIH_TOKEN": service.tokens[by]}
        return CliRunner().invoke(main, list(arguments), env=environment)

    return run


def test_a_rank_file_is_taken_from_an_approver_alone(pulih: Pulih, tmp_path: Path) -> None:
    file = tmp_path / "top.csv"
    file.write_text("1,google.com\n2,popular.example\n")

    assert pulih("guard", "import", str(file), by="operator-1").exit_code == 1
    assert pulih("guard", "import", str(file)).output.startswith("top.csv: 2 names, sha256 ")
    assert '"imported_by": "approver-1"' in pulih("guard", "show").output
    file.write_text("1,google.com\nnonsense\n")
    assert "line 2 nonsense: rank_and_name" in pulih("guard", "import", str(file)).output


def test_a_stop_is_shown_and_released_by_two(service: Service, pulih: Pulih) -> None:
    assert pulih("guard", "stops").output == "nothing is stopped\n"
    service.block("first.example")
    service.publish()
    service.propose(number="EX-HAND", targets=targets("hand.example"))
    put_in_force(service, "EX-HAND")
    service.publish()

    assert "the journal does not" in pulih("guard", "stops").output
    assert '"id": 1' in pulih("guard", "stops", "--json").output
    release = ("guard", "release", "1", "--reason", "looked at it")
    assert pulih(*release).output == "stop 1: asked to release; another approver does it\n"
    assert "approver-1 asked to release it" in pulih("guard", "stops").output
    assert pulih(*release).exit_code == 1
    assert pulih(*release, by="approver-2").output == "stop 1: released\n"
    assert service.zone() == ["first.example .", "hand.example ."]


def test_an_emergency_order_is_marked_and_confirmed(service: Service, pulih: Pulih) -> None:
    service.propose(number="EX-NOW", kind="emergency", targets=targets("now.example"))

    assert "EMERGENCY, lapses 2026-11-24 03:00" in pulih("order", "list").output
    assert "EMERGENCY ORDER, not confirmed yet" in pulih("explain", "now.example").output
    assert '"lapses_at": "2026-11-24T03:00:00Z"' in pulih("order", "plan", "EX-NOW").output
    assert pulih("order", "confirm", "EX-NOW", "--reason", "right", by="operator-1").exit_code == 1
    assert pulih("order", "confirm", "EX-NOW", "--reason", "right").output == "EX-NOW: active\n"
    assert pulih("order", "list").output.endswith("  EMERGENCY\n")
    assert "EMERGENCY ORDER, confirmed" in pulih("explain", "now.example").output
