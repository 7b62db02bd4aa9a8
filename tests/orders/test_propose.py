"""Proposing an order, and taking a proposal back."""

from tests.service import NOW, Service, a_leaf, an_order, answered, condition, problem, targets, text_of

ORDER = {
    "number": "EX-1",
    "dated": "2026-11-01",
    "authority": "Example Ministry",
    "kind": "block",
    "legal_basis": [{"instrument": "Example Act", "article": "1"}],
    "category": "gambling",
    "reason": {"id": "Perjudian daring", "en": "Online gambling"},
    "platform": None,
    "effective_at": None,
    "expires_at": None,
    "review_due_at": "2027-11-01T00:00:00Z",
    "override": None,
    "targets": [{"name": "blocked.example", "match": "exact"}, {"name": "casino.example", "match": "subtree"}],
    "conditions": {
        "all_of": [
            a_leaf("content_removed"),
            {"any_of": [a_leaf("representative_office"), a_leaf("representative_person")]},
        ]
    },
}


def test_a_proposal_is_answered_with_the_whole_order(service: Service) -> None:
    response = service.post("orders", ORDER, by="operator-1")

    order = answered(response, 201)
    blocks, conditions = order.pop("blocks"), order.pop("conditions")
    assert order == {
        "id": order["id"],
        "number": "EX-1",
        "number_note": None,
        "sample": False,
        "kind": "block",
        "state": "proposed",
        "version": 1,
        "dated": "2026-11-01",
        "authority": "Example Ministry",
        "legal_basis": [{"instrument": "Example Act", "article": "1"}],
        "category": "gambling",
        "reason": {"id": "Perjudian daring", "en": "Online gambling"},
        "platform": None,
        "sop": None,
        "override": None,
        "proposed_at": text_of(NOW),
        "decided_at": None,
        "effective_at": None,
        "expires_at": None,
        "review_due_at": "2027-11-01T00:00:00Z",
        "review_at": "2027-11-01T00:00:00Z",
        "stale_since": None,
        "end_proposed": None,
        "emergency": None,
        "targets_count": 2,
        "lift_planned": None,
        "ended_at": None,
        "ground": None,
        "document": None,
        "slips": [],
        "suspended_until": None,
        "undoes_id": None,
        "blocks_left_out": 0,
        "condition_tree": ORDER["conditions"],
    }
    assert [(block["name"], block["match"], block["state"]) for block in blocks] == [
        ("blocked.example", "exact", "proposed"),
        ("casino.example", "subtree", "proposed"),
    ]
    assert [(leaf["code"], leaf["state"], leaf["version"]) for leaf in conditions] == [
        ("content_removed", "pending", 1),
        ("representative_office", "pending", 1),
        ("representative_person", "pending", 1),
    ]
    assert conditions[1]["parent_id"] == conditions[2]["parent_id"] != conditions[0]["parent_id"]
    assert response.headers["ETag"] == '"1"'


def test_a_proposal_is_read_back_as_it_was_answered(service: Service) -> None:
    proposed = service.propose()

    assert service.read(f"orders/{proposed['id']}") == proposed


def test_a_proposal_blocks_nothing(service: Service) -> None:
    service.propose(targets=targets("blocked.example"))

    assert service.zone() == []
    assert service.read("names/blocked.example")["blocked"] is False


def test_names_are_stored_in_their_canonical_form(service: Service) -> None:
    order = service.propose(targets=targets("BLOCKED.Example.", "bücher.example"))

    assert [block["name"] for block in order["blocks"]] == ["blocked.example", "xn--bcher-kva.example"]


def test_a_sop_gives_the_conditions_of_its_newest_version(service: Service) -> None:
    order = service.propose(conditions=None, sop={"code": "ott-platform", "profile": "nonprofit"})

    [sop] = service.read("sops/ott-platform")["items"]
    assert order["sop"] == {"code": "ott-platform", "version": 1, "profile": "nonprofit"}
    assert order["condition_tree"] == sop["profiles"]["nonprofit"]


def test_a_sop_without_a_profile_gives_its_own_conditions(service: Service) -> None:
    order = service.propose(conditions=None, sop={"code": "domain-owner", "version": 1})

    assert order["condition_tree"] == service.read("sops/domain-owner")["items"][0]["conditions"]


def test_an_exception_needs_no_conditions(service: Service) -> None:
    order = service.propose(kind="exception", conditions=None)

    assert (order["kind"], order["conditions"], order["condition_tree"]) == ("exception", [], None)


def test_an_exception_may_have_conditions(service: Service) -> None:
    order = service.propose(kind="exception", conditions=a_leaf())

    assert condition(order)["state"] == "pending"


def test_a_number_is_taken_while_its_order_lives(service: Service) -> None:
    service.propose(number="EX-1")

    answer = problem(service.post("orders", an_order(number="EX-1"), by="operator-2"), 409, "order_number_taken")
    assert answer["errors"] == [{"pointer": "/number", "value": "EX-1", "rule": "order_number_taken"}]


def test_the_number_of_an_ended_order_stays_taken(service: Service) -> None:
    service.lift(service.block(number="EX-1"))

    problem(service.post("orders", an_order(number="EX-1"), by="operator-1"), 409, "order_number_taken")


def test_a_withdrawn_order_is_proposed_anew_under_its_number(service: Service) -> None:
    withdrawn = service.propose(number="EX-1")
    service.act(withdrawn, "withdraw", {"reason": "a mistake"}, by="operator-1")

    assert service.propose(number="EX-1")["id"] != withdrawn["id"]


def test_the_proposer_withdraws_a_proposal(service: Service) -> None:
    order = service.act(service.propose(), "withdraw", {"reason": "a mistake"}, by="operator-1")

    assert (order["state"], order["version"]) == ("withdrawn", 2)
    assert [event["type"] for event in service.events()] == ["order.proposed", "order.withdrawn"]


def test_nobody_else_withdraws_a_proposal(service: Service) -> None:
    order = service.propose(by="operator-1")

    for other in ("operator-2", "approver-1"):
        response = service.post(f"orders/{order['id']}/withdraw", {"reason": "not mine"}, by=other)
        problem(response, 403, "role_forbidden")


def test_an_approved_order_is_not_withdrawn(service: Service) -> None:
    order = service.block("blocked.example")

    response = service.post(f"orders/{order['id']}/withdraw", {"reason": "too late"}, by="operator-1")
    problem(response, 409, "state_conflict")


def test_a_proposal_is_one_event_that_holds_the_order_and_the_root_of_its_names(service: Service) -> None:
    order = answered(service.post("orders", ORDER, by="operator-1"), 201)

    [event] = service.events()
    assert event["type"] == "order.proposed"
    assert event["facts"] == {
        "order": order["id"],
        "number": "EX-1",
        "number_note": None,
        "kind": "block",
        "dated": "2026-11-01",
        "authority": "Example Ministry",
        "legal_basis": [{"instrument": "Example Act", "article": "1"}],
        "category": "gambling",
        "reason": {"id": "Perjudian daring", "en": "Online gambling"},
        "platform": None,
        "sop": None,
        "override": None,
        "effective_at": None,
        "expires_at": None,
        "review_due_at": "2027-11-01T00:00:00.000000Z",
        "lapses_at": None,
        "targets_count": 2,
        "targets_root": event["facts"]["targets_root"],
        "conditions": ORDER["conditions"],
    }


def test_a_thousand_names_go_by_one_proposal(service: Service) -> None:
    order = service.propose(targets=targets(*(f"n{number}.example" for number in range(1000))))

    assert (order["targets_count"], len(order["blocks"]), order["blocks_left_out"]) == (1000, 1000, 0)


def test_more_names_go_by_import(service: Service) -> None:
    body = an_order(targets=targets(*(f"n{number}.example" for number in range(1001))))

    problem(service.post("orders", body, by="operator-1"), 413, "too_large")
    assert service.rows()["orders"] == 0


def test_an_approver_proposes_too(service: Service) -> None:
    order = service.propose(by="approver-1")

    assert service.approve(order, by="approver-2")["state"] == "active"
