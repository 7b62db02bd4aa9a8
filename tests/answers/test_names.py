"""`GET /names/{name}`: what holds a name now; whole for those who have a token, redacted for the public."""

import pytest
from sqlalchemy import event

from app.answers.names import explain
from app.regime import load
from tests.answers.test_held import NOT_YET
from tests.service import DAY, HOUR, NOW, ZONE, Service, a_leaf, condition, problem, targets, text_of

HOW_TO_APPLY = {
    "id": "Ajukan normalisasi kepada kementerian dengan menyebut nomor perintah; keterangan: http://127.0.0.1:8000",
    "en": "Apply to the ministry for normalisation, naming the order number; information: http://127.0.0.1:8000",
    "decided_within_hours": 24,
    "papers": {
        standing: [{"code": paper.code, "id": paper.id, "en": paper.en} for paper in papers]
        for standing, papers in load(None).documents
    },
}
TREE = {"all_of": [a_leaf("content_removed"), a_leaf("side", responsible_party="ministry", gating=False)]}


def test_the_whole_answer_names_every_holder_and_what_is_left(service: Service) -> None:
    order = service.block("*.casino.example", number="EX-1", conditions=TREE)

    serial = service.read(f"zones/{ZONE}")["serial"]
    assert service.read("names/www.casino.example") == {
        "name": "www.casino.example",
        "name_unicode": "www.casino.example",
        "blocked": True,
        "at": text_of(NOW),
        "holders": [
            {
                "order_id": order["id"],
                "order_number": "EX-1",
                "kind": "block",
                "emergency": None,
                "sample": False,
                "target": "casino.example",
                "match": "subtree",
                "since": text_of(NOW),
                "reason": {"id": "Perjudian daring", "en": "Online gambling"},
                "category": "gambling",
                "authority": "Example Ministry",
                "conditions_left": ["content_removed"],
                "conditions_left_tree": "content_removed",
                "conditions_overdue": [],
                "lift_planned": None,
            }
        ],
        "exceptions": [],
        "suspended": [],
        "lifted": [],
        "published": {
            "release": 1,
            "at": text_of(NOW),
            "serials": {ZONE: serial},
            "blocked": False,
            "since": None,
        },
        "carried_by": [{"order_id": order["id"], "order_number": "EX-1", "by": None}],
        "words": [
            "decided by 2026-11-22 03:00:00 UTC: www.casino.example is blocked",
            "held by EX-1 since 2026-11-22 03:00:00 UTC",
            f"published by 2026-11-22 03:00:00 UTC: not blocked by release 1 ({ZONE} {serial}); {NOT_YET}",
        ],
        "reach": None,
        "applications": [],
        "reviews": [{"order_id": order["id"], "due_at": "2027-11-01T00:00:00Z", "overdue": False, "stale_since": None}],
    }


def test_the_public_answer_says_why_and_how_to_apply_and_no_more(service: Service) -> None:
    service.block("*.casino.example", number="EX-1", conditions=TREE)

    assert service.read("names/www.casino.example", by=None) == {
        "name": "www.casino.example",
        "name_unicode": "www.casino.example",
        "blocked": True,
        "at": text_of(NOW),
        "holders": [
            {
                "order_number": "EX-1",
                "number_note": None,
                "emergency": None,
                "sample": False,
                "target": "casino.example",
                "since": text_of(NOW),
                "reason": {"id": "Perjudian daring", "en": "Online gambling"},
                "conditions_left": [
                    {
                        "code": "content_removed",
                        "text": {"id": "Konten dihapus", "en": "The content is removed"},
                        "due_at": None,
                        "overdue": False,
                    }
                ],
                "conditions_left_tree": "content_removed",
                "lift_planned": None,
            }
        ],
        "exceptions": [],
        "suspended": [],
        "lifted": [],
        "how_to_apply": HOW_TO_APPLY,
    }


@pytest.mark.parametrize("by", ["isp-1", "platform-1", "admin-1", "operator-1", "approver-1"])
def test_everybody_with_a_token_gets_the_whole_answer(service: Service, by: str) -> None:
    service.block("a.example")
    whole = service.read("names/a.example", by="auditor-1")
    if by not in {"operator-1", "approver-1"}:
        for staff_alone in ("reach", "applications", "reviews", "published", "carried_by", "words"):
            del whole[staff_alone]

    assert service.read("names/a.example", by=by) == whole


def test_a_name_that_nobody_ever_named_is_not_blocked(service: Service) -> None:
    assert service.read("names/free.example", by=None) == {
        "name": "free.example",
        "name_unicode": "free.example",
        "blocked": False,
        "at": text_of(NOW),
        "holders": [],
        "exceptions": [],
        "suspended": [],
        "lifted": [],
        "how_to_apply": HOW_TO_APPLY,
    }


@pytest.mark.parametrize("asked", ["BÜCHER.Example.", "xn--bcher-kva.example", "b%C3%BCcher.example"])
def test_a_name_is_found_however_it_is_written(service: Service, asked: str) -> None:
    service.block("bücher.example")

    answer = service.read(f"names/{asked}")

    assert (answer["name"], answer["name_unicode"]) == ("xn--bcher-kva.example", "bücher.example")
    assert answer["blocked"] is True


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ("a..b", "name_invalid"),
        ("1.2.3.4", "address_not_name"),
        ("*.x.example", "name_invalid"),
        ("%00", "name_invalid"),
    ],
)
def test_what_is_no_name_is_refused(service: Service, asked: str, code: str) -> None:
    problem(service.get(f"names/{asked}", by=None), 422, code)


@pytest.mark.parametrize("asked", ["com", "id", "block.rpz"])
def test_a_name_that_could_never_be_blocked_is_answered_all_the_same(service: Service, asked: str) -> None:
    assert service.read(f"names/{asked}")["blocked"] is False


def test_a_lifted_name_says_when_and_on_what_ground(service: Service) -> None:
    order = service.block("a.example", number="EX-1")
    service.clock.forward(HOUR)
    service.lift(order, ground="appeal_upheld", document="Appeal 3", by="approver-2")

    ending = {"at": text_of(NOW + HOUR), "ground": "appeal_upheld", "commitments": [], "waived": []}
    lifted = {"order_number": "EX-1", "sample": False, "emergency": False, **ending}
    assert service.read("names/a.example", by=None)["lifted"] == [lifted]
    assert service.read("names/a.example")["lifted"] == [{"order_id": order["id"], **lifted}]


def test_lifts_are_told_latest_first(service: Service) -> None:
    for number in ("EX-1", "EX-2", "EX-3"):
        order = service.block("a.example", number=number)
        service.clock.forward(HOUR)
        service.lift(order)

    lifted = service.read("names/a.example")["lifted"]
    assert [each["order_number"] for each in lifted] == ["EX-3", "EX-2", "EX-1"]


def test_earlier_lifts_cost_one_query_however_many(service: Service) -> None:
    def cost() -> int:
        with service.database.read() as session:
            statements: list[str] = []
            event.listen(session.connection(), "before_cursor_execute", lambda *args: statements.append(args[2]))
            explain(session, "a.example", service.clock())
        return len(statements)

    service.lift(service.block("a.example"))
    one = cost()
    for _ in range(9):
        service.lift(service.block("a.example"))

    assert len(service.read("names/a.example")["lifted"]) == 10
    assert cost() == one


def test_a_name_lifted_alone_has_the_ground_of_its_own_lift(service: Service) -> None:
    order = service.block("a.example", "b.example")
    service.lift(order, targets=targets("a.example"), ground="wrong_block")
    service.clock.forward(HOUR)
    service.lift(order, ground="wrong_block")

    [lifted] = service.read("names/a.example")["lifted"]
    assert (lifted["ground"], lifted["at"]) == ("wrong_block", text_of(NOW))
    assert service.read("names/b.example")["lifted"][0]["ground"] == "wrong_block"


def test_an_order_that_still_holds_a_name_by_another_target_has_not_lifted_it(service: Service) -> None:
    order = service.block("*.x.example", "www.x.example")
    service.lift(order, targets=targets("www.x.example"))

    answer = service.read("names/www.x.example")
    assert (answer["blocked"], answer["lifted"]) == (True, [])


def test_conditions_that_were_met_are_no_longer_left(service: Service) -> None:
    order = service.block("a.example", conditions={"all_of": [a_leaf("one"), a_leaf("two")]})
    service.meet(condition(order, "one"))

    assert service.read("names/a.example")["holders"][0]["conditions_left"] == ["two"]


def test_a_claimed_condition_is_still_left(service: Service) -> None:
    order = service.block("a.example")
    service.mark(condition(order), "claim", by="operator-1")

    assert service.read("names/a.example")["holders"][0]["conditions_left"] == ["content_removed"]


def test_a_planned_lift_is_told_also_to_the_public(service: Service) -> None:
    order = service.block("a.example")
    service.act(order, "plan-lift", {"ground": "wrong_block", "reason": "agreed", "at": text_of(NOW + DAY)})

    planned = {"ground": "wrong_block", "at": "2026-11-23T03:00:00.000000Z"}
    for by in ("auditor-1", None):
        assert service.read("names/a.example", by=by)["holders"][0]["lift_planned"] == planned


def test_an_exception_without_conditions_is_shown(service: Service) -> None:
    service.block("*.x.example")
    service.exception("open.x.example", number="EX-9")

    assert service.read("names/open.x.example", by=None)["exceptions"] == [{"order_number": "EX-9"}]
    assert service.read("names/open.x.example")["exceptions"][0]["conditions_left"] == []
