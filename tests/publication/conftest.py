"""A world of orders on a real database, with a publisher."""

from collections.abc import Iterator

import pytest

from app.db import Database
from app.main import make_publisher
from app.publication.follower import Follower
from app.publication.marks import Marks
from app.settings import Settings
from tests.publication.worlds import World
from tests.service import FrozenClock, Template


@pytest.fixture
def world(database: Database, settings: Settings, clock: FrozenClock, template: Template) -> Iterator[World]:
    """Nothing but the first, empty release."""
    world = World(database, make_publisher(settings, database), clock, template, settings)
    world.publisher.start(clock())
    yield world
    world.publisher.close()


@pytest.fixture
def follower(settings: Settings, database: Database) -> Follower:
    """What a transfer process holds of the zones."""
    return Follower(settings, Marks(settings.data_dir / "marks", "transfer"), database.read)
