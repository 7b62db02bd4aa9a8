"""Hundreds of generated target sets, made by orders, asked of four real resolvers name by name, before and after
changes: each answers as the definition (`decide`) says. No difference between them is documented, so none is allowed.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from resolver_policy import formats
from resolver_policy.formats import Contents
from resolver_policy.rules import Rule, build
from resolver_policy.targets import Decision
from tests.installation import settle
from tests.policy.scale import Record, scaled, tell
from tests.policy.worlds import cells_of
from tests.policy.zones import Rules, zone
from tests.resolvers.asking import say
from tests.resolvers.consumers import OPEN, Consumer, Consumers, bind_config, consumers
from tests.resolvers.sets import LAST, TargetSet, drawn, mark, mark_order, orders
from tests.resolvers.test_main_job import approved
from tests.servers import free_port, named, wait_until
from tests.service import Template

pytestmark = pytest.mark.xdist_group("generated sets")

SETS, ASKED, SEED = 150, 30, 17
LIMIT = 40.0
"""Seconds until the slowest consumer has a generation."""

KEPT_ANSWERS = 6.0
"""Seconds after which PowerDNS answers nothing from before: it keeps whole answers for 5."""

STARTS = (
    Consumers.start_bind,
    Consumers.start_unbound,
    Consumers.start_powerdns,
    Consumers.start_knot_resolver,
)

TOLD = ("isp-bind", "isp-unbound")
"""Who takes each generation as an increment; for PowerDNS, which polls, all of them may come at once, as a zone."""

LIFT = {"ground": "wrong_block", "reason": "Its generation is over"}

Wrong = list[tuple[str, str, str]]
"""A name, what is right, what was said."""


@pytest.fixture(scope="module")
def sets() -> list[TargetSet]:
    return drawn(scaled(SETS), ASKED, SEED)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, sets: list[TargetSet], template: Template) -> Iterator[Consumers]:
    """Pulih with the first generation, and four resolvers that find it as they start."""
    folder = tmp_path_factory.mktemp("sets")
    with consumers(folder, template, (lambda made: bring_to(made, sets, 0), *STARTS)) as made:
        yield made


def bring_to(world: Consumers, sets: Sequence[TargetSet], generation: int) -> None:
    """Approve what begins and lift what ends, and at last the mark: in as few releases as come of it."""
    service = world.service
    for span, body in orders(sets):
        if span.end == generation:
            [held] = service.get("/orders", number=body["number"])["items"]
            for approver in ("approver-2", "approver-1")[: 2 if body["kind"] == "exception" else 1]:
                service.act(f"/orders/{held['id']}/lift", LIFT, approver)
        if span.begin == generation:
            approved(service, body)
    approved(service, mark_order(generation))


def wait_for(consumer: Consumer, generation: int) -> None:
    """Until it has the last change of a generation."""
    wait_until(lambda: consumer.answer(mark(generation)) == "NXDOMAIN", LIMIT, consumer.log)


def answers_as_decided(consumer: Consumer, sets: Sequence[TargetSet], generation: int) -> int:
    """Ask everything; the number of answers, all of them right."""
    asked, wrong = ask(consumer.resolver.port, sets, generation)
    assert wrong == [], f"{consumer.name}, generation {generation}: {len(wrong)} of {asked}"
    return asked


def ask(port: int, sets: Sequence[TargetSet], generation: int) -> tuple[int, Wrong]:
    """How many names were asked, and the wrong answers."""
    expected = {
        name: "NXDOMAIN" if blocked else OPEN for each in sets for name, blocked in each.expected(generation).items()
    }
    said = say(port, expected)
    return len(expected), [(name, right, said[name]) for name, right in expected.items() if said[name] != right]


def test_every_resolver_answers_every_name_as_decided(
    world: Consumers, sets: list[TargetSet], record_property: Record
) -> None:
    answers = 0
    for consumer in world.all:
        wait_for(consumer, 0)
        answers += answers_as_decided(consumer, sets, 0)
    sent_before = {name: octets_sent(world, name) for name in TOLD}
    for generation in range(1, LAST + 1):
        settle()
        bring_to(world, sets, generation)
    for consumer in world.all:
        wait_for(consumer, LAST)
        if consumer.name == "PowerDNS":
            time.sleep(KEPT_ANSWERS)
        answers += answers_as_decided(consumer, sets, LAST)

    tell(record_property, sets=len(sets), names=sum(len(each.asked) for each in sets), resolvers=len(world.all))
    records = world.service.get("/zones/block.rpz")["rules"]
    tell(record_property, answers=answers, changed=changed(sets), records=records)
    for name, before in sent_before.items():
        increments = octets_sent(world, name)[: -len(before)]
        assert 0 < max(increments) < max(before) / 2, f"{name}: {increments} octets, and {before} for the whole zone"


def octets_sent(world: Consumers, subscriber: str) -> list[int]:
    """What each transfer to it took, newest first."""
    rows = world.service.get(f"/subscribers/{subscriber}/transfers")["items"]
    return [row["octets"] for row in rows if row["kind"] in {"axfr", "ixfr"} and row["outcome"] == "done"]


def changed(sets: Sequence[TargetSet]) -> int:
    """Names that are decided otherwise in the last generation than in the first."""
    return sum(each.expected(0)[name] != blocked for each in sets for name, blocked in each.expected(LAST).items())


def test_bind_goes_wrong_where_an_exact_exception_stands_without_its_wildcard(
    sets: list[TargetSet], tmp_path: Path, record_property: Record
) -> None:
    """Planted: the questions find the rules that come to mind first, and only those, wrong."""
    found = {name: wrong_with(rules, sets, tmp_path / name) for name, rules in (("right", all_rules), ("naive", naive))}

    tell(record_property, **{f"wrong with the {name} rules": len(wrong) for name, wrong in found.items()})
    assert found["right"] == []
    assert found["naive"] != []
    assert {(right, said) for _, right, said in found["naive"]} == {("NXDOMAIN", OPEN)}


def wrong_with(rules_of: Callable[[TargetSet], Rules], sets: Sequence[TargetSet], folder: Path) -> Wrong:
    """What BIND answers wrongly with these rules as a zone file."""
    folder.mkdir()
    rules = {key: rule for each in sets for key, rule in rules_of(each).items()}
    rendered = formats.by_name("rpz")
    assert rendered is not None
    (folder / "block.rpz.db").write_bytes(b"".join(rendered.render(Contents(zone(), 7, sorted(rules.items())))))
    port = free_port()
    policy = 'response-policy { zone "block.rpz"; } qname-wait-recurse no;'
    statements = 'zone "block.rpz" { type primary; file "block.rpz.db"; };'
    with named(folder, bind_config(folder, port, policy, statements), port):
        return ask(port, sets, 0)[1]


def all_rules(of: TargetSet) -> Rules:
    return dict(build(cells_of(of.active(0))))


def naive(of: TargetSet) -> Rules:
    """An exact exception as its own record alone."""
    cells = dict(cells_of(of.active(0)))
    return {
        key: Rule(rule.own, Decision.NOTHING)
        if key in cells and cells[key] == (Decision.PASS, Decision.NOTHING)
        else rule
        for key, rule in all_rules(of).items()
    }
