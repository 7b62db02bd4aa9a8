"""A running server for tests that only ask."""

from collections.abc import Iterator

import pytest

from app.transfer.process import Transfer
from resolver_policy.version import ZoneVersion
from tests.policy.zones import SUBTREE, version
from tests.wire.feeds import MadeFeed, serving

NAMES = 200_000


@pytest.fixture
def feed() -> MadeFeed:
    return MadeFeed()


@pytest.fixture
def server(feed: MadeFeed) -> Iterator[Transfer]:
    with serving(feed) as running:
        yield running


@pytest.fixture(scope="module")
def large_zone() -> ZoneVersion:
    """Nine megabytes: more than any buffer on the way takes."""
    return version({f"example.name{number:07}.": SUBTREE for number in range(NAMES)}, serial=5)
