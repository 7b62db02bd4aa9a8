"""The service itself on a disk that runs full, gets room again, and then fails: the zone is served throughout."""

import time
from pathlib import Path

import dns.query
import dns.zone
import httpx
import pytest

from tests import databases
from tests.disk import rooms
from tests.installation import Service, order, prepared
from tests.policy.scale import Record
from tests.servers import wait_until
from tests.service import Template

ZONE = "block.rpz"
HEALED = 60.0
"""Seconds after room is there again until changes go out."""

SEEN = 20.0
"""Seconds until its health says that something is wrong."""

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(databases.KIND != "sqlite", reason="a server of PostgreSQL has its own disk"),
]


def test_zones_are_served_from_a_disk_that_is_full_and_from_one_that_fails(
    tmp_path: Path, template: Template, record_property: Record
) -> None:
    with rooms.disk(tmp_path / "var", 32) as room:
        installation = prepared(tmp_path, template)
        installation.pulih("subscriber", "add", "isp-one", "--address", "127.0.0.1/32")
        with installation.serving() as service:
            blocked(service, 1)
            wait_for_name(service, 1)

            ballast = room.fill()
            number = next(number for number in range(2, 500) if not blocked(service, number, "storage_full"))
            wait_for_health(service, 503)
            assert "no space is left" in httpx.get(f"{installation.url}/readyz").text
            assert has_name(service, 1)

            ballast.unlink()
            began = time.monotonic()
            wait_until(lambda: blocked(service, number + 500, "storage_full"), HEALED, service.log)
            wait_for_name(service, number + 500)
            wait_for_health(service, 200)
            record_property("ms to heal once there is room", round((time.monotonic() - began) * 1000))

            room.abort()
            assert not blocked(service, number + 501, "not_writable")
            wait_for_health(service, 503)
            assert has_name(service, 1)
            assert has_name(service, number + 500)
            assert service.get("/names/n1.example", None)["blocked"] is True


def blocked(service: Service, number: int, refusal: str = "") -> bool:
    """Propose and approve; False where that was refused, which must be with this code."""
    headers = {"Authorization": f"Bearer {service.installation.token('operator-1')}", "If-Match": "*"}
    orders = f"{service.installation.url}/api/v1/orders"
    targets = [(f"n{number}.example", "exact"), *((f"{'x' * 60}{n}.n{number}.example", "exact") for n in range(200))]
    proposed = httpx.post(orders, json=order(f"EX-{number}", *targets), headers=headers, timeout=30)
    if proposed.status_code != 201:
        assert proposed.json()["code"] == refusal, proposed.text
        return False
    headers["Authorization"] = f"Bearer {service.installation.token('approver-1')}"
    path = f"{orders}/{proposed.json()['id']}/approve"
    approved = httpx.post(path, json={"reason": "in order"}, headers=headers, timeout=30)
    if approved.status_code != 200:
        assert approved.json()["code"] == refusal, approved.text
        return False
    return True


def has_name(service: Service, number: int) -> bool:
    """Whether a full transfer of the zone has a name."""
    zone = dns.zone.Zone(ZONE)
    dns.query.inbound_xfr("127.0.0.1", zone, port=service.installation.dns_port, timeout=5, lifetime=10)
    return zone.get_node(f"n{number}.example") is not None


def wait_for_name(service: Service, number: int) -> None:
    wait_until(lambda: has_name(service, number), HEALED, service.log)


def wait_for_health(service: Service, status: int) -> None:
    address = f"{service.installation.url}/readyz"
    wait_until(lambda: httpx.get(address).status_code == status, SEEN, lambda: httpx.get(address).text)
