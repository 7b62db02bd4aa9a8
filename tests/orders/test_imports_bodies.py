"""Who may import, and bodies that are none."""

import json

import pytest

from app.orders import imports_router, imports_verdicts
from tests.orders.importing import import_json, order_data, send_file
from tests.service import Service, answered, problem


@pytest.mark.parametrize("by", ["auditor-1", "isp-1", "platform-1", "admin-1"])
def test_only_operators_and_approvers_import(service: Service, by: str) -> None:
    problem(send_file(service, "a.example\n", by=by), 403, "role_forbidden")
    assert service.rows()["orders"] == 0


@pytest.mark.parametrize(
    ("content_type", "body", "status", "code"),
    [
        ("text/plain", b"a.example\n", 415, "media_type"),
        ("application/json", b"{", 422, "body_invalid"),
        ("application/json", b'{"lines": ["a.example"]}', 422, "body_invalid"),
        ("application/json", b'{"order": {}, "lines": [1]}', 422, "body_invalid"),
        ("multipart/form-data", b"", 422, "body_invalid"),
        ("multipart/form-data; boundary=x", b"--x--\r\n", 422, "body_invalid"),
    ],
)
def test_a_body_that_is_none_is_refused(
    service: Service, content_type: str, body: bytes, status: int, code: str
) -> None:
    response = service.request("POST", "imports", by="operator-1", headers={"Content-Type": content_type}, content=body)

    problem(response, status, code)


def test_a_list_that_is_too_long_for_json_is_sent_as_a_file(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports_router, "MOST_JSON_OCTETS", 1_000)
    lines = [f"n{number}.example" for number in range(100)]

    problem(import_json(service, lines), 413, "too_large")
    answered(send_file(service, "\n".join(lines)), 201)


def test_a_list_of_too_many_lines_is_refused(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports_verdicts, "MOST_LINES", 3)
    before = service.rows()

    problem(send_file(service, "\n\n\n\n"), 413, "too_large")
    assert service.rows() == before


@pytest.mark.parametrize("part", ["order", "file"])
def test_a_missing_part_is_named(service: Service, part: str) -> None:
    parts = {"order": (None, json.dumps(order_data())), "file": ("list.txt", "a.example\n")}
    del parts[part]
    headers = {"Authorization": f"Bearer {service.tokens['operator-1']}"}

    body = problem(service.client.post("/api/v1/imports", files=parts, headers=headers), 422, "body_invalid")

    assert body["errors"] == [{"pointer": f"/{part}", "rule": "missing"}]


def test_a_field_of_the_order_is_pointed_at(service: Service) -> None:
    data = {**order_data(), "legal_basis": []}

    for response in (send_file(service, "a.example\n", order=data), import_json(service, ["a.example"], order=data)):
        body = problem(response, 422, "body_invalid")
        assert body["errors"][0]["pointer"] == "/order/legal_basis"


def test_targets_do_not_belong_into_the_order(service: Service) -> None:
    body = problem(send_file(service, "a.example\n", order={**order_data(), "targets": []}), 422, "body_invalid")

    assert body["errors"][0]["pointer"] == "/order/targets"


def test_the_document_of_the_interface_describes_both_bodies(service: Service) -> None:
    document = service.client.get("/api/openapi.json").json()
    content = document["paths"]["/api/v1/imports"]["post"]["requestBody"]["content"]

    assert set(content) == {"multipart/form-data", "application/json"}
    for body in content.values():
        order = body["schema"]["properties"]["order"]
        references = json.dumps(order).split('"#/components/schemas/')[1:]
        assert {text.split('"')[0] for text in references} <= set(document["components"]["schemas"])
        assert "number" in order["required"]
