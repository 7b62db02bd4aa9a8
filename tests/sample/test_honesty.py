"""Nothing in the sample claims more than a source states, names a person, or hides what is invented."""

import csv
import datetime as dt
import json
import re
from importlib import resources

import pytest

from app.orders import sample
from app.orders.sample import Case
from tests.sample.conftest import Load
from tests.sample.telegram import NAMES
from tests.service import ZONE, Json, Service

TEXT = (resources.files("app.orders") / "sample_data" / "telegram-2017.json").read_text("utf-8")

PERSONS = ["durov", "pavel", "rudiantara", "semuel", "samuel", "abrijani", "pangerapan", "pangarepan", "noor", "taruli"]
"""Those whom the reports name, however they spell them."""

OPERATORS = ["telkom", "indosat", "xl axiata", "tri ", "smartfren", "biznet"]
"""Real ISPs: what single ones did is not ours to say."""


@pytest.fixture
def case() -> Case:
    return sample.read("telegram-2017")


@pytest.fixture
def order(lifted: Service) -> Json:
    """The order on the eleven names."""
    items: list[Json] = lifted.read("orders")["items"]
    (found,) = [item for item in items if item["number"] is None]
    return lifted.read(f"orders/{found['id']}")


def statements(service: Service) -> list[Json]:
    return [event["facts"] for event in noted(service) if "statement" in event["facts"]]


def noted(service: Service) -> list[Json]:
    items: list[Json] = service.read("audit/events?type=sample.noted&limit=500")["items"]
    return items


def test_one_order_holds_the_eleven_names_exactly(order: Json) -> None:
    assert sorted((block["name"], block["match"]) for block in order["blocks"]) == sorted(
        (name, "exact") for name in NAMES
    )
    assert (order["dated"], order["sample"]) == ("2017-07-14", True)


def test_the_number_is_unknown_and_a_note_says_so(order: Json) -> None:
    assert order["number"] is None
    assert "No source used here states the number of the order" in order["number_note"]


def test_no_condition_was_met_or_waived_and_the_representative_was_only_claimed(order: Json) -> None:
    states = {condition["code"]: condition["state"] for condition in order["conditions"]}
    assert states.pop("representative_person") == "claimed"
    assert set(states.values()) == {"pending"}


def test_it_was_lifted_because_a_solution_was_indicated_not_because_conditions_were_met(order: Json) -> None:
    assert (order["state"], order["ground"], order["ended_at"]) == (
        "ended",
        "solution_indicated",
        "2017-08-10T03:46:00Z",
    )


def test_the_ministrys_own_improvement_is_continuing_and_does_not_gate(order: Json) -> None:
    (own,) = [condition for condition in order["conditions"] if condition["responsible_party"] == "ministry"]
    assert (own["code"], own["kind"], own["gating"]) == ("ministry_improvement", "continuing", False)


def test_the_legal_basis_is_the_article_that_the_press_release_names(order: Json) -> None:
    (basis,) = order["legal_basis"]
    assert "19/2016" in basis["instrument"]
    assert "as named in the ministry's press release" in basis["instrument"]
    assert basis["article"] == "40"


def test_every_statement_has_an_outlet_a_date_and_somebody_who_made_it(lifted: Service) -> None:
    found = statements(lifted)
    assert len(found) == 25
    for facts in found:
        assert facts["sample"] is True
        assert facts["statement"]["id"]
        assert facts["statement"]["en"]
        assert facts["attributed_to"]
        assert facts["source"]["outlet"]
        assert re.fullmatch(r"2017-0[78](-\d\d|/2017-08)", facts["source"]["date"])


def test_a_source_whose_outlet_or_day_is_not_known_says_so(lifted: Service) -> None:
    vague = [facts["source"] for facts in statements(lifted) if "/" in facts["source"]["date"]]
    assert len(vague) == 2
    assert all("not known" in source["outlet"] and source["note"]["en"] for source in vague)


def test_a_statement_is_recorded_on_the_day_it_was_published_or_the_day_before_when_it_was_made(case: Case) -> None:
    said = [(step.at.date(), step.body["source"]["date"]) for step in case.steps if step.act == "state"]
    dated = [(at, dt.date.fromisoformat(date)) for at, date in said if "/" not in date]
    assert len(dated) == 23
    assert {(date - at).days for at, date in dated} == {0, 1}


def test_ministry_and_platform_contradict_each_other_and_both_stay(lifted: Service) -> None:
    said = {(facts["attributed_to"], facts["statement"]["en"]) for facts in statements(lifted)}
    assert {who for who, text in said if "five times" in text} == {"ministry", "minister"}
    assert {who for who, text in said if "answered once" in text} == {"ministry"}
    assert {who for who, text in said if "had not been aware of several requests" in text} == {
        "platform_chief_executive"
    }


def test_what_the_platform_wrote_by_mail_is_known_by_the_minister_only(lifted: Service) -> None:
    relayed = [facts for facts in statements(lifted) if facts["relayed_by"] is not None]
    assert [(facts["attributed_to"], facts["relayed_by"]) for facts in relayed] == [
        ("platform_chief_executive", "minister")
    ]


def test_every_act_on_the_order_is_backed_by_a_statement_about_it(lifted: Service) -> None:
    about = {facts["about"] for facts in statements(lifted)}
    assert about == {
        None,
        "order.proposed",
        "order.approved",
        "condition.claimed",
        "order.lift_planned",
        "order.ended",
    }


def test_what_no_source_states_is_marked_as_illustrative(lifted: Service) -> None:
    marked = {part["what"] for event in noted(lifted) for part in event["facts"].get("illustrative", [])}
    assert marked == {"actors", "review_due_at", "condition_tree", "isps", "times_of_day", "order"}


@pytest.mark.parametrize("word", PERSONS + OPERATORS)
def test_no_person_and_no_real_isp_is_named(word: str) -> None:
    assert word not in TEXT.lower()


def test_nobody_who_acts_in_it_has_a_token(case: Case, lifted: Service) -> None:
    created = lifted.read("audit/events?type=token.created&limit=500")["items"]
    assert {event["facts"]["principal"] for event in created}.isdisjoint(case.principals)
    assert all(name.startswith(("sample-", "isp-illustrative-")) for name in case.principals)


def test_steps_stand_in_the_order_of_time_and_of_stages(case: Case) -> None:
    moments = [step.at for step in case.steps]
    stages = [list(sample.Stage).index(step.stage) for step in case.steps]
    assert moments == sorted(moments)
    assert stages == sorted(stages)


def test_times_are_written_in_jakarta_time() -> None:
    assert {step["at"][-6:] for step in json.loads(TEXT)["steps"]} == {"+07:00"}


@pytest.mark.parametrize("format_", ["csv", "jsonl"])
def test_an_export_with_reasons_says_that_it_is_a_sample_without_a_number(
    service: Service, load: Load, format_: str
) -> None:
    load(sample.Stage.BLOCKED)
    service.publish()

    text = service.get(f"zones/{ZONE}/export.{format_}", by="isp-1").text
    rows = list(csv.DictReader(text.splitlines())) if format_ == "csv" else list(map(json.loads, text.splitlines()))
    assert {row["name"] for row in rows} == set(NAMES)
    assert {row["sample"] for row in rows} == {"true" if format_ == "csv" else True}
    assert all(row["number_note"] and not row["order_number"] for row in rows)
