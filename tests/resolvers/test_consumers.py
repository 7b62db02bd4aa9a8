"""Every consumer, real and configured as printed: blocks, lifts, nested orders and exceptions reach each in its way."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import dns.edns
import dns.message
import dns.query
import pytest

from tests.installation import Service, order, settle
from tests.policy.scale import Record, scaled, seeded, tell
from tests.resolvers.asking import say
from tests.resolvers.consumers import BEHIND_KNOT, BEHIND_NSD, OPEN, Consumer, Consumers, consumers
from tests.resolvers.test_main_job import approved
from tests.servers import Server, free_port, wait_until
from tests.servers_resolvers import pdns_recursor, unbound
from tests.service import Template

pytestmark = pytest.mark.xdist_group("consumers")

LIMIT = 30.0
"""Seconds until the slowest consumer has a change: a poll of 15, an answer kept for 5, and room."""

NAMES = 200
ZONE_OCTETS = 20 * NAMES
"""Less than a whole transfer of so many names, more than an increment of one."""

WRONG = 10_000
"""Names of a wrong order, undone PULIH_TEST_SCALE times over."""

ASKED = 500
"""Of them, of every resolver."""

GONE_WITHIN = 60.0
"""Seconds until a wrong order that was undone blocks nothing at any consumer."""

LIFT = {"ground": "wrong_block", "reason": "The order named the wrong site"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, template: Template) -> Iterator[Consumers]:
    with consumers(tmp_path_factory.mktemp("consumers"), template) as made:
        approved(made.service, order("EX-0", *((f"name-{number}.example", "exact") for number in range(NAMES))))
        yield made


def wait_for_all(world: Consumers, wanted: dict[str, str], some: Sequence[Consumer] | None = None) -> dict[str, int]:
    """Milliseconds until each consumer (or each of some) answers for every name as wanted."""
    waited_for = world.all if some is None else some
    began = time.monotonic()
    seen: dict[str, int] = {}

    def all_of_them() -> bool:
        for consumer in waited_for:
            if consumer.name not in seen and _answers(consumer, wanted):
                seen[consumer.name] = round((time.monotonic() - began) * 1000)
        return len(seen) == len(waited_for)

    def missing() -> str:
        return "\n".join(consumer.log() for consumer in waited_for if consumer.name not in seen)

    wait_until(all_of_them, LIMIT, missing)
    return seen


def _answers(consumer: Consumer, wanted: dict[str, str]) -> bool:
    return all(consumer.answer(name) == answer for name, answer in wanted.items())


def table(world: Consumers, columns: dict[str, dict[str, int]]) -> str:
    """One line for each consumer."""
    lines = [f"\n  {'consumer':24}  {'learns by':26}" + "".join(f"{name:>10}" for name in columns)]
    lines += [
        f"  {each.name:24}  {each.learns:26}" + "".join(f"{column[each.name]:>10,}" for column in columns.values())
        for each in world.all
    ]
    return "\n".join(lines)


def test_a_block_and_its_lift_reach_every_consumer(
    world: Consumers, record_property: Callable[[str, object], None]
) -> None:
    wait_for_all(world, {"blocked.example": OPEN})
    settle()

    made = approved(world.service, order("EX-1", ("blocked.example", "exact")))
    block = wait_for_all(world, {"blocked.example": "NXDOMAIN", "www.blocked.example": OPEN})
    settle()
    world.service.act(f"/orders/{made['id']}/lift", LIFT, "approver-2")
    lift = wait_for_all(world, {"blocked.example": OPEN})

    record_property("milliseconds until a change is answered", table(world, {"block": block, "lift": lift}))


def test_nested_orders_and_exceptions_are_read_alike_by_every_consumer(world: Consumers) -> None:
    parent = approved(world.service, order("EX-2", ("casino.example", "subtree")))
    approved(world.service, order("EX-3", ("www.casino.example", "exact"), ("deep.sub.casino.example", "subtree")))
    approved(world.service, order("EX-4", ("slots.example", "subtree")))
    approved(world.service, order("EX-5", ("help.mid.slots.example", "exact")) | {"kind": "exception"})
    held = ["www.casino.example", "deep.sub.casino.example", "x.deep.sub.casino.example"]
    lifted = ["casino.example", "other.casino.example", "sub.casino.example", "y.sub.casino.example"]
    lifted += ["below.www.casino.example"]
    slots = ["slots.example", "mid.slots.example", "y.mid.slots.example", "below.help.mid.slots.example"]
    exception = {"help.mid.slots.example": OPEN}
    wait_for_all(world, dict.fromkeys((*held, *lifted, *slots), "NXDOMAIN") | exception)
    settle()

    world.service.act(f"/orders/{parent['id']}/lift", LIFT, "approver-2")

    wait_for_all(world, dict.fromkeys((*held, *slots), "NXDOMAIN") | dict.fromkeys(lifted, OPEN) | exception)


def test_who_can_says_that_an_answer_is_censored(world: Consumers) -> None:
    wait_for_all(world, {"name-0.example": "NXDOMAIN"})

    assert {each.name: extended_errors(each, "name-0.example") for each in world.all} == {
        "BIND": [],
        "Unbound": [],
        BEHIND_KNOT: [],
        BEHIND_NSD: [],
        "PowerDNS": [(16, f"Diblokir atas perintah / blocked by order: {world.settings.public_url}")],
        "Knot Resolver": [(16, "CR36")],
    }


def test_bind_unbound_knot_and_nsd_take_increments_by_their_own_account(world: Consumers) -> None:
    settle()
    approved(world.service, order("EX-6", ("increment.example", "exact")))
    notified = [each for each in world.all if "NOTIFY" in each.learns]
    wait_for_all(world, {"increment.example": "NXDOMAIN"}, notified)

    serial = world.service.get("/zones/block.rpz")["serial"]
    knot, nsd = world.named(BEHIND_KNOT).relay, world.named(BEHIND_NSD).relay
    assert knot is not None
    assert nsd is not None
    assert "got incremental response" in last_transfer(world.named("BIND").resolver, "requesting IXFR for serial")
    for name in ("Unbound", BEHIND_KNOT):
        said = last_transfer(world.named(name).resolver, "IXFR fetch")
        assert f"contains SOA serial {serial}" in said
        assert "last IXFR packet" in said
    incoming = last_transfer(knot, "IXFR, incoming")
    assert re.search(r"IXFR, incoming, .* finished", incoming), incoming
    assert re.search(rf"IXFR, outgoing, .* started, serial \d+ -> {serial}", incoming), incoming
    received = re.search(rf"received update to serial {serial} .* TSIG verified .* of (\d+) bytes", nsd.log())
    assert received is not None, nsd.log()
    assert int(received[1]) < ZONE_OCTETS, "that was the whole zone"
    behind = last_transfer(world.named(BEHIND_NSD).resolver, "requesting IXFR for serial")
    assert "got incremental response" in behind, "NSD hands on what it took as an increment"


def test_powerdns_and_unbound_block_after_a_restart_also_without_pulih(world: Consumers, tmp_path: Path) -> None:
    wait_for_all(world, {"name-0.example": "NXDOMAIN"})

    for name, restarted in (("PowerDNS", restarted_powerdns), ("Unbound", restarted_unbound)):
        folder = tmp_path / name
        folder.mkdir()
        with restarted(world, world.named(name).resolver, folder) as resolver:
            again = Consumer(name, "", resolver)
            wait_for_all(world, {"name-0.example": "NXDOMAIN", "open.example": OPEN}, [again])


def test_a_wrong_order_of_ten_thousand_names_is_undone_by_one_act_and_gone_everywhere(
    world: Consumers, record_property: Record
) -> None:
    longest = 0.0
    for round_ in range(scaled(1)):
        names = [f"w{number:05}.wrong-{round_}.example" for number in range(WRONG)]
        made = approved_list(world.service, f"WRONG-{round_}", names)
        asked = seeded(round_).sample(names, ASKED)
        wait_for_said(world, asked, "NXDOMAIN")
        settle()

        began = time.monotonic()
        undone = world.service.act(f"/orders/{made['id']}/undo", {"reason": "The list was another's"}, "approver-2")
        wait_for_said(world, asked, OPEN)
        longest = max(longest, time.monotonic() - began)

        assert undone["undo"] == "lifted"
        for relay in (world.named(BEHIND_KNOT).relay, world.named(BEHIND_NSD).relay):
            assert relay is not None
            assert not [name for name in zone_of(relay) if f".wrong-{round_}." in name]
        wait_for_all(world, {"name-0.example": "NXDOMAIN"})
    assert longest < GONE_WITHIN
    tell(record_property, wrong_orders_undone=scaled(1), names_of_each=WRONG, longest_ms=round(longest * 1000))


def approved_list(service: Service, number: str, names: list[str]) -> dict[str, Any]:
    """An order by list, approved after its plan was read."""
    given = {field: value for field, value in order(number).items() if field != "targets"}
    body = {"order": given, "lines": names}
    imported = service.act("/imports?match=exact", body, "operator-1", 201)
    plan = service.get(f"/orders/{imported['order_id']}/plan")
    checked = {"reason": "Checked", "plan_hash": plan["plan_hash"]}
    made: dict[str, Any] = service.act(f"/orders/{imported['order_id']}/approve", checked, "approver-1")
    return made


def wait_for_said(world: Consumers, names: list[str], wanted: str) -> None:
    """Until each resolver gives that answer to all of the names."""
    left = list(world.all)

    def said() -> bool:
        left[:] = [each for each in left if set(say(each.resolver.port, names).values()) != {wanted}]
        return not left

    wait_until(said, GONE_WITHIN, lambda: "\n".join(each.log() for each in left))


def zone_of(server: Server) -> list[str]:
    """The names of records that a relay holds, as it hands them on."""
    messages = dns.query.xfr("127.0.0.1", "block.rpz", port=server.port, lifetime=30)
    return [str(rrset.name) for message in messages for rrset in message.answer]


def restarted_powerdns(world: Consumers, was: Server, folder: Path) -> AbstractContextManager[Server]:
    """Another with the same configuration and the same file, whose primary is away."""
    port, away = free_port(), free_port()
    lua = (was.directory / "pulih.lua").read_text()
    (folder / "pulih.lua").write_text(lua.replace(f":{world.settings.dns.port}", f":{away}"))
    config = (was.directory / "recursor.conf").read_text().replace(f"local-port={was.port}", f"local-port={port}")
    return pdns_recursor(folder, config.replace(f"{was.directory}/pulih.lua", f"{folder}/pulih.lua"), port)


def restarted_unbound(world: Consumers, was: Server, folder: Path) -> AbstractContextManager[Server]:
    """Another with the same configuration and the same file, whose primary is away."""
    port, away = free_port(), free_port()
    config = (was.directory / "unbound.conf").read_text().replace(f"    port: {was.port}", f"    port: {port}")
    return unbound(folder, config.replace(f"@{world.settings.dns.port}", f"@{away}"), port)


def last_transfer(server: Server, beginning: str) -> str:
    """What a log says from the last line on that begins a transfer."""
    log = server.log()
    assert beginning in log, log
    return log[log.rindex(beginning) :]


def extended_errors(consumer: Consumer, name: str) -> list[tuple[int, str | None]]:
    """Code and text of each EDE (RFC 8914) in an answer."""
    query = dns.message.make_query(name, "A", use_edns=0)
    reply = dns.query.udp(query, "127.0.0.1", port=consumer.resolver.port, timeout=5)
    return [(int(option.code), option.text) for option in reply.options if isinstance(option, dns.edns.EDEOption)]
