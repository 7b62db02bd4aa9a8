"""Importing a list over HTTP: a verdict for every line, and all of it is stored, or nothing."""

import json

import pytest

from tests import databases
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
            "detail_id": "sudah ada di baris 4",
        },
        {
            "line": 6,
            "input": "x.a.example",
            "name": "x.a.example",
            "verdict": "covered",
            "detail": "line 4 holds a name above it",
            "detail_id": "baris 4 memuat nama di atasnya",
        },
        {"line": 7, "input": "bücher.example", "name": "xn--bcher-kva.example", "verdict": "accepted"},
        {
            "line": 8,
            "input": "XN--BCHER-KVA.example",
            "name": "xn--bcher-kva.example",
            "verdict": "duplicate",
            "detail": "stands in line 7 already",
            "detail_id": "sudah ada di baris 7",
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
        "detail_id": "domain tingkat teratas tidak boleh diblokir",
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
    databases.refuse(service.database, "INSERT", "idempotent_answers")

    response = send_file(service, "a.example\n", Idempotency_Key="k")

    assert response.status_code >= 400
    assert service.read("orders")["items"] == []
    assert service.events() == []
