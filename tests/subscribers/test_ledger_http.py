"""The ledger over HTTP: its rows in pages, what is pending, each server; and who may see it."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest

from app.auth import tokens
from app.db import Database
from app.journal.actor import Role
from app.main import create_app
from app.publication.models import RuleSpan
from app.settings import Settings
from app.subscribers.deliveries import record
from app.subscribers.register import remove
from app.subscribers.sighting import Sighting, SightingKind
from tests.subscribers.serving import serving
from tests.subscribers.test_http import Api
from tests.subscribers.worlds import ROOT, published, registered

MINUTE = dt.timedelta(minutes=1)
ZONE = "block.rpz"
LIFTED = 30


@pytest.fixture
def api(database: Database, settings: Settings, now: dt.datetime) -> Iterator[Api]:
    """Serial 100 blocks thirty names, 101 one other; `isp-one` has 100 by two servers, `isp-two` nothing."""
    with database.write() as session:
        for number in range(LIFTED):
            session.add(rule(f"example.lifted{number:02}.", 1, 2))
        session.add(rule("example.new.", 2, None))
    published(database, ZONE, [(100, now - 60 * MINUTE), (101, now - 20 * MINUTE)])
    given = {"isp": registered(database, "isp-one", "127.0.0.0/8", now=now).token}
    given["isp-two"] = registered(database, "isp-two", "192.0.2.0/24", now=now).token
    told(database, now - 9 * MINUTE, "127.0.0.1", "127.0.0.2")
    application = create_app(settings, database, clock=lambda: now, with_publisher=False)
    with database.write() as session:
        for role in (Role.AUDITOR, Role.OPERATOR, Role.PLATFORM):
            given[role] = tokens.create(session, ROOT, role=role, name=f"{role}-1", expires_at=None, now=now)
    with serving(application) as client:
        yield Api(client, given)


def rule(key: str, begins: int, ends: int | None) -> RuleSpan:
    return RuleSpan(key=key, from_release=begins, to_release=ends, own=1, wild=0)


def told(database: Database, at: dt.datetime, *addresses: str, serial: int = 100) -> None:
    with database.write() as session:
        for number, address in enumerate(addresses):
            moment = at + number * MINUTE
            asked = Sighting(moment, "isp-one", address, ZONE, SightingKind.IXFR, serial, 101, 420, seconds=0.5)
            record(session, [asked], moment)


def pages(api: Api, path: str, role: str = "auditor") -> list[list[dict[str, Any]]]:
    """All pages of a list."""
    found, cursor = [], ""
    while True:
        page = api.get(f"{path}{'&' if '?' in path else '?'}{cursor}", role).json()
        found.append(page["items"])
        if page["next"] is None:
            return found
        cursor = f"cursor={page['next']}"


def test_the_ledger_is_told_newest_first_in_pages(api: Api, database: Database, now: dt.datetime) -> None:
    for number in range(3):
        told(database, now - (6 - number) * MINUTE, "127.0.0.1")

    first, second, third = pages(api, "/subscribers/isp-one/transfers?limit=2")

    ats = [row["at"] for row in (*first, *second, *third)]
    assert (ats, len(third)) == (sorted(ats, reverse=True), 1)
    assert first[0] == {
        "id": 5,
        "zone": ZONE,
        "address": "127.0.0.1",
        "at": "2026-11-22T02:56:00Z",
        "recorded_at": "2026-11-22T02:56:00Z",
        "kind": "ixfr",
        "asked_serial": 100,
        "sent_serial": 101,
        "octets": 420,
        "milliseconds": 500,
        "outcome": "done",
        "has": {"serial": 100, "at": "2026-11-22T02:51:00Z"},
        "folded": 0,
    }


def test_the_ledger_is_narrowed_by_zone_and_address(api: Api) -> None:
    def addresses(query: str) -> list[str]:
        return [row["address"] for row in api.get(f"/subscribers/isp-one/transfers?{query}").json()["items"]]

    assert addresses("address=127.0.0.2") == ["127.0.0.2"]
    assert addresses(f"zone={ZONE}") == ["127.0.0.2", "127.0.0.1"]
    assert addresses("zone=other.rpz") == []


def test_an_isp_reads_its_own_ledger_and_nobody_elses(api: Api) -> None:
    assert len(api.get("/subscribers/me/transfers", "isp").json()["items"]) == 2
    assert api.get("/subscribers/me/transfers", "isp-two").json()["items"] == []
    assert api.get("/subscribers/isp-two/transfers", "isp").status_code == 403
    assert api.get("/subscribers/isp-one/pending?zone=block.rpz&kind=still_blocked", "isp").status_code == 403


def test_what_is_still_blocked_is_counted_and_the_first_are_named(api: Api) -> None:
    [zone] = api.get("/subscribers/me", "isp").json()["zones"]

    assert (zone["still_blocked"]["count"], zone["still_blocked"]["exact"]) == (LIFTED, True)
    assert zone["still_blocked"]["items"][0] == {"name": "lifted00.example", "match": "exact"}
    assert len(zone["still_blocked"]["items"]) == 20
    assert zone["not_yet_blocked"] == {
        "count": 1,
        "exact": True,
        "items": [{"name": "new.example", "match": "exact"}],
    }


@pytest.mark.parametrize("path", ["/subscribers/isp-one/pending", "/subscribers/me/pending"])
def test_all_of_them_come_in_pages(api: Api, path: str) -> None:
    role = "isp" if "me" in path else "operator"
    query = f"{path}?zone={ZONE}&kind=still_blocked&limit=20"

    whole = api.get(query, role).json()
    assert {key: whole[key] for key in ("zone", "from", "to", "count", "exact")} == {
        "zone": ZONE,
        "from": 100,
        "to": 101,
        "count": LIFTED,
        "exact": True,
    }
    first, second = pages(api, query, role)
    names = [item["name"] for item in (*first, *second)]
    assert names == [f"lifted{number:02}.example" for number in range(LIFTED)]


def test_where_nothing_is_known_nothing_is_counted(api: Api) -> None:
    answer = api.get(f"/subscribers/isp-two/pending?zone={ZONE}&kind=not_yet_blocked").json()

    assert answer == {
        "zone": ZONE,
        "from": None,
        "to": 101,
        "count": None,
        "exact": None,
        "items": [],
        "next": None,
    }


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("kind=still_blocked&zone=other.rpz", 404, "not_found"),
        ("kind=nonsense&zone=block.rpz", 422, "body_invalid"),
        ("zone=block.rpz", 422, "body_invalid"),
        ("kind=still_blocked", 422, "body_invalid"),
        ("kind=still_blocked&zone=block.rpz&cursor=!", 422, "body_invalid"),
    ],
)
def test_a_bad_question_is_refused(api: Api, query: str, status: int, code: str) -> None:
    answer = api.get(f"/subscribers/isp-one/pending?{query}")

    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_every_server_is_shown_with_what_it_has(api: Api, database: Database, now: dt.datetime) -> None:
    told(database, now, "127.0.0.2", serial=101)

    [zone] = api.get("/subscribers/isp-one").json()["zones"]

    assert (zone["has"]["serial"], zone["servers_counted"]) == (100, 2)
    assert [(each["address"], each["has"]["serial"], each["counts"]) for each in zone["servers"]] == [
        ("127.0.0.1", 100, True),
        ("127.0.0.2", 101, True),
    ]


@pytest.mark.parametrize(
    "path", ["/zones", f"/zones/{ZONE}", f"/zones/{ZONE}/export.rpz", f"/zones/{ZONE}/changes?since=100"]
)
def test_no_token_of_a_removed_isp_opens_a_zone(api: Api, database: Database, now: dt.datetime, path: str) -> None:
    assert api.get(path, "isp-two").status_code == 200
    with database.write() as session:
        remove(session, ROOT, "isp-two", now)
        later = tokens.create(session, ROOT, role=Role.ISP, name="isp-two", expires_at=None, now=now)

    assert api.get(path, "isp-two").json()["code"] == "token_invalid"
    api.tokens["later"] = later
    assert (api.get(path, "later").status_code, api.get(path, "later").json()["code"]) == (403, "role_forbidden")
    assert api.get(path, "auditor").status_code == 200
