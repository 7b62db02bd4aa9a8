"""One life of the service in a process of its own, each thing done after the other, so that its steps can be counted.

It starts, makes the changes that it is given over HTTP, publishes, writes the zone's file, serves, exports and ends.
What fails is tried again once, as the service does by itself; what it did is told to the test.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app import logs
from app.db import Database
from app.journal import signing
from app.main import utc_now
from app.publication import building, follower
from app.publication.builder import Builder
from app.publication.marks import Marks
from app.publication.plan import Plan
from app.publication.publisher import Publisher
from app.settings import Settings
from tests.planted import replace
from tests.rigs.processes import FORKS, Running, end, enter, forked
from tests.service import ZONE

ORDERS = text("""SELECT number, state, version,
    (SELECT count(*) FROM events WHERE order_id = orders.id AND type LIKE 'order.%') FROM orders ORDER BY number""")
JOURNAL = text("SELECT (SELECT count(*) FROM events), (SELECT max(seq) FROM events), (SELECT size FROM journal_head)")


READY: list[FastAPI] = []
"""An application, made in the process that others are forked from."""


class Request(NamedTuple):
    """A change: `order` takes the place of `{order}` in its path once it is known."""

    by: str
    path: str
    body: Mapping[str, Any]
    key: str


@dataclass
class Told:
    """What a life told: what it found, which requests were answered with success, serials, and how it ended."""

    found: list[tuple[Any, ...]] = field(default_factory=list)
    mark: list[int] = field(default_factory=list)
    answered: dict[str, dict[str, Any]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    shown: list[tuple[int, frozenset[str]]] = field(default_factory=list)
    exported: list[str] = field(default_factory=list)
    checkpoint: list[str] = field(default_factory=list)
    status: int | None = None


class AtOnce(Builder):
    """Writes files in this process, and is done when it is told to begin."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database, self._zones = database, list[str]()

    def start(self, plan: Plan) -> None:
        building.write(plan, self._database.read)
        self._zones.append(plan.identity.zone.origin)

    def ended(self) -> str | None:
        return self._zones.pop() if self._zones else None


class Shown(follower.Follower):
    """Tells what it shows, as it shows it."""

    tell: Callable[..., None]

    def refresh(self, session: Session) -> tuple[str, ...]:
        changed = super().refresh(session)
        for version in self.zones.values():
            self.tell("shown", version.serial, frozenset(key for key, _ in version.rules()))
        return changed


class Life:
    """The parts of a service that has begun to run."""

    def __init__(self, tokens: Mapping[str, str], connection: Connection) -> None:
        self.tokens, self.connection = tokens, connection
        self.settings = Settings()
        self.database = Database(self.settings.database)
        marks = Marks(self.settings.data_dir / "marks", "transfer")
        with self.database.read() as session:
            self.tell("found", *[tuple(row) for row in [*session.execute(ORDERS), *session.execute(JOURNAL)]])
            self.tell("mark", marks.highest(ZONE))
        signing.start(self.database, self.settings, utc_now)
        self.app = READY.pop()
        self.app.state.settings, self.app.state.database = self.settings, self.database
        marked, never = Marks(self.settings.data_dir / "marks", "publisher"), self.app.state.guard.never
        self.publisher = Publisher(self.database, marked, self.settings.zone_settings, never)
        self.publisher.start(utc_now())
        self.follower = Shown(self.settings, marks, self.database.read, AtOnce(self.database))
        self.follower.tell = self.tell

    def run(self, requests: Sequence[Request]) -> None:
        """All there is to do."""
        self.tried(self.serve)
        order = ""
        for request in requests:
            if order or "{order}" not in request.path:
                order = self.ask(request, order) or order
        self.tried(lambda: self.publisher.publish(utc_now()))
        self.tried(self.serve)
        self.tried(self.export)
        self.database.close()

    def tell(self, what: str, *values: object) -> None:
        self.connection.send((what, *values))

    def tried(self, part: Callable[[], object]) -> None:
        """Do a part, and once more if it fails."""
        for _ in range(2):
            try:
                part()
            except (OSError, SQLAlchemyError, httpx.HTTPError) as error:
                self.tell("failed", repr(error))
            else:
                return

    def ask(self, request: Request, order: str) -> str | None:
        """Send a request once; the order that it is about, where it had success."""
        headers = {
            "Authorization": f"Bearer {self.tokens[request.by]}",
            "If-Match": "*",
            "Idempotency-Key": request.key,
        }
        response = asyncio.run(self._send("POST", request.path.format(order=order), headers, dict(request.body)))
        if response.is_success:
            self.tell("answered", request.key, response.json())
            return str(response.json()["id"])
        self.tell("refused", f"{request.path} {response.status_code} {response.text}")
        return None

    def serve(self) -> None:
        """Take the newest release, and show it: its file is written, and taken into use."""
        for _ in range(2):
            with self.database.read() as session:
                self.follower.refresh(session)

    def export(self) -> None:
        """Make the zone's file, and a checkpoint of the journal."""
        for what, path in (("exported", f"zones/{ZONE}/export.rpz"), ("checkpoint", "audit/checkpoint")):
            headers = {"Authorization": f"Bearer {self.tokens['isp-1']}"}
            self.tell(what, asyncio.run(self._send("GET", path, headers)).raise_for_status().text)

    async def _send(
        self, method: str, path: str, headers: Mapping[str, str], body: object | None = None
    ) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://pulih/api/v1/") as client:
            return await client.request(method, path, headers=headers, json=body)


def live(
    environment: Mapping[str, str],
    log: Path,
    plant: str | None,
    tokens: Mapping[str, str],
    requests: Sequence[Request],
    connection: Connection,
) -> None:
    """Run a life in this process; a zone of any size has a file, and a change of it another."""
    enter(environment, log, plant)
    logs.to_stderr()
    replace(follower, "SMALL", lambda _: -1)
    replace(follower, "FEWEST_DIRTY", lambda _: 0)
    Life(tokens, connection).run(requests)
    connection.close()


def lived(running: Running, requests: Sequence[Request]) -> Told:
    """A life of an installation in a process of its own, from its beginning to whatever end."""
    ours, theirs = FORKS.Pipe()
    given = (running.environment, running.log_file, running.plant, running.tokens)
    process = forked(live, *given, requests, theirs)
    theirs.close()
    told = Told()
    with suppress(EOFError):
        while True:
            what, *values = ours.recv()
            if what == "answered":
                told.answered[values[0]] = values[1]
            elif what == "shown":
                told.shown.append((values[0], values[1]))
            else:
                getattr(told, what).extend(values)
    process.join(20)
    told.status = process.exitcode
    end(process)
    ours.close()
    return told
