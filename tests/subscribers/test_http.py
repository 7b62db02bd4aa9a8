"""`/subscribers` and `/acknowledgements`, over a real HTTP server."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest

from app.auth import tokens
from app.db import Database
from app.journal.actor import Role
from app.main import create_app
from app.settings import Settings
from app.subscribers import documents, queries
from app.subscribers.deliveries import record
from app.subscribers.keys import RotateKey, rotate
from app.subscribers.lag import Lag
from app.subscribers.register import remove
from app.subscribers.seal import SecretKey
from app.subscribers.sighting import Sighting, SightingKind
from tests.subscribers.serving import serving
from tests.subscribers.worlds import ROOT, facts_of, published, registered

MINUTE = dt.timedelta(minutes=1)
ZONE = "block.rpz"


@dataclass
class Api:
    """The service, its clock, and a token of each role."""

    client: httpx.Client
    tokens: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, role: str = "auditor") -> httpx.Response:
        return self.client.get(f"/api/v1{path}", headers={"Authorization": f"Bearer {self.tokens[role]}"})

    def post(self, path: str, body: object, role: str = "isp", **headers: str) -> httpx.Response:
        headers["Authorization"] = f"Bearer {self.tokens[role]}"
        return self.client.post(f"/api/v1{path}", json=body, headers=headers)


@pytest.fixture
def api(database: Database, settings: Settings, now: dt.datetime) -> Iterator[Api]:
    """Three releases an hour ago, `isp-one` without a key, and every role; the clock stands at `now`."""
    published(database, ZONE, [(100, now - 60 * MINUTE), (101, now - 20 * MINUTE), (102, now - 10 * MINUTE)])
    added = registered(database, "isp-one", "127.0.0.0/8", now=now - 60 * MINUTE, notify=["127.0.0.1:10053"])
    application = create_app(settings, database, clock=lambda: now, with_publisher=False)
    with database.write() as session:
        given = {
            str(role): tokens.create(session, ROOT, role=role, name=f"{role}-1", expires_at=None, now=now)
            for role in Role
        }
    with serving(application) as client:
        yield Api(client, given | {"stranger": given["isp"], "isp": added.token})


def seen(database: Database, *sightings: Sighting) -> None:
    with database.write() as session:
        record(session, sightings, max(each.at for each in sightings))


def asked_from(serial: int, at: dt.datetime, subscriber: str = "isp-one") -> Sighting:
    return Sighting(at, subscriber, "127.0.0.1", ZONE, SightingKind.IXFR, asked_serial=serial, sent_serial=serial)


def only_zone(body: dict[str, Any]) -> dict[str, Any]:
    [zone] = body["zones"]
    assert isinstance(zone, dict)
    return zone


def test_a_subscriber_in_full(api: Api, database: Database, now: dt.datetime) -> None:
    seen(
        database,
        Sighting(now - 30 * MINUTE, "isp-one", "127.0.0.1", ZONE, SightingKind.AXFR, None, 100, 4000),
        Sighting(now - 29 * MINUTE, "isp-one", "127.0.0.1", ZONE, SightingKind.SOA, None, 100),
        Sighting(now - 9 * MINUTE, "isp-one", "127.0.0.1", ZONE, SightingKind.NOTIFY, None, 102, 0, "no answer"),
        Sighting(now - 8 * MINUTE, "isp-one", "127.0.0.1", ZONE, SightingKind.REFUSED, None, None, 0, "key: wrong"),
    )

    answer = api.get("/subscribers/isp-one")

    assert answer.status_code == 200
    assert answer.json() == {
        "id": 1,
        "name": "isp-one",
        "addresses": ["127.0.0.0/8"],
        "notify": ["127.0.0.1:10053"],
        "keyed": False,
        "layered": False,
        "overrides": False,
        "settling_seconds": None,
        "keys": [],
        "created_at": "2026-11-22T02:00:00Z",
        "removed_at": None,
        "zones": [
            {
                "zone": "block.rpz",
                "serial": 102,
                "published_at": "2026-11-22T02:50:00Z",
                "has": {"serial": 100, "at": "2026-11-22T02:31:00Z"},
                "asked": {"kind": "soa", "serial": None, "at": "2026-11-22T02:31:00Z"},
                "sent": {"serial": 100, "octets": 4000, "at": "2026-11-22T02:30:00Z"},
                "notified": {"outcome": "no answer", "at": "2026-11-22T02:51:00Z"},
                "refused": {"reason": "key: wrong", "at": "2026-11-22T02:52:00Z"},
                "acknowledged": None,
                "behind": {"serials": 2, "seconds": 1200},
                "overdue": False,
                "overdue_since": None,
                "still_blocked": {"count": 0, "exact": True, "items": []},
                "not_yet_blocked": {"count": 0, "exact": True, "items": []},
                "servers_counted": 1,
                "servers": [
                    {
                        "address": "127.0.0.1",
                        "counts": True,
                        "has": {"serial": 100, "at": "2026-11-22T02:31:00Z"},
                        "asked": {"kind": "soa", "serial": None, "at": "2026-11-22T02:31:00Z"},
                        "sent": {"serial": 100, "octets": 4000, "at": "2026-11-22T02:30:00Z"},
                        "refused": {"reason": "key: wrong", "at": "2026-11-22T02:52:00Z"},
                    }
                ],
            }
        ],
    }


@pytest.mark.parametrize(
    ("serial", "behind"),
    [
        (100, {"serials": 2, "seconds": 1200}),
        (101, {"serials": 1, "seconds": 600}),
        (102, {"serials": 0, "seconds": 0}),
    ],
)
def test_how_far_behind_counts_from_the_first_release_that_is_missing(
    api: Api, database: Database, now: dt.datetime, serial: int, behind: dict[str, int]
) -> None:
    seen(database, asked_from(serial, now))

    assert only_zone(api.get("/subscribers/isp-one").json())["behind"] == behind


def test_every_zone_counts_by_its_own_serials(api: Api, database: Database, now: dt.datetime) -> None:
    published(database, "landing.rpz", [(500, now - 60 * MINUTE), (501, now - 20 * MINUTE), (502, now - 10 * MINUTE)])
    seen(database, asked_from(102, now), replace(asked_from(501, now), zone="landing.rpz"))

    zones = {zone["zone"]: zone for zone in api.get("/subscribers/isp-one").json()["zones"]}

    assert {name: (zone["serial"], zone["has"]["serial"]) for name, zone in zones.items()} == {
        "block.rpz": (102, 102),
        "landing.rpz": (502, 501),
    }
    assert zones["block.rpz"]["behind"] == {"serials": 0, "seconds": 0}
    assert zones["landing.rpz"]["behind"] == {"serials": 1, "seconds": 600}


def test_a_serial_that_this_zone_never_had_is_shown_without_a_distance(
    api: Api, database: Database, now: dt.datetime
) -> None:
    seen(database, asked_from(2026112201, now))

    zone = only_zone(api.get("/subscribers/isp-one").json())

    assert (zone["has"]["serial"], zone["behind"], zone["still_blocked"]) == (2026112201, None, None)


def test_the_list_comes_in_pages_without_those_that_were_removed(
    api: Api, database: Database, now: dt.datetime
) -> None:
    for number in (2, 3, 4):
        registered(database, f"isp-{number}", f"192.0.2.{number}", now=now)
    with database.write() as session:
        remove(session, ROOT, "isp-3", now)

    first = api.get("/subscribers?limit=2").json()
    second = api.get(f"/subscribers?limit=2&cursor={first['next']}").json()

    assert [item["name"] for item in first["items"]] == ["isp-one", "isp-2"]
    assert [item["name"] for item in second["items"]] == ["isp-4"]
    assert second["next"] is None


def test_a_removed_subscriber_is_still_found_by_id_and_by_name(api: Api, database: Database, now: dt.datetime) -> None:
    with database.write() as session:
        remove(session, ROOT, "isp-one", now)

    assert api.get("/subscribers/1").json()["removed_at"] == "2026-11-22T03:00:00Z"
    assert api.get("/subscribers/isp-one").json()["id"] == 1


@pytest.mark.parametrize("text", ["2", "isp-two", "9" * 400, "%F0%9F%94%A5", "0x1", "1%00"])
def test_who_does_not_exist_is_not_found(api: Api, text: str) -> None:
    answer = api.get(f"/subscribers/{text}")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_live_keys_are_named_and_no_secret_ever_leaves(
    api: Api, database: Database, now: dt.datetime, secret_key: SecretKey
) -> None:
    added = registered(database, "signs", "127.0.0.0/8", now=now, secret_key=secret_key)
    api.tokens["signs"] = added.token
    with database.write() as session:
        new = rotate(session, ROOT, RotateKey("signs", MINUTE), now, secret_key=secret_key)
        rotate(session, ROOT, RotateKey("signs", MINUTE), now - 2 * MINUTE, secret_key=secret_key)

    answers = [
        api.get("/subscribers"),
        api.get("/subscribers/signs"),
        api.get("/subscribers/me", "signs"),
    ]

    assert [key["name"] for key in answers[1].json()["keys"]] == ["signs-20261122-3"]
    assert answers[1].json()["keys"][0] == {
        "name": "signs-20261122-3",
        "algorithm": "hmac-sha256",
        "valid_from": "2026-11-22T02:58:00Z",
        "valid_until": None,
    }
    assert added.tsig is not None
    for answer in answers:
        assert answer.status_code == 200
        assert "secret" not in answer.text
        for secret in (added.tsig.secret, new.secret):
            assert secret.hex() not in answer.text


def test_an_isp_sees_itself_and_whether_it_comes_from_an_address_of_its_own(
    api: Api, database: Database, now: dt.datetime
) -> None:
    seen(database, asked_from(101, now))

    body = api.get("/subscribers/me", "isp").json()

    assert (body["approved"], body["name"], body["signature_needed"]) == (True, "isp-one", False)
    assert (body["your_address"], body["your_address_registered"]) == ("127.0.0.1", True)
    assert only_zone(body)["has"]["serial"] == 101
    assert only_zone(body)["behind"] == {"serials": 1, "seconds": 600}


def test_an_isp_that_comes_from_elsewhere_is_told(
    api: Api, database: Database, now: dt.datetime, secret_key: SecretKey
) -> None:
    api.tokens["far"] = registered(database, "far", "192.0.2.0/24", now=now, secret_key=secret_key).token

    body = api.get("/subscribers/me", "far").json()

    assert (body["approved"], body["signature_needed"]) == (True, True)
    assert (body["your_address"], body["your_address_registered"]) == ("127.0.0.1", False)
    assert [key["name"] for key in body["keys"]] == ["far-20261122"]


def test_an_isp_that_is_not_registered_is_told_so(api: Api) -> None:
    assert api.get("/subscribers/me", "stranger").json() == {
        "approved": False,
        "name": "isp-1",
        "your_address": "127.0.0.1",
        "your_address_registered": False,
        "detail": "isp-1 is not registered as a subscriber: transfers are refused until it is",
        "zones": [],
    }


def test_the_token_of_a_removed_subscriber_is_dead_at_once(api: Api, database: Database, now: dt.datetime) -> None:
    with database.write() as session:
        remove(session, ROOT, "isp-one", now)

    answer = api.get("/subscribers/me", "isp")

    assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid")


def test_before_the_first_release_there_is_nothing_to_have(database: Database, now: dt.datetime) -> None:
    registered(database, "isp-one", "192.0.2.0/24", now=now)

    with database.read() as session:
        row = queries.live_by_name(session, "isp-one")
        lag = Lag(session, now, dt.timedelta(hours=24))
        assert documents.subscriber(session, row, lag)["zones"] == []


@pytest.mark.parametrize(
    ("path", "roles"),
    [
        ("/subscribers", {"operator", "approver", "auditor", "admin"}),
        ("/subscribers/isp-one", {"operator", "approver", "auditor", "admin"}),
        ("/subscribers/me", {"isp"}),
    ],
)
def test_who_may_read_what(api: Api, path: str, roles: set[str]) -> None:
    allowed = {role for role in Role if api.get(path, role).status_code == 200}

    assert allowed == roles
    assert api.client.get(f"/api/v1{path}").status_code == 401


def test_only_an_isp_acknowledges(api: Api) -> None:
    body = {"zone": ZONE, "serial": 101, "phase": "applied"}

    assert {role for role in Role if api.post("/acknowledgements", body, role).status_code == 200} == {"isp"}


def test_applied_counts_as_having_it(api: Api, database: Database) -> None:
    answer = api.post("/acknowledgements", {"zone": ZONE, "serial": 101, "phase": "applied"})

    assert answer.status_code == 200
    assert answer.json() == {
        "zone": ZONE,
        "serial": 101,
        "phase": "applied",
        "names_pending": None,
        "note": None,
        "at": "2026-11-22T03:00:00Z",
        "newest": 102,
    }
    zone = only_zone(api.get("/subscribers/me", "isp").json())
    assert zone["has"] == {"serial": 101, "at": "2026-11-22T03:00:00Z"}
    assert zone["acknowledged"] == {
        "serial": 101,
        "phase": "applied",
        "names_pending": None,
        "note": None,
        "at": "2026-11-22T03:00:00Z",
    }
    assert facts_of(database, "subscriber.acknowledged") == [
        {"subscriber": "isp-one", "zone": ZONE, "serial": 101, "phase": "applied", "names_pending": None, "note": None}
    ]


@pytest.mark.parametrize("phase", ["received", "partial", "failed"])
def test_anything_less_does_not(api: Api, database: Database, phase: str) -> None:
    body = {"zone": ZONE, "serial": 101, "phase": phase, "names_pending": 3, "note": "two resolvers are down"}

    assert api.post("/acknowledgements", body).status_code == 200

    zone = only_zone(api.get("/subscribers/me", "isp").json())
    assert (zone["has"], zone["acknowledged"]["phase"]) == (None, phase)
    assert (zone["acknowledged"]["names_pending"], zone["acknowledged"]["note"]) == (3, "two resolvers are down")
    assert facts_of(database, "subscriber.acknowledged")[0]["names_pending"] == 3


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"zone": "other.rpz"}, 404, "not_found"),
        ({"serial": 99}, 410, "serial_unknown"),
        ({"serial": 2**32}, 422, "body_invalid"),
        ({"serial": -1}, 422, "body_invalid"),
        ({"phase": "done"}, 422, "body_invalid"),
        ({"names_pending": -1}, 422, "body_invalid"),
        ({"note": "two\nlines"}, 422, "body_invalid"),
        ({"note": "x" * 2001}, 422, "body_invalid"),
        ({"extra": 1}, 422, "body_invalid"),
    ],
)
def test_a_bad_acknowledgement_changes_nothing(
    api: Api, database: Database, change: dict[str, object], status: int, code: str
) -> None:
    answer = api.post("/acknowledgements", {"zone": ZONE, "serial": 101, "phase": "applied"} | change)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert facts_of(database, "subscriber.acknowledged") == []


def test_an_isp_that_is_no_subscriber_acknowledges_nothing(api: Api) -> None:
    answer = api.post("/acknowledgements", {"zone": ZONE, "serial": 101, "phase": "applied"}, "stranger")

    assert (answer.status_code, answer.json()["code"]) == (403, "role_forbidden")


def test_the_same_acknowledgement_twice_is_written_once(api: Api, database: Database) -> None:
    body = {"zone": ZONE, "serial": 101, "phase": "applied"}

    first = api.post("/acknowledgements", body, **{"Idempotency-Key": "a"})
    second = api.post("/acknowledgements", body, **{"Idempotency-Key": "a"})

    assert (first.json(), second.headers["Idempotency-Replayed"]) == (second.json(), "true")
    assert len(facts_of(database, "subscriber.acknowledged")) == 1
