"""What is so of every problem document, whatever it is about."""

import tempfile
from pathlib import Path

import httpx

from app.problems import PROBLEMS
from tests.service import Json

HOME = str(Path(__file__).parents[1])
"""The folder that the service is run from."""


def check_shape(response: httpx.Response) -> Json:
    """What is so of every problem document (RFC 9457)."""
    body: Json = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    known = PROBLEMS[body["code"]]
    assert {key: body[key] for key in ("type", "title", "title_id", "status")} == {
        "type": f"urn:pulih:problem:{body['code']}",
        "title": known.en,
        "title_id": known.id,
        "status": known.status,
    }
    assert response.status_code == known.status
    assert body["detail"]
    assert set(body) - {"errors"} == {"type", "title", "title_id", "status", "detail", "code"}
    for error in body.get("errors", []):
        assert error["rule"]
        assert set(error) <= {"pointer", "line", "value", "rule"}
        assert len(error.get("value", "")) <= 300
    check_silence(response)
    return body


def check_silence(response: httpx.Response) -> None:
    """No trace, statement or path of the service is told to anybody."""
    for secret in (
        "Traceback",
        'File "',
        "SELECT ",
        "INSERT ",
        "UPDATE ",
        "sqlalchemy",
        "sqlite",
        HOME,
        tempfile.gettempdir(),
        ".py",
    ):
        assert secret not in response.text
