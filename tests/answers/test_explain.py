"""`pulih explain`, as it is typed: the name, and who has what holds."""

import json

import pytest
from click.testing import CliRunner

from app.cli import main
from tests.answers.test_reach import serial_of, shows, subscribed
from tests.service import HOUR, Service


@pytest.fixture
def service(service: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    """With one ISP; the command line works on the same database by the same clock."""
    subscribed(service, "isp-one", 1)
    monkeypatch.setenv("PULIH_DATA_DIR", str(service.settings.data_dir))
    monkeypatch.setenv("PULIH_DATABASE_URL", service.settings.database)
    monkeypatch.setattr("app.cli.zones.utc_now", service.clock)
    return service


def explain(*arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(main, ["explain", *arguments])
    assert result.exit_code == status, result.output
    return result.stdout if status == 0 else result.stderr


def test_what_an_isp_has_is_told_in_a_line(service: Service) -> None:
    def last() -> str:
        return explain("a.example", "--isp", "isp-one").splitlines()[-1].strip()

    order = service.block("a.example")
    first = serial_of(service)
    head = f"isp-one, block.rpz (published: serial {first}): "
    assert last() == f"{head}it is not known to have anything"
    shows(service, "isp-one", first)
    assert last() == f"{head}has serial {first} since 2026-11-22 03:00:00 UTC: in effect"

    service.clock.forward(HOUR)
    service.lift(order)
    second = serial_of(service)
    head = f"isp-one, block.rpz (published: serial {second}): "
    assert last() == f"{head}has serial {first} since 2026-11-22 03:00:00 UTC: still blocks it"
    shows(service, "isp-one", second, "192.0.2.2")
    assert last().endswith(": still blocks it (1 of 2 servers have what holds)")
    shows(service, "isp-one", 7)
    shows(service, "isp-one", second, "192.0.2.2")
    assert last().endswith("has serial 7 since 2026-11-22 04:00:00 UTC, which this zone never had")


def test_a_block_that_has_not_come_is_told_as_such(service: Service) -> None:
    shows(service, "isp-one", serial_of(service))
    service.clock.forward(HOUR)
    service.block("a.example")
    serial_of(service)

    assert explain("a.example", "--isp", "isp-one").endswith(": does not block it yet\n")
    at_first = explain("a.example", "--isp", "isp-one", "--at", "2026-11-22T10:00:00+07:00")
    assert ": in effect\n" in at_first
    assert "isp-one at 2026-11-22 03:00:00 UTC: no, it was not blocked there\n" in at_first


def test_without_an_isp_it_says_how_many_have_it(service: Service) -> None:
    assert "ISPs" not in explain("a.example")
    service.block("a.example")
    serial = serial_of(service)
    assert explain("a.example").endswith("  reached 0 of 1 ISPs (published 2026-11-22 03:00:00 UTC)\n")
    shows(service, "isp-one", serial)
    assert explain("a.example").endswith("  reached 1 of 1 ISPs (published 2026-11-22 03:00:00 UTC)\n")


def test_what_is_decided_and_not_published_is_told_as_such(service: Service) -> None:
    order = service.block("a.example")
    serial_of(service)
    service.lift(order)

    assert explain("a.example").endswith("  not published yet\n")


def test_json_is_what_http_shows(service: Service) -> None:
    service.block("a.example")
    shows(service, "isp-one", serial_of(service))

    asked = service.read("names/a.example?isp=isp-one", by="auditor-1")
    assert json.loads(explain("a.example", "--isp", "isp-one", "--json"))["isp"]["name"] == asked["isp"]["name"]
    assert json.loads(explain("a.example", "--json"))["reach"]["reached"] == 1


@pytest.mark.usefixtures("service")
def test_an_isp_that_does_not_exist_is_refused() -> None:
    assert "there is no subscriber nobody" in explain("a.example", "--isp", "nobody", status=1)
