"""`?isp=` and how many ISPs have it: does what was decided hold where people are, now and at any past moment."""

import datetime as dt

import pytest
from sqlalchemy import event

from app.answers.names import explain
from app.answers.reach import reach as reach_of
from app.subscribers.acknowledge import Acknowledge, acknowledge
from app.subscribers.deliveries import record
from app.subscribers.register import AddSubscriber, add, remove
from app.subscribers.sighting import Sighting, SightingKind
from tests.service import DAY, HOST, HOUR, NOW, ZONE, Json, Service, acting, problem, text_of

SECOND = dt.timedelta(seconds=1)


def subscribed(service: Service, name: str, number: int) -> None:
    with service.database.write() as session:
        add(session, HOST, AddSubscriber(name, (f"192.0.2.{number}",)), service.clock())


def shows(service: Service, name: str, serial: int, address: str = "192.0.2.1", zone: str = ZONE) -> None:
    sighting = Sighting(service.clock(), name, address, zone, SightingKind.IXFR, serial, serial)
    with service.database.write() as session:
        record(session, [sighting], service.clock())


def serial_of(service: Service, zone: str = ZONE) -> int:
    """Publish, and give the newest serial."""
    service.publish()
    found: int = service.read(f"zones/{zone}")["serial"]
    return found


def there(service: Service, name: str = "a.example", *, by: str = "auditor-1", at: dt.datetime | None = None) -> Json:
    moment = "" if at is None else f"&at={text_of(at)}"
    found = service.read(f"names/{name}?isp=isp-one{moment}", by=by)["isp"]
    assert found["name"] == "isp-one"
    [zone] = found["zones"]
    assert isinstance(zone, dict)
    return zone


def reach(service: Service, name: str = "a.example", at: dt.datetime | None = None) -> Json | None:
    moment = "" if at is None else f"?at={text_of(at)}"
    found: Json | None = service.read(f"names/{name}{moment}")["reach"]
    return found


@pytest.fixture
def service(service: Service) -> Service:
    """With one ISP."""
    subscribed(service, "isp-one", 1)
    return service


def test_an_isp_from_its_first_transfer_to_a_lift(service: Service) -> None:
    order = service.block("a.example")
    blocked = serial_of(service)
    assert there(service) == {
        "zone": ZONE,
        "published": {"serial": blocked, "blocks": True},
        "has": None,
        "blocks": None,
        "in_effect": None,
        "servers": {"counted": 0, "in_effect": 0},
        "overdue": False,
    }

    shows(service, "isp-one", blocked)
    assert there(service) == {
        "zone": ZONE,
        "published": {"serial": blocked, "blocks": True},
        "has": {"serial": blocked, "at": text_of(NOW)},
        "blocks": True,
        "in_effect": True,
        "servers": {"counted": 1, "in_effect": 1},
        "overdue": False,
    }

    service.clock.forward(HOUR)
    service.lift(order)
    lifted = serial_of(service)
    assert (there(service)["published"], there(service)["has"]["serial"]) == (
        {"serial": lifted, "blocks": False},
        blocked,
    )
    assert (there(service)["blocks"], there(service)["in_effect"]) == (True, False)

    shows(service, "isp-one", lifted)
    assert (there(service)["blocks"], there(service)["in_effect"]) == (False, True)


def test_an_isp_has_a_day_to_apply_a_lift(service: Service) -> None:
    order = service.block("a.example")
    shows(service, "isp-one", serial_of(service))
    service.clock.forward(HOUR)
    lifted_at = service.clock()
    service.lift(order)
    serial_of(service)

    answers = []
    for wait in (DAY, SECOND):
        service.clock.forward(wait)
        found = service.read("names/a.example?isp=isp-one")["isp"]
        answers.append((found["due_at"], found["zones"][0]["in_effect"], found["zones"][0]["overdue"]))
    assert answers == [(text_of(lifted_at + DAY), False, False), (text_of(lifted_at + DAY), False, True)]


def test_a_name_below_a_subtree_is_decided_by_the_rules_of_that_serial(service: Service) -> None:
    service.block("*.casino.example")
    older = serial_of(service)
    shows(service, "isp-one", older)
    service.clock.forward(SECOND)
    service.exception("open.casino.example")
    serial_of(service)

    assert [
        there(service, name)["blocks"] for name in ("casino.example", "a.b.casino.example", "open.casino.example")
    ] == [True, True, True]
    assert [there(service, name)["in_effect"] for name in ("www.casino.example", "open.casino.example")] == [
        True,
        False,
    ]


def test_what_is_decided_and_not_published_yet_is_in_effect_nowhere(service: Service) -> None:
    shows(service, "isp-one", serial_of(service))
    service.block("a.example")

    assert (there(service)["published"]["blocks"], there(service)["in_effect"]) == (False, False)


def test_one_server_that_is_behind_is_enough(service: Service) -> None:
    order = service.block("a.example")
    blocked = serial_of(service)
    service.clock.forward(SECOND)
    service.lift(order)
    lifted = serial_of(service)
    shows(service, "isp-one", lifted, "192.0.2.1")
    shows(service, "isp-one", blocked, "192.0.2.2")

    assert (there(service)["blocks"], there(service)["in_effect"]) == (True, False)
    assert there(service)["servers"] == {"counted": 2, "in_effect": 1}


def test_a_serial_that_the_zone_never_had_says_nothing(service: Service) -> None:
    service.block("a.example")
    serial_of(service)
    shows(service, "isp-one", 7)

    assert (there(service)["has"]["serial"], there(service)["blocks"], there(service)["in_effect"]) == (7, None, None)


def test_a_past_moment_is_answered_by_what_was_known_then(service: Service) -> None:
    shows(service, "isp-one", serial_of(service))
    service.clock.forward(HOUR)
    order = service.block("a.example")
    blocked = serial_of(service)
    service.clock.forward(HOUR)
    shows(service, "isp-one", blocked)
    service.clock.forward(HOUR)
    service.lift(order)
    lifted = serial_of(service)
    service.clock.forward(HOUR)
    shows(service, "isp-one", lifted)
    service.clock.forward(HOUR)

    told = [there(service, at=NOW + hours * HOUR) for hours in range(5)]

    assert [(each["published"]["blocks"], each["blocks"], each["in_effect"]) for each in told] == [
        (False, False, True),
        (True, False, False),
        (True, True, True),
        (False, True, False),
        (False, False, True),
    ]
    assert [reach(service, at=NOW + hours * HOUR) for hours in range(5)] == [
        None,
        {"published": True, "published_at": text_of(NOW + HOUR), "reached": 0, "of": 1},
        {"published": True, "published_at": text_of(NOW + HOUR), "reached": 1, "of": 1},
        {"published": True, "published_at": text_of(NOW + 3 * HOUR), "reached": 0, "of": 1},
        {"published": True, "published_at": text_of(NOW + 3 * HOUR), "reached": 1, "of": 1},
    ]


def test_a_lift_has_reached_so_many_of_so_many(service: Service) -> None:
    for number in (2, 3, 4):
        subscribed(service, f"isp-{number}", number)
    order = service.block("a.example")
    blocked = serial_of(service)
    for name in ("isp-one", "isp-2", "isp-3"):
        shows(service, name, blocked)
    assert reach(service) == {"published": True, "published_at": text_of(NOW), "reached": 3, "of": 4}

    service.clock.forward(HOUR)
    service.lift(order)
    assert reach(service) == {"published": False, "published_at": text_of(NOW), "reached": 0, "of": 4}

    lifted = serial_of(service)
    shows(service, "isp-2", lifted)
    assert reach(service) == {"published": True, "published_at": text_of(NOW + HOUR), "reached": 1, "of": 4}


def test_a_later_change_of_another_name_takes_nothing_away(service: Service) -> None:
    service.block("a.example")
    shows(service, "isp-one", serial_of(service))
    service.clock.forward(HOUR)
    service.block("b.example")
    serial_of(service)

    assert reach(service) == {"published": True, "published_at": text_of(NOW), "reached": 1, "of": 1}
    assert reach(service, "b.example") == {
        "published": True,
        "published_at": text_of(NOW + HOUR),
        "reached": 0,
        "of": 1,
    }


def test_an_isp_that_was_removed_is_not_counted_from_then_on(service: Service) -> None:
    subscribed(service, "isp-2", 2)
    service.block("a.example")
    serial_of(service)
    service.clock.forward(HOUR)
    with service.database.write() as session:
        remove(session, HOST, "isp-2", service.clock())

    now, before = reach(service), reach(service, at=NOW)
    assert now is not None
    assert before is not None
    assert (now["of"], before["of"]) == (1, 2)


def test_an_acknowledgement_reaches_too(service: Service) -> None:
    service.block("a.example")
    serial = serial_of(service)
    with service.database.write() as session:
        said = Acknowledge.model_validate({"zone": ZONE, "serial": serial, "phase": "applied"})
        acknowledge(session, acting(session, "isp-one"), said, service.clock())

    assert there(service)["in_effect"] is True


@pytest.mark.parametrize("by", ["isp-1", "platform-1", "admin-1"])
def test_what_an_isp_has_is_not_for_others(service: Service, by: str) -> None:
    problem(service.get("names/a.example?isp=isp-one", by=by), 403, "role_forbidden")
    problem(service.get("names/a.example?isp=nobody", by=by), 403, "role_forbidden")


def test_what_an_isp_has_is_not_public(service: Service) -> None:
    problem(service.get("names/a.example?isp=isp-one", by=None), 401, "token_missing")


def test_an_isp_asks_about_itself(service: Service) -> None:
    serial_of(service)
    problem(service.get("names/a.example?isp=isp-1", by="isp-1"), 404, "not_found")

    subscribed(service, "isp-1", 9)

    assert service.read("names/a.example?isp=isp-1", by="isp-1")["isp"]["zones"][0]["has"] is None


def test_an_isp_that_does_not_exist_is_not_found(service: Service) -> None:
    problem(service.get("names/a.example?isp=nobody"), 404, "not_found")


@pytest.mark.parametrize("by", ["isp-1", "platform-1", "admin-1", None])
def test_how_many_have_it_is_not_for_others(service: Service, by: str | None) -> None:
    assert "reach" not in service.read("names/a.example", by=by)


def test_the_cost_is_a_few_queries_however_many_isps(service: Service) -> None:
    for number in range(2, 60):
        subscribed(service, f"isp-{number}", number)
    service.block("a.example")
    serial = serial_of(service)
    for number in range(2, 60):
        shows(service, f"isp-{number}", serial, f"192.0.2.{number}")

    with service.database.read() as session:
        statements = []
        event.listen(session.connection(), "before_cursor_execute", lambda *args: statements.append(args[2]))
        answer = explain(session, "a.example", service.clock())
        del statements[:]
        found = reach_of(session, answer, None)

    assert found is not None
    assert (found.reached, found.of) == (58, 59)
    assert len(statements) < 12
