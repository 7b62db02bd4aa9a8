"""What the ledger says of a real BIND that took a block, was down when it was lifted, and came back."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.opcode
import dns.query
import dns.tsig
import pytest

from tests.installation import Service, order, prepared
from tests.resolvers.test_main_job import bind_of
from tests.servers import Server, free_port, named, wait_until
from tests.service import Template
from tests.subscribers.wire import tsig_key

pytestmark = pytest.mark.long

NAME = "blocked.example"


def test_a_lift_while_it_is_down_is_shown_until_it_is_back(
    tmp_path: Path, template: Template, record_property: Callable[[str, object], None]
) -> None:
    installation = prepared(tmp_path, template)
    port = free_port()
    key = tsig_key(installation.add_subscriber("isp-one", notify_port=port))
    with installation.serving() as service:
        with bind_of(installation, tmp_path / "bind", port) as server:
            made = blocked(service)
            wait_until(lambda: at_isp(service)["has"] is not None, 20, server.log)
            wait_until(lambda: poked(server, key) and at_isp(service)["in_effect"] is True, 20, server.log)
        there = at_isp(service)
        assert there["blocks"] is True
        [increment] = [row for row in transfers(service) if row["sent_serial"] == there["has"]["serial"]][-1:]
        assert (increment["kind"], increment["address"], increment["outcome"]) == ("ixfr", "127.0.0.1", "done")
        assert increment["octets"] > 100
        record_property("octets of the increment", increment["octets"])

        service.act(f"/orders/{made['id']}/lift", {"ground": "wrong_block", "reason": "Decided"}, "approver-1")
        wait_until(lambda: at_isp(service)["in_effect"] is False, 10, service.log)
        assert still_blocked(service) == {"count": 1, "exact": True, "items": [{"name": NAME, "match": "exact"}]}
        assert "still blocks it" in installation.pulih("explain", NAME, "--isp", "isp-one")
        assert "reached 0 of 1 ISPs" in installation.pulih("explain", NAME)

        with named(tmp_path / "bind", (tmp_path / "bind" / "named.conf").read_text(), port) as server:
            wait_until(lambda: poked(server, key) and at_isp(service)["in_effect"] is True, 20, server.log)
        assert at_isp(service)["blocks"] is False
        assert still_blocked(service) == {"count": 0, "exact": True, "items": []}
        assert "reached 1 of 1 ISPs" in installation.pulih("explain", NAME)


def blocked(service: Service) -> dict[str, Any]:
    proposed = service.act("/orders", order("EX-1", (NAME, "exact")), "operator-1", status=201)
    made: dict[str, Any] = service.act(f"/orders/{proposed['id']}/approve", {"reason": "Checked"}, "approver-1")
    return made


def at_isp(service: Service) -> dict[str, Any]:
    [zone] = service.get(f"/names/{NAME}", isp="isp-one")["isp"]["zones"]
    assert isinstance(zone, dict)
    return zone


def still_blocked(service: Service) -> dict[str, Any]:
    [zone] = service.get("/subscribers/isp-one")["zones"]
    found: dict[str, Any] = zone["still_blocked"]
    return found


def transfers(service: Service) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = service.get("/subscribers/isp-one/transfers")["items"]
    return items


def poked(server: Server, key: dns.tsig.Key) -> bool:
    """Tell BIND to look at the serial now, as at its next refresh."""
    notify = dns.message.make_query("block.rpz.", "SOA")
    notify.set_opcode(dns.opcode.NOTIFY)
    notify.flags = (notify.flags & ~dns.flags.RD) | dns.flags.AA
    notify.use_tsig(key)
    answer = dns.query.udp(notify, "127.0.0.1", port=server.port, timeout=5)
    return answer.rcode() == 0
