"""The queue of what is to be looked at, periodic reviews, and notes that names are no longer what was blocked."""

from tests.orders.test_direct_sql import refused
from tests.service import DAY, HOUR, NOW, Json, Service, answered, condition, problem, text_of

NEXT = text_of(NOW + 400 * DAY)


def queue(service: Service, query: str = "") -> list[Json]:
    items: list[Json] = service.read(f"review-queue?{query}")["items"]
    return items


def numbers(items: list[Json]) -> list[tuple[str, str]]:
    return [(item["kind"], item["order"]["number"]) for item in items]


def review(service: Service, order: Json, *, by: str = "approver-1", **fields: object) -> Json:
    body = {"outcome": "keep", "reason": "still there", "next_review_at": NEXT, **fields}
    return service.act(order, "review", body, by=by)


def a_note(name: str, what: str = "gone", **fields: object) -> Json:
    return {"name": name, "what": what, "seen_at": text_of(NOW - DAY), "source": "registry letter 7", **fields}


def note(service: Service, *notes: Json, by: str = "operator-1") -> list[str]:
    response = service.post("notes", {"notes": list(notes)}, by=by, version=None)
    return [item["verdict"] for item in answered(response)["items"]]


def test_orders_come_up_as_their_review_draws_near(service: Service) -> None:
    service.block("a.example", number="FAR")
    soon = service.block("b.example", number="SOON", review_due_at=text_of(NOW + 20 * DAY))
    service.block("c.example", number="FIRST", review_due_at=text_of(NOW + DAY))
    service.propose(number="DRAFT", review_due_at=text_of(NOW + DAY))
    service.lift(service.block("d.example", number="OVER", review_due_at=text_of(NOW + DAY)))

    assert numbers(queue(service)) == [("review", "FIRST"), ("review", "SOON")]
    assert [item["overdue"] for item in queue(service)] == [False, False]
    assert numbers(queue(service, f"before={text_of(NOW + 2 * DAY)}")) == [("review", "FIRST")]
    service.clock.forward(DAY)
    assert numbers(queue(service, "overdue=true")) == [("review", "FIRST")]
    review(service, soon)
    assert numbers(queue(service)) == [("review", "FIRST")]


def test_a_review_keeps_the_order_and_sets_the_next_date_and_the_order_keeps_its_own(service: Service) -> None:
    order = service.block("a.example", review_due_at=text_of(NOW + DAY))

    kept = review(service, order)

    assert (kept["state"], kept["review_due_at"], kept["review_at"]) == ("active", text_of(NOW + DAY), NEXT)
    assert kept["version"] == order["version"] + 1
    (told,) = service.read(f"orders/{order['id']}/reviews")["items"]
    assert told == {
        "was_due_at": text_of(NOW + DAY),
        "reviewed_at": text_of(NOW),
        "by": "approver-1",
        "outcome": "keep",
        "reason": "still there",
        "next_review_at": NEXT,
    }
    assert service.read("names/a.example/history")["items"][-1]["type"] == "order.reviewed"
    assert service.read(f"orders?review_due_before={text_of(NOW + 2 * DAY)}")["items"] == []


def test_a_review_lifts_by_the_rules_of_the_ground(service: Service) -> None:
    order = service.block("a.example")
    path, body = f"orders/{order['id']}/review", {"outcome": "lift", "reason": "no need", "ground": "court"}
    problem(service.post(path, body, by="approver-2"), 422, "body_invalid")

    lifted = review(service, order, outcome="lift", next_review_at=None, ground="court", document="Judgment 1")

    assert (lifted["state"], lifted["ground"]) == ("ended", "court")
    assert service.zone() == []


def test_a_review_plans_a_lift(service: Service) -> None:
    at = text_of(NOW + 9 * DAY)

    planned = review(service, service.block("a.example"), outcome="plan", ground="wrong_block", at=at)

    assert (planned["lift_planned"], planned["review_at"]) == ({"ground": "wrong_block", "at": at}, NEXT)


SENSELESS: list[tuple[Json, str]] = [
    ({"next_review_at": None}, "body_invalid"),
    ({"next_review_at": text_of(NOW)}, "review_date_past"),
    ({"ground": "wrong_block"}, "body_invalid"),
    ({"document": "Judgment"}, "body_invalid"),
    ({"at": NEXT}, "body_invalid"),
    ({"outcome": "lift", "ground": "wrong_block"}, "body_invalid"),
    ({"outcome": "plan"}, "body_invalid"),
]


def test_a_review_that_makes_no_sense_is_refused(service: Service) -> None:
    order = service.block("a.example")
    for fields, code in SENSELESS:
        body = {"outcome": "keep", "reason": "x", "next_review_at": NEXT, **fields}
        problem(service.post(f"orders/{order['id']}/review", body, by="approver-2"), 422, code)

    assert service.read(f"orders/{order['id']}/reviews")["items"] == []


def test_the_proposer_does_not_review_and_only_what_stands_is_reviewed(service: Service) -> None:
    order = service.approve(service.propose(by="approver-2"))
    body = {"outcome": "keep", "reason": "mine", "next_review_at": NEXT}
    problem(service.post(f"orders/{order['id']}/review", body, by="approver-2"), 403, "four_eyes")
    service.lift(order)
    problem(service.post(f"orders/{order['id']}/review", body, by="approver-1"), 409, "state_conflict")
    problem(service.post(f"orders/{order['id']}/review", body, by="approver-1", version='"1"'), 412, "stale_version")


def test_a_name_that_is_gone_brings_the_review_forward_and_lifts_nothing(service: Service) -> None:
    order = service.block("a.example", "b.example", number="EX-1")

    assert note(service, a_note("A.example."), a_note("open.example")) == ["noted", "not_held"]

    (item,) = queue(service)
    assert (item["kind"], item["due_at"], item["overdue"]) == ("stale", text_of(NOW), True)
    (told,) = item["stale"]["notes"]
    assert (told["name"], told["what"], told["source"]) == ("a.example", "gone", "registry letter 7")
    assert service.zone() == ["a.example .", "b.example ."]
    assert service.read("names/b.example/history")["items"][-1]["type"] == "order.noted"

    service.clock.forward(HOUR)
    assert review(service, order)["stale_since"] is None
    assert queue(service) == []
    assert len(service.read("notes?name=a.example")["items"]) == 1


def test_a_note_that_is_known_is_no_news_and_one_after_a_review_is(service: Service) -> None:
    order = service.block("a.example")
    note(service, a_note("a.example"))
    service.clock.forward(HOUR)
    review(service, order)

    assert note(service, a_note("a.example")) == ["unchanged"]
    assert queue(service) == []
    assert note(service, a_note("a.example", "owner_changed")) == ["noted"]
    assert numbers(queue(service, "kind=stale")) == [("stale", order["number"])]
    assert [each["what"] for each in queue(service)[0]["stale"]["notes"]] == ["owner_changed"]


def test_a_note_is_of_all_orders_that_name_it_or_of_one(service: Service) -> None:
    service.block("a.b.example", number="EX-1")
    service.block("*.a.b.example", number="EX-2")
    service.block("*.b.example", number="EX-3")

    note(service, a_note("a.b.example", order="EX-2"))
    assert [each["order_number"] for each in service.read("notes")["items"]] == ["EX-2"]
    note(service, a_note("a.b.example"))

    assert [each["order_number"] for each in service.read("notes?order=EX-1")["items"]] == ["EX-1"]
    assert numbers(queue(service)) == [("stale", "EX-1"), ("stale", "EX-2")]


BAD: list[tuple[Json, str]] = [
    ({"name": "a..b"}, "/notes/1/name"),
    ({"seen_at": text_of(NOW + HOUR)}, "/notes/1/seen_at"),
    ({"what": "elsewhere"}, "/notes/1/what"),
]


def test_one_bad_note_and_none_is_kept(service: Service) -> None:
    service.block("a.example")
    for wrong, pointer in BAD:
        body = {"notes": [a_note("a.example"), a_note("a.example") | wrong]}
        response = service.post("notes", body, by="operator-1", version=None)
        assert (response.status_code, response.json()["errors"][0]["pointer"]) == (422, pointer)

    assert service.read("notes")["items"] == []


def test_breaches_and_missed_commitments_stand_in_the_same_queue(service: Service) -> None:
    breached = service.block("a.example", number="BREACH")
    service.meet(condition(breached))
    service.clock.forward(HOUR)
    service.block("b.example", number="STALE")
    note(service, a_note("b.example"))
    service.clock.forward(HOUR)
    service.mark(condition(breached), "breach", by="approver-1", reason="back again", authority="Unit")
    late = service.block("c.example", number="LATE")
    due_at = text_of(service.clock() + DAY)
    commitments = [{"condition": "content_removed", "due_at": due_at}]
    service.lift(late, ground="solution_indicated", commitments=commitments)
    service.block("d.example", number="DUE", review_due_at=due_at)
    service.clock.forward(2 * DAY)
    service.publish()

    whole = queue(service)

    assert numbers(whole) == [
        ("stale", "STALE"),
        ("breach", "BREACH"),
        ("review", "DUE"),
        ("commitment_overdue", "LATE"),
    ]
    assert whole[1]["review"]["reason"] == "back again"
    paged, cursor = [], ""
    for _ in whole:
        answer = service.read(f"review-queue?limit=1{cursor}")
        paged += answer["items"]
        cursor = f"&cursor={answer['next']}"
    assert paged == whole
    assert numbers(queue(service, "kind=breach")) == [("breach", "BREACH")]
    assert queue(service, "category=fraud") == []


def test_answers_tell_the_ministry_what_was_known_of_the_review_at_a_moment(service: Service) -> None:
    order = service.block("a.example")
    service.clock.forward(HOUR)
    note(service, a_note("a.example"))
    service.clock.forward(HOUR)
    review(service, order)

    def told(hours: int) -> tuple[str, bool, str | None]:
        (found,) = service.read(f"names/a.example?at={text_of(NOW + hours * HOUR)}")["reviews"]
        return found["due_at"], found["overdue"], found["stale_since"]

    assert told(0) == (order["review_due_at"], False, None)
    assert told(1) == (text_of(NOW + HOUR), True, text_of(NOW + HOUR))
    assert told(2) == (NEXT, False, None)


def test_a_note_does_not_make_a_name_look_different_to_outsiders(service: Service) -> None:
    order = service.block("a.example")
    outsiders = ["isp-1", "platform-1", "admin-1", None]
    before = [service.read("names/a.example", by=by) for by in outsiders]

    note(service, a_note("a.example"))
    review(service, order)

    assert [service.read("names/a.example", by=by) for by in outsiders] == before


FORGED = (
    "INSERT INTO order_reviews (order_id, was_due_at, reviewed_at, reviewed_by_id, outcome, reason, next_review_at)"
    " SELECT id, review_at, proposed_at, {by}, 'keep', 'x', '2099-01-01 00:00:00' FROM orders"
)


FORGERIES = [
    ("UPDATE orders SET review_at = '2099-01-01 00:00:00.000000'", "only a review moves"),
    ("UPDATE orders SET stale_since = NULL", "only a review moves"),
    (FORGED.format(by="proposed_by_id"), "who did not propose"),
    (FORGED.format(by="(SELECT id FROM principals WHERE name = 'operator-2')"), "an approver"),
    ("UPDATE target_notes SET what = 'owner_changed'", "never changed"),
    ("DELETE FROM target_notes", "never deleted"),
    (
        (
            "INSERT INTO target_notes (order_id, target_id, what, seen_at, source, recorded_at, recorded_by_id)"
            " SELECT order_id + 1, target_id, 'gone', seen_at, 'x', recorded_at, recorded_by_id FROM target_notes"
        ),
        "of its order",
    ),
]


def test_no_statement_goes_round_a_review(service: Service) -> None:
    service.approve(service.propose(by="approver-2", targets=[{"name": "a.example", "match": "exact"}]))
    note(service, a_note("a.example"))

    for statement, words in FORGERIES:
        assert words in refused(service, statement), statement


def test_no_statement_brings_an_old_date_back(service: Service) -> None:
    order = service.block("a.example")
    review(service, order)
    service.clock.forward(HOUR)
    note(service, a_note("a.example"))

    assert "only a review moves" in refused(service, "UPDATE orders SET review_at = review_at, stale_since = NULL")
    late = f"UPDATE orders SET review_at = '{(NOW + 400 * DAY):%Y-%m-%d %H:%M:%S.%f}'"
    assert "only a review moves" in refused(service, late)
    assert "never changed" in refused(service, "UPDATE order_reviews SET reason = 'x'")
    assert "never deleted" in refused(service, "DELETE FROM order_reviews")
