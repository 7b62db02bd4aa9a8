"""The law's clocks: what runs, since when, until when, by which rule; and who is late."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.errors import SettingInvalid
from app.main import create_app
from app.regime import load
from app.settings import Settings
from tests.cases.applying import act, appeal, apply, decide, refused
from tests.service import DAY, HOUR, NOW, Json, Service, problem, text_of

SHIPPED = json.loads((Path(__file__).parents[2] / "app" / "regimes" / "indonesia.json").read_text("utf-8"))


def clocks(service: Service, query: str = "") -> list[Json]:
    items: list[Json] = service.read(f"clocks?{query}")["items"]
    return items


def shown(items: list[Json]) -> list[tuple[str, str]]:
    return [(item["clock"], item["due_at"]) for item in items]


def test_a_proposal_is_to_be_decided_in_four_hours_where_its_category_is_urgent(service: Service) -> None:
    plain, urgent = service.propose(category="gambling"), service.propose(category="radicalism")

    first, second = clocks(service)

    assert first == {
        "clock": "order_decided_urgent",
        "hours": 4,
        "source": SHIPPED["clocks"]["order_decided_urgent"]["source"],
        "began_at": text_of(NOW),
        "ended_at": None,
        "due_at": text_of(NOW + 4 * HOUR),
        "due_at_local": "2026-11-22T14:00:00+07:00",
        "overdue": False,
        "order": {"id": urgent["id"], "number": urgent["number"], "category": "radicalism"},
    }
    assert (second["clock"], second["order"]["id"]) == ("order_decided", plain["id"])
    assert (second["due_at"], second["due_at_local"]) == (text_of(NOW + DAY), "2026-11-23T10:00:00+07:00")


def test_it_is_overdue_once_its_time_is_over_and_not_at_that_moment(service: Service) -> None:
    order = service.propose(category="child_abuse")

    service.clock.forward(4 * HOUR)
    assert clocks(service, "overdue=true") == []
    service.clock.forward(HOUR)
    (late,) = clocks(service, "overdue=true")
    assert (late["order"]["id"], late["overdue"]) == (order["id"], True)


@pytest.mark.parametrize("act_", ["approve", "reject"])
def test_a_decision_stops_the_clock_and_it_stays_known_whether_it_was_in_time(service: Service, act_: str) -> None:
    order = service.propose(category="radicalism")
    service.clock.forward(5 * HOUR)
    service.act(order, act_, {"reason": "late"})
    service.clock.forward(DAY)

    assert clocks(service) == []
    clock = service.read(f"orders/{order['id']}/clock")["clock"]
    assert (clock["ended_at"], clock["overdue"]) == (text_of(NOW + 5 * HOUR), True)


def test_what_was_withdrawn_and_what_acts_at_once_have_no_clock(service: Service) -> None:
    order = service.propose()
    service.act(order, "withdraw", {"reason": "mistaken"}, by="operator-1")
    emergency = service.propose(kind="emergency")

    assert clocks(service) == []
    for each in (order, emergency):
        assert service.read(f"orders/{each['id']}/clock") == {"clock": None}


def test_applications_and_appeals_are_in_the_list_while_their_clocks_run(service: Service) -> None:
    service.block("a.example", "b.example")
    application = apply(service, "a.example")
    found = appeal(service, about={"names": ["b.example"]})
    assert shown(clocks(service)) == [
        ("application_decided", text_of(NOW + DAY)),
        ("appeal_decided", text_of(NOW + DAY)),
    ]

    act(service, application, "incomplete", {"missing": ["screenshot"], "reason": "of another site"})
    decide(service, found, refused())

    assert clocks(service) == []


def test_pages_of_all_kinds_follow_each_other_without_gap_or_double(service: Service) -> None:
    service.block("a.example")
    for number in range(3):
        service.propose(category="radicalism")
        service.propose(category="gambling")
        apply(service, "a.example", received_at=text_of(NOW - number * HOUR))
    whole = clocks(service)

    paged, cursor = [], ""
    while True:
        page = service.read(f"clocks?limit=2{cursor}")
        paged += page["items"]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"

    assert len(whole) == 9
    assert paged == whole
    assert [item["due_at"] for item in whole] == sorted(item["due_at"] for item in whole)
    assert len(clocks(service, "clock=order_decided")) == 3


def test_what_is_no_cursor_of_the_list_is_refused(service: Service) -> None:
    for cursor in ["x", "MTIz", "MS4yLi0z", "MS4yLjMuNA", "OTk5OTk5OTk5OTk5OTk5OTk5OTkuMC4w"]:
        problem(service.get(f"clocks?cursor={cursor}"), 422, "body_invalid")


def with_(*path: str, value: object) -> dict[str, Any]:
    """The regime that ships with one field changed."""
    changed = json.loads(json.dumps(SHIPPED))
    place = changed
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return dict(changed)


def test_another_regime_sets_other_times(tmp_path: Path) -> None:
    file = tmp_path / "regime.json"
    file.write_text(json.dumps(with_("clocks", "isp_applied", value={"hours": 2, "source": "Example Act"})))

    settings = Settings(regime_file=file)

    assert settings.overdue == 2 * HOUR
    assert Settings(regime_file=file, overdue_after="7d").overdue == 7 * DAY
    assert Settings().overdue == DAY


@pytest.mark.parametrize(
    ("regime", "words"),
    [
        (with_("clocks", "order_decided", "hours", value=0), "clocks.order_decided.hours"),
        (with_("clocks", "order_decided", value={"hours": 1}), "clocks.order_decided.source"),
        (with_("time_zone", "utc_offset", value="7"), "time_zone.utc_offset"),
        (with_("documents", "owner", value=[]), "documents.owner"),
        (with_("holidays", value=[]), "holidays"),
        ("no regime", "valid dictionary"),
    ],
)
def test_a_regime_that_makes_no_sense_is_refused_at_the_start(tmp_path: Path, regime: object, words: str) -> None:
    file = tmp_path / "regime.json"
    file.write_text(json.dumps(regime))

    with pytest.raises(SettingInvalid, match=words):
        Settings(regime_file=file)


@pytest.mark.parametrize("text", ["{", None])
def test_a_regime_that_cannot_be_read_is_refused_with_its_file(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "regime.json"
    if text is not None:
        file.write_text(text)

    with pytest.raises(SettingInvalid, match=r"regime\.json"):
        load(file)


def test_an_urgent_category_that_is_none_is_refused_at_the_start(service: Service, tmp_path: Path) -> None:
    file = tmp_path / "regime.json"
    file.write_text(json.dumps(with_("urgent_categories", value={"haste": "nobody"})))

    with pytest.raises(SettingInvalid, match="haste"):
        create_app(Settings(regime_file=file), service.database, with_publisher=False)


def test_every_rule_of_the_regime_that_ships_says_where_it_comes_from() -> None:
    regime = load(None)

    assert all(clock.source for _, clock in regime.clocks)
    assert set(regime.urgent_categories) == {
        "radicalism",
        "child_abuse",
        "public_unrest",
        "illegal_drugs_cosmetics",
    }
