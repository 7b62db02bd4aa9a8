"""Who still blocked what at the illustrative ISPs, by the API alone."""

from ipaddress import ip_network

from click.testing import CliRunner

from app.cli import main
from tests.sample.telegram import NAMES, STILL_BLOCKED
from tests.service import Json, Service, environment_of


def acknowledged(service: Service, until: str) -> dict[str, Json]:
    """The last that each ISP had said by a moment."""
    items = service.read(f"audit/events?type=subscriber.acknowledged&until={until}&limit=500")["items"]
    return {item["facts"]["subscriber"]: item["facts"] for item in items}


def test_both_apply_the_block_on_its_day(lifted: Service) -> None:
    said = acknowledged(lifted, "2017-07-15T00:00:00Z")
    assert {name: facts["phase"] for name, facts in said.items()} == {
        "isp-illustrative-one": "applied",
        "isp-illustrative-two": "applied",
    }


def test_on_the_day_of_the_lift_one_has_applied_it_and_the_other_still_blocks_five_names(lifted: Service) -> None:
    said = acknowledged(lifted, "2017-08-10T12:00:00Z")
    assert (said["isp-illustrative-one"]["phase"], said["isp-illustrative-one"]["pending"]) == ("applied", [])
    two = said["isp-illustrative-two"]
    assert (two["phase"], two["names_pending"]) == ("partial", 5)
    assert two["pending"] == STILL_BLOCKED
    assert two["due_at"] == "2017-08-11T03:46:00.000000Z"


def test_what_they_say_is_marked_as_illustrative(lifted: Service) -> None:
    said = acknowledged(lifted, "2017-08-10T12:00:00Z")
    assert all(facts["illustrative"] is True and facts["sample"] is True for facts in said.values())


def test_what_they_say_is_in_the_history_of_the_name(lifted: Service) -> None:
    items = lifted.read("names/t.me/history")["items"]
    assert [item["facts"]["phase"] for item in items if item["type"] == "subscriber.acknowledged"] == [
        "applied",
        "applied",
        "applied",
        "partial",
    ]


def test_the_list_of_subscribers_shows_the_last_that_each_said(lifted: Service) -> None:
    found = {item["name"]: item["zones"][0] for item in lifted.read("subscribers")["items"]}
    assert found["isp-illustrative-one"]["acknowledged"] == {
        "serial": None,
        "phase": "applied",
        "names_pending": 0,
        "note": "Illustrative: the lift is applied at once",
        "at": "2017-08-10T03:47:00Z",
    }
    assert found["isp-illustrative-two"]["acknowledged"] == {
        "serial": None,
        "phase": "partial",
        "names_pending": 5,
        "note": "Illustrative: five names are still blocked here, due 24 hours after the lift",
        "at": "2017-08-10T08:00:00Z",
    }
    assert found["isp-illustrative-one"]["has"] is None


def test_they_are_on_loopback_sign_with_a_key_that_nobody_has_and_are_never_notified(lifted: Service) -> None:
    for item in lifted.read("subscribers")["items"]:
        assert all(ip_network(address).is_loopback for address in item["addresses"])
        assert (item["keyed"], item["keys"], item["notify"]) == (True, [], [])


def said(service: Service, isp: str, name: str, moment: str) -> Json:
    found = service.read(f"names/{name}?isp={isp}&at={moment}")["isp"]["said"]
    assert isinstance(found, dict)
    return found


def test_who_still_blocked_what_is_told_of_every_name_at_every_moment(lifted: Service) -> None:
    before, same_day, next_day = "2017-08-10T03:46:30Z", "2017-08-10T12:00:00Z", "2017-08-11T12:00:00Z"
    for name in NAMES:
        pending = name in STILL_BLOCKED
        for moment, overdue in ((same_day, False), (next_day, True)):
            two = said(lifted, "isp-illustrative-two", name, moment)
            assert (two["phase"], two["pending"], two["names_pending"], two["overdue"]) == (
                "partial",
                pending,
                5,
                overdue,
            )
            assert (two["due_at"], two["illustrative"]) == ("2017-08-11T03:46:00Z", True)
            one = said(lifted, "isp-illustrative-one", name, moment)
            assert (one["phase"], one["pending"], one["overdue"]) == ("applied", False, False)
        assert said(lifted, "isp-illustrative-two", name, before)["at"] == "2017-07-14T05:30:00Z"


def test_before_the_case_and_of_other_names_they_had_said_nothing(lifted: Service) -> None:
    for name, moment in (("t.me", "2017-07-14T00:00:00Z"), ("t.example", "2017-08-11T12:00:00Z")):
        assert lifted.read(f"names/{name}?isp=isp-illustrative-two&at={moment}")["isp"]["said"] is None


def test_the_command_line_says_it_as_well(lifted: Service) -> None:
    arguments = ["explain", "t.me", "--isp", "isp-illustrative-two", "--at", "2017-08-11T12:00:00Z"]
    output = CliRunner().invoke(main, arguments, env=environment_of(lifted.settings)).output
    assert (
        "said partial at 2017-08-10 08:00 UTC, 5 names left, this one too, due 2017-08-11 03:46 UTC, OVERDUE" in output
    )


def test_of_a_replayed_case_an_isp_is_known_by_what_it_said(lifted: Service) -> None:
    """Nothing was published here in 2017: it blocked as it had said, and of others nothing is known."""
    answers = {
        (isp, at): lifted.read(f"names/t.me?isp=isp-illustrative-{isp}&at=2017-08-{at}Z")["isp"]["held"]["answer"]
        for isp in ("one", "two")
        for at in ("09T00:00:00", "10T12:00:00")
    }
    assert answers == {
        ("one", "09T00:00:00"): "yes",
        ("one", "10T12:00:00"): "no",
        ("two", "09T00:00:00"): "yes",
        ("two", "10T12:00:00"): "yes",
    }
