"""Templates of conditions: versions that two people change, and orders that keep the one they were made under."""

import json
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from app.cli import main
from app.settings import Settings
from tests.orders.importing import judged, order_data
from tests.orders.test_direct_sql import refused
from tests.orders.test_imports_plan_id import applied, moved
from tests.orders.test_races import Racers
from tests.policy.scale import scaled
from tests.service import Json, Service, a_leaf, answered, environment_of, problem

REASON = {"reason": "asked for by the law desk"}


def said(*codes: str, **fields: object) -> Json:
    """What a version says."""
    return {
        "title": {"id": "Templat", "en": "A template"},
        "source": "Law desk, note 7",
        "conditions": {"all_of": [a_leaf(code) for code in codes or ("one",)]},
        "profiles": {"nonprofit": a_leaf("one")},
        **REASON,
        **fields,
    }


def put(service: Service, code: str = "domain-owner", *, by: str = "approver-1", **body: object) -> httpx.Response:
    headers = {"Content-Type": "application/json"}
    return service.request("PUT", f"sops/{code}", by=by, headers=headers, content=json.dumps(body or said()))


def decide(service: Service, act: str, code: str = "domain-owner", *, by: str, version: str = "*") -> httpx.Response:
    return service.post(f"sops/{code}/{act}", REASON, by=by, version=version)


def confirmed(service: Service) -> Json:
    """A version that one proposed and another confirmed."""
    answered(put(service))
    return answered(decide(service, "confirm", by="approver-2"))


def order_by(service: Service, **sop: object) -> Json:
    return service.propose(conditions=None, sop={"code": "domain-owner", **sop})


def test_what_ships_is_version_1_and_says_where_it_comes_from(service: Service) -> None:
    listed = service.read("sops")["items"]

    assert [(row["code"], row["version"], row["state"], row["proposed_at"]) for row in listed] == [
        ("ott-platform", 1, "confirmed", None),
        ("domain-owner", 1, "confirmed", None),
    ]
    assert "as reported by Indonesian news outlets" in listed[0]["source"]


def test_a_version_is_used_once_another_approver_has_confirmed_it(service: Service) -> None:
    response = put(service, **said("one", "two"))
    row = answered(response)
    assert (row["version"], row["state"], row["revision"]) == (2, "proposed", 2)
    assert response.headers["ETag"] == '"2"'
    assert order_by(service)["sop"]["version"] == 1
    problem(decide(service, "confirm", by="approver-1"), 403, "four_eyes")

    done = answered(decide(service, "confirm", by="approver-2", version='"2"'))

    assert (done["version"], done["state"], done["confirmed_at"]) == (2, "confirmed", "2026-11-22T03:00:00Z")
    order = order_by(service)
    assert order["sop"] == {"code": "domain-owner", "version": 2, "profile": None}
    assert order["condition_tree"] == said("one", "two")["conditions"]
    assert order_by(service, version=1)["sop"]["version"] == 1
    assert order_by(service, profile="nonprofit")["condition_tree"] == a_leaf("one")


def test_an_order_keeps_the_version_it_was_made_under(service: Service) -> None:
    order = service.approve(order_by(service))
    before = service.read(f"orders/{order['id']}")

    confirmed(service)

    assert service.read(f"orders/{order['id']}") == before
    assert before["sop"] == {"code": "domain-owner", "version": 1, "profile": None}
    (one,) = service.read("sops/domain-owner?version=1")["items"]
    assert before["condition_tree"] == one["conditions"]
    lifted = service.lift(before)
    again = service.act(lifted, "undo", {"reason": "it was right"})
    assert (again["sop"], again["condition_tree"]) == (before["sop"], before["condition_tree"])


def test_a_proposed_version_is_used_by_nobody_and_replaced_by_the_next(service: Service) -> None:
    put(service, **said("one"))
    second = answered(put(service, by="approver-2", **said("two")))

    assert (second["version"], second["revision"]) == (2, 3)
    assert [row["revision"] for row in service.read("sops/domain-owner")["items"]] == [1, 3]
    problem(decide(service, "confirm", by="approver-1", version='"2"'), 412, "stale_version")
    problem(decide(service, "confirm", by="approver-2"), 403, "four_eyes")
    assert (
        answered(decide(service, "confirm", by="approver-1", version='"3"'))["conditions"] == said("two")["conditions"]
    )


@pytest.mark.parametrize("by", ["approver-1", "approver-2"])
def test_a_proposed_version_is_withdrawn_by_its_proposer_or_refused_by_another(service: Service, by: str) -> None:
    put(service)

    assert answered(decide(service, "withdraw", by=by))["state"] == "withdrawn"

    problem(decide(service, "confirm", by="approver-2"), 409, "state_conflict")
    assert [row["version"] for row in service.read("sops/domain-owner")["items"]] == [1]
    problem(service.get("sops/domain-owner?version=2"), 404, "not_found")
    assert confirmed(service)["version"] == 2


def test_a_new_template_is_of_nobodys_use_before_it_is_confirmed(service: Service) -> None:
    put(service, "games", **said())
    body = {**order_data(), "targets": [{"name": "a.example", "match": "exact"}], "sop": {"code": "games"}}
    body["conditions"] = None
    problem(service.post("orders", body, by="operator-1"), 422, "sop_unknown")

    answered(decide(service, "confirm", "games", by="approver-2"))

    assert answered(service.post("orders", body, by="operator-1"), 201)["sop"]["version"] == 1


def test_a_version_that_changes_nothing_is_refused(service: Service) -> None:
    confirmed(service)

    problem(put(service), 409, "state_conflict")


def test_the_journal_has_what_was_said_by_whom(service: Service) -> None:
    confirmed(service)

    proposed, done = service.events()[-2:]
    assert (proposed["type"], proposed["actor"]["name"]) == ("sop.proposed", "approver-1")
    assert (done["type"], done["actor"]["name"]) == ("sop.confirmed", "approver-2")
    assert proposed["facts"]["conditions"] == said()["conditions"]
    assert proposed["facts"]["digest"] == done["facts"]["digest"] == service.read("sops")["items"][-1]["digest"]


HOSTILE: list[tuple[Json, str, str]] = [
    ({"conditions": {"all_of": []}}, "conditions_empty", "/conditions"),
    ({"conditions": {}}, "body_invalid", "/conditions/code"),
    ({"conditions": {"any_of": [7]}}, "body_invalid", "/conditions/any_of/0"),
    ({"conditions": a_leaf(gating=False)}, "no_gating_condition", "/conditions"),
    ({"conditions": {"all_of": [a_leaf("a"), a_leaf("a")]}}, "body_invalid", "/conditions"),
    ({"conditions": a_leaf(due_at="2030-01-01T00:00:00Z")}, "body_invalid", "/conditions"),
    ({"profiles": {"nonprofit": {"any_of": []}}}, "conditions_empty", "/profiles/nonprofit"),
    ({"profiles": {"Non Profit": a_leaf()}}, "body_invalid", "/profiles"),
    ({"profiles": {f"p{number}": a_leaf() for number in range(21)}}, "body_invalid", "/profiles"),
    ({"title": {"id": "x"}}, "body_invalid", "/title/en"),
    ({"source": " "}, "body_invalid", "/source"),
    ({"version": 7}, "body_invalid", "/version"),
]


def test_a_template_that_no_order_could_have_is_refused_with_its_place(service: Service) -> None:
    for fields, code, pointer in HOSTILE:
        answer = problem(put(service, **said(**fields)), 422, code)
        assert answer["errors"][0]["pointer"].startswith(pointer), fields
    deep: Json = a_leaf()
    for _ in range(200):
        deep = {"all_of": [deep]}
    problem(put(service, **said(conditions=deep)), 422, "body_invalid")
    problem(put(service, "Not a code", **said()), 422, "body_invalid")
    assert service.rows()["sops"] == 2
    problem(service.get("sops/domain-owner?version=0"), 422, "body_invalid")
    problem(decide(service, "confirm", by="approver-2"), 404, "not_found")


def test_two_confirmations_at_once_have_one_effect(service: Service) -> None:
    racers = Racers(service)
    try:
        for number in range(scaled(5)):
            answered(put(service, **said(f"c{number}")))
            act = ("approver-2", "sops/domain-owner/confirm", REASON)
            assert racers.run("*", act, act) == [200, 409]
    finally:
        racers.close()
    rows = service.read("sops/domain-owner")["items"]
    assert [row["version"] for row in rows] == list(range(1, 2 + scaled(5)))
    assert [event["type"] for event in service.events()].count("sop.confirmed") == scaled(5)


PROPOSER = "(SELECT proposed_by_id FROM sops WHERE state = 'proposed')"
OPERATOR = "(SELECT id FROM principals WHERE role = 'operator' LIMIT 1)"
CONFIRM = "UPDATE sops SET state = 'confirmed', decided_at = proposed_at, decided_by_id = {} WHERE state = 'proposed'"
COPY = (
    "INSERT INTO sops (code, number, version, state, title_id, title_en, source, conditions, profiles, sha256,"
    " proposed_at, proposed_by_id) SELECT code, {}, 77, '{}', title_id, title_en, source, conditions, profiles, sha256,"
    " proposed_at, {} FROM sops WHERE state = 'proposed'"
)
BY_ANOTHER = (
    "decided_by_id = (SELECT max(id) FROM principals WHERE role = 'approver'), decided_at = '2026-11-22 03:00:00'"
)
ONCE = "a version of a template is decided once, and never changed"
FORGERIES = {
    CONFIRM.format(PROPOSER): "four_eyes",
    CONFIRM.format(OPERATOR): "an approver decides",
    CONFIRM.format("NULL"): "an approver decides",
    f"UPDATE sops SET conditions = '{{}}', {BY_ANOTHER}, state = 'withdrawn' WHERE state = 'proposed'": ONCE,
    f"UPDATE sops SET conditions = '{{}}', {BY_ANOTHER} WHERE state = 'confirmed'": ONCE,
    f"UPDATE sops SET state = 'withdrawn', {BY_ANOTHER} WHERE state = 'confirmed'": ONCE,
    f"UPDATE sops SET {BY_ANOTHER} WHERE state = 'proposed'": ONCE,
    "DELETE FROM sops": "never deleted",
    COPY.format(3, "confirmed", "proposed_by_id"): "begins as the proposal",
    COPY.format(2, "proposed", OPERATOR): "begins as the proposal",
    COPY.format(9, "proposed", "proposed_by_id"): "begins as the proposal",
}


def test_nobody_gets_round_it_by_direct_sql(service: Service) -> None:
    put(service)
    before = service.read("sops")

    for statement, words in FORGERIES.items():
        assert words in refused(service, statement)

    assert service.read("sops") == before


def test_a_list_that_was_judged_under_another_version_has_moved(service: Service) -> None:
    order = {**order_data(), "conditions": None, "sop": {"code": "domain-owner"}}
    plan_id = judged(service, ["a.example"], order=order)["plan_id"]

    confirmed(service)

    assert moved(applied(service, plan_id, order, ["a.example"])) == ["order_moved"]


def pulih(service: Service, settings: Settings, *arguments: str, by: str) -> Result:
    environment = {**environment_of(settings), "PULIH_TOKEN": service.tokens[by]}
    return CliRunner().invoke(main, ("sop", *arguments), env=environment)


def test_the_command_line_does_the_same(service: Service, settings: Settings, tmp_path: Path) -> None:
    shown = json.loads(pulih(service, settings, "show", "domain-owner", by="auditor-1").output)[0]
    file = tmp_path / "sop.json"
    file.write_text(json.dumps({**shown, "source": "Law desk, note 8"}))
    reason = ("--reason", "note 8")

    assert pulih(service, settings, "put", "domain-owner", str(file), *reason, by="approver-1").output == (
        "domain-owner version 2: proposed (revision 2)\n"
    )
    listed = pulih(service, settings, "list", by="auditor-1").output
    assert [line.split()[:3] for line in listed.splitlines()] == [
        ["ott-platform", "1", "confirmed"],
        ["domain-owner", "1", "confirmed"],
        ["domain-owner", "2", "proposed"],
    ]
    own = pulih(service, settings, "confirm", "domain-owner", *reason, by="approver-1")
    assert (own.exit_code, "four_eyes" in own.output) == (1, True)
    stale = pulih(service, settings, "confirm", "domain-owner", "--revision", "1", *reason, by="approver-2")
    assert (stale.exit_code, "stale_version" in stale.output) == (1, True)
    done = pulih(service, settings, "confirm", "domain-owner", "--revision", "2", *reason, by="approver-2")
    assert done.output == "domain-owner version 2: confirmed\n"
    again = pulih(service, settings, "withdraw", "domain-owner", *reason, by="approver-2")
    assert (again.exit_code, "state_conflict" in again.output) == (1, True)
    assert pulih(service, settings, "confirm", "domain-owner", *reason, by="operator-1").exit_code == 1
    file.write_text("[" * 100_000)
    assert pulih(service, settings, "put", "domain-owner", str(file), *reason, by="approver-1").exit_code == 1
