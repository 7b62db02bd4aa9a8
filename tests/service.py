"""The service behind a real HTTP server, with its clock, its database and people who hold a token each."""

import datetime as dt
import json
import shutil
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import uvicorn
from fastapi import FastAPI
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import http_connection, migrate
from app.auth import tokens
from app.db import Clock, Database
from app.journal import signing
from app.journal.actor import Actor, Role, host
from app.journal.merkle import merkle_root
from app.main import create_app, make_publisher
from app.orders import clock as orders_clock
from app.orders import targets as stored_targets
from app.orders.propose import draft, submit, target_line
from app.orders.schemas import OrderIn
from app.publication.publisher import Publisher
from app.settings import Settings
from app.tables import metadata
from resolver_policy.names import sort_key
from tests import databases
from tests.servers import wait_until

NOW = dt.datetime(2026, 11, 22, 3, 0, tzinfo=dt.UTC)
ZONE = "block.rpz"
HOST = host("root")
DAY = dt.timedelta(days=1)
HOUR = dt.timedelta(hours=1)

PEOPLE = {
    "operator-1": Role.OPERATOR,
    "operator-2": Role.OPERATOR,
    "approver-1": Role.APPROVER,
    "approver-2": Role.APPROVER,
    "auditor-1": Role.AUDITOR,
    "isp-1": Role.ISP,
    "platform-1": Role.PLATFORM,
    "admin-1": Role.ADMIN,
}
"""Who holds a token in every test's database."""

Json = dict[str, Any]


class FrozenClock:
    """A clock that stands until it is moved."""

    def __init__(self, now: dt.datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> dt.datetime:
        return self.now

    def forward(self, by: dt.timedelta) -> dt.datetime:
        self.now += by
        return self.now


class Template(NamedTuple):
    """A migrated database with the people in it, to be copied for each test; `folder` has what lies beside it."""

    url: str
    tokens: Mapping[str, str]
    folder: Path | None = None


def make_template(folder: Path) -> Template:
    """Migrate a database, give everybody a token, and close it."""
    url = databases.url_in(folder)
    databases.make(url)
    database = Database(url)
    migrate.upgrade(database)
    given = {}
    with database.write() as session:
        for name, role in PEOPLE.items():
            given[name] = tokens.create(session, HOST, role=role, name=name, expires_at=None, now=NOW - DAY)
    database.close()
    return Template(url, given)


def make_started(template: Template, folder: Path) -> Template:
    """The same of a service that has begun: with a key, the marks, and the first release, of nothing."""
    settings = settings_in(folder)
    database = copy_of(template, settings)
    begin(settings, database, NOW).close()
    database.close()
    return Template(settings.database, template.tokens, folder)


def begin(settings: Settings, database: Database, now: dt.datetime) -> Publisher:
    """What a service does when it starts."""
    signing.start(database, settings, lambda: NOW - DAY)
    publisher = make_publisher(settings, database)
    publisher.start(now)
    return publisher


def settings_in(directory: Path, **fields: str) -> Settings:
    """The settings of a data directory, and of the database that belongs to it; as many requests as a test likes."""
    own = {"data_dir": directory, "database_url": databases.url_in(directory), "rate_address": 0, "rate_failed": 0}
    return Settings.model_validate({**own, "rate_token": 0, **fields})


def environment_of(settings: Settings) -> dict[str, str]:
    """What tells a command of these settings."""
    return {"PULIH_DATA_DIR": str(settings.data_dir), "PULIH_DATABASE_URL": settings.database}


def copy_of(template: Template, settings: Settings) -> Database:
    """A database of a test's own, where its settings say."""
    databases.make(settings.database, template.url)
    if template.folder is not None:
        beside = shutil.ignore_patterns("pulih.db*")
        shutil.copytree(template.folder, settings.data_dir, ignore=beside, dirs_exist_ok=True)
    return Database(settings.database)


def listening() -> socket.socket:
    """A listening socket on a free loopback port.

    Its protocol is named, since asyncio sets TCP_NODELAY on no other: without it every answer waits 40 ms for an
    acknowledgement that is delayed.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(512)
    return listener


@contextmanager
def serving(application: FastAPI, *, lifespan: bool = False) -> Iterator[str]:
    """The address of a real server of an application, on a free loopback port; ended with the block."""
    listener = listening()
    config = http_connection.config(application, application.state.settings)
    config.lifespan = "on" if lifespan else "off"
    config.timeout_graceful_shutdown = 5
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        wait_until(lambda: server.started, 10, lambda: "the HTTP server did not start")
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(15)
        listener.close()


@dataclass
class Service:
    """The application over HTTP. Everything is done by a person of `PEOPLE`, or without a token (`by=None`)."""

    address: str
    settings: Settings
    database: Database
    clock: FrozenClock
    tokens: Mapping[str, str]
    publisher: Publisher = field(init=False)
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.publisher = begin(self.settings, self.database, self.clock())
        self.client = httpx.Client(base_url=self.address, timeout=60, verify=False)  # no certificates to load

    def request(
        self,
        method: str,
        path: str,
        *,
        by: str | None,
        headers: Mapping[str, str] | None = None,
        content: str | bytes | Iterator[bytes] | None = None,
    ) -> httpx.Response:
        """Send one request; a path that is not absolute is under `/api/v1/`."""
        sent = dict(headers or {})
        if by is not None:
            sent["Authorization"] = f"Bearer {self.tokens[by]}"
        absolute = path if path.startswith("/") else f"/api/v1/{path}"
        return self.client.request(method, absolute, headers=sent, content=content)

    def get(self, path: str, *, by: str | None = "auditor-1", **headers: str) -> httpx.Response:
        return self.request("GET", path, by=by, headers=_header_names(headers))

    def post(
        self, path: str, body: object, *, by: str | None, version: str | None = "*", **headers: str
    ) -> httpx.Response:
        """`version` goes into `If-Match` (None: no such header)."""
        sent = _header_names(headers)
        if version is not None:
            sent["If-Match"] = version
        sent["Content-Type"] = "application/json"
        return self.request("POST", path, by=by, headers=sent, content=json.dumps(body))

    def read(self, path: str, *, by: str | None = "auditor-1") -> Json:
        """The body of a GET that must succeed."""
        return answered(self.get(path, by=by))

    def propose(self, *, by: str = "operator-1", **fields: object) -> Json:
        """A proposal that must be taken; `fields` as in `an_order`."""
        return answered(self.post("orders", an_order(**fields), by=by), 201)

    def act(self, order: Json, act: str, body: Json, *, by: str = "approver-1", version: str = "*") -> Json:
        """An act on an order that must succeed."""
        return answered(self.post(f"orders/{order['id']}/{act}", body, by=by, version=version))

    def approve(self, order: Json, *, by: str = "approver-1", **fields: object) -> Json:
        return self.act(order, "approve", {"reason": "in order", **fields}, by=by)

    def block(self, *names: str, **fields: object) -> Json:
        """An active order; `names` are exact, or subtrees where they begin with `*.`."""
        return self.approve(self.propose(by="operator-1", targets=targets(*names or ("blocked.example",)), **fields))

    def exception(self, *names: str, **fields: object) -> Json:
        """An active exception."""
        return self.block(*names, kind="exception", conditions=None, **fields)

    def lift(self, order: Json, *, by: str = "approver-1", version: str = "*", **fields: object) -> Json:
        """Of an exception by two approvers: what would block again one proposes and another does."""
        body = {"ground": "wrong_block", "reason": "a mistake", **fields}
        done = self.act(order, "lift", body, by=by, version=version)
        if done["end_proposed"] is None:
            return done
        return self.act(order, "lift", body, by="approver-2" if by == "approver-1" else "approver-1")

    def mark(self, condition: Json, act: str, *, by: str, **fields: object) -> Json:
        """A mark on a condition that must succeed."""
        body = fields or ({"evidence": {"text": "see the letter"}} if act == "claim" else {"reason": "checked"})
        return answered(self.post(f"conditions/{condition['id']}/{act}", body, by=by))

    def meet(self, condition: Json) -> Json:
        """Claim and verify, by two people."""
        self.mark(condition, "claim", by="operator-1")
        return self.mark(condition, "verify", by="approver-1")

    def propose_many(self, names: Sequence[str], *, by: str = "operator-1", **fields: object) -> Json:
        """A proposal of more names than one request may carry, as an import makes it; canonical names."""
        command = OrderIn.model_validate({key: value for key, value in an_order(**fields).items() if key != "targets"})
        rows = sorted((sort_key(name.removeprefix("*.")), int(name.startswith("*."))) for name in names)
        with self.database.write() as session:
            actor = tokens.authenticate(session, self.tokens[by], now=self.clock())
            order = draft(session, actor, command, self.clock())
            order.targets_count = len(rows)
            order.targets_root = merkle_root(target_line(key, match) for key, match in rows)
            stored_targets.add(session, order.id, rows)
            submit(session, actor, order, command, self.clock())
            uid = order.uid
        return self.read(f"orders/{uid}")

    def publish(self) -> dict[str, int]:
        """What the publisher's loop does at one moment: what is due, then what was touched."""
        with self.database.write() as session:
            orders_clock.run_due(session, self.clock)
        return self.publisher.publish(self.clock())

    def zone(self, zone: str = ZONE) -> list[str]:
        """The records of the zone as an ISP would fetch them now, without the apex: `OWNER TARGET`."""
        self.publish()
        return records(self.get(f"zones/{zone}/export.rpz", by="isp-1").text, zone)

    def events(self, **narrowed: str) -> list[Json]:
        """The journal without the events of the template, oldest first."""
        query = "&".join(f"{key}={value}" for key, value in {"limit": "500", **narrowed}.items())
        items: list[Json] = self.read(f"audit/events?{query}")["items"]
        return [item for item in items if item["recorded_at"] >= "2026-11-22" and not item["type"].startswith("zone.")]

    def rows(self) -> dict[str, int]:
        """How many rows each table holds."""
        with self.database.read() as session:
            return {
                table.name: session.scalar(select(func.count()).select_from(table)) or 0
                for table in metadata.sorted_tables
            }

    def close(self) -> None:
        self.client.close()


def _header_names(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


@contextmanager
def running(settings: Settings, database: Database, clock: Clock, *, with_publisher: bool = False) -> Iterator[str]:
    """An application of its own behind a server of its own; `with_publisher` runs the publisher's thread."""
    application = create_app(settings, database, clock=clock, with_publisher=with_publisher)
    with serving(application, lifespan=with_publisher) as address:
        yield address


def acting(session: Session, name: str, role: Role = Role.ISP) -> Actor:
    """A principal with a token, made where it is new, as the service sees it when it asks."""
    text = tokens.create(session, HOST, role=role, name=name, expires_at=None, now=NOW - DAY)
    return tokens.authenticate(session, text, now=NOW)


def answered(response: httpx.Response, status: int = 200) -> Json:
    """The body of an answer that must have this status."""
    assert response.status_code == status, response.text
    body = response.json()
    assert isinstance(body, dict)
    return body


def problem(response: httpx.Response, status: int, code: str) -> Json:
    """The body of an answer that must be this problem document."""
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json"), (
        response.text
    )
    body = response.json()
    assert isinstance(body, dict)
    assert body["code"] == code, body
    return body


def targets(*names: str) -> list[Json]:
    """Targets: `name` is exact, `*.name` a subtree."""
    return [
        {"name": name.removeprefix("*."), "match": "subtree" if name.startswith("*.") else "exact"} for name in names
    ]


def a_leaf(code: str = "content_removed", **fields: object) -> Json:
    """A gating condition of a platform."""
    return {
        "code": code,
        "text": {"id": "Konten dihapus", "en": "The content is removed"},
        "responsible_party": "platform",
        "gating": True,
        "kind": "one_off",
        **fields,
    }


_numbers = iter(range(1, 10_000_000))


def an_order(**fields: object) -> Json:
    """A whole order as it is proposed; its number is one of its own, `fields` replace what is said here."""
    return {
        "number": f"EX-{next(_numbers)}",
        "dated": "2026-11-01",
        "authority": "Example Ministry",
        "kind": "block",
        "legal_basis": [{"instrument": "Example Act", "article": "1"}],
        "category": "gambling",
        "reason": {"id": "Perjudian daring", "en": "Online gambling"},
        "review_due_at": "2027-11-01T00:00:00Z",
        "targets": targets("blocked.example"),
        "conditions": a_leaf(),
        **fields,
    }


def records(export: str, zone: str = ZONE) -> list[str]:
    """The records of an `rpz` export, without its apex and comments: `OWNER TARGET`."""
    found = []
    for line in export.splitlines():
        if line and not line.startswith(";"):
            owner, _, _, rtype, target = line.split(maxsplit=4)
            if rtype == "CNAME":
                found.append(f"{owner.removesuffix(f'.{zone}.')} {target}")
    return found


def condition(order: Json, code: str = "content_removed") -> Json:
    """One condition of an order."""
    found: Json = next(each for each in order["conditions"] if each["code"] == code)
    return found


def text_of(moment: dt.datetime) -> str:
    """A moment as bodies write it."""
    return moment.isoformat().replace("+00:00", "Z")


def names_of(items: Sequence[Json]) -> list[str]:
    """The names of blocks or holders."""
    return [item["name"] for item in items]
