"""Marks on conditions: the one that completes a tree lifts the block, in its own transaction."""

import base64
import hashlib

import pytest

from tests.service import NOW, Json, Service, a_leaf, answered, condition, problem, text_of

TWO = {"all_of": [a_leaf("one"), a_leaf("two")]}
EITHER = {"any_of": [a_leaf("one"), a_leaf("two")]}
EVIDENCE = {"evidence": {"text": "see the letter"}}


def post(service: Service, leaf: Json, act: str, *, by: str, **fields: object) -> Json:
    """A mark, with the body that it needs."""
    body = {"reason": "checked"} if act in {"verify", "reject"} else {"reason": "by law", "authority": "The court"}
    return answered(service.post(f"conditions/{leaf['id']}/{act}", {**body, **fields}, by=by))


def refused(service: Service, leaf: Json, act: str, *, by: str, status: int, code: str) -> None:
    """A mark that must be refused; the condition is as it was."""
    before = service.read(f"conditions/{leaf['id']}")
    body = EVIDENCE if act == "claim" else {"reason": "x", **({"authority": "y"} if act == "waive" else {})}
    problem(service.post(f"conditions/{leaf['id']}/{act}", body, by=by), status, code)
    assert service.read(f"conditions/{leaf['id']}") == before


def test_a_claim_keeps_its_evidence_and_is_not_met(service: Service) -> None:
    order = service.block()
    leaf = condition(order)

    response = service.post(f"conditions/{leaf['id']}/claim", EVIDENCE, by="operator-1", version='"1"')

    body = answered(response)
    assert body == {
        **leaf,
        "state": "claimed",
        "version": 2,
        "overdue": False,
        "waiver": None,
        "sealed": False,
        "evidence": [
            {
                "id": body["evidence"][0]["id"],
                "submitted_at": text_of(NOW),
                "sha256": hashlib.sha256(b"see the letter").hexdigest(),
                "text": "see the letter",
                "file": None,
                "media_type": None,
                "size": None,
                "download_name": None,
            }
        ],
        "order": {"id": order["id"], "number": order["number"], "state": "active", "ground": None},
    }
    assert response.headers["ETag"] == '"2"'
    assert service.read(f"conditions/{leaf['id']}") == body


def test_a_claim_is_one_event_with_the_hash_of_its_evidence(service: Service) -> None:
    order = service.block()
    leaf = condition(order)
    service.mark(leaf, "claim", by="operator-1")

    event = service.events()[-1]
    assert (event["type"], event["actor"]["name"]) == ("condition.claimed", "operator-1")
    assert event["facts"] == {
        "order": order["id"],
        "condition": leaf["id"],
        "code": "content_removed",
        "state": "claimed",
        "evidence": "sha256:" + hashlib.sha256(b"see the letter").hexdigest(),
    }


def test_evidence_is_a_text_and_a_file(service: Service) -> None:
    leaf = condition(service.block())

    evidence = {"text": "a", "file": {"name": "b", "content": base64.b64encode(b"b").decode()}}
    claimed = service.mark(leaf, "claim", by="operator-1", evidence=evidence)

    both = hashlib.sha256(hashlib.sha256(b"a").digest() + hashlib.sha256(b"b").digest()).hexdigest()
    assert claimed["evidence"][0]["sha256"] == both


@pytest.mark.parametrize(
    ("evidence", "status", "code"),
    [
        ({}, 422, "body_invalid"),
        ({"text": "  "}, 422, "body_invalid"),
        ({"text": "a\x00b"}, 422, "body_invalid"),
        ({"file": {"name": "b", "content": "not base64!"}}, 422, "body_invalid"),
        ({"file": {"name": "b", "content": base64.b64encode(bytes(1_048_577)).decode()}}, 413, "too_large"),
        ({"file": {"name": "b", "content": "A" * 1_500_000}}, 422, "body_invalid"),
    ],
    ids=["nothing", "blank", "a control character", "no base64", "too large", "far too large"],
)
def test_bad_evidence_is_refused(service: Service, evidence: Json, status: int, code: str) -> None:
    leaf = condition(service.block())

    response = service.post(f"conditions/{leaf['id']}/claim", {"evidence": evidence}, by="operator-1")

    problem(response, status, code)
    assert service.rows()["evidence"] == 0
    assert service.read(f"conditions/{leaf['id']}")["state"] == "pending"


def test_evidence_may_have_several_lines(service: Service) -> None:
    leaf = condition(service.block())

    claimed = service.mark(leaf, "claim", by="operator-1", evidence={"text": "one\ntwo\tthree"})

    assert claimed["evidence"][0]["text"] == "one\ntwo\tthree"


def test_the_last_mark_lifts_the_block(service: Service) -> None:
    order = service.block("blocked.example", conditions=TWO)
    one, two = condition(order, "one"), condition(order, "two")
    assert service.meet(one)["order"]["state"] == "active"
    assert service.zone() == ["blocked.example ."]

    marked = service.meet(two)

    assert marked["state"] == "met"
    assert (marked["order"]["state"], marked["order"]["ground"]) == ("ended", "conditions_met")
    assert service.zone() == []


def test_the_mark_and_the_lift_are_two_events_at_one_moment(service: Service) -> None:
    order = service.block(conditions=EITHER)
    leaf = condition(order, "two")
    service.meet(leaf)

    met, ended = service.events()[-2:]
    assert (met["type"], ended["type"], ended["seq"]) == ("condition.met", "order.ended", met["seq"] + 1)
    assert met["facts"]["reason"] == "checked"
    assert met["facts"]["evidence"] == ["sha256:" + hashlib.sha256(b"see the letter").hexdigest()]
    assert ended["facts"] == {"order": order["id"], "ground": "conditions_met", "because": ["two"]}
    assert met["recorded_at"] == ended["recorded_at"]


def test_one_of_several_is_enough_where_the_tree_says_so(service: Service) -> None:
    order = service.block("blocked.example", conditions=EITHER)

    assert service.meet(condition(order, "one"))["order"]["state"] == "ended"


def test_conditions_that_do_not_gate_neither_hold_up_a_lift_nor_bring_it_about(service: Service) -> None:
    ministry = a_leaf("ministry_side", responsible_party="ministry", gating=False, kind="continuing")
    order = service.block(conditions={"all_of": [a_leaf("one"), ministry]})

    assert service.meet(condition(order, "ministry_side"))["order"]["state"] == "active"
    assert service.meet(condition(order, "one"))["order"]["state"] == "ended"


def test_a_claim_does_not_lift(service: Service) -> None:
    order = service.block("blocked.example")

    assert service.mark(condition(order), "claim", by="operator-1")["order"]["state"] == "active"
    assert service.zone() == ["blocked.example ."]


def test_a_claim_counts_for_nothing_when_another_condition_is_met(service: Service) -> None:
    order = service.block("blocked.example", conditions=TWO)
    service.mark(condition(order, "two"), "claim", by="operator-1")

    assert service.meet(condition(order, "one"))["order"]["state"] == "active"


@pytest.mark.parametrize("act", ["verify", "reject"])
def test_the_claimant_does_not_judge_the_claim(service: Service, act: str) -> None:
    leaf = condition(service.block())
    service.mark(leaf, "claim", by="approver-1")

    refused(service, leaf, act, by="approver-1", status=403, code="four_eyes")
    assert post(service, leaf, act, by="approver-2")["state"] == ("met" if act == "verify" else "rejected")


def test_whoever_claims_anew_does_not_verify_the_new_claim(service: Service) -> None:
    leaf = condition(service.block())
    service.mark(leaf, "claim", by="operator-1")
    service.mark(leaf, "reject", by="approver-1")
    service.mark(leaf, "claim", by="approver-1")

    refused(service, leaf, "verify", by="approver-1", status=403, code="four_eyes")


def test_a_rejected_claim_is_made_again_with_other_evidence(service: Service) -> None:
    leaf = condition(service.block())
    service.mark(leaf, "claim", by="operator-1")
    assert service.mark(leaf, "reject", by="approver-1")["state"] == "rejected"

    claimed = service.mark(leaf, "claim", by="operator-1", evidence={"text": "another letter"})

    assert (claimed["state"], [each["text"] for each in claimed["evidence"]]) == (
        "claimed",
        ["see the letter", "another letter"],
    )


def test_a_waived_condition_counts_as_satisfied_and_never_looks_met(service: Service) -> None:
    order = service.block(conditions=TWO)
    service.meet(condition(order, "one"))

    waived = post(service, condition(order, "two"), "waive", by="approver-1")

    assert (waived["state"], waived["order"]["state"], waived["order"]["ground"]) == (
        "waived",
        "ended",
        "conditions_met",
    )
    waiver = service.events()[-2]
    assert waiver["type"] == "condition.waived"
    assert (waiver["facts"]["authority"], waiver["facts"]["reason"]) == ("The court", "by law")
    assert service.events()[-1]["facts"]["waived"] == ["two"]
    assert waived["waiver"] == {"authority": "The court", "reason": "by law", "at": text_of(NOW)}
    assert service.read("names/blocked.example", by=None)["lifted"][0]["waived"] == ["two"]


@pytest.mark.parametrize("first", [None, "claim"])
def test_a_condition_is_waived_from_any_state_in_which_it_is_open(service: Service, first: str | None) -> None:
    leaf = condition(service.block(conditions=TWO), "one")
    if first is not None:
        service.mark(leaf, first, by="operator-1")

    assert post(service, leaf, "waive", by="approver-1")["state"] == "waived"


@pytest.mark.parametrize("act", ["verify", "reject"])
def test_only_a_claim_is_judged(service: Service, act: str) -> None:
    leaf = condition(service.block())

    refused(service, leaf, act, by="approver-1", status=409, code="state_conflict")


@pytest.mark.parametrize("act", ["claim", "verify", "reject", "waive"])
def test_a_met_condition_stays_met(service: Service, act: str) -> None:
    leaf = condition(service.block(conditions=TWO), "one")
    service.meet(leaf)

    refused(service, leaf, act, by="approver-2", status=409, code="state_conflict")


@pytest.mark.parametrize("act", ["claim", "waive"])
def test_conditions_of_a_proposal_are_not_marked(service: Service, act: str) -> None:
    leaf = condition(service.propose())

    refused(service, leaf, act, by="approver-1", status=409, code="state_conflict")


def test_conditions_of_an_ended_order_are_not_marked(service: Service) -> None:
    leaf = condition(service.lift(service.block()))

    refused(service, leaf, "claim", by="operator-1", status=409, code="state_conflict")


def test_conditions_met_before_an_order_begins_end_it(service: Service) -> None:
    order = service.block("blocked.example", effective_at="2026-12-01T00:00:00Z")

    assert service.meet(condition(order))["order"]["state"] == "ended"
    service.clock.now = service.clock.now.replace(year=2027)
    assert service.zone() == []


@pytest.mark.parametrize("act", ["claim", "verify", "reject", "waive"])
def test_a_mark_needs_the_version_that_was_shown(service: Service, act: str) -> None:
    leaf = condition(service.block())
    body = EVIDENCE if act == "claim" else {"reason": "x", **({"authority": "y"} if act == "waive" else {})}
    path = f"conditions/{leaf['id']}/{act}"

    problem(service.post(path, body, by="approver-1", version=None), 428, "version_required")
    problem(service.post(path, body, by="approver-1", version='"7"'), 412, "stale_version")


def test_a_condition_that_nobody_has_is_not_found(service: Service) -> None:
    problem(service.post("conditions/nonsense/claim", EVIDENCE, by="operator-1"), 404, "not_found")
    problem(service.get("conditions/nonsense"), 404, "not_found")


def test_a_platform_sees_its_own_conditions_of_orders_in_force(service: Service) -> None:
    tree = {"all_of": [a_leaf("one"), a_leaf("side", responsible_party="ministry", gating=False)]}
    mine = service.block("a.example", platform="platform-1", conditions=tree)
    service.block("b.example", platform="platform-2")
    service.block("c.example")
    service.propose(platform="platform-1")

    seen = service.read("conditions", by="platform-1")["items"]

    assert [(each["code"], each["order"]["id"]) for each in seen] == [("one", mine["id"])]


@pytest.mark.parametrize("platform", ["platform-1", "platform-2", None])
def test_a_platform_claims_its_own_conditions_only(service: Service, platform: str | None) -> None:
    leaf = condition(service.block("a.example", platform=platform))

    if platform == "platform-1":
        assert service.mark(leaf, "claim", by="platform-1")["state"] == "claimed"
    else:
        problem(service.post(f"conditions/{leaf['id']}/claim", EVIDENCE, by="platform-1"), 404, "not_found")
        problem(service.get(f"conditions/{leaf['id']}", by="platform-1"), 404, "not_found")


def test_conditions_are_listed_by_order(service: Service) -> None:
    service.block("a.example", conditions=TWO)
    order = service.block("b.example", conditions=TWO)

    listed = service.read(f"conditions?order={order['id']}")

    assert [each["id"] for each in listed["items"]] == [each["id"] for each in order["conditions"]]
    assert listed["next"] is None
