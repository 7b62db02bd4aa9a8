"""BIND, started with exactly what is printed, plus its port, its directory and a name to answer for.

A second BIND stands where the zone comes from: the text is judged here, not our own server.
"""

import base64
import datetime as dt
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.update
import pytest

from app.db import Database
from app.settings import Settings
from app.subscribers.config import PrintConfig, config
from app.subscribers.keys import Tsig
from app.subscribers.seal import SecretKey
from tests.servers import Server, free_port, named, named_config, wait_until
from tests.subscribers.worlds import ROOT, registered

SOA = "@ 60 IN SOA localhost. normalisation.invalid. 100 300 60 2592000 60\n@ 60 IN NS localhost.\n"


@pytest.fixture
def ports() -> tuple[int, int]:
    """Where the zone comes from, and the resolver."""
    return free_port(), free_port()


@pytest.fixture
def tsig(database: Database, now: dt.datetime, secret_key: SecretKey, ports: tuple[int, int]) -> Tsig:
    added = registered(
        database, "isp-one", "127.0.0.1/32", now=now, notify=[f"127.0.0.1:{ports[1]}"], secret_key=secret_key
    )
    assert added.tsig is not None
    return added.tsig


@pytest.fixture
def primary(tmp_path: Path, tsig: Tsig, ports: tuple[int, int]) -> Iterator[Server]:
    """It serves one blocked name, to whoever signs with the subscriber's key, and notifies unsigned."""
    directory = tmp_path / "primary"
    directory.mkdir()
    (directory / "block.rpz.db").write_text(SOA + "blocked.example 60 IN CNAME .\n")
    statements = f"""
key "{tsig.name}" {{ algorithm {tsig.algorithm}; secret "{_base64(tsig)}"; }};
zone "block.rpz" {{
    type primary; file "block.rpz.db"; allow-update {{ 127.0.0.1; }};
    allow-transfer {{ key "{tsig.name}"; }}; notify explicit; notify-delay 0;
    also-notify {{ 127.0.0.1 port {ports[1]}; }};
}};"""
    with named(directory, named_config(directory, ports[0], "", statements), ports[0]) as server:
        yield server


@pytest.fixture
def resolver(
    tmp_path: Path, database: Database, settings: Settings, now: dt.datetime, primary: Server, ports: tuple[int, int]
) -> Iterator[Server]:
    """What is printed stands in two files; `named.conf` has the two lines that the text asks for."""
    directory = tmp_path / "resolver"
    directory.mkdir()
    settings = settings.model_copy(update={"dns_listen": f"127.0.0.1:{primary.port}"})
    with database.write() as session:
        for file, part in (("pulih.conf", None), ("pulih-options.conf", "options")):
            text = config(session, ROOT, PrintConfig("isp-one", "bind", part=part), now, settings=settings)
            (directory / file).write_text(text)
    (directory / "example.db").write_text(SOA + "blocked 60 IN A 192.0.2.80\nother 60 IN A 192.0.2.81\n")
    statements = 'include "pulih.conf";\nzone "example" { type primary; file "example.db"; };'
    whole = named_config(directory, ports[1], 'include "pulih-options.conf";', statements)
    with named(directory, whole, ports[1]) as server:
        yield server


def test_what_is_printed_blocks_and_lifts_at_once(
    primary: Server, resolver: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    wait_until(lambda: answer(resolver, "blocked.example") == "NXDOMAIN", 20, resolver.log)
    assert answer(resolver, "other.example") == "192.0.2.81"

    lifted = changed(primary, resolver, "delete", "blocked.example", "192.0.2.80")
    blocked = changed(primary, resolver, "add", "other.example", "NXDOMAIN")

    with capsys.disabled():
        sys.stdout.write(f"\nBIND as printed: lifted in {lifted * 1000:.0f} ms, blocked in {blocked * 1000:.0f} ms\n")
    assert max(lifted, blocked) < 10, "BIND's own interval is 60 s"


def test_it_takes_increments_by_notify_and_gives_the_zone_to_nobody(primary: Server, resolver: Server) -> None:
    wait_until(lambda: answer(resolver, "blocked.example") == "NXDOMAIN", 20, resolver.log)

    changed(primary, resolver, "add", "other.example", "NXDOMAIN")

    assert "received notify for zone 'block.rpz'" in resolver.log()
    assert "transfer of 'block.rpz/IN' from 127.0.0.1" in resolver.log()
    assert "IXFR" in primary.log()
    query = dns.message.make_query("block.rpz.", "AXFR")
    assert dns.query.tcp(query, "127.0.0.1", port=resolver.port, timeout=5).rcode() == dns.rcode.REFUSED


def changed(primary: Server, resolver: Server, act: str, name: str, wanted: str) -> float:
    """Add or delete a rule; the seconds until the resolver answers `wanted`."""
    update = dns.update.UpdateMessage("block.rpz.")
    if act == "add":
        update.add(name, 60, "CNAME", ".")
    else:
        update.delete(name)
    began = time.monotonic()
    dns.query.tcp(update, "127.0.0.1", port=primary.port, timeout=5)
    wait_until(lambda: answer(resolver, name) == wanted, 20, resolver.log)
    return time.monotonic() - began


def answer(server: Server, name: str) -> str:
    """An address, or what the server said instead."""
    reply = dns.query.udp(dns.message.make_query(name, "A"), "127.0.0.1", port=server.port, timeout=5)
    addresses = [str(record) for rrset in reply.answer for record in rrset if record.rdtype == dns.rdatatype.A]
    return addresses[0] if addresses else dns.rcode.to_text(reply.rcode())


def _base64(tsig: Tsig) -> str:
    return base64.b64encode(tsig.secret).decode()
