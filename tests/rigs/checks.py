"""What must hold of an installation, seen from outside: its journal, its orders, and what its secondaries have."""

import hashlib
import subprocess
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import dns.exception
import dns.message
import dns.query
import dns.rdatatype
from sqlalchemy import TextClause, text

from app.db import Database
from app.journal.append import leaf_hash
from app.journal.merkle import MerkleRoot
from tests import databases
from tests.rigs.ledger import Ledger
from tests.rigs.processes import Running
from tests.servers import find
from tests.service import ZONE


class Zone(NamedTuple):
    """What a server has of the zone."""

    serial: int
    names: set[str]


def dug(port: int) -> Zone | None:
    """The zone as `dig` takes it; None where it cannot be had, or not whole."""
    command = [str(find("dig", "bind9-dnsutils")), "@127.0.0.1", "-p", str(port), ZONE, "AXFR", "+time=2", "+tries=1"]
    lines = [
        line.split()
        for line in subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
        if line and not line.startswith(";")
    ]
    if len(lines) < 2 or lines[0] != lines[-1]:
        return None
    owners = {line[0].removesuffix(f".{ZONE}.") for line in lines if line[3] == "CNAME"}
    return Zone(int(lines[0][6]), {owner for owner in owners if not owner.startswith("*.")})


def serial_at(port: int) -> int | None:
    """The serial that a server shows; None where it shows none."""
    try:
        reply = dns.query.udp(dns.message.make_query(ZONE, "SOA", flags=0), "127.0.0.1", port=port, timeout=0.5)
    except (OSError, dns.exception.DNSException):
        return None
    soa = [rrset[0] for rrset in reply.answer if rrset.rdtype == dns.rdatatype.SOA]
    return int(soa[0].serial) if soa else None


@dataclass
class Journal:
    """The journal as it was read so far; a root it was shown to have, it has for ever."""

    running: Running
    root: MerkleRoot = field(default_factory=MerkleRoot)

    def check(self, checkpoint: str) -> None:
        """Read on: numbered without gaps, each leaf the hash of its event, the whole under the root that is signed."""
        _, size, signed = checkpoint.splitlines()[:3]
        query = text("SELECT seq, body, leaf FROM events WHERE seq > :known AND seq <= :size ORDER BY seq")
        for seq, body, leaf in rows(self.running, query, known=self.root.count, size=int(size)):
            assert seq == self.root.count + 1, f"event {self.root.count + 1} is missing"
            assert leaf == leaf_hash(body.encode()), f"event {seq} is not what its leaf says"
            self.root.extend([body.encode()])
        assert (self.root.count, self.root.digest()) == (int(size), b64decode(signed)), "not the root that is signed"


def check_orders(running: Running, ledger: Ledger) -> None:
    """Every change that was answered has had one effect, and nothing else happened to any order."""
    known = {order.number: (order.uid, order.state, order.version, order.acts) for order in ledger.orders if order.uid}
    acts = "SELECT count(*) FROM events WHERE order_id = orders.id AND type LIKE 'order.%'"
    found = rows(running, text(f"SELECT number, uid, state, version, ({acts}) FROM orders"))
    assert {number: tuple(rest) for number, *rest in found} == known, "not what was answered"


def check_marks(running: Running, shown: Mapping[str, int]) -> None:
    """No mark is behind what a secondary may have seen."""
    mark = int((data_dir(running) / "marks" / "transfer" / ZONE).read_text())
    assert mark >= max(shown.values()), "a serial was shown that no mark knows"


def check_files(running: Running) -> None:
    """A file of a zone that is said to be whole is whole."""
    for said in data_dir(running).rglob("*.sha256"):
        for line in said.read_text().splitlines():
            digest, name = line.split()
            assert hashlib.sha256((said.parent / name).read_bytes()).hexdigest() == digest, f"{said.name} is not right"


def check_export(text: str) -> None:
    """The end of an export is right about what stands above it."""
    above, _, end = text.rpartition("; end: ")
    assert f"sha256={hashlib.sha256(above.encode()).hexdigest()}" in end


def check_database(running: Running) -> None:
    """SQLite finds nothing wrong with its file."""
    if databases.KIND == "sqlite":
        assert rows(running, text("PRAGMA integrity_check")) == [("ok",)]
        assert rows(running, text("PRAGMA foreign_key_check")) == []


def rows(running: Running, query: TextClause, **values: int) -> list[tuple[Any, ...]]:
    """What a query finds, beside the service."""
    database = Database(running.installation.database)
    try:
        with database.read() as session:
            return [tuple(row) for row in session.execute(query, values)]
    finally:
        database.close()


def data_dir(running: Running) -> Path:
    return running.installation.directory / "var"
