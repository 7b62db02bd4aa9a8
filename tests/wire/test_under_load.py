"""Files written anew, new bases, changes of hundreds of names and transfers by many, all at once: every zone that
anybody takes is one that was published, whole.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select

from app.db import Database
from app.publication import digest
from app.publication.models import Release, Zone, ZoneSerial
from app.publication.store import rules_of_release, table_of
from tests.installation import Installation, Service, order, order_file, prepared
from tests.policy.scale import Record, scaled, tell
from tests.servers import wait_until
from tests.service import Template
from tests.wire.takers import Taken, Taker

pytestmark = pytest.mark.long

SECONDS = 6
"""At PULIH_TEST_SCALE=60 ten minutes."""

NAMES = 30_000
"""More than are rendered without a file; each change touches most of its chunks, so that it is written anew."""

AT_ONCE = 250
TAKERS = 3
FEWEST = 3
ZONES = ("block.rpz", "base.block.rpz", "urgent.block.rpz")
SETTINGS = {"PULIH_REBASE_SETTLING": "1s", "PULIH_REBASE_KEEP": "1s", "PULIH_UNSEEN_WINDOW": "1s"}


@pytest.fixture
def installation(tmp_path: Path, template: Template) -> Installation:
    """One with a list, and an ISP that takes its zone in layers."""
    made = prepared(tmp_path, template, SETTINGS)
    (tmp_path / "list.txt").write_text("".join(f"{name(number)}\n" for number in range(NAMES)))
    (tmp_path / "order.toml").write_text(order_file("LIST-1"))
    made.pulih("subscriber", "add", "isp-one", "--address", "127.0.0.1/32", "--layers")
    return made


def name(number: int) -> str:
    return f"name{number * 7919 % 1_000_003:07}.example"


class Ministry:
    """Orders that begin and end, each of names from everywhere in the list, and a new base now and then."""

    def __init__(self, service: Service, over: threading.Event) -> None:
        self._service, self._over = service, over
        self._random = random.Random("ministry")
        self._orders: list[str] = []
        self.acts = self.bases = 0

    def run(self) -> None:
        while not self._over.wait(self._random.choice((0.1, 1.2))):
            self._act()

    def _act(self) -> None:
        chance = self._random.random()
        if chance < 0.15:
            self._service.installation.pulih("rebase")
            self.bases += 1
        elif chance < 0.5 and self._orders:
            chosen = self._orders.pop(self._random.randrange(len(self._orders)))
            self._service.act(f"/orders/{chosen}/lift", {"ground": "wrong_block", "reason": "x"}, "approver-1")
        else:
            self._block()
        self.acts += 1

    def _block(self) -> None:
        names = self._random.sample(range(NAMES, 3 * NAMES), AT_ONCE)
        body = order(f"EX-{self.acts}", *((name(number), "subtree") for number in names))
        entered = self._service.act("/orders", body, "operator-1", 201)
        self._service.act(f"/orders/{entered['id']}/approve", {"reason": "Read"}, "approver-1")
        self._orders.append(entered["id"])


def test_whatever_is_taken_was_published(installation: Installation, record_property: Record) -> None:
    over = threading.Event()
    with installation.serving() as service:
        published(service)
        ministry = Ministry(service, over)
        takers = [Taker(installation.dns_port, ZONES, over, seed) for seed in range(TAKERS)]
        with ThreadPoolExecutor() as threads:
            runs = [threads.submit(run) for run in (ministry.run, *(taker.run for taker in takers))]
            time.sleep(scaled(SECONDS))
            try:
                wait_until(lambda: is_enough(ministry, takers, runs), 120, service.log)
            finally:
                over.set()
        for run in runs:
            run.result()
        files = service.log().count("from its file")
        assert "Traceback" not in service.log()

    taken = [each for taker in takers for each in taker.taken]
    assert mixed(installation, taken) == []
    kinds = Counter(each.kind for each in taken)
    tell(
        record_property,
        acts=ministry.acts,
        bases=ministry.bases,
        files_taken_into_use=files,
        zones_taken=len(taken),
        by_axfr=kinds["AXFR"],
        by_ixfr=kinds["IXFR"],
        serials=len({(each.zone, each.serial) for each in taken}),
    )
    assert files > FEWEST


def is_enough(ministry: Ministry, takers: Sequence[Taker], runs: Sequence[Future[None]]) -> bool:
    """Whether there was enough of everything, or something went wrong."""
    counts = Counter((each.zone, each.kind) for taker in takers for each in taker.taken)
    seen = [sum(count for (_, kind), count in counts.items() if kind == wanted) for wanted in ("AXFR", "IXFR")]
    seen += [sum(count for (zone, _), count in counts.items() if zone == wanted) for wanted in ZONES]
    return any(run.done() for run in runs) or min(*seen, ministry.acts) > FEWEST


def published(service: Service) -> None:
    service.installation.pulih("import", "list.txt", "--order-file", "order.toml", as_="operator-1")
    listed = service.get("/orders", number="LIST-1")["items"][0]
    plan_hash = service.get(f"/orders/{listed['id']}/plan")["plan_hash"]
    service.act(f"/orders/{listed['id']}/approve", {"reason": "Read", "plan_hash": plan_hash}, "approver-1")
    wait_until(lambda: service.get("/zones/block.rpz")["names"] == NAMES, 60, service.log)
    wait_until(lambda: len(service.get("/zones")["items"]) == len(ZONES), 60, service.log)


def mixed(installation: Installation, taken: list[Taken]) -> list[Taken]:
    """What was taken and is no zone that was published: its digest is not that of its serial."""
    database = Database(installation.database)
    try:
        right = {found: published_digest(database, *found) for found in {(each.zone, each.serial) for each in taken}}
    finally:
        database.close()
    return [each for each in taken if right[each.zone, each.serial] != each.digest]


def published_digest(database: Database, zone: str, serial: int) -> str:
    """The digest of what the rules say of a zone at a serial, and of a zone in full what its release said of itself."""
    with database.read() as session:
        query = select(Release).join(ZoneSerial, ZoneSerial.release_id == Release.id).join(Zone)
        release = session.scalars(query.where(Zone.name == zone, ZoneSerial.serial == serial)).one()
        rules = rules_of_release(session, release.id, table=table_of(zone))
        total = sum(digest.rule_number(key, rule) for key, rule in rules)
        found = digest.of_sum(digest.stored(total)).hex()
        assert not zone.startswith("block.") or found == release.digest.hex()
        return found
