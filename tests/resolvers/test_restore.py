"""An old copy of the database is put back, by `pulih restore` or by hand: BIND, Knot and NSD take the old content under
a new serial, unattended, and so do the resolvers behind them."""

import re
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import dns.message
import dns.query
import pytest
from pysqlite3 import dbapi2

from app.settings import Settings
from tests.installation import Service, order, settle
from tests.policy.scale import Record
from tests.resolvers.consumers import BEHIND_KNOT, BEHIND_NSD, OPEN, Consumer, Consumers, consumers
from tests.resolvers.test_main_job import approved
from tests.servers import Server, wait_until
from tests.service import Template

ZONE = "block.rpz"

LIMIT = 20.0
"""Seconds until a secondary has what is served: no poll comes within them, so it was told by NOTIFY."""

FLOOR = 2_500_000_000
"""Above the unix time: or a new serial would be the time, and above all that was shown without any mark."""

BACKUP = ".backup"
LIFT = {"ground": "wrong_block", "reason": "The order named the wrong site"}

EXACT, SUBTREE, ABSENT = (".", "-"), (".", "."), ("-", "-")

LOST_MARKS = (None, "publisher", "transfer")
"""Whose marks are lost as well where a copy is put back by hand; the first one is put back by `pulih restore`."""

STARTS = (Consumers.start_bind, Consumers.start_unbound_behind_knot, Consumers.start_bind_behind_nsd)

Records = dict[str, tuple[str, str]]
"""Of each name: the target of the record at it, and of that at `*.` it; `-` where there is none."""


class Restore(NamedTuple):
    """What was published when the database was copied, and what its secondaries held when the copy was put back."""

    letter: str
    copied: int
    shown: int

    @property
    def names(self) -> list[str]:
        return [f"{word}-{self.letter}.example" for word in ("kept", "lifted", "later")]

    @property
    def old(self) -> Records:
        return dict(zip(self.names, (SUBTREE, EXACT, ABSENT), strict=True))

    @property
    def new(self) -> Records:
        return dict(zip(self.names, (SUBTREE, ABSENT, SUBTREE), strict=True))


@pytest.fixture
def world(tmp_path: Path, template: Template) -> Iterator[Consumers]:
    """Pulih with BIND, Knot and NSD, and serials above the unix time."""
    with consumers(tmp_path, template, STARTS) as made:
        for name in ("operator-1", "approver-1", "approver-2", "auditor-1"):
            made.service.installation.token(name)
        made.service.installation.pulih("zone", "floor", ZONE, str(FLOOR))
        made.database.close()
        yield made


def secondaries(world: Consumers) -> dict[str, Server]:
    knot, nsd = world.named(BEHIND_KNOT).relay, world.named(BEHIND_NSD).relay
    assert knot is not None
    assert nsd is not None
    return {"BIND": world.named("BIND").resolver, "Knot": knot, "NSD": nsd}


def asked(port: int, name: str, rdtype: str) -> str:
    """The first record at a name of the zone, or `-`."""
    query = dns.message.make_query(name, rdtype, flags=0)
    reply = dns.query.udp(query, "127.0.0.1", port=port, timeout=5)
    return str(reply.answer[0][0]) if reply.answer else "-"


def serial_at(port: int) -> int:
    """The serial of the zone at a server of this machine; 0 where it has none."""
    soa = asked(port, ZONE, "SOA").split()
    return int(soa[2]) if len(soa) > 2 else 0


def records_at(server: Server, names: Iterable[str]) -> Records:
    return {
        name: (asked(server.port, f"{name}.{ZONE}", "CNAME"), asked(server.port, f"*.{name}.{ZONE}", "CNAME"))
        for name in names
    }


def wait_for_all(world: Consumers, serial: int, wanted: Records) -> None:
    """Until each secondary has the serial, when each must have the records, and each resolver answers by them."""
    for name, server in secondaries(world).items():
        wait_for_serial(server, serial)
        assert (name, records_at(server, wanted)) == (name, wanted)
    for consumer in world.all:
        wait_for_answers(consumer, {name: OPEN if own == "-" else "NXDOMAIN" for name, (own, _) in wanted.items()})


def wait_for_serial(server: Server, serial: int) -> None:
    wait_until(lambda: serial_at(server.port) == serial, LIMIT, lambda: f"not {serial}:\n{server.log()[-3000:]}")


def wait_for_answers(consumer: Consumer, right: dict[str, str]) -> None:
    wait_until(lambda: {name: consumer.answer(name) for name in right} == right, LIMIT, consumer.log)


def published(world: Consumers, service: Service, above: int, wanted: Records) -> int:
    """The serial of what was done, once everybody has it."""
    settle()
    serial: int = service.get(f"/zones/{ZONE}")["serial"]
    assert serial > above
    wait_for_all(world, serial, wanted)
    return serial


def publish_copy_and_publish(world: Consumers, service: Service, copy: Path, letter: str) -> Restore:
    """Block two names; copy the database; block a third and lift the second."""
    made = Restore(letter, 0, 0)
    kept, lifted, later = made.names
    approved(service, order(f"KEPT-{letter}", (kept, "subtree")))
    to_lift = approved(service, order(f"LIFTED-{letter}", (lifted, "exact")))
    settle()
    copied = published(world, service, FLOOR, made.old)
    if copy.suffix == BACKUP:
        service.installation.pulih("backup", str(copy))
    else:
        copy_aside(world.settings, copy)
    approved(service, order(f"LATER-{letter}", (later, "subtree")))
    settle()
    service.act(f"/orders/{to_lift['id']}/lift", LIFT, "approver-2")
    return made._replace(copied=copied, shown=published(world, service, copied + 1, made.new))


def restored_by_command(service: Service, copy: Path) -> None:
    """Refused while the service runs; what is lost is told."""
    installation = service.installation
    command = ("restore", str(copy), "--reason", "The disk failed")
    assert "in use" in installation.pulih(*command, status=1)
    service.stop()
    assert "1 order.ended: lifts that are undone" in installation.pulih(*command)


def copy_aside(settings: Settings, copy: Path) -> None:
    """A consistent copy of the database while it is in use."""
    source, target = dbapi2.connect(str(settings.data_dir / "pulih.db")), dbapi2.connect(str(copy))
    source.backup(target)
    source.close()
    target.close()


def put_back(settings: Settings, copy: Path, lost: str) -> None:
    """The old copy in the place of what a stopped installation left; the marks of one process go as well."""
    for left_over in settings.data_dir.glob("pulih.db*"):
        left_over.unlink()
    shutil.copy(copy, settings.data_dir / "pulih.db")
    shutil.rmtree(settings.data_dir / "marks" / lost)


def let_blocks_out(service: Service) -> None:
    """Two approvers look at what the publisher found, where it was put back by hand; of a restore it was told."""
    for stop in service.get("/guard/stops", "approver-1")["items"]:
        for approver in ("approver-1", "approver-2"):
            service.act(f"/guard/stops/{stop['id']}/release", {"reason": "Restored by hand"}, approver)


def is_restored(world: Consumers, service: Service, made: Restore, log_before: int) -> float:
    """Everybody takes the old content, and nobody was shown an old serial; seconds that it took."""
    began = time.monotonic()
    wait_until(lambda: serial_at(service.installation.dns_port) > made.shown, LIMIT, service.log)
    serial: int = service.get(f"/zones/{ZONE}")["serial"]
    wait_for_all(world, serial, made.old)
    took = time.monotonic() - began
    assert serial == made.shown + 1
    moved = service.get("/audit/events", type="zone.serials_moved_forward")["items"]
    assert [each["facts"] for each in moved][-1] == {"zone": ZONE, "shown": made.shown, "known": made.copied}
    served = re.findall(rf"zone {ZONE} at serial (\d+)", service.log()[log_before:])
    assert {int(each) for each in served} == {serial}
    return took


def test_secondaries_take_the_old_content_under_a_new_serial(
    world: Consumers, tmp_path: Path, record_property: Record
) -> None:
    service, installation = world.service, world.service.installation
    with ExitStack() as stack:
        for lost in LOST_MARKS:
            copy = tmp_path / f"{lost}{'.db' if lost else BACKUP}"
            made = publish_copy_and_publish(world, service, copy, str(lost).lower())
            if lost is None:
                restored_by_command(service, copy)
            else:
                service.stop()
                put_back(world.settings, copy, lost)
            log_before = len(service.log())

            service = stack.enter_context(installation.serving())

            took = is_restored(world, service, made, log_before)
            record_property(f"ms to converge (lost marks: {lost})", round(took * 1000))
            let_blocks_out(service)
