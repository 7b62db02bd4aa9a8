"""A fault at every step by which something is written, done or not: what was answered stays, nothing is half done,
and the next start needs no hand."""

import itertools
import re
import signal
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from resolver_policy.names import sort_key
from tests import databases
from tests.policy.scale import Record, scaled, seeded, tell
from tests.rigs.between import between
from tests.rigs.checks import Journal, check_database, check_export, check_files, check_marks, data_dir, rows
from tests.rigs.faults import Fault, Faulty
from tests.rigs.ledger import LIFT, REVIEW
from tests.rigs.lives import ORDERS, Request, Told, lived
from tests.rigs.loop import installed
from tests.rigs.mounted import forgetful
from tests.rigs.processes import Running
from tests.service import Template, an_order, targets

pytestmark = pytest.mark.long

written_to = between if databases.KIND == "postgresql" else forgetful
"""PostgreSQL writes for itself, and in many processes: there a step is what the service asks of it."""

FAULTS = 8 if databases.KIND == "postgresql" else 16
"""Some six hundred steps (of PostgreSQL 447) fail in four ways each; every kind comes before any a second time."""

PUBLISHED_WITHIN = 5.0
"""Seconds from a start until what the database says is served."""


def an_act(name: str) -> list[Request]:
    """A block, proposed and approved."""
    body = an_order(number=f"EX-{name}", targets=targets(name), review_due_at=REVIEW)
    propose = Request("operator-1", "orders", body, f"propose {name}")
    return [propose, Request("approver-1", "orders/{order}/approve", {"reason": "x"}, f"approve {name}")]


A_LIFT = Request("approver-1", "orders/{order}/lift", LIFT, "lift")
REQUESTS = [*an_act("lifted.example"), A_LIFT, *an_act("blocked.example")]
ZONE_KEYS = frozenset({sort_key("blocked.example")})


class Way(NamedTuple):
    """How a step fails: before it is done or after, with an error or by the end of the process."""

    is_done: bool
    kills: bool


WAYS = [Way(*each) for each in itertools.product((False, True), repeat=2)]


class Rig:
    """An installation on a disk whose steps fail where they are told to, put back as it was before each fault."""

    def __init__(self, running: Running, disk: Faulty) -> None:
        self.running, self.disk = running, disk
        self.slowest = 0.0
        disk.tell("keep")
        self.wanted, self.steps = self.life(None)
        check_whole(running, self.wanted, Told())
        self.orders = orders(running)

    def life(self, fault: Fault | None) -> tuple[Told, list[str]]:
        """A life with a fault, or without; what it told, and by which steps it wrote."""
        self.disk.tell("plan", fault)
        told = lived(self.running, REQUESTS)
        return told, self.disk.tell("steps")

    def strike(self, step: int, way: Way) -> None:
        """One fault in a life that begins anew, a second life, and what must hold then."""
        self.disk.tell("back")
        before, steps = self.life(Fault(step, *way))
        assert len(steps) > step
        assert (before.status == -signal.SIGKILL) == way.kills
        began = time.monotonic()
        after, _ = self.life(None)
        self.slowest = max(self.slowest, time.monotonic() - began)
        check_whole(self.running, after, before)
        assert orders(self.running) == self.orders
        assert list(data_dir(self.running).rglob(".*")) == [], "drafts were left"


def check_whole(running: Running, after: Told, before: Told) -> None:
    """The second life needed no hand, found the first one's acts whole, and all is as it should be."""
    assert (after.status, after.refused, after.failed) == (0, [], [])
    *found, (events, newest, size) = after.found
    assert events == (newest or 0) == size, "half done"
    assert {number: version for number, _, version, _ in found} == {number: acts for number, *_, acts in found}, (
        "half done"
    )
    assert len(before.answered) <= sum(acts for *_, acts in found)
    active = {sort_key(number.removeprefix("EX-")) for number, state, *_ in found if state == "active"}
    for serial, names in before.shown[-1:]:
        assert names <= active, "names were shown that no order holds"
        assert after.mark[0] >= serial, "a serial was shown that no mark knows"
    assert {key: body["id"] for key, body in before.answered.items()}.items() <= {
        key: body["id"] for key, body in after.answered.items()
    }.items()
    assert set(after.answered) == {request.key for request in REQUESTS}
    serials = [serial for serial, _ in [*before.shown, *after.shown]]
    assert serials == sorted(serials)
    assert after.shown[-1][1] == ZONE_KEYS
    check_marks(running, {"shown": serials[-1]})
    check_export(after.exported[-1])
    check_files(running)
    check_database(running)
    Journal(running).check(after.checkpoint[-1])


def orders(running: Running) -> list[tuple[object, ...]]:
    """What became of every order, with the number of its events."""
    return rows(running, ORDERS)


def pattern(step: str) -> str:
    """A step without what chance or time has put into its name."""
    return re.sub(r"(?<=\.draft-)\w{8}|[0-9]+(\.[0-9a-f]+)?|(?<=snapshot\.)\w+$", "*", step)


def sorted_by_rank(steps: Sequence[str], chance: Random) -> list[tuple[int, Way]]:
    """Every step in every way by chance, but each kind of step before any a second time."""
    all_ways = [(step, way) for step in range(len(steps)) for way in WAYS]
    chance.shuffle(all_ways)
    seen: Counter[str] = Counter()
    ranked = []
    for step, way in all_ways:
        seen[pattern(steps[step])] += 1
        ranked.append((seen[pattern(steps[step])], step, way))
    return [(step, way) for _, step, way in sorted(ranked, key=lambda each: each[0])]


@pytest.mark.parametrize("half", range(2))
def test_a_fault_at_any_step_leaves_nothing_half_done(
    half: int, tmp_path: Path, template: Template, record_property: Record
) -> None:
    with installed(tmp_path, template) as running, written_to(running) as disk:
        rig = Rig(running, disk)
        ranked = sorted_by_rank(rig.steps, seeded("faults"))[: scaled(FAULTS)]
        faults = [(step, way) for step, way in ranked if (step + WAYS.index(way)) % 2 == half]
        assert faults
        for step, way in faults:
            rig.strike(step, way)
    assert rig.slowest < PUBLISHED_WITHIN
    kinds = len({pattern(step) for step in rig.steps})
    tell(record_property, faults=len(faults), steps=len(rig.steps), kinds_of_steps=kinds)
