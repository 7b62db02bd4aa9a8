"""Each request has an id, in its answer and in every line that is logged for it; no line tells what was looked up."""

import json
import logging
import sys

import pytest

from app import logs
from app.logs import Json, request_id
from tests.servers import wait_until
from tests.service import Service


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="pulih.http")
    return caplog


def record(message: str, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("pulih.test", logging.INFO, __file__, 1, message, None, None)
    vars(made).update(extra)
    return made


def test_an_id_that_came_along_is_kept(service: Service) -> None:
    assert service.get("/healthz", by=None, X_Request_Id="gateway-0042").headers["x-request-id"] == "gateway-0042"


@pytest.mark.parametrize("hostile", ["short", "x" * 65, "two words here", "new\tline-here", "semi;colon"])
def test_an_id_that_could_lie_is_replaced(service: Service, hostile: str) -> None:
    given = service.request("GET", "/healthz", by=None, headers={"X-Request-Id": hostile})
    assert given.headers["x-request-id"] != hostile
    assert len(given.headers["x-request-id"]) == 32


def test_refused_requests_have_one_too(service: Service) -> None:
    first, second = (service.get("orders", by=None).headers["x-request-id"] for _ in range(2))
    assert first != second


def test_a_line_tells_route_status_and_who_and_not_the_name(service: Service, lines: pytest.LogCaptureFixture) -> None:
    service.get("names/secret-wish.example?at=2026-11-22T00:00:00Z")
    service.get("/healthz", by=None)
    wait_until(lambda: len(lines.records) == 2, 5, lambda: lines.text)
    told = [(line.message.split(), getattr(line, logs.OURS)) for line in lines.records]
    (named, fields), (anybody, _) = told
    assert named[:3] == ["GET", "/api/v1/names/{name}", "200"]
    assert named[4] == fields["actor"] == "auditor-1"
    assert anybody[:3] == ["GET", "/healthz", "200"]
    assert anybody[4] == "-"
    assert "secret-wish" not in lines.text


def test_json_is_one_object_a_line_whatever_is_in_it() -> None:
    try:
        int("two\nlines")
    except ValueError:
        fault = sys.exc_info()
    token = request_id.set("gateway-0042")
    line = Json().format(record("first\nsecond \u2028", exc_info=fault, fields={"status": 500}))
    request_id.reset(token)

    assert line.splitlines() == [line]
    said = json.loads(line)
    assert (said["message"], said["level"], said["request"]) == ("first\nsecond \u2028", "info", "gateway-0042")
    assert said["status"] == 500
    assert "ValueError" in said["fault"]
    assert said["time"].endswith("+00:00")


@pytest.mark.parametrize(("chosen", "begins"), [("json", "{"), ("text", "20"), ("", "20")])
def test_lines_come_as_they_are_chosen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], chosen: str, begins: str
) -> None:
    monkeypatch.setenv(logs.VARIABLE, chosen)
    monkeypatch.setattr(logging.root, "handlers", [])
    level = logging.root.level
    logs.to_stderr()
    token = request_id.set("gateway-0042")
    logging.getLogger("pulih.test").warning("said")
    request_id.reset(token)
    logging.root.setLevel(level)
    said = capsys.readouterr().err
    assert said.startswith(begins)
    assert "gateway-0042" in said
