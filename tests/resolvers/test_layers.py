"""Resolvers that take the zone in layers, configured as printed: name by name they answer as the definition says, while
orders begin and end, while a new base goes out, and after what it spares has left the layer in front of it.
"""

import datetime as dt
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import dns.rcode
import pytest

from app.publication import layering, zones
from app.settings import RebaseSetting
from app.subscribers import rebasing
from app.subscribers.acknowledge import Acknowledge, acknowledge
from resolver_policy.layers import CANARY
from tests.installation import settle
from tests.policy.scale import Record, scaled, tell
from tests.resolvers.consumers import OPEN, Consumer, Consumers, bind_config, consumers
from tests.resolvers.sets import LAST, TargetSet, drawn, mark
from tests.resolvers.test_generated_sets import answers_as_decided, bring_to, octets_sent, wait_for
from tests.servers import free_port, named, wait_until
from tests.service import Template, acting

pytestmark = pytest.mark.xdist_group("layers")

SETS, ASKED, SEED = 40, 12, 23
LIMIT = 40.0
KEPT_ANSWERS = 1.5
"""Seconds after which PowerDNS, as it is set here, answers nothing from before."""


def begin(world: Consumers) -> None:
    """Layers, before anybody asks for them: BIND asks again for what it was refused after a minute."""
    world.added("isp-first")
    world.printed("isp-first", "bind")
    query = dns.message.make_query(BASE, "SOA")
    port = world.settings.dns.port

    def is_served() -> bool:
        return dns.query.udp(query, "127.0.0.1", port=port, timeout=5).rcode() == dns.rcode.NOERROR

    wait_until(is_served, LIMIT, world.service.log)


STARTS = (
    begin,
    Consumers.start_bind,
    Consumers.start_unbound,
    Consumers.start_unbound_behind_knot,
    Consumers.start_powerdns,
)

AT_ONCE = RebaseSetting(None, 1_000_000, dt.timedelta(0), dt.timedelta(0))
ISPS = ("isp-bind", "isp-unbound", "isp-knot", "isp-powerdns")
BASE, URGENT = "base.block.rpz", "urgent.block.rpz"


@pytest.fixture(scope="module")
def sets() -> list[TargetSet]:
    return drawn(scaled(SETS), ASKED, SEED)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, sets: list[TargetSet], template: Template) -> Iterator[Consumers]:
    """Layers begin, with the first resolver, when the first generation is published."""
    folder = tmp_path_factory.mktemp("layers")
    with consumers(folder, template, (lambda made: bring_to(made, sets, 0), *STARTS), layers=True) as made:
        yield made


def all_answer_as_decided(world: Consumers, sets: list[TargetSet], generation: int) -> int:
    for consumer in world.all:
        wait_for(consumer, generation)
    time.sleep(KEPT_ANSWERS)
    return sum(answers_as_decided(consumer, sets, generation) for consumer in world.all)


def waited_for(world: Consumers) -> set[str]:
    """Who is not known to have the newest base."""
    with world.database.read() as session:
        return {wait.subscriber for wait in rebasing.state(session, AT_ONCE, dt.datetime.now(dt.UTC)).waits}


def not_sent(world: Consumers) -> list[str]:
    """To whom the newest base was not sent to its end."""
    serial = world.service.get(f"/zones/{BASE}")["serial"]
    rows = {name: world.service.get(f"/subscribers/{name}/transfers", zone=BASE)["items"] for name in ISPS}
    return [name for name in ISPS if not any(row["sent_serial"] == serial for row in rows[name])]


def acknowledged_by_all(world: Consumers) -> None:
    """Before the next poll of the base, in 300 seconds, shows it; of PowerDNS it is known already."""
    serial = world.service.get(f"/zones/{BASE}")["serial"]
    said = Acknowledge.model_validate({"zone": BASE, "serial": serial, "phase": "applied"})
    for name in waited_for(world):
        with world.database.write() as session:
            acknowledge(session, acting(session, name), said, dt.datetime.now(dt.UTC))


def records(world: Consumers) -> int:
    with world.database.read() as session:
        return layering.records(session)


def test_answers_are_right_through_changes_and_a_rebase(
    world: Consumers, sets: list[TargetSet], record_property: Record
) -> None:
    answers = all_answer_as_decided(world, sets, 0)
    settle()
    bring_to(world, sets, 1)
    answers += all_answer_as_decided(world, sets, 1)
    before = records(world)
    assert before > layering.CANARY_RECORDS

    world.service.installation.pulih("rebase")
    for consumer in world.all:
        answers += answers_as_decided(consumer, sets, 1)
    wait_until(lambda: not_sent(world) == [], LIMIT, lambda: f"{not_sent(world)}")
    assert "isp-bind" in waited_for(world), "what was sent is not yet known to be there"
    acknowledged_by_all(world)
    assert waited_for(world) == set()
    answers += all_answer_as_decided(world, sets, 1)
    settle()
    bring_to(world, sets, 2)
    answers += all_answer_as_decided(world, sets, 2)
    most = records(world)

    rebasing.watch(world.database, lambda: dt.datetime.now(dt.UTC), AT_ONCE)
    wait_until(lambda: records(world) < most, LIMIT, lambda: "urgent holds what it held")
    answers += all_answer_as_decided(world, sets, 2)
    left = records(world)
    settle()
    bring_to(world, sets, LAST)
    answers += all_answer_as_decided(world, sets, LAST)

    tell(record_property, sets=len(sets), resolvers=len(world.all), answers=answers)
    tell(record_property, urgent_before=before, urgent_at_most=most, urgent_after=left)
    assert octets_sent(world, "isp-bind"), "nothing was sent"
    with world.database.read() as session:
        newest = zones.last_serial(session, zones.by_name(session, URGENT))
    assert f"{URGENT}/IN" in world.named("BIND").resolver.log()
    assert str(newest) in world.named("BIND").resolver.log()


def test_who_takes_layers_and_what_every_server_has_is_told(world: Consumers) -> None:
    def zones_told() -> list[dict[str, Any]]:
        told = world.service.get("/subscribers/isp-bind")
        assert told["layered"]
        return list(told["zones"])

    def servers() -> list[list[str]]:
        return [[server["address"] for server in zone["servers"]] for zone in zones_told()[:2]]

    wait_until(lambda: servers() == [["127.0.0.1"]] * 2, LIMIT, lambda: f"{zones_told()}")
    assert {zone["zone"] for zone in zones_told()} == {"block.rpz", BASE, URGENT}


def test_the_canary_shows_an_override(world: Consumers, tmp_path: Path) -> None:
    for consumer in world.all:
        assert consumer.answer(CANARY) == OPEN, consumer.log()

    printed, options = (world.printed("isp-bind", "bind", part=part) for part in ("statements", "options"))
    port = free_port()
    text = bind_config(tmp_path, port, options.replace("policy given", "policy nxdomain"), printed)
    with named(tmp_path, text, port) as server:
        overriding = Consumer("BIND that overrides", "", server)
        wait_until(lambda: overriding.answer(mark(0)) == "NXDOMAIN", LIMIT, overriding.log)
        wait_until(lambda: overriding.answer(CANARY) == "NXDOMAIN", LIMIT, overriding.log)
