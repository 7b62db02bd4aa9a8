"""From an order to a real resolver and back: everything as a user runs it, BIND as its operator configures it."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import dns.rcode
import pytest

from tests.installation import Installation, Service, order, prepared, settle
from tests.servers import Server, free_port, named, named_config, wait_until
from tests.service import Template

pytestmark = pytest.mark.database

LIMIT = 1.0
"""Seconds from the last mark to the resolver's answer, with no other release in the second before."""

ZONE = """@ 60 IN SOA localhost. root.localhost. 1 300 60 86400 60
@ 60 IN NS localhost.
* 60 IN A 192.0.2.80
"""


@pytest.fixture
def resolver_port() -> int:
    return free_port()


@pytest.fixture
def installation(tmp_path: Path, resolver_port: int) -> Installation:
    made = Installation(tmp_path)
    made.pulih("upgrade")
    for role in ("operator-1", "approver-1", "approver-2", "auditor-1"):
        made.token(role)
    made.add_subscriber("isp-one", notify_port=resolver_port)
    return made


@pytest.fixture
def service(installation: Installation) -> Iterator[Service]:
    with installation.serving() as running:
        yield running


@pytest.fixture
def resolver(service: Service, tmp_path: Path, resolver_port: int) -> Iterator[Server]:
    """BIND with exactly what `subscriber config` prints, plus its port, its directory and a zone to answer from."""
    with bind_of(service.installation, tmp_path / "bind", resolver_port) as server:
        wait_until(lambda: "transfer of 'block.rpz/IN'" in server.log(), 20, server.log)
        yield server


def bind_of(installation: Installation, directory: Path, port: int) -> AbstractContextManager[Server]:
    directory.mkdir()
    (directory / "pulih.conf").write_text(installation.pulih("subscriber", "config", "isp-one", "--for", "bind"))
    options = installation.pulih("subscriber", "config", "isp-one", "--for", "bind", "--part", "options")
    (directory / "pulih-options.conf").write_text(options)
    (directory / "example.db").write_text(ZONE)
    statements = 'include "pulih.conf";\nzone "example" { type primary; file "example.db"; };'
    return named(directory, named_config(directory, port, 'include "pulih-options.conf";', statements), port)


def answer(server: Server, name: str) -> str:
    """NXDOMAIN, or the address that the resolver gives."""
    reply = dns.query.udp(dns.message.make_query(name, "A"), "127.0.0.1", port=server.port, timeout=5)
    if reply.rcode() == dns.rcode.NXDOMAIN:
        return "NXDOMAIN"
    return str(reply.answer[0][0]) if reply.answer else dns.rcode.to_text(reply.rcode())


def wait_for_answer(server: Server, name: str, wanted: str, timeout: float = 10) -> float:
    """Seconds until the resolver answers as wanted."""
    began = time.monotonic()
    wait_until(
        lambda: answer(server, name) == wanted, timeout, lambda: f"{name}: {answer(server, name)}\n{server.log()}"
    )
    return time.monotonic() - began


def approved(service: Service, body: dict[str, Any]) -> dict[str, Any]:
    """Propose as one person, approve as another, who has seen the plan: so many names need that."""
    proposed = service.act("/orders", body, "operator-1", status=201)
    plan = service.get(f"/orders/{proposed['id']}/plan")
    checked = {"reason": "Checked", "plan_hash": plan["plan_hash"]}
    made: dict[str, Any] = service.act(f"/orders/{proposed['id']}/approve", checked, "approver-1")
    return made


def met(service: Service, condition: dict[str, Any]) -> dict[str, Any]:
    """Claim a condition as one person, verify it as another; what the verification answered."""
    path = f"/conditions/{condition['id']}"
    service.act(f"{path}/claim", {"evidence": {"text": "A letter of today"}}, "operator-1")
    verified: dict[str, Any] = service.act(f"{path}/verify", {"reason": "The letter is genuine"}, "approver-1")
    return verified


@pytest.mark.alone
def test_the_last_verified_condition_lifts_the_block_within_a_second(
    service: Service, resolver: Server, record_property: Callable[[str, object], None]
) -> None:
    wanted = order(
        "EX-1", ("blocked.example", "exact"), ("casino.example", "subtree"), conditions=("removed", "office")
    )
    assert answer(resolver, "blocked.example") == "192.0.2.80"

    made = approved(service, wanted)
    blocked_in = wait_for_answer(resolver, "blocked.example", "NXDOMAIN")
    assert answer(resolver, "deep.www.casino.example") == "NXDOMAIN"
    assert answer(resolver, "www.blocked.example") == "192.0.2.80"
    assert met(service, made["conditions"][0])["order"]["state"] == "active"
    settle()
    last = met(service, made["conditions"][1])
    lifted_in = wait_for_answer(resolver, "blocked.example", "192.0.2.80")

    record_property("ms from approval to the block", round(blocked_in * 1000))
    record_property("ms from the last verification to the answer", round(lifted_in * 1000))
    assert last["order"] == {"id": made["id"], "number": "EX-1", "state": "ended", "ground": "conditions_met"}
    assert lifted_in <= LIMIT
    assert answer(resolver, "deep.www.casino.example") == "192.0.2.80"
    history = [event["type"] for event in service.get("/names/blocked.example/history")["items"]]
    assert history == [
        "order.proposed",
        "order.approved",
        "condition.claimed",
        "condition.met",
        "condition.claimed",
        "condition.met",
        "order.ended",
    ]


def test_what_is_sent_is_found_to_be_what_was_decided_while_the_service_runs(
    tmp_path: Path, template: Template
) -> None:
    installation = prepared(tmp_path, template)
    installation.add_subscriber("isp-one")
    with installation.serving() as service:
        approved(service, order("EX-1", ("casino.example", "subtree")))
        wait_until(lambda: service.get("/zones/block.rpz")["names"] == 1, 10, service.log)

        found = installation.pulih("fsck")

    assert found.splitlines()[-1] == "10 OK, 0 WRONG, 4 NOT CHECKED, 0 COULD NOT LOOK", found
    assert "sends serial" in found
