"""The journal: append-only, without gaps, and every event in the transaction of its act."""

import datetime as dt
import hashlib
import json
import threading
from collections.abc import Callable

import pytest
import rfc8785
from sqlalchemy import Connection, select, text
from sqlalchemy.event import listen, remove
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError

from app.db import Database
from app.journal import queries
from app.journal.actor import CLOCK, Actor
from app.journal.append import Entry, append, leaf_hash, salted_hash, timestamp
from app.journal.events import EventType
from app.journal.models import Event, EventPersonal, JournalHead
from app.orders.propose import target_line
from resolver_policy.names import sort_key
from tests import databases
from tests.journal.test_merkle import defined
from tests.service import DAY, HOUR, NOW, Json, Service, an_order, condition, problem, targets, text_of

COLUMNS = "seq, type, recorded_at, occurred_at, actor, role, body, leaf"
SOMEBODY = Actor(name="operator-1", role="operator", principal_id=1, token_id=2, address="192.0.2.7")


def write(database: Database, *entries: Entry, actor: Actor = CLOCK) -> list[int]:
    with database.write() as session:
        return [append(session, actor, entry, NOW) for entry in entries]


def events(database: Database) -> list[Event]:
    with database.read() as session:
        return list(session.scalars(select(Event).order_by(Event.seq)))


def refused(database: Database, statement: str) -> None:
    with pytest.raises(IntegrityError, match="journal"):
        databases.run(database, statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET body = '{}'",
        "UPDATE events SET seq = seq + 100",
        "UPDATE events SET actor = actor",
        "DELETE FROM events",
        "DELETE FROM events WHERE seq = (SELECT max(seq) FROM events)",
        "INSERT OR REPLACE INTO events SELECT * FROM events WHERE seq = (SELECT max(seq) FROM events)",
        f"INSERT INTO events ({COLUMNS}) SELECT seq + 70, {COLUMNS.partition(', ')[2]} FROM events WHERE seq = 1",
        "UPDATE journal_head SET size = 0",
        "UPDATE journal_head SET size = size + 2",
        "DELETE FROM journal_head",
    ],
)
def test_the_database_refuses_every_change_of_the_past(database: Database, statement: str) -> None:
    before = [(event.seq, event.body, event.leaf) for event in events(database)]

    refused(database, statement)

    assert [(event.seq, event.body, event.leaf) for event in events(database)] == before


def test_numbers_begin_at_one_and_have_no_gap(service: Service) -> None:
    service.lift(service.block())

    sequence = [event.seq for event in events(service.database)]
    assert sequence == list(range(1, len(sequence) + 1))


def test_numbers_have_no_gap_under_concurrency_and_failures(database: Database) -> None:
    before = len(events(database))

    def work(number: int) -> None:
        for turn in range(20):
            try:
                with database.write() as session:
                    append(session, CLOCK, Entry(EventType.SAMPLE_NOTED, {"by": number, "turn": turn}), NOW)
                    session.execute(text("SELECT 1" if turn % 4 != number % 4 else "SELECT nonsense"))
            except DatabaseError:
                continue

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    kept = events(database)
    assert [event.seq for event in kept] == list(range(1, before + 61))
    with database.read() as session:
        assert session.scalars(select(JournalHead.size)).one() == len(kept)


def test_a_leaf_commits_to_the_canonical_octets_of_its_body(service: Service) -> None:
    service.meet(condition(service.block("ünï.example", reason={"id": "Judi ✓ \U0001f3b2", "en": 'a "b" \\ c'})))

    for event in events(service.database):
        assert event.leaf == hashlib.sha256(b"\x00" + event.body.encode()).digest() == leaf_hash(event.body.encode())
        assert rfc8785.dumps(json.loads(event.body)) == event.body.encode()


def test_a_body_says_what_its_row_says(service: Service) -> None:
    service.meet(condition(service.block()))

    for event in events(service.database):
        body = json.loads(event.body)
        assert (body["seq"], body["type"]) == (event.seq, event.type)
        assert (body["actor"]["name"], body["actor"]["role"]) == (event.actor, event.role)
        assert body["recorded_at"] == timestamp(event.recorded_at)
        assert body["occurred_at"] == timestamp(event.occurred_at)


def test_an_event_carries_when_it_happened_beside_when_it_was_recorded(database: Database) -> None:
    [seq] = write(database, Entry(EventType.SAMPLE_NOTED, occurred_at=NOW - 1000 * HOUR))

    body = json.loads(events(database)[seq - 1].body)
    assert (body["occurred_at"], body["recorded_at"]) == ("2026-10-11T11:00:00.000000Z", "2026-11-22T03:00:00.000000Z")


def test_times_are_written_so_that_their_order_is_that_of_their_text() -> None:
    jakarta = dt.timezone(dt.timedelta(hours=7))

    assert timestamp(dt.datetime(2017, 8, 10, 10, 46, tzinfo=jakarta)) == "2017-08-10T03:46:00.000000Z"


def test_personal_fields_stand_in_the_body_as_salted_hashes_only(database: Database) -> None:
    personal = {"reporter": "Budi Santoso", "contact": "budi@mail.example"}
    [seq] = write(database, Entry(EventType.SAMPLE_NOTED, {"a": 1}, personal=personal), actor=SOMEBODY)

    event = events(database)[seq - 1]
    for secret in (*personal.values(), "192.0.2.7"):
        assert secret not in event.body
    with database.read() as session:
        rows = session.scalars(select(EventPersonal).where(EventPersonal.seq == seq)).all()
    assert {row.field: row.text for row in rows} == {**personal, "network_address": "192.0.2.7"}
    assert json.loads(event.body)["personal"] == {
        row.field: "sha256:" + hashlib.sha256(row.salt + (row.text or "").encode()).hexdigest() for row in rows
    }


def test_the_same_text_has_another_salt_each_time(database: Database) -> None:
    first, second = write(database, *(Entry(EventType.SAMPLE_NOTED, personal={"reporter": "Budi"}) for _ in range(2)))

    bodies = [json.loads(event.body)["personal"]["reporter"] for event in events(database) if event.seq >= first]
    assert second == first + 1
    assert len(set(bodies)) == 2


def test_a_text_may_be_sealed_without_touching_its_event(database: Database) -> None:
    [seq] = write(database, Entry(EventType.SAMPLE_NOTED, personal={"reporter": "Budi"}))
    before = events(database)[seq - 1].leaf

    with database.write() as session:
        session.query(EventPersonal).filter_by(seq=seq).update({"text": None})

    assert events(database)[seq - 1].leaf == before


def test_a_salted_hash_is_of_the_salt_and_then_the_text() -> None:
    assert salted_hash(b"salt", "text") == "sha256:" + hashlib.sha256(b"salttext").hexdigest()


def test_the_reporter_of_an_order_is_in_no_answer(service: Service) -> None:
    order = service.propose(reporter="Budi Santoso", contact="budi@mail.example")
    service.approve(order)

    shown = [
        service.get(path).text for path in (f"orders/{order['id']}", "orders", "audit/events", "names/blocked.example")
    ]
    assert not any("Budi" in answer or "budi@" in answer for answer in shown)
    assert set(service.events()[0]["personal"]) == {"contact", "network_address", "reporter"}


def test_an_order_commits_to_each_of_its_names(service: Service) -> None:
    service.propose(targets=targets("b.example", "*.a.example", "c.a.example"))

    rows = sorted([(sort_key("b.example"), 0), (sort_key("a.example"), 1), (sort_key("c.a.example"), 0)])
    lines = [target_line(*row) for row in rows]
    assert lines == [b"a.example subtree", b"c.a.example exact", b"b.example exact"]
    assert service.events()[0]["facts"]["targets_root"] == "sha256:" + defined(lines).hex()


ACTS: dict[str, tuple[Callable[[Service], object], list[str]]] = {
    "propose": (lambda service: service.propose(), ["order.proposed"]),
    "approve": (lambda service: service.block(), ["order.proposed", "order.approved"]),
    "reject": (
        lambda service: service.act(service.propose(), "reject", {"reason": "no"}),
        ["order.proposed", "order.rejected"],
    ),
    "withdraw": (
        lambda service: service.act(service.propose(), "withdraw", {"reason": "no"}, by="operator-1"),
        ["order.proposed", "order.withdrawn"],
    ),
    "lift": (
        lambda service: service.lift(service.block()),
        ["order.proposed", "order.approved", "incident.recorded", "order.ended"],
    ),
    "lift in part": (
        lambda service: service.lift(service.block("a.example", "b.example"), targets=targets("a.example")),
        ["order.proposed", "order.approved", "incident.recorded", "order.lifted_in_part"],
    ),
    "plan a lift": (
        lambda service: service.act(service.block(), "plan-lift", {"ground": "wrong_block", "reason": "x"}),
        ["order.proposed", "order.approved", "order.lift_planned"],
    ),
    "suspend and resume": (
        lambda service: service.act(
            service.act(service.block(), "suspend", {"reason": "x", "until": text_of(NOW + DAY)}),
            "resume",
            {"reason": "x"},
        ),
        ["order.proposed", "order.approved", "order.suspended", "order.resumed"],
    ),
    "undo": (
        lambda service: service.act(service.block(), "undo", {"reason": "x"}),
        ["order.proposed", "order.approved", "incident.recorded", "order.ended"],
    ),
    "claim": (
        lambda service: service.mark(condition(service.block()), "claim", by="operator-1"),
        ["order.proposed", "order.approved", "condition.claimed"],
    ),
    "meet": (
        lambda service: service.meet(condition(service.block())),
        ["order.proposed", "order.approved", "condition.claimed", "condition.met", "order.ended"],
    ),
}


@pytest.mark.parametrize("act", ACTS)
def test_every_act_has_its_event(service: Service, act: str) -> None:
    do, types = ACTS[act]
    do(service)

    assert [event["type"] for event in service.events()] == types


def test_reading_and_refused_acts_have_none(service: Service) -> None:
    order = service.propose()
    before = service.rows()["events"]

    service.read("orders")
    service.get("names/blocked.example", by=None)
    problem(
        service.post(f"orders/{order['id']}/lift", {"ground": "wrong_block", "reason": "x"}, by="approver-1"),
        409,
        "state_conflict",
    )
    problem(service.post("orders", an_order(category="nonsense"), by="operator-1"), 422, "category_unknown")

    assert service.rows()["events"] == before


@pytest.mark.parametrize(
    ("table", "act"), [("in_force", "INSERT"), ("touched", "INSERT"), ("orders", "UPDATE"), ("events", "INSERT")]
)
def test_an_act_that_fails_leaves_no_event_and_an_event_that_fails_no_act(
    service: Service, table: str, act: str
) -> None:
    order = service.propose()
    before = service.rows()
    databases.refuse(service.database, act, table)

    response = service.post(f"orders/{order['id']}/approve", {"reason": "x"}, by="approver-1")

    assert response.status_code == (503 if table == "events" else 500)
    assert "planted" not in response.text
    assert service.rows() == before
    assert service.read(f"orders/{order['id']}") == order


@pytest.mark.parametrize(("table", "act"), [("in_force", "UPDATE"), ("touched", "INSERT"), ("orders", "UPDATE")])
def test_a_lift_that_fails_takes_the_mark_that_brought_it_about_with_it(service: Service, table: str, act: str) -> None:
    leaf = condition(service.block())
    service.mark(leaf, "claim", by="operator-1")
    before = service.rows()
    databases.refuse(service.database, act, table)

    response = service.post(f"conditions/{leaf['id']}/verify", {"reason": "x"}, by="approver-1")

    assert response.status_code == 500
    assert service.rows() == before
    assert service.read(f"conditions/{leaf['id']}")["state"] == "claimed"


def test_a_commit_that_fails_is_never_answered_as_a_success(service: Service) -> None:
    order = service.propose()
    before = service.rows()

    def fail(_connection: Connection) -> None:
        raise OperationalError("COMMIT", None, OSError("disk I/O error"))

    listen(service.database.engine, "commit", fail)
    response = service.post(f"orders/{order['id']}/approve", {"reason": "x"}, by="approver-1")
    remove(service.database.engine, "commit", fail)

    assert (response.status_code, response.json()["code"]) == (503, "not_writable")
    assert service.rows() == before
    assert service.read(f"orders/{order['id']}") == order


def read(service: Service, query: str) -> list[Json]:
    items: list[Json] = service.read(f"audit/events?limit=500&{query}")["items"]
    return items


def test_events_are_listed_by_kind_and_by_actor_and_until_a_moment(service: Service) -> None:
    service.block()
    service.clock.forward(HOUR)
    service.lift(service.block("b.example"))

    assert [event["type"] for event in read(service, "type=order.ended")] == ["order.ended"]
    assert {event["actor"]["name"] for event in read(service, "by=approver-1")} == {"approver-1"}
    assert [event["type"] for event in read(service, "until=2026-11-22T03:00:00Z")][-2:] == [
        "order.proposed",
        "order.approved",
    ]


@pytest.mark.parametrize("query", ["type=nonsense", "by=" + "x" * 64, "until=yesterday"])
def test_a_bad_question_is_refused(service: Service, query: str) -> None:
    problem(service.get(f"audit/events?{query}"), 422, "body_invalid")


def test_an_event_is_shown_as_its_body_and_its_leaf(service: Service) -> None:
    service.propose()

    with service.database.read() as session:
        event = queries.page(session, after=0, limit=500)[-1]
    assert service.events()[-1] == {**json.loads(event.body), "leaf": event.leaf.hex()}


def test_who_has_no_name_cannot_write(database: Database) -> None:
    """Type, actor, role, body and leaf must be there: the database says so."""
    for column in ("type", "recorded_at", "occurred_at", "actor", "role", "body", "leaf"):
        chosen = COLUMNS.replace("seq", "(SELECT size FROM journal_head)").replace(column, "NULL", 1)
        insert = f"INSERT INTO events ({COLUMNS}) SELECT {chosen} FROM events WHERE seq = 1"
        with database.engine.connect() as connection:
            connection.exec_driver_sql("UPDATE journal_head SET size = size + 1")
            with pytest.raises(IntegrityError, match=r"NOT NULL|not-null"):
                connection.exec_driver_sql(insert)
