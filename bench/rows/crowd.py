"""One change, until the last of a thousand secondaries has it; and how the server bears them."""

import datetime as dt
import time

import dns.tsig

from app.db import Database
from app.journal.actor import host
from app.settings import Settings
from app.subscribers.keys import secret_key
from app.subscribers.register import AddSubscriber, add
from bench import machine, names, sink
from bench.figures import PULIH, Figure, Must
from bench.pinging import pinged
from bench.primary import ZONE
from bench.pulih import Pulih
from bench.rows.change import both
from bench.rows.transfer import APEX_DIFFERENCE
from bench.run import RECORDS_A_NAME, Run, space
from bench.secondaries import Crowd, Member, address_of, crowd
from tests.servers import free_port

SECONDARIES = 1000
PATIENCE = 120.0


def measure(run: Run) -> list[Figure]:
    """Each secondary is an ISP of its own; it learns of the change by NOTIFY, and fetches it by IXFR."""
    last = Figure(f"{SECONDARIES:,} secondaries: change sent until the last has it", "s", Must(5, aim=2))
    soa = Figure("SOA over UDP meanwhile", "ms", tail=True)
    memory = Figure("memory of what serves them", "MB")
    with run.another_pulih() as pulih:
        everyone = _registered(pulih, SECONDARIES)
        with crowd(everyone) as running:
            machine.wait_idle(pulih.service.process.pid)
            for number in range(run.times(3)):
                for act in both(pulih, names.fresh(1, f"crowd{number}")):
                    space()
                    before = sink.serial_of(pulih.port, ZONE)
                    with pinged(pulih.port, ZONE) as answered:
                        began = time.perf_counter()
                        act()
                        last.add(PULIH, running.last_to_have(before + 1, PATIENCE) - began)
                    soa.add(PULIH, *answered)
        memory.add(PULIH, machine.highest_mb(pulih.serving))
    return [last, soa, memory]


def _registered(pulih: Pulih, count: int) -> Crowd:
    """So many ISPs, taken on as `subscriber add` does it, in one transaction."""
    settings = Settings(data_dir=pulih.installation.directory / "var")
    database, port, now = Database(settings.database), free_port(), dt.datetime.now(dt.UTC)
    members = []
    with database.write() as session:
        key = secret_key(session, settings.secret_key_path)
        for number in range(count):
            address = address_of(number)
            command = AddSubscriber(f"isp-{number}", (f"{address}/32",), (f"{address}:{port}",), "hmac-sha256")
            tsig = add(session, host("root"), command, now, secret_key=key).tsig
            assert tsig is not None
            members.append(Member(address, dns.tsig.Key(tsig.name, tsig.secret, tsig.algorithm)))
    database.close()
    serial = sink.serial_of(pulih.port, ZONE)
    return Crowd(members, port, pulih.port, ZONE, serial, RECORDS_A_NAME + APEX_DIFFERENCE)
