"""The fictional case: every way out of a block, on the days on which it was taken, by the API alone."""

import datetime as dt

import pytest

from app.orders.models import Ground
from app.orders.sample import Stage
from tests.sample.conftest import Load
from tests.sample.telegram import NAMES
from tests.service import Json, Service, text_of

WAYS = {
    "chat.example": ("2017-07-15T02:30:00Z", "2017-08-01T04:00:00Z", "conditions_met"),
    "forum.example": ("2017-07-15T02:30:00Z", "2017-07-18T03:00:00Z", "appeal_upheld"),
    "shop.example": ("2017-07-15T02:30:00Z", "2017-07-19T03:00:00Z", "wrong_block"),
    "event.example": ("2017-07-15T02:30:00Z", "2017-07-28T17:00:00Z", "order_expired"),
    "urgent.example": ("2017-07-15T02:04:00Z", "2017-07-17T02:04:00Z", "emergency_lapsed"),
    "news.example": ("2017-07-15T02:30:00Z", "2017-08-01T03:00:00Z", "court"),
    "a.games.example": ("2017-07-15T02:30:00Z", "2017-07-20T03:00:00Z", "court"),
    "mail.example": ("2017-07-15T02:30:00Z", "2017-08-02T03:00:00Z", "solution_indicated"),
}
"""Since when each name was blocked, until when, and the ground on which it was let go."""


def at(service: Service, name: str, moment: str) -> Json:
    return service.read(f"names/{name}?at={moment}")


def a_second_before(moment: str) -> str:
    return text_of(dt.datetime.fromisoformat(moment) - dt.timedelta(seconds=1))


def order(service: Service, number: str) -> Json:
    (found,) = service.read(f"orders?number={number}")["items"]
    return service.read(f"orders/{found['id']}")


def test_each_name_is_let_go_on_its_own_ground_and_not_a_second_earlier(both: Service) -> None:
    for name, (since, until, ground) in WAYS.items():
        assert at(both, name, a_second_before(since))["blocked"] is False, name
        before = at(both, name, a_second_before(until))
        assert (before["blocked"], before["holders"][0]["since"]) == (True, since), name
        after = at(both, name, until)
        (gone,) = after["lifted"]
        assert (after["blocked"], gone["ground"], gone["at"], gone["sample"]) == (False, ground, until, True), name


def test_every_ground_there_is_was_a_way_out(both: Service) -> None:
    listed = both.read("orders?state=ended")["items"]

    assert {each["ground"] for each in listed} == {str(ground) for ground in Ground}


def test_conditions_are_met_by_an_alternative_with_its_sub_conditions_each_by_itself(both: Service) -> None:
    (holder,) = at(both, "www.chat.example", "2017-07-30T00:00:00Z")["holders"]
    assert holder["conditions_left_tree"] == {
        "any_of": ["office", "person", {"all_of": ["partner_customer_service", "partner_legal", "partner_fiscal"]}]
    }
    assert holder["conditions_overdue"] == []
    (late,) = at(both, "chat.example", "2017-07-31T20:00:00Z")["holders"]
    assert late["conditions_overdue"] == ["office"]
    assert late["conditions_left_tree"] == {"any_of": ["office", "person", "partner_legal"]}
    (gone,) = at(both, "chat.example", "2017-08-02T00:00:00Z")["lifted"]
    assert gone["waived"] == ["partner_fiscal"]


def test_the_operator_that_stood_in_for_the_platform_ends_and_leaves_reviews(both: Service) -> None:
    found = [each for each in both.read("reviews")["items"] if each["cause"] == "delegation_ended"]

    assert [(each["condition"]["code"], each["missed_at"]) for each in found] == [
        (code, "2017-08-19T17:00:00Z") for code in ("partnership", "partner_customer_service", "partner_legal")
    ]
    assert at(both, "chat.example", "2017-08-22T00:00:00Z")["blocked"] is False


def test_an_appeal_is_decided_by_another_than_those_who_blocked(both: Service) -> None:
    events = both.read("names/forum.example/history")["items"]
    by = {event["type"]: event["actor"]["name"] for event in events}

    assert len({by["order.proposed"], by["order.approved"], by["order.ended"]}) == 3
    assert order(both, "FIKTIF-JALAN-2")["document"] == "Fictional decision on appeal B-1/2017"


def test_a_wrong_block_leaves_an_incident_and_no_other_way_does(both: Service) -> None:
    (incident,) = both.read("incidents")["items"]

    assert (incident["order_number"], incident["names"]) == ("FIKTIF-JALAN-3", 1)
    assert incident["blocked_since"] == "2017-07-15T02:30:00Z"


def test_an_emergency_order_that_nobody_confirmed_lapses_after_its_window(both: Service) -> None:
    (holder,) = at(both, "urgent.example", "2017-07-16T00:00:00Z")["holders"]

    assert holder["emergency"] == {"confirmed_at": None, "lapses_at": "2017-07-17T02:04:00Z"}


def test_a_suspended_block_opens_gives_notice_and_returns(both: Service) -> None:
    days = {"2017-07-21T02:59:59Z": True, "2017-07-21T03:00:00Z": False, "2017-07-28T02:59:59Z": False}
    for moment, blocked in {**days, "2017-07-28T03:00:00Z": True}.items():
        assert at(both, "video.example", moment)["blocked"] is blocked, moment
    (open_,) = at(both, "video.example", "2017-07-27T12:00:00Z")["suspended"]
    assert (open_["until"], open_["noticed_at"]) == ("2017-07-28T03:00:00.000000Z", "2017-07-27T03:00:00Z")


def test_a_release_of_some_names_keeps_the_others(both: Service) -> None:
    for name, blocked in (("a.games.example", False), ("b.games.example", True)):
        assert at(both, name, "2017-07-21T00:00:00Z")["blocked"] is blocked
    assert {each["name"]: each["state"] for each in order(both, "FIKTIF-JALAN-8")["blocks"]} == {
        "a.games.example": "released",
        "b.games.example": "active",
    }


def test_an_early_lift_slipped_and_left_commitments_of_which_one_was_kept(both: Service) -> None:
    early = order(both, "FIKTIF-JALAN-9")
    assert [(slip["what"], slip["from"], slip["to"]) for slip in early["slips"]] == [
        ("lift", None, "2017-08-01T03:00:00.000000Z"),
        ("lift", "2017-08-01T03:00:00.000000Z", "2017-08-02T03:00:00.000000Z"),
    ]
    (gone,) = at(both, "mail.example", "2017-08-06T00:00:00Z")["lifted"]
    assert {each["code"]: each["state"] for each in gone["commitments"]} == {
        "content_removed": "met",
        "contact_named": "pending",
    }
    (review,) = [each for each in both.read("reviews")["items"] if each["cause"] == "commitment_overdue"]
    assert review["condition"]["code"] == "contact_named"


def test_beside_it_the_past_case_is_as_it_is_alone(both: Service) -> None:
    for name in NAMES:
        (gone,) = at(both, name, "2017-08-10T03:46:00Z")["lifted"]
        assert gone["ground"] == "solution_indicated"
    moments = [event["recorded_at"] for event in both.read("audit/events?limit=500")["items"]]
    replayed = [moment for moment in moments if moment < "2018"]
    assert replayed == sorted(replayed)
    assert both.zone() == ["b.games.example .", "video.example ."]


def test_the_fictional_case_names_nothing_but_reserved_names_and_says_that_it_is_none(both: Service) -> None:
    found = both.read("orders?text=FIKTIF-JALAN")["items"]
    assert len(found) == 9
    for each in found:
        full = both.read(f"orders/{each['id']}")
        assert each["sample"] is True
        assert "never existed" in each["number_note"]
        assert all(block["name"].endswith(".example") for block in full["blocks"])
    noted = both.read("audit/events?type=sample.noted&limit=500")["items"]
    marked = [part["what"] for event in noted for part in event["facts"].get("illustrative", [])]
    assert marked.count("order") == 10


@pytest.mark.parametrize("until", list(Stage))
def test_it_is_loaded_alone_and_as_far_as_one_says(service: Service, load: Load, until: Stage) -> None:
    count = load(until, "ways-out")

    (event,) = service.read("audit/events?type=sample.loaded")["items"]
    assert (event["facts"]["case"], event["facts"]["acts"]) == ("ways-out", count)
