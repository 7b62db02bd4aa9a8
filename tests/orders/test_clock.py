"""Acts that fall due: they happen at their moment, or as soon as the service is up again."""

import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import select

from app.auth import tokens
from app.db import Database
from app.journal.actor import Role
from app.journal.models import Event
from app.publication.models import Release
from app.settings import Settings
from tests import databases
from tests.servers import wait_until
from tests.service import DAY, HOST, HOUR, NOW, ZONE, FrozenClock, Json, Service, problem, running, targets, text_of


def state(service: Service, uid: str) -> tuple[str, str | None]:
    order = service.read(f"orders/{uid}")
    return order["state"], order["ground"]


def test_an_order_of_a_later_date_begins_at_that_date(service: Service) -> None:
    order = service.block("a.example", effective_at=text_of(NOW + DAY))
    assert order["state"] == "scheduled"
    assert service.zone() == []

    service.clock.forward(DAY)

    assert service.zone() == ["a.example ."]
    assert state(service, order["id"]) == ("active", None)


def test_a_beginning_is_an_act_of_the_clock_with_the_moment_it_was_due(service: Service) -> None:
    order = service.block("a.example", effective_at=text_of(NOW + HOUR))
    service.clock.forward(2 * HOUR)
    service.publish()

    event = service.events()[-1]
    assert (event["type"], event["actor"]["name"]) == ("order.activated", "clock")
    assert event["facts"] == {"order": order["id"], "due_at": "2026-11-22T04:00:00.000000Z"}


def test_an_order_that_begins_late_was_not_in_force_before(service: Service) -> None:
    service.block("a.example", effective_at=text_of(NOW + HOUR))
    service.clock.forward(3 * HOUR)
    service.publish()

    assert service.read("names/a.example")["holders"][0]["since"] == text_of(NOW + 3 * HOUR)
    assert service.read(f"names/a.example?at={text_of(NOW + 2 * HOUR)}")["blocked"] is False


def test_an_order_expires(service: Service) -> None:
    order = service.block("a.example", expires_at=text_of(NOW + DAY))
    service.clock.forward(DAY - dt.timedelta(microseconds=1))
    assert service.zone() == ["a.example ."]

    service.clock.forward(dt.timedelta(microseconds=1))

    assert service.zone() == []
    assert state(service, order["id"]) == ("ended", "order_expired")
    assert service.events()[-1]["facts"]["due_at"] == "2026-11-23T03:00:00.000000Z"


def test_an_exception_expires_and_its_name_is_blocked_again(service: Service) -> None:
    service.block("*.x.example")
    service.exception("open.x.example", expires_at=text_of(NOW + DAY))
    service.clock.forward(DAY)

    assert service.zone() == ["x.example .", "*.x.example ."]


def test_a_scheduled_order_that_should_have_ended_already_never_begins(service: Service) -> None:
    """A lift wins over a beginning, whichever of them was due first while nothing ran."""
    order = service.block("a.example", effective_at=text_of(NOW + HOUR), expires_at=text_of(NOW + 2 * HOUR))
    service.clock.forward(DAY)

    assert service.zone() == []
    assert state(service, order["id"]) == ("ended", "order_expired")
    assert [event["type"] for event in service.events()][-1:] == ["order.ended"]
    assert "order.activated" not in [event["type"] for event in service.events()]


def test_a_planned_lift_before_the_beginning_means_an_order_never_begins(service: Service) -> None:
    order = service.block("a.example", effective_at=text_of(NOW + 2 * HOUR))
    service.act(order, "plan-lift", {"ground": "wrong_block", "reason": "heard", "at": text_of(NOW + HOUR)})
    service.clock.forward(DAY)

    assert service.zone() == []
    assert state(service, order["id"]) == ("ended", "wrong_block")


def test_nothing_happens_twice(service: Service) -> None:
    service.block("a.example", effective_at=text_of(NOW + HOUR))
    service.block("b.example", expires_at=text_of(NOW + HOUR))
    service.clock.forward(DAY)
    service.publish()
    before = service.rows()

    assert service.publish() == {}
    assert service.rows() == before


def test_what_is_longest_overdue_happens_first(service: Service) -> None:
    second = service.block("a.example", expires_at=text_of(NOW + 2 * HOUR))
    first = service.block("b.example", expires_at=text_of(NOW + HOUR))
    service.clock.forward(DAY)
    service.publish()

    assert [event["facts"]["order"] for event in service.events(type="order.ended")] == [first["id"], second["id"]]


def test_acts_that_fell_due_while_the_service_was_down_happen_when_it_starts(
    service: Service, settings: Settings, database: Database
) -> None:
    service.block("begins.example", effective_at=text_of(NOW + HOUR))
    service.block("expires.example", expires_at=text_of(NOW + HOUR))
    planned = service.block("planned.example")
    service.act(planned, "plan-lift", {"ground": "wrong_block", "reason": "heard", "at": text_of(NOW + HOUR)})
    assert service.zone() == ["expires.example .", "planned.example ."]

    clock = FrozenClock(NOW + 30 * DAY)
    with running(settings, database, clock, with_publisher=True):
        serial = service.read(f"zones/{ZONE}")["serial"]
        wait_until(lambda: bool(service.read(f"zones/{ZONE}")["serial"] > serial), 10, lambda: "nothing was published")

    assert service.zone() == ["begins.example ."]


def test_an_act_that_cannot_be_done_keeps_no_other_waiting(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    service.block("bad.example", number="EX-BAD", expires_at=text_of(NOW + HOUR))
    service.block("good.example", expires_at=text_of(NOW + 2 * HOUR))
    databases.refuse(service.database, "UPDATE", "orders", "OLD.number = 'EX-BAD' AND NEW.state <> OLD.state")
    service.clock.forward(DAY)

    assert service.zone() == ["bad.example ."]
    assert "planted" in caplog.text


def test_of_two_endings_that_are_overdue_the_first_counts(service: Service) -> None:
    order = service.block("a.example", expires_at=text_of(NOW + HOUR))
    service.act(order, "plan-lift", {"ground": "wrong_block", "reason": "heard", "at": text_of(NOW + 2 * HOUR)})
    service.clock.forward(DAY)
    service.publish()

    assert state(service, order["id"]) == ("ended", "order_expired")


@pytest.fixture
def waiting(service: Service) -> Iterator[Callable[[Json], threading.Thread]]:
    """Begins to approve an order in a thread of its own; it has to wait for whoever has the writer's lock."""
    threads: list[threading.Thread] = []

    def approve(order: Json) -> threading.Thread:
        threads.append(threading.Thread(target=service.approve, args=(order,)))
        threads[-1].start()
        time.sleep(0.3)
        return threads[-1]

    yield approve
    for thread in threads:
        thread.join(30)


def test_an_act_that_had_to_wait_has_the_moment_of_its_turn(
    service: Service, waiting: Callable[[Json], threading.Thread]
) -> None:
    """Else a question about the time in between would have had another answer before."""
    order = service.propose(targets=targets("a.example"))
    with service.database.write() as session:
        session.connection()
        thread = waiting(order)
        service.clock.forward(HOUR)
    thread.join(30)

    assert service.read(f"orders/{order['id']}")["decided_at"] == text_of(NOW + HOUR)
    assert service.read(f"names/a.example?at={text_of(NOW)}")["blocked"] is False


def test_a_clock_that_was_set_back_puts_no_act_before_the_last(service: Service) -> None:
    service.clock.forward(HOUR)
    service.block("a.example")
    service.clock.forward(-DAY)

    assert service.block("b.example")["decided_at"] == text_of(NOW + HOUR)


def test_a_clock_that_jumps_back_undoes_nothing(service: Service) -> None:
    service.block("a.example", effective_at=text_of(NOW + HOUR))
    service.clock.forward(DAY)
    service.publish()

    service.clock.forward(-2 * DAY)

    assert service.zone() == ["a.example ."]


def test_what_is_due_says_the_clock_also_when_it_was_set_back(service: Service) -> None:
    """Acts of ten days later are recorded already: by mistake, and no reason to do more before its time."""
    order = service.block("a.example", expires_at=text_of(NOW + 5 * DAY))
    service.clock.forward(10 * DAY)
    service.block("b.example")
    service.clock.forward(-10 * DAY)

    assert service.zone() == ["a.example .", "b.example ."]
    service.clock.forward(5 * DAY)
    assert service.zone() == ["b.example ."]
    assert service.read(f"orders/{order['id']}")["ended_at"] == text_of(NOW + 10 * DAY)


def test_releases_and_what_the_publisher_records_stay_in_order_when_the_clock_was_set_back(service: Service) -> None:
    service.clock.forward(10 * DAY)
    service.block("a.example", number="EX-A")
    service.publish()
    service.clock.forward(-10 * DAY)
    service.block("b.example")
    service.publish()
    databases.run(service.database, "UPDATE orders SET published = false WHERE number = 'EX-A'")
    service.publish()

    with service.database.read() as session:
        events = session.execute(select(Event.type, Event.recorded_at).order_by(Event.seq)).all()
        released = session.scalars(select(Release.published_at).order_by(Release.id)).all()
    assert "publication.stopped" in {type_ for type_, _ in events}
    assert [at for _, at in events] == sorted(at for _, at in events)
    assert released == sorted(released)
    assert released[-1] == NOW + 10 * DAY


def test_a_moment_is_after_all_that_is_recorded_not_only_after_the_last(service: Service) -> None:
    """What is done on the command line is recorded by the clock as it is."""
    service.clock.forward(10 * DAY)
    service.block("a.example")
    with service.database.write() as session:
        tokens.create(session, HOST, role=Role.AUDITOR, name="auditor-9", expires_at=None, now=NOW)
    service.clock.forward(-10 * DAY)

    assert service.block("b.example")["decided_at"] == text_of(NOW + 10 * DAY)


def test_a_token_that_has_expired_stays_so_when_the_clock_is_set_back(service: Service) -> None:
    with service.database.write() as session:
        text = tokens.create(session, HOST, role=Role.AUDITOR, name="auditor-9", expires_at=NOW + DAY, now=NOW)
    service.tokens = {**service.tokens, "auditor-9": text}
    assert service.get("orders", by="auditor-9").status_code == 200
    service.clock.forward(2 * DAY)
    service.block("a.example")
    service.clock.forward(-2 * DAY)

    problem(service.get("orders", by="auditor-9"), 401, "token_invalid")


def test_no_release_is_before_the_last_one(service: Service) -> None:
    """Also where nothing was recorded since but the release itself."""
    service.block("a.example")
    service.clock.forward(10 * DAY)
    service.publish()
    service.clock.forward(-10 * DAY)
    service.block("b.example")
    service.publish()

    with service.database.read() as session:
        newest, before = session.scalars(select(Release).order_by(Release.id.desc()).limit(2)).all()
    assert (before.published_at, newest.published_at) == (NOW + 10 * DAY, NOW + 10 * DAY)
