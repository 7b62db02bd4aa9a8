"""Tries of one person to be two, by tokens, roles, double clicks, re-proposals and SQL, against all that two must do.

`PULIH_TEST_SCALE=170` makes it ten thousand of them.
"""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DatabaseError

from app.auth import tokens
from app.errors import Conflict
from app.journal.actor import Role
from app.journal.events import EventType
from app.journal.models import Event
from tests import databases
from tests.policy.scale import Record, scaled, seeded, tell
from tests.service import DAY, HOST, NOW, Json, Service, an_order, condition, targets

TRIES = 60
"""Tries to be two people, times PULIH_TEST_SCALE."""

TRIES_A_SCENE = 30
ME, AGAIN = "approver-1", "approver-1 again"
REFUSED = {403, 404, 409}
SECONDS = (
    EventType.ORDER_APPROVED,
    EventType.ORDER_CONFIRMED,
    EventType.ORDER_REJECTED,
    EventType.ORDER_ENDED,
    EventType.ORDER_LIFTED_IN_PART,
    EventType.CONDITION_MET,
)
"""What a second person alone does."""

Act = tuple[str, Json]


@dataclass
class Scene:
    """What waits for another person than `approver-1`, who did the first half of each."""

    service: Service
    random: Random
    proposal: Json
    emergency: Json
    exception: Json
    claimed: Json

    def act(self) -> Act:
        """The second half of one of them: path and body."""
        lift = {"ground": "wrong_block", "reason": "mine"}
        return self.random.choice(
            (
                (f"orders/{self.proposal['id']}/{self.random.choice(('approve', 'reject'))}", {"reason": "mine"}),
                (f"orders/{self.emergency['id']}/{self.random.choice(('confirm', 'approve'))}", {"reason": "mine"}),
                (f"orders/{self.exception['id']}/lift", lift),
                (f"orders/{self.exception['id']}/undo", {"reason": "mine"}),
                (f"conditions/{self.claimed['id']}/{self.random.choice(('verify', 'reject'))}", {"reason": "mine"}),
            )
        )

    def send(self, by: str) -> int:
        path, body = self.act()
        return self.service.post(path, body, by=by).status_code

    def seconds(self) -> Counter[str]:
        """How often a second person did anything."""
        with self.service.database.read() as session:
            query = select(Event.type).where(Event.type.in_(SECONDS), Event.principal_id.is_not(None))
            return Counter(session.scalars(query))


def make_scene(service: Service, random: Random, number: int) -> Scene:
    service.clock.forward(DAY)  # emergencies are counted by the day
    held = service.approve(service.propose(by="operator-1", targets=targets(f"*.x{number}.example")), by="approver-2")
    service.mark(condition(held), "claim", by=ME)
    open_ = an_order(kind="exception", conditions=None, targets=targets(f"open.x{number}.example"))
    exception = service.approve(service.propose(by="operator-1", **open_), by="approver-2")
    service.act(exception, "undo", {"reason": "mine"}, by=ME)
    emergency = service.propose(by=ME, kind="emergency", targets=targets(f"e{number}.example"))
    return Scene(
        service,
        random,
        service.propose(by=ME, targets=targets(f"p{number}.example")),
        emergency,
        exception,
        condition(held),
    )


def with_the_other_token(scene: Scene) -> None:
    assert scene.send(AGAIN) in REFUSED


def with_the_same_token(scene: Scene) -> None:
    assert scene.send(ME) in REFUSED


def as_somebody_who_may_not(scene: Scene) -> None:
    others = ("operator-1", "operator-2", "auditor-1", "isp-1", "platform-1", "admin-1")
    assert scene.send(scene.random.choice(others)) in {403, 404}


def with_a_double_click(scene: Scene) -> None:
    """The same request by both tokens at the same moment."""
    path, body = scene.act()
    barrier, statuses = threading.Barrier(2), list[int]()

    def click(by: str) -> None:
        barrier.wait(30)
        statuses.append(scene.service.post(path, body, by=by).status_code)

    threads = [threading.Thread(target=click, args=(by,)) for by in (ME, AGAIN)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(statuses) == 2
    assert set(statuses) <= REFUSED


def with_the_same_key(scene: Scene) -> None:
    """A request that is sent again under its idempotency key is answered as before, also for the other token."""
    path, body = scene.act()
    key = f"key-{scene.random.random()}"
    for by in (ME, AGAIN):
        assert scene.service.post(path, body, by=by, Idempotency_Key=key).status_code in REFUSED


def by_proposing_it_again(scene: Scene) -> None:
    """Withdrawn, proposed again under the same number, and decided on by who proposed it; the old one stays gone."""
    old = scene.proposal
    scene.service.act(old, "withdraw", {"reason": "again"}, by=ME)
    same = {
        "number": old["number"],
        "targets": [{"name": each["name"], "match": each["match"]} for each in old["blocks"]],
    }
    scene.proposal = scene.service.propose(by=scene.random.choice((ME, AGAIN)), **same)
    for order, by in ((old, "approver-2"), (old, AGAIN), (scene.proposal, ME), (scene.proposal, AGAIN)):
        response = scene.service.post(f"orders/{order['id']}/approve", {"reason": "mine"}, by=by)
        assert response.status_code in REFUSED


def by_another_role(scene: Scene) -> None:
    """A principal has one role for ever; no second principal has its name."""
    other = scene.random.choice([role for role in Role if role is not Role.APPROVER])
    with scene.service.database.write() as session, pytest.raises(Conflict):
        tokens.create(session, HOST, role=other, name=ME, expires_at=None, now=NOW)
    with pytest.raises(DatabaseError):
        databases.run(scene.service.database, f"UPDATE principals SET role = 'approver' WHERE role = '{other}'")


def by_sql(scene: Scene) -> None:
    mine = {"me": f"(SELECT id FROM principals WHERE name = '{ME}')", "at": "'2026-11-22 03:00:00.000000'"}
    statement = scene.random.choice(STATEMENTS).format(
        **mine,
        proposal=f"uid = '{scene.proposal['id']}'",
        emergency=f"uid = '{scene.emergency['id']}'",
        exception=f"uid = '{scene.exception['id']}'",
        claimed=f"uid = '{scene.claimed['id']}'",
    )
    with pytest.raises(DatabaseError):
        databases.run(scene.service.database, statement)


STATEMENTS = (
    "UPDATE orders SET state = 'active' WHERE {proposal}",
    "UPDATE orders SET state = 'active', approved_by_id = {me}, decided_at = {at} WHERE {proposal}",
    "UPDATE orders SET state = 'scheduled', approved_by_id = {me} WHERE {proposal}",
    "UPDATE orders SET state = 'rejected', rejected_by_id = {me} WHERE {proposal}",
    "UPDATE orders SET proposed_by_id = proposed_by_id + 1 WHERE {proposal}",
    "UPDATE orders SET kind = 'emergency' WHERE {proposal}",
    "UPDATE orders SET number = 'EX-X' WHERE {proposal}",
    "UPDATE orders SET state = 'importing' WHERE {proposal}",
    "UPDATE orders SET approved_by_id = {me} WHERE {emergency}",
    "UPDATE orders SET lapses_at = '2099-01-01 00:00:00' WHERE {emergency}",
    "UPDATE orders SET kind = 'block', lapses_at = NULL WHERE {emergency}",
    "UPDATE orders SET state = 'ended', ground = 'wrong_block', ended_by_id = {me}, ended_at = {at} WHERE {exception}",
    "UPDATE orders SET state = 'suspended', suspended_until = {at} WHERE {exception}",
    "UPDATE orders SET kind = 'block' WHERE {exception}",
    "UPDATE conditions SET state = 'met', verified_by_id = {me} WHERE {claimed}",
    "UPDATE conditions SET state = 'met' WHERE {claimed}",
    "UPDATE conditions SET gating = false WHERE {claimed}",
    "UPDATE conditions SET claimed_by_id = NULL, verified_by_id = {me}, state = 'met' WHERE {claimed}",
    "UPDATE tokens SET principal_id = principal_id + 1",
    "UPDATE principals SET role = 'approver' WHERE role = 'operator'",
    "UPDATE principals SET name = 'approver-3' WHERE name = 'approver-1'",
    "DELETE FROM events",
    "UPDATE events SET principal_id = principal_id + 1",
)

WAYS: tuple[Callable[[Scene], None], ...] = (
    with_the_other_token,
    with_the_same_token,
    as_somebody_who_may_not,
    with_a_double_click,
    with_the_same_key,
    by_proposing_it_again,
    by_another_role,
    by_sql,
)


def test_nobody_is_two_people(service: Service, record_property: Record) -> None:
    with service.database.write() as session:
        text = tokens.create(session, HOST, role=Role.APPROVER, name=ME, expires_at=None, now=NOW)
    service.tokens = {**service.tokens, AGAIN: text}
    random, tried = seeded("one person"), Counter[str]()
    for number in range(-(-scaled(TRIES) // TRIES_A_SCENE)):
        scene = make_scene(service, random, number)
        before, zone = scene.seconds(), len(service.zone())
        for _ in range(TRIES_A_SCENE):
            way = random.choice(WAYS)
            way(scene)
            tried[way.__name__] += 1
        assert (scene.seconds(), len(service.zone())) == (before, zone)

    tell(record_property, tries=tried.total(), **tried)
