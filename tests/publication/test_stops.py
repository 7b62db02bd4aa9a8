"""The publisher's stop: what nothing explains is not published, blocks wait, lifts go out, two people release it."""

from collections.abc import Iterator, Sequence

import httpx
import pytest

from app.journal.events import EventType
from app.orders import explanation
from app.publication import publisher as publishing
from app.publication import zones
from resolver_policy.delta import EMPTY_RULE, Change, Rule
from resolver_policy.rules import RuleStore, Touched, recompute
from resolver_policy.targets import Decision
from tests import databases
from tests.orders.test_direct_sql import refused
from tests.service import DAY, HOUR, NOW, Json, Service, problem, targets, text_of

AN_APPROVER = "(SELECT id FROM principals WHERE name = 'approver-2')"
MOMENT = "'2026-11-22 03:00:00.000000'"


def run(service: Service, *statements: str) -> None:
    for statement in statements:
        databases.run(service.database, statement)


def note(order: str) -> str:
    return f"INSERT INTO touched (order_id, touched_at) SELECT id, {MOMENT} FROM orders WHERE number = '{order}'"


def put_in_force(service: Service, number: str) -> None:
    """What an insider with a database client does: an order that nobody approved, as if somebody had."""
    where = f"WHERE number = '{number}'"
    run(
        service,
        f"UPDATE orders SET state = 'active', approved_by_id = {AN_APPROVER}, decided_at = {MOMENT} {where}",
        f"INSERT INTO in_force (order_id, began_at) SELECT id, {MOMENT} FROM orders {where}",
        note(number),
    )


def standing(service: Service) -> list[Json]:
    items: list[Json] = service.read("guard/stops")["items"]
    return items


def release(service: Service, stop: Json, *, by: str) -> httpx.Response:
    return service.post(f"guard/stops/{stop['id']}/release", {"reason": "looked at it"}, by=by)


def ready(service: Service) -> str:
    return service.get("/readyz", by=None).text


@pytest.fixture
def held(service: Service) -> Service:
    """Two blocks that were decided, and published."""
    service.block("first.example", number="EX-FIRST")
    service.block("*.second.example", number="EX-SECOND")
    assert len(service.zone()) == 3
    return service


def test_an_order_put_in_force_by_hand_blocks_nothing(held: Service, caplog: pytest.LogCaptureFixture) -> None:
    held.propose(number="EX-HAND", targets=targets("hand.example"))
    put_in_force(held, "EX-HAND")

    assert len(held.zone()) == 3
    (stop,) = standing(held)
    assert "its row says active, and the journal does not" in stop["findings"][0]["why"]
    assert "no block is published until two people release it" in caplog.text
    assert "blocks are stopped" in ready(held)
    assert held.events(type="publication.stopped")[0]["facts"]["stop"] == stop["id"]


def test_while_it_stands_lifts_go_out_and_blocks_wait(held: Service) -> None:
    held.propose(number="EX-HAND", targets=targets("hand.example"))
    put_in_force(held, "EX-HAND")
    held.publish()

    held.block("decided.example")
    held.lift(held.read("orders?number=EX-FIRST")["items"][0])
    assert held.zone() == ["second.example .", "*.second.example ."]
    (stop,) = standing(held)

    assert release(held, stop, by="approver-1").json()["asked_by"] == "approver-1"
    problem(release(held, stop, by="approver-1"), 403, "four_eyes")
    assert len(held.zone()) == 2
    assert release(held, stop, by="approver-2").json()["released_by"] == "approver-2"

    assert held.zone() == ["decided.example .", "hand.example .", "second.example .", "*.second.example ."]
    assert (standing(held), ready(held)) == ([], "ok\n")
    problem(release(held, stop, by="approver-2"), 409, "state_conflict")
    problem(release(held, {"id": 99}, by="approver-2"), 404, "not_found")


def test_the_lift_that_is_found_with_it_goes_out_in_the_same_release(held: Service) -> None:
    held.propose(number="EX-HAND", targets=targets("hand.example"))
    put_in_force(held, "EX-HAND")
    held.lift(held.read("orders?number=EX-FIRST")["items"][0])

    assert held.zone() == ["second.example .", "*.second.example ."]


def test_an_order_ended_by_hand_stays_blocked(held: Service) -> None:
    run(
        held,
        f"UPDATE orders SET state = 'ended', ground = 'order_expired', ended_at = {MOMENT} WHERE number = 'EX-FIRST'",
        f"UPDATE in_force SET ended_at = {MOMENT} WHERE order_id = (SELECT id FROM orders WHERE number = 'EX-FIRST')",
        note("EX-FIRST"),
    )

    assert len(held.zone()) == 3
    assert "its row says ended" in standing(held)[0]["findings"][0]["why"]


def test_an_exception_whose_name_is_released_by_hand_stays_open(held: Service) -> None:
    held.exception("open.second.example", "more.second.example", number="EX-OPEN")
    before = held.zone()
    run(
        held,
        f"UPDATE targets SET released_at = {MOMENT} WHERE key = 'example.second.open.'",
        "INSERT INTO touched (order_id, key, match, touched_at) SELECT order_id, key, match, released_at FROM targets"
        " WHERE released_at IS NOT NULL",
    )

    assert held.zone() == before
    assert "open.second.example (exact) was released and no event says so" in standing(held)[0]["findings"][0]["why"]


def test_a_proposal_marked_as_published_by_hand_blocks_nothing(held: Service) -> None:
    """It would come in with the next act around it, a lift even, and no act of its own."""
    held.propose(number="EX-HAND", targets=targets("hand.second.example", "*.deep.hand.second.example"))
    run(held, "UPDATE orders SET published = true WHERE number = 'EX-HAND'")
    held.lift(held.read("orders?number=EX-SECOND")["items"][0])

    assert held.zone() == ["first.example ."]
    (stop,) = standing(held)
    assert "no act of it waits" in stop["findings"][0]["why"]


def test_a_lift_whose_note_was_taken_away_goes_out(held: Service) -> None:
    held.lift(held.read("orders?number=EX-FIRST")["items"][0])
    run(held, "DELETE FROM touched")

    assert held.zone() == ["second.example .", "*.second.example ."]
    assert "no act of it waits" in standing(held)[0]["findings"][0]["why"]


def test_rules_planted_for_the_next_release_are_taken_away(held: Service, caplog: pytest.LogCaptureFixture) -> None:
    with held.database.read() as session:
        newest = zones.head(session)
        assert newest is not None
    for number in (1, 5):
        run(
            held,
            "INSERT INTO rule_spans (key, from_release, own, wild)"
            f" VALUES ('example.planted{number}.', {newest.id + number}, 1, 0)",
        )
    held.block("third.example")
    assert "planted" not in "".join(held.zone())

    held.lift(held.read("orders?number=EX-FIRST")["items"][0])

    assert held.zone() == ["second.example .", "*.second.example ."]
    assert "not made here" in caplog.text
    for _ in range(2):
        for stop in standing(held):
            release(held, stop, by="approver-1")
            release(held, stop, by="approver-2")
        held.publish()
    assert "third.example ." in held.zone()


def test_a_publisher_that_blocks_what_nobody_ordered_is_stopped(held: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bug, planted in the publisher itself."""

    def wrong(touched: Touched, store: RuleStore) -> Iterator[Sequence[Change]]:
        yield from recompute(touched, store)
        yield [Change("example.wrong.", EMPTY_RULE, Rule(Decision.BLOCK, Decision.BLOCK))]

    monkeypatch.setattr(publishing, "recompute", wrong)
    held.lift(held.read("orders?number=EX-FIRST")["items"][0])

    assert held.zone() == ["second.example .", "*.second.example ."]
    assert standing(held)[0]["findings"][0]["names"] == ["wrong.example"]


def test_what_was_planned_suspended_or_expired_is_explained(service: Service) -> None:
    """Every way for an order to begin and end, and not one alarm."""
    service.block("later.example", effective_at=text_of(NOW + HOUR), expires_at=text_of(NOW + 2 * DAY))
    service.block("expires.example", expires_at=text_of(NOW + HOUR))
    planned = service.block("*.planned.example", "child.planned.example")
    service.act(planned, "plan-lift", {"ground": "wrong_block", "reason": "x", "at": text_of(NOW + DAY)})
    service.block("child.planned.example", "x.y.planned.example")
    service.propose(kind="emergency", targets=targets("now.example"))
    away = service.block("away.example")
    met = service.block("met.example")
    part = service.block("one.example", "two.example")
    service.block("*.top.example")
    service.exception("*.open.top.example", "x.top.example", expires_at=text_of(NOW + DAY))
    service.publish()
    service.meet(met["conditions"][0])
    service.act(away, "suspend", {"reason": "x", "until": text_of(NOW + DAY)})
    service.lift(part, targets=targets("one.example"))
    service.publish()
    service.lift(part, targets=targets("two.example"))
    for _ in range(10):
        service.clock.forward(6 * HOUR)
        service.publish()

    assert standing(service) == []
    assert service.zone() == [
        "away.example .",
        "child.planned.example .",
        "x.y.planned.example .",
        "top.example .",
        "*.top.example .",
    ]


def large(service: Service, number: str) -> Json:
    return service.propose_many([f"n{each}.large.example" for each in range(1_200)], number=number)


def test_a_large_order_put_in_force_by_hand_blocks_nothing(held: Service) -> None:
    large(held, "EX-LARGE")
    put_in_force(held, "EX-LARGE")

    assert len(held.zone()) == 3
    assert "its row says active" in standing(held)[0]["findings"][0]["why"]


def test_a_large_order_whose_names_were_changed_by_hand_blocks_nothing(held: Service) -> None:
    order = large(held, "EX-LARGE")
    plan = held.read(f"orders/{order['id']}/plan", by="approver-1")
    held.approve(order, plan_hash=plan["plan_hash"])
    change_a_target(held, "example.large.n7.", "example.planted.")

    assert len(held.zone()) == 3
    assert "its targets are not those proposed" in standing(held)[0]["findings"][0]["why"]
    held.lift(held.read("orders?number=EX-FIRST")["items"][0])
    assert len(held.zone()) == 2


def test_an_order_whose_names_were_changed_by_hand_blocks_nothing(held: Service) -> None:
    order = held.propose(targets=targets("third.example"))
    held.approve(order)
    change_a_target(held, "example.third.", "example.planted.")

    assert len(held.zone()) == 3
    assert "its targets are not those proposed" in standing(held)[0]["findings"][0]["why"]


def change_a_target(service: Service, key: str, new: str) -> None:
    """With the triggers out of the way, as only the owner of the database can have them."""
    name = "refuse_targets_update" + ("" if databases.KIND == "sqlite" else " ON targets")
    run(service, f"DROP TRIGGER {name}", f"UPDATE targets SET key = '{new}' WHERE key = '{key}'")


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM stops",
        f"UPDATE stops SET released_at = {MOMENT}",
        f"UPDATE stops SET asked_by_id = {AN_APPROVER}, released_by_id = {AN_APPROVER}, released_at = {MOMENT}",
        f"UPDATE stops SET released_by_id = {AN_APPROVER}, released_at = {MOMENT}, asked_by_id = 1",
        "UPDATE stops SET findings = '[]'",
    ],
)
def test_no_statement_releases_a_stop(held: Service, statement: str) -> None:
    held.propose(number="EX-HAND", targets=targets("hand.example"))
    put_in_force(held, "EX-HAND")
    held.publish()

    assert refused(held, statement)


def test_a_stop_is_released_by_approvers_alone(held: Service) -> None:
    for by in ("operator-1", "auditor-1", "admin-1"):
        problem(release(held, {"id": 1}, by=by), 403, "role_forbidden")


def test_the_journal_of_an_order_is_understood_in_full() -> None:
    known = explanation.BEGINS | explanation.ENDS | explanation.WITHOUT_EFFECT

    assert known == {each for each in EventType if each.startswith("order.")}
