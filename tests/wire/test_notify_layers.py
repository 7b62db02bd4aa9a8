"""NOTIFY of layers: for those that take some, and nobody else."""

from dataclasses import replace

import dns.message
import pytest

from app.subscribers.directory import Directory
from resolver_policy.version import ZoneVersion
from tests.policy.zones import EXACT, rules_of, version, zone
from tests.wire.feeds import MadeFeed, serving, small_zone
from tests.wire.test_notify import PATIENT, known, target

NAMES = ("block.rpz", "urgent.block.rpz", "base.block.rpz")


def layered_zones() -> dict[str, ZoneVersion]:
    layers = (version(rules_of({"a.example": EXACT}), 11, zone(origin=name)) for name in NAMES[1:])
    return {made.origin: made for made in (small_zone(), *layers)}


@pytest.mark.parametrize(
    ("layered", "in_layers", "told"),
    [(True, False, set(NAMES)), (True, True, set(NAMES[1:])), (False, False, {"block.rpz"})],
)
def test_who_takes_layers_is_told_of_them(*, layered: bool, in_layers: bool, told: set[str]) -> None:
    with target() as place:
        directory = known(place.place)
        (subscriber,) = directory.subscribers.values()
        feed = MadeFeed(known=Directory({"isp-one": replace(subscriber, layered=layered, in_layers=in_layers)}, {}))
        feed.zones = layered_zones()
        with serving(feed, PATIENT):
            messages = [dns.message.from_wire(place.take()) for _ in told]
            assert {str(each.question[0].name).rstrip(".") for each in messages} == told
            assert place.is_quiet()
