"""What stands beside orders against the journal: nothing is wrong after any act, and what is altered is found."""

from pathlib import Path

import pytest
from sqlalchemy import func, select

from app.auth import tokens
from app.auth.models import Token
from app.fsck import notes, registers
from app.journal.actor import Role
from app.publication import stops
from app.subscribers import keys, layered, register
from app.subscribers.keys import RotateKey
from app.subscribers.layered import ChangeSubscriber
from app.subscribers.register import AddSubscriber, Readdress
from app.subscribers.seal import SecretKey
from tests.cases import applying
from tests.fsck.looking import alter, wrong, wrong_once
from tests.orders import test_sops as sops
from tests.orders.test_review_queue import a_note
from tests.orders.test_reviews import breached
from tests.policy.scale import Record
from tests.service import DAY, HOST, HOUR, Service, answered
from tests.subscribers.worlds import ROOT

pytestmark = pytest.mark.database

SECRET = SecretKey(Path("seal.key"), bytes(32))
SIGNED = AddSubscriber("isp-signed", ("127.0.0.0/30",), ("127.0.0.1:5300",), "hmac-sha256")
UNSIGNED = AddSubscriber("isp-open", ("127.0.0.9/32",), layers=True)


def make_tokens(service: Service) -> None:
    """One with an end and a network, one that was revoked."""
    with service.database.write() as session:
        now = service.clock()
        for name in ("auditor-8", "auditor-9"):
            tokens.create(
                session, HOST, role=Role.AUDITOR, name=name, expires_at=now + DAY, now=now, addresses=["192.0.2.0/24"]
            )
    with service.database.write() as session:
        newest = session.scalars(select(func.max(Token.id))).one()
        tokens.revoke(session, HOST, token_id=newest, now=service.clock())


def keep_subscribers(service: Service) -> None:
    """One whose keys and addresses change; one that goes, comes back and goes, with its key."""
    database = service.database
    with database.write() as session:
        register.add(session, ROOT, UNSIGNED, service.clock())
        register.add(session, ROOT, SIGNED, service.clock(), secret_key=SECRET)
        keys.rotate(session, ROOT, RotateKey("isp-signed", DAY, "hmac-sha512"), service.clock(), secret_key=SECRET)
        register.readdress(session, ROOT, "isp-signed", Readdress(notify=("127.0.0.2:53",)), service.clock())
        change = ChangeSubscriber("isp-signed", layers=True, settling=HOUR)
        layered.change(session, ROOT, change, service.clock())
    for comes_back in (True, False):
        with database.write() as session:
            register.remove(session, ROOT, "isp-open", service.clock.forward(HOUR))
            if comes_back:
                again = AddSubscriber("isp-open", ("127.0.0.9/32",), algorithm="hmac-sha384")
                register.add(session, ROOT, again, service.clock.forward(HOUR), secret_key=SECRET)


def keep_sops(service: Service) -> None:
    """One that another took the place of, one confirmed, one withdrawn."""
    answered(sops.put(service, **sops.said("one")))
    answered(sops.put(service, **sops.said("two")))
    answered(sops.decide(service, "confirm", by="approver-2"))
    answered(sops.put(service, **sops.said("three")))
    answered(sops.decide(service, "withdraw", by="approver-2"))


def keep_reviews_and_stops(service: Service) -> None:
    """One of each that is over, one that is not."""
    review = breached(service)
    answered(service.post(f"reviews/{review['id']}/close", {"decision": "remedied", "reason": "x"}, by="approver-2"))
    for key in ("one", "two"):
        with service.database.write() as session:
            stop = stops.stop(session, [stops.Finding(key, "nothing explains it", ("example.a.",))], service.clock())
            number = stop.id
    for by in ("approver-1", "approver-2"):
        answered(service.post(f"guard/stops/{number}/release", {"reason": "looked at it"}, by=by))


def keep_applications(service: Service) -> None:
    """Granted, refused and appealed against, withdrawn, and with papers that lack or were brought later."""
    for name in "uvwxyz":
        service.block(f"{name}.example")
    service.block("u.example", number="EX-AGAIN")  # both concern an application for the name
    applying.decide(service, applying.apply(service, "u.example"), applying.granted())
    refused = applying.apply(service, "v.example")
    applying.decide(service, refused, applying.refused())
    applying.appeal(service, appeal_of=refused["id"])
    applying.act(service, applying.apply(service, "w.example"), "withdraw", {"reason": "asked"})
    lacking = applying.apply(service, "x.example", papers=applying.papers("screenshot"))
    service.clock.forward(HOUR)
    brought = {"papers": applying.papers("ownership_statement", "application_letter")}
    applying.act(service, lacking, "complete", brought)
    asked = applying.apply(service, "y.example", "z.example")
    service.clock.forward(HOUR)
    applying.act(service, asked, "incomplete", {"missing": ["screenshot"], "reason": "torn"})
    applying.act(service, applying.apply(service, "y.example", papers=[]), "withdraw", {"reason": "asked"})


def keep_incidents_and_notes(service: Service) -> None:
    """A block that was wrong, and names that are no longer what was blocked, seen more than once."""
    service.lift(service.block("wrong.example", number="EX-WRONG"))
    service.block("one.noted.example", "*.two.noted.example", number="EX-NOTED")
    service.block("one.noted.example", number="EX-NOTED-TOO")
    for by in ("operator-1", "operator-2"):
        seen = [a_note("one.noted.example", source=by), a_note("two.noted.example", source=by)]
        answered(service.post("notes", {"notes": seen}, by=by, version=None))


@pytest.fixture
def place(service: Service) -> Service:
    make = (make_tokens, keep_subscribers, keep_sops, keep_reviews_and_stops, keep_applications)
    for keep in (*make, keep_incidents_and_notes):
        keep(service)
    return service


NEWEST_TOKEN = "(SELECT max(id) FROM tokens)"
MOMENT = "'2026-11-20 00:00:00.000000'"

ANOTHER = f"max(id) + 1, max(principal_id), x'{'ab' * 32}'"
ANOTHER_APPROVER = "(SELECT id FROM principals WHERE name = 'approver-2')"
BY_TWO = f"asked_by_id = 1, asked_at = {MOMENT}, released_by_id = 3, released_at = {MOMENT}"

SOP_SAYS = "state, title_id, title_en, source, conditions, profiles, sha256"
SOP = f"id, code, number, version, {SOP_SAYS}"

ALTERED = {
    "a token that nobody made": (
        "tokens",
        f"INSERT INTO tokens (id, principal_id, digest, created_at) SELECT {ANOTHER}, {MOMENT} FROM tokens",
        "it has a row, and no event tells of it",
    ),
    "a token that is taken away": (
        "tokens",
        f"DELETE FROM tokens WHERE id = {NEWEST_TOKEN}",
        "tells of it, and it has no row",
    ),
    "a token revoked no more": (
        "tokens",
        "UPDATE tokens SET revoked_at = NULL WHERE revoked_at IS NOT NULL",
        "its row says revoked_at nothing; event ",
    ),
    "a token good from everywhere": (
        "tokens",
        "UPDATE tokens SET addresses = NULL WHERE addresses IS NOT NULL",
        "its row says addresses nothing; event ",
    ),
    "an operator who is an approver": (
        "principals",
        "UPDATE principals SET role = 'approver' WHERE name = 'operator-1'",
        "its row says role approver; event ",
    ),
    "an ISP that asks from elsewhere": (
        "subscribers",
        "UPDATE subscribers SET addresses = '[\"0.0.0.0/0\"]' WHERE name = 'isp-signed'",
        "subscriber isp-signed: its row says addresses ['0.0.0.0/0']; event ",
    ),
    "an ISP that need not sign": (
        "subscribers",
        "UPDATE subscribers SET keyed = (1 = 0) WHERE name = 'isp-signed'",
        "subscriber isp-signed: its row says keyed False; event ",
    ),
    "a key that does not end": (
        "tsig_keys",
        "UPDATE tsig_keys SET valid_until = NULL",
        "its row says valid_until nothing; event ",
    ),
    "a template that says something else": (
        "sops",
        "UPDATE sops SET conditions = '{}' WHERE state = 'confirmed' AND proposed_by_id IS NOT NULL",
        "its row says said {",
    ),
    "a template that nobody confirmed": (
        "sops",
        f"UPDATE sops SET state = 'confirmed', number = 9, decided_by_id = {ANOTHER_APPROVER} WHERE version = 2",
        "its row says state confirmed; event ",
    ),
    "a template that ships, saying something else": (
        "sops",
        "UPDATE sops SET conditions = '{}' WHERE code = 'ott-platform'",
        "SOP ott-platform revision 1: nobody has proposed it, and it is not as Pulih ships it",
    ),
    "a template taken away": (
        "sops",
        "DELETE FROM sops WHERE code = 'ott-platform'",
        "SOP ott-platform revision 1: Pulih ships it, and it has no row",
    ),
    "a template put in as if it shipped": (
        "sops",
        f"INSERT INTO sops ({SOP}) SELECT 99, code, 7, 7, {SOP_SAYS} FROM sops WHERE code = 'ott-platform'",
        "revision 7: nobody has proposed it, and Pulih does not ship it",
    ),
    "the key of another ISP": (
        "tsig_keys",
        "UPDATE tsig_keys SET subscriber_id = (SELECT id FROM subscribers WHERE name = 'isp-open')",
        "its row says subscriber isp-open; event ",
    ),
    "a review that another opened": (
        "reviews",
        "UPDATE reviews SET opened_by_id = (SELECT id FROM principals WHERE name = 'operator-2')",
        "its row says opened_by operator-2; event ",
    ),
    "an application about all of an order": (
        "application_orders",
        "UPDATE application_orders SET whole = NOT whole",
        "its row says orders [",
    ),
    "addresses that are none": (
        "subscribers",
        "UPDATE subscribers SET addresses = '[' WHERE name = 'isp-signed'",
        "subscriber isp-signed: its row says addresses what cannot be read; event ",
    ),
    "a review that was never closed": (
        "reviews",
        "UPDATE reviews SET closed_at = NULL, closed_by_id = NULL, decision = NULL, decision_reason = NULL",
        "its row says closed_at nothing; event ",
    ),
    "an incident of fewer names": (
        "incidents",
        "UPDATE incidents SET names = 0",
        "its row says names 0; event ",
    ),
    "an incident for another reason": (
        "incidents",
        "UPDATE incidents SET reason = 'as asked'",
        "its row says reason as asked; event ",
    ),
    "an incident taken away": (
        "incidents",
        "DELETE FROM incidents",
        "tells of it, and it has no row",
    ),
    "a stop that nobody released": (
        "stops",
        f"UPDATE stops SET {BY_TWO} WHERE released_at IS NULL",
        "its row says asked_at 2026-11-20",
    ),
    "an application that was refused": (
        "applications",
        "UPDATE applications SET state = 'refused', ground = NULL WHERE state = 'granted'",
        "its row says state refused; event ",
    ),
    "a clock that has longer to go": (
        "applications",
        f"UPDATE applications SET due_at = {MOMENT} WHERE state = 'received'",
        "its row says due_at 2026-11-20",
    ),
    "an application about another name": (
        "application_names",
        "UPDATE application_names SET key = 'example.other.' WHERE key = 'example.w.'",
        "its row says names ['other.example']; event ",
    ),
    "a paper that was not brought": (
        "application_papers",
        "DELETE FROM application_papers WHERE code = 'ownership_statement'",
        "its row says papers [",
    ),
    "an order that an application is not about": (
        "application_orders",
        "DELETE FROM application_orders WHERE order_id = (SELECT id FROM orders WHERE number = 'EX-AGAIN')",
        "its row says orders [",
    ),
}
"""What is altered: in which table, how, and with which words it is told."""


def test_nothing_is_wrong_after_any_act(place: Service) -> None:
    with place.database.read() as session:
        check = registers.check(session, lambda _: None)

    assert (check.wrong, check.state) == ((), "ok")
    assert int(check.said.split()[0]) > 25


def test_what_was_altered_beside_orders_is_found(place: Service, record_property: Record) -> None:
    place.database.close()
    for what, (table, statement, words) in ALTERED.items():
        found = wrong_once(place, table, statement)
        assert any(words in line for line in found.get("registers", ())), (what, found)
    record_property("alterations", len(ALTERED))


NOTE, BY = "order_id, target_id, what", "recorded_at, recorded_by_id"
SUBTREE = "SELECT max(id) FROM targets WHERE key = 'example.noted.two.'"

ALTERED_NOTES = {
    "one taken away": ("DELETE FROM target_notes WHERE source = 'operator-2'", 2),
    "one put in": (
        f"INSERT INTO target_notes SELECT 99, {NOTE}, {MOMENT}, 'x', {BY} FROM target_notes WHERE id = 1",
        1,
    ),
    "of another source": ("UPDATE target_notes SET source = 'nobody' WHERE source = 'operator-2'", 2),
    "by another": ("UPDATE target_notes SET recorded_by_id = (SELECT min(id) FROM principals)", 2),
    "of something else": ("UPDATE target_notes SET what = 'owner_changed' WHERE source = 'operator-2'", 2),
    "recorded before": (f"UPDATE target_notes SET recorded_at = {MOMENT} WHERE source = 'operator-2'", 2),
    "seen before": (f"UPDATE target_notes SET seen_at = {MOMENT} WHERE source = 'operator-2'", 2),
    "of another name": (f"UPDATE target_notes SET target_id = ({SUBTREE}), source = 'x' WHERE id = 1", 1),
}
"""Which rows are altered, and how many orders that is told of."""


def test_what_was_altered_of_notes_is_found(place: Service, record_property: Record) -> None:
    with place.database.read() as session:
        assert (notes.check(session, lambda _: None).said, notes.rows(session)) == ("6 of 2 orders", 6)
    place.database.close()
    for what, (statement, orders) in ALTERED_NOTES.items():
        found = wrong_once(place, "target_notes", statement)["notes"]
        assert len([line for line in found if line.startswith("order with id ")]) == orders, (what, found)
    matched = "UPDATE targets SET match = 1 - match WHERE key = 'example.noted.two.'"
    assert len(wrong_once(place, "targets", matched)["notes"]) == 1
    record_property("alterations", len(ALTERED_NOTES) + 1)


UNREADABLE = {
    "too little": "replace(body, '\"token\":', '\"tokens\":')",
    "no object": "'[]'",
    "no facts": "'{}'",
    "no JSON": "'x'",
    "no moment": 'replace(body, \'"received_at":"2\', \'"received_at":"x\')',
    "more hours than there are": "replace(body, '\"hours\":', '\"hours\":99999999999999')",
}


def test_an_event_that_cannot_be_read_is_told_and_the_others_are_looked_at(place: Service) -> None:
    place.database.close()
    for what, body in UNREADABLE.items():
        found = wrong_once(place, "events", f"UPDATE events SET body = {body} WHERE type <> 'order.proposed'")
        assert any("does not say what such an event says" in line for line in found["registers"]), (what, found)
        assert any("not the one that was hashed" in line for line in found["journal"]), (what, found)


@pytest.mark.parametrize("type_", ["token.created", "subscriber.added", "sop.proposed", "application.received"])
def test_what_has_no_beginning_is_not_told_of_by_what_came_later(place: Service, type_: str) -> None:
    """A row put in by hand does not become right by an act on it."""
    alter(place.database, "events", f"DELETE FROM events WHERE type = '{type_}'")

    found = wrong(place)["registers"]
    assert any("it has a row, and no event tells of it" in line for line in found), found


def test_a_subscriber_that_came_back_while_the_clock_was_set_back_is_well(service: Service) -> None:
    database, began = service.database, service.clock()
    with database.write() as session:
        register.add(session, ROOT, SIGNED, began, secret_key=SECRET)
        keys.rotate(session, ROOT, RotateKey("isp-signed", DAY), began + HOUR, secret_key=SECRET)
        register.remove(session, ROOT, "isp-signed", began + 5 * HOUR)
    with database.write() as session:
        register.add(session, ROOT, SIGNED, began + 2 * HOUR, secret_key=SECRET)
        keys.rotate(session, ROOT, RotateKey("isp-signed", 0 * DAY), began + 3 * HOUR, secret_key=SECRET)

    with database.read() as session:
        assert registers.check(session, lambda _: None).wrong == ()
