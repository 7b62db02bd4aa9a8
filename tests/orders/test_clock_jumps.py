"""Scheduled acts of `pulih serve` after it was down, and while its clock jumps: none missed, none early, none twice."""

import datetime as dt
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import select

from app.journal.events import EventType
from app.journal.models import Event
from app.orders.models import Order
from app.publication import zones
from app.publication.store import rules_of_release
from resolver_policy.names import sort_key
from tests.installation import Installation
from tests.installation import Service as Running
from tests.policy.scale import Record, scaled, tell
from tests.servers import wait_until
from tests.servers_clock import MovedClock
from tests.service import DAY, HOUR, NOW, Service, an_order, environment_of, targets, text_of

pytestmark = pytest.mark.long

STEPS = (
    (HOUR, HOUR - 2 * DAY, HOUR + 10 * DAY),
    (DAY, DAY - 2 * DAY, DAY + 8 * DAY, DAY + 18 * DAY, DAY + 16 * DAY),
    (30 * DAY, 28 * DAY, 38 * DAY, 40 * DAY),
    (HOUR, 10 * DAY, 8 * DAY, 18 * DAY),
)
"""Where the clock stands: first when the service comes up again after having been down, then as it jumps."""

DUE = (HOUR / 2, 9 * DAY, 11 * DAY, 20 * HOUR, 3 * DAY, 29 * DAY, 39 * DAY, 60 * DAY)
"""When acts fall due; where there is little time, three of the moments."""

FEW = 3
NOTICE = DAY
LAPSE = 2 * DAY
LOOK = 1.3
"""Seconds in which the publisher looks at what is due, more than once in any case."""


class Planned(NamedTuple):
    """An act that the clock is to do once: the order, the event, and when it falls due."""

    order: str
    event: str
    due: dt.timedelta


def plan_acts(service: Service, due: dt.timedelta) -> Iterator[Planned]:
    """One order for each kind of act that falls due at that time."""
    at, name = text_of(NOW + due), f"d{int(due.total_seconds())}.example"
    yield Planned(service.block(f"begins.{name}", effective_at=at)["id"], "order.activated", due)
    yield Planned(service.block(f"expires.{name}", expires_at=at)["id"], "order.ended", due)
    lifted = service.block(f"lifted.{name}")
    service.act(lifted, "plan-lift", {"ground": "wrong_block", "reason": "heard", "at": at})
    yield Planned(lifted["id"], "order.ended", due)
    opened = service.block(f"opened.{name}")
    service.act(opened, "suspend", {"reason": "talks", "until": at})
    yield Planned(opened["id"], "order.return_noticed", max(0 * DAY, due - NOTICE))
    yield Planned(opened["id"], "order.resumed", due)
    promised = service.block(f"promised.{name}")
    commitments = [{"condition": "content_removed", "due_at": at}]
    service.lift(promised, ground="solution_indicated", commitments=commitments)
    yield Planned(promised["id"], "review.opened", due)


def plan_all(service: Service) -> list[Planned]:
    planned = [each for due in DUE[: scaled(FEW)] for each in plan_acts(service, due)]
    for by in ("operator-1", "operator-2"):
        order = service.propose(by=by, kind="emergency", targets=targets(f"{by}.example"))
        planned.append(Planned(order["id"], "order.ended", LAPSE))
    service.publish()
    return planned


def acts_of_the_clock(service: Service) -> Counter[tuple[str, str]]:
    """How often the clock did what to each order; nothing stands in the journal before what was recorded earlier."""
    query = select(Order.uid, Event.type).join(Event, Event.order_id == Order.id)
    query = query.where(Event.actor == "clock", Event.type != EventType.INCIDENT_RECORDED)
    with service.database.read() as session:
        moments = session.scalars(select(Event.recorded_at).order_by(Event.seq)).all()
        assert list(moments) == sorted(moments)
        return Counter((uid, type_) for uid, type_ in session.execute(query))


def is_done(service: Service, due: Counter[tuple[str, str]]) -> bool:
    return acts_of_the_clock(service) >= due


@contextmanager
def serving(service: Service, directory: Path, clock: MovedClock) -> Iterator[Running]:
    """`pulih serve` on the database of a test, with a clock that is moved."""
    settings = {**environment_of(service.settings), **clock.environment}
    with Installation(directory, settings, tokens={**service.tokens}).serving(patience=90) as running:
        yield running


@pytest.mark.parametrize("steps", STEPS[: min(scaled(1), len(STEPS))], ids=str)
def test_acts_are_done_once_and_in_time_whatever_the_clock_does(
    service: Service, tmp_path: Path, steps: tuple[dt.timedelta, ...], record_property: Record
) -> None:
    clock, planned = MovedClock(tmp_path), plan_all(service)
    clock.set(NOW + steps[0])

    with serving(service, tmp_path, clock) as running:
        for number, step in enumerate(steps):
            clock.set(NOW + step)
            due = Counter((each.order, each.event) for each in planned if each.due <= max(steps[: number + 1]))
            wait_until(partial(is_done, service, due), 20, running.log)
            time.sleep(LOOK)
            assert acts_of_the_clock(service) == due
            if number:
                check_that_it_works_on(service, running, number)

    tell(record_property, acts=sum(acts_of_the_clock(service).values()), planned=len(planned), jumps=len(steps) - 1)


def check_that_it_works_on(service: Service, running: Running, number: int) -> None:
    """What is decided now is published now, after all that was decided before; one publisher works on."""
    name = f"now{number}.example"
    order = running.act("/orders", an_order(targets=targets(name)), "operator-1", 201)
    running.act(f"/orders/{order['id']}/approve", {"reason": "x"}, "approver-1")
    wait_until(lambda: is_published(service, name), 10, running.log)
    assert "another publisher" not in running.log()
    assert "Traceback" not in running.log()


def is_published(service: Service, name: str) -> bool:
    with service.database.read() as session:
        newest = zones.head(session)
        return newest is not None and sort_key(name) in dict(rules_of_release(session, newest.id))
