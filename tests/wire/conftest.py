"""A running server for tests that only ask."""

from collections.abc import Iterator

import pytest

from app.transfer.process import Transfer
from tests.wire.feeds import MadeFeed, serving


@pytest.fixture
def feed() -> MadeFeed:
    return MadeFeed()


@pytest.fixture
def server(feed: MadeFeed) -> Iterator[Transfer]:
    with serving(feed) as running:
        yield running
