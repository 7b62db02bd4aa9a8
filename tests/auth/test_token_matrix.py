"""Every operation against every kind of token that must not do: expired, revoked, from elsewhere, no token at all.

Which roles may do what is the table of `tests/auth/test_roles.py`; here is what holds for all of them, and whose things
are whose.
"""

import base64
import datetime as dt
import time

import pytest

from app.auth import tokens
from app.auth.access import decides
from app.db import Database
from app.description import declared_routes
from app.errors import Unauthenticated, Unprocessable
from app.journal.actor import Role
from tests.auth.test_roles import ROUTES, path_of
from tests.conftest import Application
from tests.orders.evidence_files import PDF
from tests.policy.scale import Record, scaled, tell
from tests.service import DAY, HOST, NOW, PEOPLE, FrozenClock, Json, Service, condition, problem, running

WITHOUT_CODE = ("/api/openapi.json", "/api/static")
SPOILT = ("expired", "revoked", "from elsewhere", "unknown")
ALLOWED = 200
OPENING = {"lift", "plan-lift", "suspend", "undo", "verify", "waive", "review", "decide", "confirm", "approve"}


def make(service: Service, role: Role, spoilt: str) -> str:
    """A token that was good once, and is not good here and now."""
    if spoilt == "unknown":
        return "pulih_" + "A" * 43
    with service.database.write() as session:
        text = tokens.create(
            session,
            HOST,
            role=role,
            name=next(name for name, each in PEOPLE.items() if each is role),
            expires_at=NOW - DAY if spoilt == "expired" else None,
            now=NOW - 2 * DAY,
            addresses=["192.0.2.0/24", "2001:db8::/32"] if spoilt == "from elsewhere" else [],
        )
        if spoilt == "revoked":
            tokens.revoke(session, HOST, token_id=tokens.listing(session)[-1][0].id, now=NOW - DAY)
    return text


def test_no_operation_takes_a_spoilt_token(service: Service, record_property: Record) -> None:
    """Each operation by each kind, of one role after the other; with PULIH_TEST_SCALE=6 of all of them."""
    tried = 0
    routes = [route for route in ROUTES if not path_of(route)[1].startswith(WITHOUT_CODE)]
    for kind, spoilt in enumerate(SPOILT):
        for turn, role in enumerate(Role):
            headers = {"Authorization": f"Bearer {make(service, role, spoilt)}"}
            for number, route in enumerate(routes):
                if (number + kind + turn) % len(Role) < scaled(1):
                    method, path = path_of(route)
                    answer = service.request(method, path, by=None, headers=headers)
                    assert answer.status_code == 401, (role, spoilt, route)
                    tried += 1
    assert tried >= len(routes) * len(SPOILT)
    tell(record_property, requests=tried)


@pytest.mark.parametrize(
    ("address", "good"),
    [
        ("192.0.2.7", True),
        ("::ffff:192.0.2.7", True),
        ("2001:db8::1", True),
        ("192.0.3.1", False),
        ("2001:db9::1", False),
        ("::ffff:192.0.3.1", False),
        ("nonsense", False),
        (None, True),
    ],
)
def test_a_token_is_good_from_its_networks(database: Database, address: str | None, *, good: bool) -> None:
    """And on the host itself, where whoever holds it may do everything anyway."""
    with database.write() as session:
        networks = ["192.0.2.0/24", "2001:db8::/32"]
        text = tokens.create(
            session, HOST, role=Role.AUDITOR, name="new-1", expires_at=None, now=NOW, addresses=networks
        )
        if good:
            assert tokens.authenticate(session, text, now=NOW, address=address).name == "new-1"
        else:
            with pytest.raises(Unauthenticated, match="not good from"):
                tokens.authenticate(session, text, now=NOW, address=address)


@pytest.mark.parametrize("network", ["192.0.2.1/24", "x", "", "192.0.2.0/33", "192.0.2.0 192.0.3.0"])
def test_what_is_no_network_is_refused(database: Database, network: str) -> None:
    with database.write() as session, pytest.raises(Unprocessable, match="not an address or a network"):
        tokens.create(session, HOST, role=Role.AUDITOR, name="new-1", expires_at=None, now=NOW, addresses=[network])


def test_a_token_is_dead_in_every_process_within_a_second(service: Service, record_property: Record) -> None:
    """Two processes would each have a database object of their own, as these have."""
    text = make(service, Role.AUDITOR, "")
    others = [Database(service.settings.database) for _ in range(2)]
    with (
        running(service.settings, others[0], FrozenClock()) as first,
        running(service.settings, others[1], FrozenClock()) as second,
    ):
        headers = {"Authorization": f"Bearer {text}"}

        def statuses() -> set[int]:
            return {
                service.client.get(f"{each}/api/v1/orders", headers=headers).status_code for each in (first, second)
            }

        assert statuses() == {200}
        began = time.monotonic()
        with service.database.write() as session:
            tokens.revoke(session, HOST, token_id=tokens.listing(session)[-1][0].id, now=NOW)
        assert statuses() == {401}
        took = time.monotonic() - began
    for each in others:
        each.close()
    assert took < 1
    tell(record_property, milliseconds=round(took * 1000))


def test_the_description_names_the_roles_of_the_table(service: Service) -> None:
    described = service.read("/api/openapi.json", by=None)["paths"]
    told = {
        f"{method.upper()} {path}": set(operation["x-roles"])
        for path, methods in described.items()
        for method, operation in methods.items()
    }
    assert len(told) > 75
    for route, roles in told.items():
        assert roles == {str(PEOPLE[person]) for person in ROUTES[route] if person is not None}, route
        assert (operation_of(described, route)["security"] == [{"token": []}, {}]) is (None in ROUTES[route])


def operation_of(described: Json, route: str) -> Json:
    method, path = route.split()
    found: Json = described[path][method.lower()]
    return found


def test_whatever_lifts_is_a_decision_that_no_limit_holds_up(application: Application) -> None:
    opening = {
        route.path: decides(route)
        for route in declared_routes(application.app)
        if str(route.path).rpartition("/")[2] in OPENING and "POST" in (route.methods or ())
    }
    opening.pop("/api/v1/sops/{code}/confirm")
    assert len(opening) >= len(OPENING)
    assert set(opening.values()) == {True}


@pytest.fixture
def things(service: Service) -> dict[str, str]:
    """Paths of things that belong to `platform-1`, to another platform, to `operator-1`, and to `approver-1`."""
    mine = condition(service.block("mine.example", platform="platform-1"))
    other = condition(service.block("other.example", platform="platform-2"))
    file = {"name": "letter.pdf", "content": base64.b64encode(PDF).decode()}
    service.mark(other, "claim", by="operator-1", evidence={"file": file})
    evidence = service.read(f"conditions/{other['id']}", by="auditor-1")["evidence"][0]["id"]
    return {
        "mine": f"conditions/{mine['id']}",
        "other": f"conditions/{other['id']}",
        "file": f"conditions/{other['id']}/evidence/{evidence}",
        "own": f"orders/{service.propose(by='operator-1')['id']}",
        "second": f"orders/{service.propose(by='operator-1')['id']}",
        "approvers": f"orders/{service.propose(by='approver-1')['id']}",
    }


CLAIM: Json = {"evidence": {"text": "see the letter"}}
REASON: Json = {"reason": "x"}
OWN_AND_OTHER: list[tuple[str, str, str, Json | None, int]] = [
    ("platform-1", "mine", "", None, 200),
    ("platform-1", "other", "", None, 404),
    ("platform-1", "mine", "/claim", CLAIM, 200),
    ("platform-1", "other", "/claim", CLAIM, 404),
    ("platform-1", "other", "/evidence", CLAIM, 404),
    ("platform-1", "file", "", None, 404),
    ("auditor-1", "file", "", None, 200),
    ("operator-1", "other", "/evidence", CLAIM, 200),
    ("operator-2", "other", "/evidence", CLAIM, 403),
    ("operator-2", "own", "/withdraw", REASON, 403),
    ("approver-1", "own", "/withdraw", REASON, 403),
    ("approver-1", "own", "/approve", REASON, 200),
    ("operator-1", "second", "/withdraw", REASON, 200),
    ("approver-1", "approvers", "/approve", REASON, 403),
    ("approver-1", "approvers", "/reject", REASON, 403),
    ("approver-2", "approvers", "/reject", REASON, 200),
]
"""Who, whose thing, which act, and what comes of it."""


def test_what_is_anothers_is_decided_as_the_table_says(service: Service, things: dict[str, str]) -> None:
    """What is refused first: it changes nothing for the rest."""
    for by, whose, act, body, status in sorted(OWN_AND_OTHER, key=lambda row: row[-1] == ALLOWED):
        path = things[whose] + act
        answer = service.get(path, by=by) if body is None else service.post(path, body, by=by)

        assert answer.status_code == status, (by, whose, act, answer.text)


def test_a_platform_lists_its_own_conditions_alone(service: Service, things: dict[str, str]) -> None:
    items = service.read("conditions", by="platform-1")["items"]

    assert [f"conditions/{item['id']}" for item in items] == [things["mine"]]


def test_an_isp_asks_for_itself_alone(service: Service) -> None:
    service.block()
    problem(service.get("names/blocked.example?isp=isp-2", by="isp-1"), 403, "role_forbidden")
    assert service.read("subscribers/me", by="isp-1")["name"] == "isp-1"


def test_a_token_of_the_past_does_not_come_back_when_the_clock_does(service: Service) -> None:
    text = make(service, Role.AUDITOR, "expired")
    service.clock.forward(dt.timedelta(days=-30))

    assert service.request("GET", "orders", by=None, headers={"Authorization": f"Bearer {text}"}).status_code == 401
