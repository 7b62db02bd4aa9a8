"""Who applied is nobody's business but of those who work on it: not in the journal's bodies, nor in public answers."""

import json

from sqlalchemy import select

from app.journal.models import EventPersonal
from tests.cases.applying import apply, decide, granted
from tests.service import HOUR, NOW, Json, Service, text_of

APPLICANT = ("Siti Example", "siti@mail.example", "The pages are gone")


def test_the_applicant_stands_in_the_personal_fields_alone(service: Service) -> None:
    service.block("a.example")
    apply(service, "a.example")

    (event,) = [event for event in service.events() if event["type"] == "application.received"]

    assert sorted(event["personal"]) == ["applicant", "contact", "network_address", "statement"]
    assert all(text.startswith("sha256:") for text in event["personal"].values())
    assert not any(text in json.dumps(service.events()) for text in APPLICANT)
    with service.database.read() as session:
        kept = {row.field: row.text for row in session.scalars(select(EventPersonal))}
    assert (kept["applicant"], kept["contact"], kept["statement"]) == APPLICANT


def test_clerks_read_who_applied_and_auditors_do_not(service: Service) -> None:
    service.block("a.example")
    application = apply(service, "a.example")
    path = f"applications/{application['id']}"

    shown = service.read(path, by="operator-1")
    assert (shown["applicant"]["name"], shown["applicant"]["contact"], shown["statement"]) == APPLICANT
    hidden = service.read(path)
    assert (hidden["applicant"], hidden["statement"]) == (None, None)
    assert not any(text in json.dumps(service.read("applications", by="operator-1")) for text in APPLICANT)


def test_an_application_does_not_make_a_name_look_different_to_outsiders(service: Service) -> None:
    service.block("a.example")
    outsiders = ["isp-1", "platform-1", "admin-1", None]
    before = [service.read("names/a.example", by=by) for by in outsiders]

    apply(service, "a.example")

    assert [service.read("names/a.example", by=by) for by in outsiders] == before


def test_the_public_is_told_how_to_apply(service: Service) -> None:
    found = service.read("names/a.example", by=None)["how_to_apply"]

    assert found["decided_within_hours"] == 24
    assert [paper["code"] for paper in found["papers"]["new_owner"]] == [
        "ownership_statement",
        "purchase_invoice",
        "application_letter",
        "screenshot",
    ]


def test_the_ministry_sees_what_is_pending_on_a_name_and_its_history_tells_it(service: Service) -> None:
    service.block("a.example", number="EX-1")
    service.block("a.example", number="EX-2")
    application = apply(service, "a.example")

    (pending,) = service.read("names/a.example")["applications"]
    assert (pending["id"], pending["clock"]["overdue"]) == (application["id"], False)
    service.clock.forward(HOUR)
    decide(service, application, granted())

    assert service.read("names/a.example")["applications"] == []
    (then,) = service.read(f"names/a.example?at={text_of(NOW)}")["applications"]
    assert (then["id"], then["clock"]) == (application["id"], None)
    told: list[Json] = service.read("names/a.example/history")["items"]
    assert [each["type"] for each in told].count("application.received") == 2
    assert [each["type"] for each in told].count("application.decided") == 2
