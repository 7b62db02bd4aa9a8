"""Was a name blocked at one ISP at one moment: yes, no, partly or not known, by what was seen before and after it."""

import datetime as dt

import pytest

from app.subscribers.acknowledge import Acknowledge, acknowledge
from app.subscribers.deliveries import record
from app.subscribers.layered import ChangeSubscriber, change
from app.subscribers.register import AddSubscriber, add, remove
from app.subscribers.sighting import Sighting, SightingKind
from tests.answers.test_reach import serial_of, shows
from tests.service import DAY, HOST, HOUR, NOW, ZONE, Json, Service, acting, text_of

MINUTE = dt.timedelta(minutes=1)
NOT_YET = "what was decided was not published yet"


def taken(service: Service, serial: int, asked: int | None, address: str = "192.0.2.1", zone: str = ZONE) -> None:
    """A transfer to a serial, by IXFR from another one or (None) by AXFR."""
    kind = SightingKind.AXFR if asked is None else SightingKind.IXFR
    seen(service, Sighting(service.clock(), "isp-one", address, zone, kind, asked, serial, 400))


def polled(service: Service, serial: int, address: str = "192.0.2.1", zone: str = ZONE) -> None:
    seen(service, Sighting(service.clock(), "isp-one", address, zone, SightingKind.SOA, None, serial))


def seen(service: Service, sighting: Sighting) -> None:
    with service.database.write() as session:
        record(session, [sighting], service.clock())


def acknowledged(service: Service, serial: int, phase: str = "applied") -> None:
    with service.database.write() as session:
        said = Acknowledge.model_validate({"zone": ZONE, "serial": serial, "phase": phase})
        acknowledge(session, acting(session, "isp-one"), said, service.clock())


def held(service: Service, at: dt.datetime, name: str = "a.example") -> Json:
    found: Json = service.read(f"names/{name}?isp=isp-one&at={text_of(at)}")["isp"]["held"]
    return found


def answers(service: Service, *hours: float) -> list[str]:
    return [held(service, NOW + each * HOUR)["answer"] for each in hours]


def because(service: Service, at: dt.datetime) -> str:
    [zone] = held(service, at)["zones"]
    [server] = zone["servers"]
    reason: str = server["held"][0]["because"]
    return reason


@pytest.fixture
def service(service: Service) -> Service:
    """With one ISP."""
    with service.database.write() as session:
        add(session, HOST, AddSubscriber("isp-one", ("192.0.2.0/24",)), service.clock())
    return service


@pytest.fixture
def order(service: Service) -> Json:
    """The name is blocked from the first hour on."""
    service.clock.forward(HOUR)
    return service.block("a.example", number="HELD-1")


def test_it_had_the_block_from_the_moment_it_was_seen_with_it_until_the_lift_was_sent(
    service: Service, order: Json
) -> None:
    blocked = serial_of(service)
    taken(service, blocked, None)
    service.clock.forward(HOUR)
    polled(service, blocked)
    service.clock.forward(HOUR)
    service.lift(order)
    lifted = serial_of(service)
    service.clock.forward(HOUR)
    taken(service, lifted, blocked)
    service.clock.forward(HOUR)
    polled(service, lifted)
    service.clock.forward(HOUR)

    assert answers(service, 1.5, 2, 3, 3.9, 4, 4.5, 5) == [
        "not_known",
        "yes",
        "yes",
        "yes",
        "not_known",
        "not_known",
        "no",
    ]
    assert [because(service, NOW + hours * HOUR) for hours in (1.5, 3, 4.5)] == [
        "being_taken",
        "seen_with_it",
        "being_taken",
    ]


def test_between_two_serials_without_a_transfer_it_may_be_either(service: Service, order: Json) -> None:
    """It was seen with 10 at nine and with 12 at eleven: at ten nobody knows which, nor of any between."""
    first = serial_of(service)
    shows(service, "isp-one", first)
    service.clock.forward(HOUR)
    service.lift(order)
    serial_of(service)
    service.clock.forward(HOUR)
    service.block("z.example")
    third = serial_of(service)
    service.clock.forward(HOUR)
    acknowledged(service, third)
    service.clock.forward(HOUR)

    assert answers(service, 1, 1.5, 2.5, 3.5, 4) == ["yes", "yes", "not_known", "not_known", "no"]
    found = held(service, NOW + 2.5 * HOUR)["zones"][0]["servers"][0]["held"][0]
    assert found["before"]["serial"] == first
    assert found["after"]["serial"] == third
    assert found["because"] == "between_two"
    assert [low for low, _ in found["may_have_held"]["serials"]] == [first]


@pytest.mark.usefixtures("order")
def test_where_both_say_the_same_of_the_name_it_is_certain(service: Service) -> None:
    shows(service, "isp-one", serial_of(service))
    service.clock.forward(HOUR)
    service.block("z.example")
    acknowledged_one = serial_of(service)
    service.clock.forward(HOUR)
    acknowledged(service, acknowledged_one)
    service.clock.forward(HOUR)

    assert answers(service, 2.5, 3) == ["yes", "yes"]
    assert held(service, NOW + 2.5 * HOUR, "z.example")["answer"] == "not_known"


def test_a_name_that_was_let_go_of_and_blocked_again_between_is_not_known(service: Service, order: Json) -> None:
    """The ends say the same, and something between them does not: it may have been that."""
    shows(service, "isp-one", serial_of(service))
    service.clock.forward(HOUR)
    service.lift(order)
    serial_of(service)
    service.clock.forward(HOUR)
    service.block("a.example")
    again = serial_of(service)
    service.clock.forward(HOUR)
    acknowledged(service, again)

    assert answers(service, 1.9, 2.5, 3.5, 4) == ["yes", "not_known", "not_known", "yes"]


def test_who_was_not_seen_since_may_have_taken_what_came_since(service: Service, order: Json) -> None:
    shows(service, "isp-one", serial_of(service))
    service.clock.forward(HOUR)
    assert answers(service, 1.9) == ["yes"]
    service.lift(order)
    serial_of(service)
    service.clock.forward(HOUR)

    assert answers(service, 1.9, 2.5) == ["yes", "not_known"]
    assert because(service, NOW + 2.5 * HOUR) == "not_seen_since"


def test_a_poll_that_was_counted_without_a_row_tells_too(service: Service, order: Json) -> None:
    """A server that only polls has no row of each poll: the last one is known all the same."""
    blocked = serial_of(service)
    shows(service, "isp-one", blocked)
    service.clock.forward(HOUR)
    service.lift(order)
    serial_of(service)
    service.clock.forward(HOUR)
    shows(service, "isp-one", blocked)

    assert answers(service, 2.5, 3) == ["yes", "yes"]


@pytest.mark.usefixtures("order")
def test_who_is_silent_for_as_long_as_a_zone_keeps_may_have_lost_it(service: Service) -> None:
    shows(service, "isp-one", serial_of(service))
    service.clock.forward(40 * DAY)

    assert answers(service, 29 * 24, 32 * 24) == ["yes", "not_known"]


def test_an_isp_that_was_not_registered_yet(service: Service) -> None:
    service.clock.forward(DAY)
    found = held(service, NOW - HOUR)

    assert (found["answer"], found["why"], found["zones"]) == ("not_known", "not_registered", [])
    assert found["words"][1] == "isp-one was not registered yet, so nothing is known of it"


@pytest.mark.usefixtures("order")
def test_an_isp_that_was_never_seen(service: Service) -> None:
    serial_of(service)
    service.clock.forward(HOUR)
    found = held(service, NOW + HOUR)

    assert (found["answer"], found["why"]) == ("not_known", "never_seen")
    assert held(service, NOW + HOUR, "never-blocked.example")["answer"] == "no"
    assert answers(service, 0.5) == ["no"]


@pytest.mark.usefixtures("order")
def test_an_isp_that_was_removed_may_have_held_what_it_had(service: Service) -> None:
    shows(service, "isp-one", serial_of(service))
    service.clock.forward(HOUR)
    with service.database.write() as session:
        remove(session, HOST, "isp-one", service.clock())
    service.clock.forward(HOUR)

    assert answers(service, 1.5, 2.5) == ["yes", "not_known"]
    assert held(service, NOW + 2.5 * HOUR, "other.example")["answer"] == "no"
    assert held(service, NOW + 2.5 * HOUR)["why"] == "removed"


def test_an_isp_that_fetches_files_is_known_by_what_it_acknowledged(service: Service, order: Json) -> None:
    blocked = serial_of(service)
    service.clock.forward(HOUR)
    acknowledged(service, blocked)
    service.clock.forward(HOUR)
    service.lift(order)
    lifted = serial_of(service)
    acknowledged(service, lifted, "received")
    service.clock.forward(HOUR)
    acknowledged(service, lifted)
    service.clock.forward(HOUR)

    assert answers(service, 1.5, 2, 2.9, 3.5, 4) == ["not_known", "yes", "yes", "not_known", "no"]
    assert held(service, NOW + 4 * HOUR)["zones"][0]["servers"][0]["address"] is None


def test_servers_that_differ_make_it_partly(service: Service, order: Json) -> None:
    blocked = serial_of(service)
    for address in ("192.0.2.1", "192.0.2.2"):
        shows(service, "isp-one", blocked, address)
    service.clock.forward(HOUR)
    service.lift(order)
    lifted = serial_of(service)
    taken(service, lifted, blocked, "192.0.2.2")
    service.clock.forward(HOUR)
    for address, serial in (("192.0.2.1", blocked), ("192.0.2.2", lifted)):
        shows(service, "isp-one", serial, address)
    service.clock.forward(HOUR)

    assert answers(service, 1.5, 3) == ["yes", "partly"]


@pytest.mark.usefixtures("order")
def test_a_foreign_serial_tells_nothing(service: Service) -> None:
    shows(service, "isp-one", serial_of(service))
    service.clock.forward(HOUR)
    shows(service, "isp-one", 7)
    service.clock.forward(HOUR)

    assert answers(service, 1, 2.5) == ["not_known", "not_known"]


@pytest.mark.usefixtures("order")
def test_decided_published_and_held_are_told_apart(service: Service) -> None:
    """Decided at one, published a minute later, taken at two."""
    service.clock.forward(MINUTE)
    serial = serial_of(service)
    service.clock.forward(HOUR)
    shows(service, "isp-one", serial)
    service.clock.forward(HOUR)
    start = NOW + HOUR
    between = service.read(f"names/a.example?isp=isp-one&at={text_of(start)}")
    after = service.read(f"names/a.example?isp=isp-one&at={text_of(start + MINUTE)}")

    assert (between["blocked"], between["published"]["blocked"]) == (True, False)
    assert between["carried_by"][0]["by"] is None
    assert (after["blocked"], after["published"]["blocked"]) == (True, True)
    assert after["published"]["serials"] == {ZONE: serial}
    assert after["published"]["since"]["at"] == text_of(start + MINUTE)
    assert after["carried_by"][0]["by"]["serials"] == {ZONE: serial}
    before = between["published"]["serials"][ZONE]
    assert between["words"][1:] == [
        "held by HELD-1 since 2026-11-22 04:00:00 UTC",
        f"published by 2026-11-22 04:00:00 UTC: not blocked by release 1 ({ZONE} {before}); {NOT_YET}",
    ]
    assert [each["isp"]["held"]["answer"] for each in (between, after)] == ["no", "not_known"]


def test_a_moment_before_everything_is_said_to_be_one(service: Service) -> None:
    answer = service.read("names/a.example?at=2001-01-01T00:00:00Z")

    assert answer["published"] is None
    assert answer["words"] == [
        "decided by 2001-01-01 00:00:00 UTC: nothing had been recorded yet",
        "published by 2001-01-01 00:00:00 UTC: nothing yet",
    ]


def layered(service: Service, urgent: int | None, base: int | None) -> None:
    """What it shows of the two zones that it takes in layers."""
    for zone, serial in ((f"urgent.{ZONE}", urgent), (f"base.{ZONE}", base)):
        if serial is not None:
            shows(service, "isp-one", serial, zone=zone)


def serial_in(service: Service, layer: str) -> int:
    serial_of(service)
    found: int = service.read(f"zones/{layer}.{ZONE}")["serial"]
    return found


def test_in_layers_what_lies_in_front_answers(service: Service) -> None:
    """The base has the block for ever; its lift lies in front of it."""
    with service.database.write() as session:
        change(session, HOST, ChangeSubscriber("isp-one", layers=True), service.clock())
    order = service.block("a.example")
    service.block("b.example")
    urgent, base = serial_in(service, "urgent"), serial_in(service, "base")
    layered(service, urgent, base)
    service.clock.forward(HOUR)
    service.lift(order)
    service.block("c.example")
    lifted = serial_in(service, "urgent")
    assert serial_in(service, "base") == base
    service.clock.forward(HOUR)
    layered(service, lifted, base)
    service.clock.forward(HOUR)
    layered(service, lifted, base)
    service.clock.forward(HOUR)

    [zone] = held(service, NOW + 2.5 * HOUR)["zones"]
    assert (zone["zone"], zone["layered"]) == (ZONE, True)
    assert [each["zone"] for each in zone["servers"][0]["held"]] == [f"urgent.{ZONE}", f"base.{ZONE}"]
    assert [held(service, NOW + 0.5 * HOUR, name)["answer"] for name in ("a.example", "b.example", "c.example")] == [
        "yes",
        "yes",
        "no",
    ]
    assert [held(service, NOW + 1.5 * HOUR, name)["answer"] for name in ("a.example", "b.example", "c.example")] == [
        "not_known",
        "yes",
        "not_known",
    ]
    assert [held(service, NOW + 2.5 * HOUR, name)["answer"] for name in ("a.example", "b.example", "c.example")] == [
        "no",
        "yes",
        "yes",
    ]


def test_of_one_layer_alone_only_what_it_says_itself_is_known(service: Service) -> None:
    """Nobody knows which base it had behind, or whether any: a name that lies in the base may be open there."""
    with service.database.write() as session:
        change(session, HOST, ChangeSubscriber("isp-one", layers=True), service.clock())
    order = service.block("a.example")
    service.block("b.example")
    serial_in(service, "base")
    service.clock.forward(HOUR)
    service.lift(order)
    service.block("c.example")
    layered(service, serial_in(service, "urgent"), None)
    service.clock.forward(HOUR)
    layered(service, serial_in(service, "urgent"), None)

    assert [held(service, NOW + 1.5 * HOUR, name)["answer"] for name in ("a.example", "b.example", "c.example")] == [
        "no",
        "not_known",
        "yes",
    ]
