"""What must hold of an installation, seen from outside: its journal, its orders, and what its secondaries have."""

import subprocess
from base64 import b64decode
from dataclasses import dataclass, field
from typing import NamedTuple

import dns.exception
import dns.message
import dns.query
import dns.rdatatype
import pysqlite3
from sqlalchemy import make_url

from app.journal.append import leaf_hash
from app.journal.merkle import MerkleRoot
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
    command = [find("dig", "bind9-dnsutils"), "@127.0.0.1", "-p", str(port), ZONE, "AXFR", "+time=2", "+tries=1"]
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

    def check(self) -> None:
        """Read on: numbered without gaps, each leaf the hash of its event, the whole under the root that is signed."""
        text = self.running.get("/audit/checkpoint").text.splitlines()
        size, signed = int(text[1]), b64decode(text[2])
        with connection(self.running) as database:
            rows = database.execute(
                "SELECT seq, body, leaf FROM events WHERE seq > ? AND seq <= ? ORDER BY seq", (self.root.count, size)
            ).fetchall()
        for seq, body, leaf in rows:
            assert seq == self.root.count + 1, f"event {self.root.count + 1} is missing"
            assert leaf == leaf_hash(body.encode()), f"event {seq} is not what its leaf says"
            self.root.extend([body.encode()])
        assert (self.root.count, self.root.digest()) == (size, signed)


def check_orders(running: Running, ledger: Ledger) -> None:
    """Every change that was answered has had one effect, and nothing else happened to any order."""
    known = {order.number: (order.uid, order.state, order.version, order.acts) for order in ledger.orders if order.uid}
    acts = "SELECT count(*) FROM events WHERE order_id = orders.id AND type GLOB 'order.*'"
    query = f"SELECT number, uid, state, version, ({acts}) FROM orders"
    with connection(running) as database:
        found = {number: tuple(rest) for number, *rest in database.execute(query)}
    assert found == known


def check_database(running: Running) -> None:
    """SQLite finds nothing wrong with its file."""
    with connection(running) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []


def connection(running: Running) -> pysqlite3.dbapi2.Connection:
    return pysqlite3.dbapi2.connect(str(make_url(running.installation.database).database), timeout=30)
