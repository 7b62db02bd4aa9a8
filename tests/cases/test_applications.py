"""Applications for normalisation: papers, the clock, the decision, and the lift that is part of it."""

from tests.cases.applying import act, an_application, appeal, apply, decide, granted, papers, refused
from tests.service import DAY, HOUR, NOW, Json, Service, problem, text_of


def refuse(service: Service, body: Json, status: int = 422, code: str = "body_invalid") -> Json:
    return problem(service.post("applications", body, by="operator-2", version=None), status, code)


def test_an_application_with_all_its_papers_is_to_be_decided_within_a_day(service: Service) -> None:
    order = service.block("a.example", "b.example", number="EX-1")

    found = apply(service, "A.example.")

    assert (found["state"], found["missing"], found["names"]) == ("received", [], ["a.example"])
    assert found["orders"] == [{"id": order["id"], "number": "EX-1", "whole": False, "state": "active"}]
    assert found["clock"] == {
        "clock": "application_decided",
        "hours": 24,
        "source": found["clock"]["source"],
        "began_at": text_of(NOW),
        "ended_at": None,
        "due_at": text_of(NOW + DAY),
        "due_at_local": "2026-11-23T10:00:00+07:00",
        "left_seconds": None,
        "stopped": False,
        "overdue": False,
    }
    assert "19/2014" in found["clock"]["source"]


def test_what_is_granted_is_lifted_in_the_same_moment_its_names_alone(service: Service) -> None:
    order = service.block("a.example", "b.example")

    done = decide(service, apply(service, "a.example"), granted())

    assert (done["state"], done["ground"], done["decided_by"]) == ("granted", "wrong_block", "approver-2")
    assert service.zone() == ["b.example ."]
    assert service.read(f"orders/{order['id']}")["state"] == "active"
    assert [event["type"] for event in service.events()][-3:] == [
        "incident.recorded",
        "order.lifted_in_part",
        "application.decided",
    ]


def test_an_application_about_an_order_lifts_all_of_it(service: Service) -> None:
    order = service.block("a.example", "*.b.example", number="EX-1")

    done = decide(service, apply(service, about={"order": "EX-1"}), granted())

    assert done["orders"] == [{"id": order["id"], "number": "EX-1", "whole": True, "state": "ended"}]
    assert service.zone() == []


def test_every_order_that_holds_the_name_is_lifted_from_it_also_a_later_one(service: Service) -> None:
    service.block("a.example", "b.example", number="EX-1")
    application = apply(service, "a.example")
    service.block("a.example", "c.example", number="EX-2")

    done = decide(service, application, granted())

    assert [order["number"] for order in done["orders"]] == ["EX-1", "EX-2"]
    assert service.zone() == ["b.example .", "c.example ."]


def test_an_application_about_one_order_leaves_the_other_holders(service: Service) -> None:
    service.block("a.example", number="EX-1")
    service.block("a.example", number="EX-2")

    decide(service, apply(service, about={"order": "EX-1", "names": ["a.example"]}), granted())

    (holder,) = service.read("names/a.example")["holders"]
    assert holder["order_number"] == "EX-2"


def test_a_name_that_is_held_from_above_is_not_opened_by_itself(service: Service) -> None:
    service.block("*.a.example", number="EX-1")
    application = apply(service, "x.a.example")

    body = problem(
        service.post(f"applications/{application['id']}/decide", granted(), by="approver-2"), 422, "body_invalid"
    )

    assert body["errors"][0] == {"pointer": "/about/names", "value": "x.a.example", "rule": "held_from_above"}
    assert service.read("names/x.a.example")["blocked"]
    decide(service, application, refused())


def test_a_new_owner_on_an_indicated_solution_leaves_commitments(service: Service) -> None:
    service.block("a.example")
    application = apply(service, "a.example", standing="new_owner")

    commitments = [{"condition": "content_removed", "due_at": text_of(NOW + DAY)}]
    decide(service, application, granted(ground="solution_indicated", commitments=commitments))

    assert service.read("conditions?limit=1")["items"][0]["commitment_due_at"] == text_of(NOW + DAY)


def test_papers_that_lack_stop_the_clock_until_they_are_brought(service: Service) -> None:
    service.block("a.example")
    application = apply(service, "a.example", standing="new_owner", papers=papers("ownership_statement", "screenshot"))
    assert application["missing"] == ["purchase_invoice", "application_letter"]
    assert (application["clock"]["stopped"], application["clock"]["due_at"]) == (True, None)

    service.clock.forward(10 * DAY)
    body = {"papers": papers("purchase_invoice")}
    answer = problem(
        service.post(f"applications/{application['id']}/complete", body, by="operator-2"), 422, "body_invalid"
    )
    assert [error["value"] for error in answer["errors"]] == ["application_letter"]

    done = act(service, application, "complete", {"papers": papers("purchase_invoice", "application_letter")})
    assert (done["state"], done["missing"]) == ("received", [])
    assert done["clock"]["due_at"] == text_of(NOW + 11 * DAY)


def test_the_clock_goes_on_where_it_stood(service: Service) -> None:
    service.block("a.example")
    application = apply(service, "a.example")

    service.clock.forward(20 * HOUR)
    stopped = act(service, application, "incomplete", {"missing": ["screenshot"], "reason": "it shows another site"})
    assert stopped["clock"]["left_seconds"] == 4 * 3600
    service.clock.forward(3 * DAY)
    assert service.read("applications?overdue=true")["items"] == []
    done = act(service, application, "complete", {"papers": papers("screenshot")})

    assert done["clock"]["due_at"] == text_of(NOW + 3 * DAY + DAY)
    assert [paper["code"] for paper in done["papers"]].count("screenshot") == 2
    service.clock.forward(5 * HOUR)
    (late,) = service.read("applications?overdue=true")["items"]
    assert (late["id"], late["clock"]["overdue"]) == (application["id"], True)


def test_the_clock_begins_when_it_came_in(service: Service) -> None:
    service.block("a.example")

    found = apply(service, "a.example", received_at=text_of(NOW - 30 * HOUR))

    assert (found["clock"]["due_at"], found["clock"]["overdue"]) == (text_of(NOW - 6 * HOUR), True)
    body = an_application("a.example", received_at=text_of(NOW + HOUR))
    assert refuse(service, body)["errors"][0]["rule"] == "received_later"


def test_what_lacks_papers_is_not_granted_and_may_be_refused(service: Service) -> None:
    service.block("a.example")
    application = apply(service, "a.example", papers=[])

    path = f"applications/{application['id']}/decide"
    problem(service.post(path, granted(), by="approver-2"), 409, "state_conflict")
    assert decide(service, application, refused())["reason"] == refused()["reason"]


SENSELESS: list[tuple[Json, str]] = [
    ({"about": {"names": ["open.example"]}}, "/about/names/0"),
    ({"about": {"names": ["a..b"]}}, "/about/names/0"),
    ({"about": {}}, ""),
    ({"papers": papers("horoscope")}, "/papers/0"),
    ({"papers": papers("screenshot", "screenshot")}, "/papers/1"),
    ({"about": {"order": "EX-1", "names": ["c.example"]}}, "/about/names/0"),
]


def test_an_application_that_makes_no_sense_is_refused_with_its_field(service: Service) -> None:
    service.block("a.example", number="EX-1")
    service.block("c.example", number="EX-2")
    for fields, pointer in SENSELESS:
        body = an_application("a.example") | fields
        response = service.post("applications", body, by="operator-2", version=None)
        assert response.status_code == 422, response.text
        assert response.json()["errors"][0]["pointer"] == pointer

    assert service.read("applications")["items"] == []


def test_what_nothing_holds_any_more_is_overtaken(service: Service) -> None:
    order = service.block("a.example")
    application = apply(service, "a.example")
    path, over = f"applications/{application['id']}/decide", {**refused(), "outcome": "overtaken"}
    problem(service.post(path, over, by="approver-2"), 409, "state_conflict")

    service.lift(order)

    for body in (granted(), refused()):
        problem(service.post(path, body, by="approver-2"), 409, "state_conflict")
    assert decide(service, application, over)["state"] == "overtaken"


def test_an_appeal_against_a_refusal_is_decided_by_a_third_approver(service: Service) -> None:
    order = service.block("a.example")
    application = apply(service, "a.example")
    decide(service, application, refused())

    found = appeal(service, appeal_of=application["id"])

    assert (found["appeal_of"], found["names"]) == (application["id"], ["a.example"])
    path, body = f"applications/{found['id']}/decide", granted(ground="appeal_upheld", document="Decision 7")
    for by in ("approver-1", "approver-2"):
        problem(service.post(path, body, by=by), 403, "four_eyes")
    again = an_application(kind="appeal", appeal_of=application["id"], papers=[])
    del again["about"]
    assert "already" in refuse(service, again, 409, "state_conflict")["detail"]
    assert service.read(f"orders/{order['id']}")["state"] == "active"


def test_an_appeal_is_upheld_by_a_document(service: Service) -> None:
    order = service.block("a.example")
    found = appeal(service, about={"order": order["id"]})
    path = f"applications/{found['id']}/decide"
    for body in (granted(), granted(ground="appeal_upheld"), granted(ground="court", document="Judgment")):
        problem(service.post(path, body, by="approver-2"), 422, "body_invalid")

    done = decide(service, found, granted(ground="appeal_upheld", document="Decision 7"))

    assert (done["state"], done["document"]) == ("granted", "Decision 7")
    assert service.read(f"orders/{order['id']}")["ground"] == "appeal_upheld"


def test_an_application_is_no_appeal(service: Service) -> None:
    service.block("a.example")
    application = apply(service, "a.example")

    body = granted(ground="appeal_upheld", document="Decision 7")
    problem(service.post(f"applications/{application['id']}/decide", body, by="approver-2"), 422, "body_invalid")


def test_whoever_had_a_part_in_it_does_not_decide(service: Service) -> None:
    order = service.approve(service.propose(by="approver-2"), by="approver-1")
    entered = apply(service, about={"order": order["id"]})
    other = service.block("b.example")
    mine = apply(service, about={"order": other["id"]}, by="approver-2")

    for application, by in ((entered, "approver-1"), (entered, "approver-2"), (mine, "approver-2")):
        path = f"applications/{application['id']}/decide"
        problem(service.post(path, refused(), by=by), 403, "four_eyes")
        problem(service.post(path, granted(), by=by), 403, "four_eyes")


def test_it_is_decided_once_and_by_the_version_that_was_shown(service: Service) -> None:
    service.block("a.example")
    application = apply(service, "a.example")
    path = f"applications/{application['id']}/decide"
    problem(service.post(path, refused(), by="approver-2", version='"2"'), 412, "stale_version")
    problem(service.post(path, refused(), by="approver-2", version=None), 428, "version_required")
    decide(service, application, refused())

    problem(service.post(path, granted(), by="approver-2"), 409, "state_conflict")
    problem(service.post("applications/x/decide", granted(), by="approver-2"), 404, "not_found")


def test_the_same_request_twice_enters_one(service: Service) -> None:
    service.block("a.example")
    for _ in range(2):
        service.post("applications", an_application("a.example"), by="operator-2", version=None, Idempotency_Key="k")

    assert len(service.read("applications")["items"]) == 1


def test_an_application_is_taken_back(service: Service) -> None:
    service.block("a.example")
    application = apply(service, "a.example")

    done = act(service, application, "withdraw", {"reason": "they sold the name"})

    assert (done["state"], done["clock"]["ended_at"]) == ("withdrawn", text_of(NOW))
    assert service.read("clocks")["items"] == []


def test_lists_are_narrowed(service: Service) -> None:
    order = service.block("a.example", "b.example")
    first, second = apply(service, "a.example"), appeal(service, about={"names": ["b.example"]})
    decide(service, first, refused())

    def ids(query: str) -> list[str]:
        return [item["id"] for item in service.read(f"applications?{query}")["items"]]

    assert ids(f"order={order['id']}") == [first["id"], second["id"]]
    assert ids("name=B.example") == ids("kind=appeal") == ids("state=received") == [second["id"]]
    assert ids("limit=1") == [first["id"]]
