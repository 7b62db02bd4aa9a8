"""A real list of 323,000 dirty lines: imported, judged line by line, approved, published, and loaded by BIND."""

import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import pytest
from pysqlite3 import dbapi2

from tests.installation import Installation, Service, order_file
from tests.installation import order as an_order
from tests.resolvers.test_main_job import answer, bind_of
from tests.servers import find, free_port, wait_until

SECONDS = 60.0 if os.environ.get("CI") == "true" else 30.0
"""Until the list is published. Thirty are promised, of a machine with nothing else to do; others may slow CI's down."""

MEGABYTES = 300
LIFT_SECONDS = 1.0
"""Until a lift is published that comes while a large order is being published."""


def real_lines() -> list[str]:
    """The lines of two published lists of throw-away mail domains, as they are: comments, blanks, Unicode and all."""
    burners = next(path for path in _files("is_burner_email") if path.name == "blacklist.txt").read_text("utf-8")
    disposable = next(path for path in _files("isdisposable") if path.name == "domains.json").read_text("utf-8")
    return [*burners.splitlines(), *json.loads(disposable)]


def _files(package: str) -> Iterator[Path]:
    with resources.as_file(resources.files(package)) as folder:
        yield from folder.rglob("*")


@contextmanager
def peak_memory(service: Service) -> Iterator[dict[str, int]]:
    """Fills in the highest resident memory, in MB, of each process of the service."""
    peaks: dict[str, int] = {}
    yield peaks
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text().split()
    for pid in (str(service.process.pid), *children):
        high = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        assert high is not None
        peaks[command[2].decode()] = int(high[1]) // 1024


@contextmanager
def waits_for_the_lock(database: Path) -> Iterator[list[float]]:
    """Fills in how many seconds a writer had to wait for its turn, again and again while the block runs."""
    waits: list[float] = []
    done = threading.Event()

    def write() -> None:
        connection = dbapi2.connect(str(database), timeout=60, isolation_level=None)
        while not done.wait(0.1):
            began = time.monotonic()
            connection.execute("BEGIN IMMEDIATE")
            waits.append(time.monotonic() - began)
            connection.execute("ROLLBACK")
        connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield waits
    finally:
        done.set()
        writer.join()


@pytest.mark.alone
def test_a_real_list_is_imported_published_and_loaded(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    lines = real_lines()
    (tmp_path / "list.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "order.toml").write_text(order_file("LIST-1"))
    resolver_port = free_port()
    installation = Installation(tmp_path)
    installation.pulih("upgrade")
    for name in ("operator-1", "approver-1", "auditor-1"):
        installation.token(name)
    installation.add_subscriber("isp-one", notify_port=resolver_port)

    with installation.serving() as service, peak_memory(service) as peaks:
        began = time.monotonic()
        command = ["import", "list.txt", "--order-file", "order.toml", "--partial", "--json"]
        printed = installation.pulih(*command, as_="operator-1")
        imported = time.monotonic() - began
        small = service.act("/orders", an_order("EX-1", ("small.example", "exact")), "operator-1", 201)
        service.act(f"/orders/{small['id']}/approve", {"reason": "Read"}, "approver-1")
        wait_until(lambda: _names(service) == 1, 10, service.log)
        order = service.get("/orders", number="LIST-1")["items"][0]
        reads = time.monotonic()
        plan = service.get(f"/orders/{order['id']}/plan")
        began += time.monotonic() - reads  # a person reads it, for as long as that takes
        service.act(f"/orders/{order['id']}/approve", {"reason": "Read", "plan_hash": plan["plan_hash"]}, "approver-1")
        approved = time.monotonic() - began
        with waits_for_the_lock(tmp_path / "var" / "pulih.db") as waits:
            service.act(f"/orders/{small['id']}/lift", {"ground": "wrong_block", "reason": "A mistake"}, "approver-1")
            lifting = time.monotonic()
            wait_until(lambda: _names(service) == 0, 10, service.log)
            lifted = time.monotonic() - lifting
            wait_until(lambda: _names(service) > 0, 60, service.log)
        published = time.monotonic() - began
        zone = service.get("/zones/block.rpz")
        with bind_of(installation, tmp_path / "bind", resolver_port) as resolver:
            wait_until(lambda: "Transfer status: success" in resolver.log(), 60, resolver.log)
            wait_until(lambda: "reload done: success" in resolver.log(), 60, resolver.log)
            loaded = time.monotonic() - began
            assert answer(resolver, "www.mailinator.com") == "NXDOMAIN"
            transferred = resolver.log()
        checked = _checked(installation, tmp_path)

    measured = {
        "lines": len(lines),
        "names": zone["names"],
        "seconds until imported": f"{imported:.1f}",
        "until approved": f"{approved:.1f}",
        "until published": f"{published:.1f}",
        "until a lift meanwhile was published": f"{lifted:.2f}",
        "longest wait for the writer's lock": f"{max(waits):.2f}",
        "until loaded by BIND": f"{loaded:.1f}",
        "peak MB": peaks,
    }
    for name, value in measured.items():
        record_property(name, value)
    verdicts = [json.loads(line) for line in printed.splitlines()]
    items = [verdict for verdict in verdicts if "line" in verdict]
    assert len(items) == sum(1 for line in lines if line.strip() and not line.strip().startswith("#"))
    assert {item["verdict"] for item in items} <= {"accepted", "duplicate", "covered", "refused"}
    assert plan["counts"]["targets"] == sum(item["verdict"] in {"accepted", "covered"} for item in items)
    assert re.search(r"connected using .* TSIG isp-one-\d+", transferred)
    assert f"loaded serial {zone['serial']}" in checked
    assert published < SECONDS
    assert lifted < LIFT_SECONDS
    assert max(waits) < LIFT_SECONDS
    assert max(peaks.values()) < MEGABYTES


def _names(service: Service) -> int:
    time.sleep(0.25)
    names: int = service.get("/zones/block.rpz")["names"]
    return names


def _checked(installation: Installation, folder: Path) -> str:
    """What named-checkzone says of the export; the test fails where it refuses it."""
    installation.pulih("export", "block.rpz", "--format", "rpz", "-o", "zone.db")
    command: list[str | Path] = [find("named-checkzone", "bind9-utils"), "-k", "fail", "block.rpz", "zone.db"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout
