"""Bugs of the service, each turned on while a day goes by, and gone when `pulih fsck` looks at what is left of it."""

from collections.abc import Mapping

import pytest

from app.main import make_publisher
from resolver_policy.version import ZoneVersion
from tests.fsck.looking import wrong
from tests.fsck.serving import followed, sending, subscribe
from tests.planted import planted
from tests.planted.fsck import PLANTS
from tests.service import DAY, Service, targets, text_of

FOUND = {
    "a-release-without-its-note": ("rules", "one.example: published is a block"),
    "an-end-without-its-event": ("orders", "order EX-LIFTED: its row says state ended"),
    "an-interval-that-stays-open": ("orders", "order EX-OPENED: its row of time in force says 2026-11-22"),
    "a-version-that-is-not-counted": ("orders", "its row says version 1; event"),
    "a-guard-in-the-api-alone": ("rules", "co.id: may never be blocked"),
    "children-that-do-not-come-back": ("rules", "child.parent.example: published is nothing, decided a block"),
    "a-rule-that-is-not-sent": ("transfer block.rpz", "is missing"),
    "a-tree-over-something-else": ("tree", "its stored hash is another"),
    "a-serial-that-goes-back": ("serial block.rpz", "and one before it"),
}
"""The check that finds each, and words of it."""


def a_day(service: Service) -> None:
    """Orders that begin, end, end in part, are opened for a while, and one that was over another."""
    service.publisher = make_publisher(service.settings, service.database)
    service.publisher.start(service.clock())
    parts = service.block("one.example", "two.example", number="EX-PARTS")
    service.block("child.parent.example", number="EX-CHILD")
    parent = service.block("*.parent.example", number="EX-PARENT")
    lifted = service.block("lifted.example", number="EX-LIFTED")
    opened = service.block("opened.example", number="EX-OPENED")
    service.publish()
    service.lift(parts, targets=targets("one.example"))
    service.lift(parent)
    service.lift(lifted)
    service.act(opened, "suspend", {"reason": "x", "until": text_of(service.clock() + DAY)})
    service.publish()


def test_nothing_is_found_after_a_day_without_a_bug(service: Service) -> None:
    subscribe(service)
    a_day(service)
    with sending(service, followed(service.database, service.settings)) as asking:
        assert wrong(service, asking=asking) == {}


@pytest.mark.parametrize("plant", PLANTS)
def test_a_bug_is_found_by_what_it_leaves(service: Service, plant: str) -> None:
    check, words = FOUND[plant]
    is_sent = check.startswith("transfer")
    with planted(plant):
        a_day(service)
        if plant == "a-guard-in-the-api-alone":
            service.approve(service.propose_many(["*.co.id"]))
            service.publish()
        zones = followed(service.database, service.settings) if is_sent else {}
    found = _sent(service, zones) if is_sent else wrong(service)

    assert any(words in line for line in found.get(check, ())), found


def _sent(service: Service, zones: Mapping[str, ZoneVersion]) -> dict[str, list[str]]:
    subscribe(service)
    with sending(service, zones) as asking:
        return wrong(service, asking=asking)
