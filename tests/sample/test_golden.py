"""Telegram 2017 by the API alone: what held for each name on five dates."""

from collections.abc import Iterator

import pytest

from tests.sample.telegram import ASKED, LIFTED_AT, NAMES, PLANNED
from tests.service import Json, Service

NEIGHBOURS = ["www.telegram.org", "telegram.com", "a.t.me", "foo.web.telegram.org", "me", "messenger.example.org"]
"""Names that no order of the case names, though they lie beside or below names that one does."""


def at(service: Service, name: str, moment: str, by: str | None = "auditor-1") -> Json:
    return service.read(f"names/{name}?at={moment}", by=by)


def every(service: Service, names: list[str], moment: str) -> Iterator[tuple[str, Json]]:
    """Each name with its answer."""
    for name in names:
        yield name, at(service, name, moment)


def test_on_13_july_no_name_is_blocked(lifted: Service) -> None:
    for _, answer in every(lifted, NAMES, "2017-07-13T12:00:00Z"):
        assert (answer["blocked"], answer["holders"], answer["lifted"]) == (False, [], [])


def test_on_15_july_all_names_are_blocked_and_everything_that_was_asked_is_left(lifted: Service) -> None:
    for name, answer in every(lifted, NAMES, "2017-07-15T00:00:00Z"):
        (holder,) = answer["holders"]
        assert answer["blocked"] is True
        assert (holder["order_number"], holder["sample"]) == (None, True)
        assert (holder["target"], holder["match"]) == (name, "exact")
        assert holder["since"] == "2017-07-14T04:30:00Z"
        assert holder["conditions_left"] == ASKED
        assert holder["lift_planned"] is None


def test_on_2_august_a_lift_is_planned_without_a_date_and_a_claim_does_not_count(lifted: Service) -> None:
    for _, answer in every(lifted, NAMES, "2017-08-02T00:00:00Z"):
        (holder,) = answer["holders"]
        assert answer["blocked"] is True
        assert holder["lift_planned"] == PLANNED
        assert holder["conditions_left"] == ASKED


def test_a_minute_before_the_lift_all_names_are_blocked(lifted: Service) -> None:
    for _, answer in every(lifted, NAMES, "2017-08-10T03:45:00Z"):
        assert (answer["blocked"], answer["lifted"]) == (True, [])


def test_a_minute_after_the_lift_all_names_are_free_because_a_solution_was_indicated(lifted: Service) -> None:
    for _, answer in every(lifted, NAMES, "2017-08-10T03:47:00Z"):
        (ended,) = answer["lifted"]
        assert (answer["blocked"], answer["holders"]) == (False, [])
        assert (ended["at"], ended["ground"], ended["sample"]) == (LIFTED_AT, "solution_indicated", True)


@pytest.mark.parametrize("moment", ["2017-07-15T00:00:00Z", "2017-08-02T00:00:00Z", "2017-08-10T03:45:00Z"])
def test_the_names_are_exact_so_their_neighbours_were_never_blocked(lifted: Service, moment: str) -> None:
    assert {name for name, answer in every(lifted, NEIGHBOURS, moment) if answer["blocked"]} == set()


def test_without_a_token_the_answer_says_that_it_is_a_sample_and_why_there_is_no_number(lifted: Service) -> None:
    (holder,) = at(lifted, "t.me", "2017-08-02T00:00:00Z", by=None)["holders"]
    assert holder["sample"] is True
    assert holder["order_number"] is None
    assert "No source used here states the number" in holder["number_note"]
    assert "Illustrative: the review date, the shape of the condition tree, the ISPs" in holder["number_note"]
    (ended,) = at(lifted, "t.me", "2017-08-11T00:00:00Z", by=None)["lifted"]
    assert ended["sample"] is True


def test_the_fictional_order_lifts_by_itself_when_another_person_has_verified_the_last_condition(
    lifted: Service,
) -> None:
    (holder,) = at(lifted, "messenger.example", "2017-07-27T12:00:00Z")["holders"]
    assert holder["order_number"] == "FIKTIF-2017-1"
    assert holder["conditions_left"] == ["representative_office", "representative_person"]
    answer = at(lifted, "messenger.example", "2017-07-28T02:00:00Z")
    (ended,) = answer["lifted"]
    assert answer["blocked"] is False
    assert (ended["at"], ended["ground"], ended["sample"]) == ("2017-07-28T02:00:00Z", "conditions_met", True)


def test_the_history_of_a_name_tells_the_case_in_the_order_of_time(lifted: Service) -> None:
    items = lifted.read("names/t.me/history")["items"]
    acts = [item["type"] for item in items if item["type"].startswith(("order.", "condition."))]
    assert acts == ["order.proposed", "order.approved", "condition.claimed", "order.lift_planned", "order.ended"]
    assert [item["recorded_at"] for item in items] == sorted(item["recorded_at"] for item in items)
    assert {item["recorded_at"][:4] for item in items} == {"2017"}
