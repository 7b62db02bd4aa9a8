"""Importing a list over HTTP: a verdict for every line, and all of it is stored, or nothing."""

import json

import pytest
from sqlalchemy import text

from app.orders import imports_router, imports_verdicts
from tests.orders.importing import import_json, judged, order_data, send_file, verdicts
from tests.service import DAY, NOW, Service, answered, names_of, problem, records, text_of


def test_a_file_becomes_one_proposal_with_a_verdict_for_every_line(service: Service) -> None:
    content = (
        "# a list\n"
        "\n"
        "b.example  # the second\n"
        "A.Example.\n"
        "a.example\n"
        "x.a.example\n"
        "bücher.example\n"
        "XN--BCHER-KVA.example\n"
    )

    answer = answered(send_file(service, content, order=order_data(number="L-1")), 201)
    order = service.read(f"orders/{answer['order_id']}")

    assert answer["items"] == [
        {"line": 3, "input": "b.example", "name": "b.example", "verdict": "accepted"},
        {"line": 4, "input": "A.Example.", "name": "a.example", "verdict": "accepted"},
        {
            "line": 5,
            "input": "a.example",
            "name": "a.example",
            "verdict": "duplicate",
            "detail": "stands in line 4 already",
        },
        {
            "line": 6,
            "input": "x.a.example",
            "name": "x.a.example",
            "verdict": "covered",
            "detail": "line 4 holds a name above it",
        },
        {"line": 7, "input": "bücher.example", "name": "xn--bcher-kva.example", "verdict": "accepted"},
        {
            "line": 8,
            "input": "XN--BCHER-KVA.example",
            "name": "xn--bcher-kva.example",
            "verdict": "duplicate",
            "detail": "stands in line 7 already",
        },
    ]
    assert answer["counts"] == {
        "lines": 6,
        "accepted": 3,
        "unchanged": 0,
        "duplicate": 2,
        "covered": 1,
        "refused": 0,
    }
    assert answer["items_left_out"] == 0
    assert (order["state"], order["number"], order["targets_count"]) == ("proposed", "L-1", 4)
    assert [(block["name"], block["match"]) for block in order["blocks"]] == [
        ("a.example", "subtree"),
        ("x.a.example", "subtree"),
        ("b.example", "subtree"),
        ("xn--bcher-kva.example", "subtree"),
    ]


def test_the_proposal_is_the_same_as_one_that_came_by_hand(service: Service) -> None:
    by_hand = service.propose(targets=[{"name": name, "match": "exact"} for name in ("b.example", "a.example")])
    imported = answered(send_file(service, "a.example\nb.example\n", query="?match=exact"), 201)

    facts = [event["facts"] for event in service.events(type="order.proposed")]

    assert facts[0]["targets_root"] == facts[1]["targets_root"]
    assert [event["order"] for event in facts] == [by_hand["id"], imported["order_id"]]
    assert facts[1]["targets_count"] == 2
    assert facts[1]["conditions"] == order_data()["conditions"]


def test_an_import_writes_one_event_however_many_names_it_has(service: Service) -> None:
    answered(send_file(service, "".join(f"n{number}.example\n" for number in range(2_000))), 201)

    assert [event["type"] for event in service.events()] == ["order.proposed"]


def test_the_answer_carries_the_hash_of_the_plan_that_approval_needs(service: Service) -> None:
    answer = answered(send_file(service, "".join(f"n{number}.example\n" for number in range(1_001))), 201)
    order = {"id": answer["order_id"]}

    assert service.read(f"orders/{order['id']}/plan")["plan_hash"] == answer["plan_hash"]
    problem(service.post(f"orders/{order['id']}/approve", {"reason": "in order"}, by="approver-1"), 422, "mass_change")
    approved = service.approve(order, plan_hash=answer["plan_hash"])
    assert approved["state"] == "active"


def test_whoever_imported_a_list_does_not_approve_it(service: Service) -> None:
    answer = answered(send_file(service, "a.example\n", by="approver-1"), 201)

    response = service.post(f"orders/{answer['order_id']}/approve", {"reason": "in order"}, by="approver-1")
    problem(response, 403, "four_eyes")


def test_the_answer_names_the_version_of_the_order(service: Service) -> None:
    assert send_file(service, "a.example\n").headers["ETag"] == '"1"'


def test_a_list_may_come_as_json(service: Service) -> None:
    answer = answered(import_json(service, ["a.example", "# nothing", "b.example # why"]), 201)

    assert verdicts(answer) == {"a.example": "accepted", "b.example": "accepted"}
    assert [item["line"] for item in answer["items"]] == [1, 3]


def test_the_order_may_come_as_a_file_of_its_own(service: Service) -> None:
    parts: dict[str, tuple[str | None, str, str]] = {
        "order": ("order.json", json.dumps(order_data()), "application/json"),
        "file": ("list.txt", "a.example\n", "text/plain"),
    }
    headers = {"Authorization": f"Bearer {service.tokens['operator-1']}"}

    answered(service.client.post("/api/v1/imports", files=parts, headers=headers), 201)


@pytest.mark.parametrize(
    ("query", "match"), [("", "subtree"), ("?match=subtree", "subtree"), ("?match=exact", "exact")]
)
def test_the_match_is_said_once_for_all_names(service: Service, query: str, match: str) -> None:
    answer = answered(import_json(service, ["a.example", "x.a.example"], query=query), 201)
    order = service.read(f"orders/{answer['order_id']}")

    assert {block["match"] for block in order["blocks"]} == {match}
    assert verdicts(answer)["x.a.example"] == ("covered" if match == "subtree" else "accepted")


def test_one_refused_line_means_that_nothing_is_stored(service: Service) -> None:
    before = service.rows()

    body = problem(send_file(service, "a.example\nhttp://t.me/x\n# c\n10.0.0.1\ncom\n"), 422, "name_invalid")

    assert body["errors"] == [
        {"line": 2, "value": "http://t.me/x", "rule": "host_in_url"},
        {"line": 4, "value": "10.0.0.1", "rule": "address"},
        {"line": 5, "value": "com", "rule": "tld"},
    ]
    assert body["detail"].startswith("3 of 4 lines are refused")
    assert service.rows() == before


def test_partial_stores_the_good_lines_and_says_which_are_not(service: Service) -> None:
    answer = answered(send_file(service, "a.example\ncom\nb.example\n", query="?partial=true"), 201)
    order = service.read(f"orders/{answer['order_id']}")

    assert answer["items"][1] == {
        "line": 2,
        "input": "com",
        "name": None,
        "verdict": "refused",
        "code": "hard_protected",
        "rule": "tld",
        "detail": "'com' is a top-level domain",
    }
    assert answer["counts"]["refused"] == 1
    assert names_of(order["blocks"]) == ["a.example", "b.example"]


@pytest.mark.parametrize("query", ["", "?partial=true"])
@pytest.mark.parametrize("content", ["", "# nothing\n\n"])
def test_a_list_without_a_name_is_refused(service: Service, content: str, query: str) -> None:
    before = service.rows()

    body = problem(send_file(service, content, query=query), 422, "body_invalid")

    assert body["detail"] == "the list holds no name"
    assert service.rows() == before


def test_partial_does_not_make_an_order_of_refused_lines_alone(service: Service) -> None:
    before = service.rows()

    problem(send_file(service, "com\nnet\n", query="?partial=true"), 422, "hard_protected")

    assert service.rows() == before


def test_a_dry_run_tells_everything_and_stores_nothing(service: Service) -> None:
    before = service.rows()

    answer = judged(service, ["a.example", "com", "a.example"])

    assert [item["verdict"] for item in answer["items"]] == ["accepted", "refused", "duplicate"]
    assert "order_id" not in answer
    assert answer["plan_hash"] is None
    assert service.rows() == before


def test_a_dry_run_refuses_an_order_that_could_not_be_stored(service: Service) -> None:
    response = import_json(service, ["a.example"], query="?dry_run=true", order=order_data(category="nonsense"))

    problem(response, 422, "category_unknown")


def test_a_name_below_an_active_block_is_covered_and_held_all_the_same(service: Service) -> None:
    above = service.block("*.a.example")
    answer = answered(import_json(service, ["x.a.example"]), 201)
    service.approve({"id": answer["order_id"]}, plan_hash=answer["plan_hash"])

    assert answer["items"][0]["verdict"] == "covered"
    assert answer["items"][0]["detail"] == "an order in force holds a name above it"
    assert service.zone() == ["a.example .", "*.a.example ."]

    service.lift(above)

    assert service.zone() == ["x.a.example .", "*.x.a.example ."]


def test_a_name_at_an_active_block_or_below_an_exact_one_is_accepted(service: Service) -> None:
    service.block("*.a.example", "b.example")

    assert verdicts(judged(service, ["a.example", "x.b.example"])) == {
        "a.example": "accepted",
        "x.b.example": "accepted",
    }


def test_the_nearest_name_above_decides_whether_one_is_covered(service: Service) -> None:
    service.block("*.a.example")
    service.exception("*.open.a.example")
    lines = ["x.a.example", "x.open.a.example", "low.open.a.example", "y.low.open.a.example"]

    assert verdicts(judged(service, lines)) == {
        "x.a.example": "covered",
        "x.open.a.example": "accepted",
        "low.open.a.example": "accepted",
        "y.low.open.a.example": "covered",
    }


def test_where_a_block_and_an_exception_meet_the_block_covers(service: Service) -> None:
    service.exception("*.a.example")
    service.block("*.a.example")

    assert verdicts(judged(service, ["x.a.example"])) == {"x.a.example": "covered"}


def test_an_exception_is_covered_by_an_exception(service: Service) -> None:
    service.block("*.a.example")
    service.exception("*.open.a.example")
    exception = order_data(kind="exception", conditions=None)

    assert verdicts(judged(service, ["x.a.example", "x.open.a.example"], order=exception)) == {
        "x.a.example": "accepted",
        "x.open.a.example": "covered",
    }


@pytest.mark.parametrize("state", ["proposed", "active", "scheduled"])
def test_the_same_list_under_the_same_number_is_unchanged(service: Service, state: str) -> None:
    data = order_data(**({"effective_at": text_of(NOW + DAY)} if state == "scheduled" else {}))
    first = answered(import_json(service, ["a.example", "x.a.example"], order=data), 201)
    if state != "proposed":
        service.approve({"id": first["order_id"]}, plan_hash=first["plan_hash"])
    before = service.rows()

    again = answered(import_json(service, ["x.a.example", "A.EXAMPLE", "a.example"], order=data))

    assert verdicts(again) == {"x.a.example": "unchanged", "A.EXAMPLE": "unchanged", "a.example": "duplicate"}
    assert again["order_id"] == first["order_id"]
    assert again["plan_hash"] == (first["plan_hash"] if state == "proposed" else None)
    assert service.rows() == before


def test_names_are_not_added_to_an_order_that_stands(service: Service) -> None:
    data = order_data(number="L-1")
    answered(import_json(service, ["a.example"], order=data), 201)
    before = service.rows()

    body = problem(import_json(service, ["a.example", "b.example"], order=data), 409, "order_number_taken")
    assert body["errors"] == [{"pointer": "/number", "value": "L-1", "rule": "order_number_taken"}]
    assert service.rows() == before

    dry = judged(service, ["a.example", "b.example"], order=data)
    assert verdicts(dry) == {"a.example": "unchanged", "b.example": "accepted"}


def test_a_name_of_another_match_or_lifted_alone_is_not_unchanged(service: Service) -> None:
    data = order_data()
    first = answered(import_json(service, ["a.example", "b.example"], order=data), 201)
    service.approve({"id": first["order_id"]})
    service.lift({"id": first["order_id"]}, targets=[{"name": "b.example", "match": "subtree"}])

    assert verdicts(judged(service, ["a.example", "b.example"], order=data)) == {
        "a.example": "unchanged",
        "b.example": "accepted",
    }
    assert verdicts(judged(service, ["a.example"], query="?match=exact", order=data)) == {"a.example": "accepted"}


def test_the_number_of_an_order_that_ended_is_taken(service: Service) -> None:
    data = order_data()
    first = answered(import_json(service, ["a.example"], order=data), 201)
    service.approve({"id": first["order_id"]})
    service.lift({"id": first["order_id"]})

    problem(import_json(service, ["a.example"], order=data), 409, "order_number_taken")


def test_an_override_lets_soft_protected_names_through_and_no_others(service: Service) -> None:
    data = order_data(override={"reason": "by decree", "expires_at": text_of(NOW + DAY)})
    lines = ["duckdns.org", "a.nosuchtld", "com"]

    assert verdicts(judged(service, lines)) == dict.fromkeys(lines, "refused")
    assert verdicts(judged(service, lines, order=data)) == {
        "duckdns.org": "accepted",
        "a.nosuchtld": "accepted",
        "com": "refused",
    }


def test_an_imported_list_is_published_when_it_is_approved(service: Service) -> None:
    answer = answered(send_file(service, "a.example\nb.example\n", query="?match=exact"), 201)
    assert service.zone() == []

    service.approve({"id": answer["order_id"]})

    assert records(service.get("zones/block.rpz/export.rpz", by="isp-1").text) == []
    assert service.zone() == ["a.example .", "b.example ."]


def test_a_long_answer_shows_every_refused_line_and_the_first_others(service: Service) -> None:
    lines = [f"n{number}.example" for number in range(1_500)] + ["com", "net"]

    answer = judged(service, lines)

    assert len(answer["items"]) == 1_002
    assert answer["items_left_out"] == 500
    assert [item["line"] for item in answer["items"][-3:]] == [1_000, 1_501, 1_502]
    assert answer["counts"]["lines"] == 1_502


def test_the_same_key_imports_once(service: Service) -> None:
    data = json.dumps(order_data()).encode()
    body = (
        b'--x\r\nContent-Disposition: form-data; name="order"\r\n\r\n' + data + b"\r\n"
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="list.txt"\r\n\r\na.example\n\r\n--x--\r\n'
    )
    headers = {"Content-Type": "multipart/form-data; boundary=x", "Idempotency-Key": "k"}

    first = service.request("POST", "imports", by="operator-1", headers=headers, content=body)
    again = service.request("POST", "imports", by="operator-1", headers=headers, content=body)

    assert answered(again, 201) == answered(first, 201)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert service.rows()["orders"] == 1


def test_an_answer_that_cannot_be_kept_takes_the_proposal_with_it(service: Service) -> None:
    """The answer and the last step of the import are one transaction."""
    with service.database.write() as session:
        session.execute(
            text("CREATE TRIGGER full BEFORE INSERT ON idempotent_answers BEGIN SELECT RAISE(ABORT, 'x'); END")
        )

    response = send_file(service, "a.example\n", Idempotency_Key="k")

    assert response.status_code >= 400
    assert service.read("orders")["items"] == []
    assert service.events() == []


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
