"""An exception ends by its date or by two approvers: what blocks again is never done on one person's word."""

import pytest

from tests.orders.test_direct_sql import refused
from tests.publication.test_stops import AN_APPROVER, MOMENT, run, standing
from tests.service import DAY, NOW, Json, Service, a_leaf, answered, condition, problem, targets, text_of

LIFT = {"ground": "wrong_block", "reason": "closed again"}
CLOSED = ["x.example .", "*.x.example ."]


@pytest.fixture
def exception(service: Service) -> Json:
    """Two names kept open below a blocked one, for a day; published."""
    service.block("*.x.example")
    order = service.exception("a.x.example", "b.x.example", number="EX-OPEN", expires_at=text_of(NOW + DAY))
    assert len(service.zone()) == 6
    return order


def lift(service: Service, order: Json, *names: str, by: str, **fields: str) -> Json:
    body = {**LIFT, **fields} | ({"targets": targets(*names)} if names else {})
    return answered(service.post(f"orders/{order['id']}/lift", body, by=by))


def test_one_approver_proposes_its_end_and_another_brings_it_about(service: Service, exception: Json) -> None:
    proposed = lift(service, exception, by="approver-1")

    assert (proposed["state"], proposed["end_proposed"]) == (
        "active",
        {"by": "approver-1", "ground": "wrong_block", "targets": None},
    )
    assert len(service.zone()) == 6
    problem(service.post(f"orders/{exception['id']}/lift", LIFT, by="approver-1"), 403, "four_eyes")
    ended = lift(service, exception, by="approver-2")
    assert (ended["state"], ended["end_proposed"]) == ("ended", None)
    assert service.zone() == CLOSED


def test_names_of_it_are_closed_by_two_as_well(service: Service, exception: Json) -> None:
    lift(service, exception, "a.x.example", by="approver-1")
    assert len(service.zone()) == 6

    lift(service, exception, "a.x.example", by="approver-2")

    assert service.zone() == ["x.example .", "*.x.example .", "b.x.example rpz-passthru.", "*.b.x.example ."]
    assert service.read(f"orders/{exception['id']}")["end_proposed"] is None
    lift(service, exception, "b.x.example", by="approver-2")
    assert lift(service, exception, "b.x.example", by="approver-1")["state"] == "ended"
    assert (service.zone(), standing(service)) == (CLOSED, [])


@pytest.mark.parametrize(("names", "ground"), [(("a.x.example",), "wrong_block"), ((), "solution_indicated")])
def test_two_who_want_different_ends_end_nothing(
    service: Service, exception: Json, names: tuple[str, ...], ground: str
) -> None:
    lift(service, exception, by="approver-1")

    assert lift(service, exception, *names, by="approver-2", ground=ground)["end_proposed"]["by"] == "approver-2"
    assert len(service.zone()) == 6


def test_lifting_and_undoing_ask_for_the_same_end(service: Service, exception: Json) -> None:
    lift(service, exception, by="approver-1")

    undone = service.act(exception, "undo", {"reason": "closed again"}, by="approver-2")

    assert (undone["undo"], service.zone()) == ("lifted", CLOSED)


@pytest.mark.parametrize(
    ("act", "body"),
    [
        ("suspend", {"reason": "x", "until": text_of(NOW + DAY)}),
        ("plan-lift", {**LIFT, "at": text_of(NOW + DAY)}),
        ("plan-lift", LIFT),
    ],
)
def test_no_act_of_one_person_closes_it(service: Service, exception: Json, act: str, body: Json) -> None:
    answer = problem(service.post(f"orders/{exception['id']}/{act}", body, by="approver-1"), 409, "state_conflict")

    assert "EX-OPEN is an exception" in answer["detail"]
    service.clock.forward(DAY / 2)
    assert len(service.zone()) == 6


def test_no_waiver_closes_it(service: Service) -> None:
    service.block("*.x.example")
    order = service.block("a.x.example", kind="exception", conditions=a_leaf())
    leaf, body = condition(order), {"reason": "x", "authority": "y"}

    problem(service.post(f"conditions/{leaf['id']}/waive", body, by="approver-1"), 409, "state_conflict")

    assert service.zone() == [*CLOSED[:2], "a.x.example rpz-passthru.", "*.a.x.example ."]


ENDED = "UPDATE orders SET state = 'ended', ground = 'wrong_block', ended_at = {at}, ended_by_id = {by}"


@pytest.mark.parametrize(
    "statement",
    [
        ENDED.format(at=MOMENT, by=AN_APPROVER),
        ENDED.format(at=MOMENT, by=AN_APPROVER) + f", end_proposed_by_id = {AN_APPROVER}",
        ENDED.format(at=MOMENT, by="NULL") + f", end_proposed_by_id = {AN_APPROVER}",
        f"UPDATE orders SET state = 'suspended', suspended_until = {MOMENT}",
    ],
)
def test_no_statement_closes_it_for_one_person(service: Service, exception: Json, statement: str) -> None:
    assert "two approvers" in refused(service, f"{statement} WHERE uid = '{exception['id']}'")


def test_what_only_its_row_says_that_two_wanted_stays_open(
    service: Service, exception: Json, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check, gone from the service itself: the journal knows of one person, so the publisher stops."""
    monkeypatch.setattr("app.orders.exceptions.four_eyes.check", lambda *_, **__: None)
    one = "(SELECT id FROM principals WHERE name = 'approver-1')"
    lift(service, exception, by="approver-2")
    run(service, f"UPDATE orders SET end_proposed_by_id = {one} WHERE end_proposed IS NOT NULL")
    assert lift(service, exception, by="approver-2")["state"] == "ended"

    assert len(service.zone()) == 6
    assert "nobody else wanted it to end" in standing(service)[0]["findings"][0]["why"]


def test_its_own_date_ends_it(service: Service, exception: Json) -> None:
    service.clock.forward(DAY)

    assert (service.zone(), standing(service)) == (CLOSED, [])
    assert service.read(f"orders/{exception['id']}")["ground"] == "order_expired"
