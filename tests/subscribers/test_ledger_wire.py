"""The ledger beside what a client really did: DNS over sockets into the transfer process, HTTP out."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import dns.tsig
import pytest

from tests.installation import Service, order, prepared, settle
from tests.servers import wait_until
from tests.service import Template
from tests.subscribers.wire import tsig_key
from tests.wire.clients import query, raw_answer, tcp, transfer, udp

UNSIGNED = "127.0.0.2"


pytestmark = [pytest.mark.xdist_group("ledger wire"), pytest.mark.database]


class Running(NamedTuple):
    """One installation for all tests here, and the key of `isp-one`; `isp-two` does not sign."""

    service: Service
    port: int
    key: dns.tsig.Key


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, template: Template) -> Iterator[Running]:
    installation = prepared(tmp_path_factory.mktemp("ledger"), template)
    installation.pulih("subscriber", "add", "isp-two", "--address", UNSIGNED)
    key = tsig_key(installation.add_subscriber("isp-one"))
    with installation.serving() as service:
        yield Running(service, installation.dns_port, key)


def publish(service: Service, number: int) -> int:
    """One more blocked name; the serial in which it is served."""
    before = int(service.get("/zones/block.rpz")["serial"])
    proposed = service.act("/orders", order(f"EX-{number}", (f"name{number}.example", "exact")), "operator-1", 201)
    service.act(f"/orders/{proposed['id']}/approve", {"reason": "Checked"}, "approver-1")
    wait_until(lambda: service.get("/zones/block.rpz")["serial"] > before, 10, service.log)
    return int(service.get("/zones/block.rpz")["serial"])


def ledger(service: Service, name: str) -> list[dict[str, Any]]:
    """The rows of a subscriber, newest first."""
    items: list[dict[str, Any]] = service.get(f"/subscribers/{name}/transfers")["items"]
    return items


def newest(service: Service, name: str, wanted: int) -> dict[str, Any]:
    """The newest row of a ledger, once it has so many."""
    wait_until(lambda: len(ledger(service, name)) >= wanted, 10, lambda: f"{ledger(service, name)}\n{service.log()}")
    rows = ledger(service, name)
    assert len(rows) == wanted, rows
    return rows[0]


def serials(service: Service, name: str) -> list[int | None]:
    """What it has and what it was sent."""
    [zone] = service.get(f"/subscribers/{name}")["zones"]
    return [part and part["serial"] for part in (zone["has"], zone["sent"])]


def test_a_client_that_signs(running: Running) -> None:
    service, port, key = running
    known, first = len(ledger(service, "isp-one")), publish(service, 1)
    wait_until(lambda: str(first) in str(udp(query("SOA", key=key), port)), 10, service.log)

    assert len(transfer(port, key=key)) == 4
    row = newest(service, "isp-one", known + 1)
    assert (row["kind"], row["address"], row["sent_serial"], row["has"]) == ("axfr", "127.0.0.1", first, None)
    assert row["octets"] > 200
    assert row["outcome"] == "done"
    assert serials(service, "isp-one") == [None, first]

    udp(query("SOA", key=key), port)
    row = newest(service, "isp-one", known + 2)
    assert (row["kind"], row["has"]["serial"]) == ("soa", first)

    settle()
    second = publish(service, 2)
    wait_until(lambda: str(second) in str(udp(query("SOA", key=key), port)), 10, service.log)
    [zone] = service.get("/subscribers/isp-one")["zones"]
    assert zone["not_yet_blocked"]["items"] == [{"name": "name2.example", "match": "exact"}]
    assert transfer(port, "IXFR", key=key, serial=first)
    row = newest(service, "isp-one", known + 3)
    assert (row["asked_serial"], row["sent_serial"], row["has"]["serial"]) == (first, second, first)
    assert tcp(query("IXFR", key=key, serial=second), port).answer
    assert newest(service, "isp-one", known + 4)["has"]["serial"] == second
    [zone] = service.get("/subscribers/isp-one")["zones"]
    assert (zone["behind"], zone["not_yet_blocked"]["count"]) == ({"serials": 0, "seconds": 0}, 0)


def test_a_client_without_its_key_is_refused_and_told_why(running: Running) -> None:
    service, port, _ = running
    known = len(ledger(service, "isp-one"))
    assert tcp(query("AXFR"), port).rcode() == 5

    row = newest(service, "isp-one", known + 1)
    assert (row["kind"], row["sent_serial"]) == ("refused", None)
    assert row["outcome"] == "key: 127.0.0.1 must sign its transfers"


def test_a_datagram_that_anybody_could_send_changes_nothing(running: Running) -> None:
    service, port, _ = running
    first = publish(service, 3)
    wait_until(lambda: str(first) in str(udp(query("SOA"), port, UNSIGNED)), 10, service.log)
    assert tcp(query("IXFR", serial=first), port, UNSIGNED).answer
    assert newest(service, "isp-two", 1)["has"]["serial"] == first

    assert raw_answer(query("IXFR", serial=first - 1).to_wire(), port, UNSIGNED)
    wait_until(lambda: asked(service, "isp-two") == first - 1, 10, service.log)

    assert serials(service, "isp-two") == [first, None]


def asked(service: Service, name: str) -> object:
    """The serial that it last asked from."""
    [zone] = service.get(f"/subscribers/{name}")["zones"]
    return zone["asked"]["serial"]
